"""Swaps kept up with both of their chains: what became of the transaction on the first, and what the aggregator says of the second."""

import structlog

from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus
from models import chain_transaction
from models.chain_transaction import ChainTransactionDocument
from services.chain_transactions import ChainTransactions
from services.swap_states import SourceFate
from services.swaps import Swaps

_AT_ONCE = 200
log = structlog.get_logger(__name__)


class SwapFollowing:
    """One per process."""

    def __init__(self, swaps: Swaps, transactions: ChainTransactions) -> None:
        self._swaps = swaps
        self._transactions = transactions

    async def step(self) -> None:
        """Everything that is new or due. News that are lost with the process come again: a transaction stays untold until its swap is stored."""
        for row in await chain_transaction.untold(_AT_ONCE):
            try:
                await self._tell(row)
            except WalletRefused as refusal:
                log.warning("swap.waits", hash=row.hash, reason=refusal.message)
        await self._swaps.follow()

    async def _tell(self, row: ChainTransactionDocument) -> None:
        """One that failed, or was replaced by something else, may still come right: it counts only when that is final. What does the same goes on in its place."""
        track, swap_id = row.track, row.swap_id or ""
        replaced = track.status is ChainTxStatus.REPLACED
        undecided = track.status is ChainTxStatus.FAILED and not track.over
        if not replaced or track.same or track.over:
            same_again = track.replaced_by if track.same else None
            status = ChainTxStatus.PENDING if undecided else track.status
            await self._swaps.source_seen(swap_id, SourceFate(row.hash, status, same_again))
        if replaced and track.same and track.replaced_by is not None:
            state = await self._transactions.read(row.chain, track.replaced_by)
            if state is not None and (state.status is not ChainTxStatus.FAILED or state.over):
                await self._swaps.source_seen(swap_id, SourceFate(state.hash, state.status))
        await chain_transaction.was_told(row)
