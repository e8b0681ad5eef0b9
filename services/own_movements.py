"""What transactions that were sent from here would move, or would have moved, and that stand in no block: they wait, were given up with their block, replaced or dropped.

They stand above all blocks in a wallet's activity, by when they came here. What has become of them is what `chain_tracking.py` has found out.
"""

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import NamedTuple
from zlib import crc32

from core.clock import Clock
from core.wallet_vocabulary import ChainTxStatus, TransferDirection
from events.wallet import WalletMovement
from integrations.chains.errors import NodeRefused
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import read_receipt
from integrations.chains.json_rpc import Call
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.messages import Commitment
from models import chain_transaction
from models.chain import ChainEntry
from models.chain_transaction import ChainTransactionDocument
from services.sent_movements import Outflow, outflows
from services.tokens import Tokens

S = ChainTxStatus
HIGHEST = 10**16
"""Above all places: a cursor has no more digits. These rows' places are a thousand times their time, which is far above those of blocks."""
MOST_SHOWN = 100
_KEPT_MS = 7 * 24 * 3_600_000
_NOWHERE = frozenset({S.PENDING, S.REPLACED, S.DROPPED, S.REVERTED})
_TOLD_BY_US = frozenset({S.REPLACED, S.DROPPED, S.REVERTED})
"""What a node's list does not say of what it has in no block."""
_PLACES, _MOST_PARTS = 1_000, 10
"""Of one millisecond, and of one transaction."""


class OwnMovement(NamedTuple):
    """A movement; `over`: nothing is expected to change any more."""

    movement: WalletMovement
    over: bool


class OwnMovements:
    """One per process."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock

    async def of_evm(self, client: EvmClient, entry: ChainEntry, sender: str) -> Sequence[WalletMovement]:
        """Of the newest transactions of an address (EIP-55) that were sent from here within a week, lowest place first. Raises ChainError."""
        rows = await self._sent(entry.key, sender)
        if not rows:
            return []
        answers = await client.batch([Call("eth_getTransactionReceipt", [row.hash]) for row in rows], read_receipt)
        waiting = [
            row for row, told in zip(rows, answers, strict=True) if told is None or isinstance(told, NodeRefused)
        ]
        return await self._moved(waiting, entry)

    async def of_bitcoin(self, entry: ChainEntry, sender: str) -> Sequence[WalletMovement]:
        """The same of an address on a chain of Bitcoin's kind; some may be in a block by now (`joined` leaves them out)."""
        return await self._moved(await self._sent(entry.key, sender), entry)

    async def of_solana(self, client: SolanaClient, entry: ChainEntry, sender: str) -> Sequence[WalletMovement]:
        """The same of a wallet on Solana, without what is in a block that most have voted for. Raises ChainError."""
        rows = await self._sent(entry.key, sender)
        if not rows:
            return []
        found = await client.statuses([row.hash for row in rows], search_history=True)
        waiting = [
            row
            for row, status in zip(rows, found, strict=True)
            if status is None or status.commitment is Commitment.PROCESSED
        ]
        return await self._moved(waiting, entry)

    async def sent(self, entry: ChainEntry, sender: str) -> list[OwnMovement]:
        """The same for who follows an address, of any family and without a question to its nodes; also what failed. Raises ChainError."""
        rows = await self._sent(entry.key, sender, _NOWHERE | {S.FAILED})
        over = {row.hash for row in rows if row.track.over}
        return [OwnMovement(each, each.hash in over) for each in await self._moved(rows, entry)]

    async def _sent(
        self, chain: str, sender: str, statuses: Set[ChainTxStatus] = _NOWHERE
    ) -> list[ChainTransactionDocument]:
        since_ms = self._clock.now_ms() - _KEPT_MS
        sent = await chain_transaction.of_sender(chain, sender, since_ms, MOST_SHOWN)
        return [row for row in sent if row.sent_ms is not None and row.track.status in statuses]

    async def _moved(self, rows: Sequence[ChainTransactionDocument], entry: ChainEntry) -> list[WalletMovement]:
        found = [
            _movement(row, number, each)
            for row in rows
            for number, each in enumerate((await outflows(row, entry, self._tokens))[:_MOST_PARTS])
        ]
        return sorted(found, key=lambda each: each.place)


def joined(listed: Sequence[WalletMovement], own: Sequence[WalletMovement]) -> list[WalletMovement]:
    """What a chain tells and what was sent from here, of which the chain's word comes first: only of what it has in no block it is told here what became of it."""
    became = {each.hash: each.status for each in own if each.status in _TOLD_BY_US}
    seen = {each.hash for each in listed}
    told = [replace(each, status=became.get(each.hash, each.status)) if _is_nowhere(each) else each for each in listed]
    return [*told, *(each for each in own if each.hash not in seen)]


def _is_nowhere(moved: WalletMovement) -> bool:
    return moved.confirmations == 0 and moved.time_ms is None


def _movement(row: ChainTransactionDocument, number: int, each: Outflow) -> WalletMovement:
    first = crc32(row.hash.encode()) % (_PLACES // _MOST_PARTS) * _MOST_PARTS
    place = row.created_ms * _PLACES + first + number
    return WalletMovement(
        place=place,
        hash=row.hash,
        part=each.part,
        direction=TransferDirection.SELF if each.stays else TransferDirection.OUT,
        token=each.token,
        units=each.units,
        counterparty=each.to,
        status=row.track.status,
        confirmations=row.track.confirmations,
        time_ms=None,
    )
