"""What transactions that were sent from here would move, or would have moved, and that stand in no block: they wait, were given up with their block, replaced or dropped.

They stand above all blocks in a wallet's activity, by when they came here. What has become of them is what `chain_tracking.py` has found out.
"""

from collections.abc import Sequence

from core.clock import Clock
from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus, EffectKind, TransferDirection
from events.token import TokenState
from events.wallet import WalletMovement
from integrations.chains.errors import NodeRefused
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import read_receipt
from integrations.chains.json_rpc import Call
from models import chain_transaction
from models.chain_transaction import ChainTransactionDocument
from models.prepared_transaction import TokenEntry
from services.evm_terms import Draft
from services.signed_transactions import read_signed
from services.tokens import Tokens
from services.transaction_effects import effects_of

S = ChainTxStatus
HIGHEST = 10**16
"""Above all places: a cursor has no more digits. These rows' places are a thousand times their time, which is far above those of blocks."""
MOST_SHOWN = 100
_KEPT_MS = 7 * 24 * 3_600_000
_NOWHERE = frozenset({S.PENDING, S.REPLACED, S.DROPPED, S.REVERTED})
_PLACES = 1_000
"""Of one millisecond."""


class OwnMovements:
    """One per process."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock

    async def of_sender(self, client: EvmClient, sender: str) -> Sequence[WalletMovement]:
        """Of the newest transactions of an address (EIP-55) that were sent from here within a week, lowest place first. Raises ChainError."""
        since_ms = self._clock.now_ms() - _KEPT_MS
        sent = await chain_transaction.of_sender(client.key, sender, since_ms, MOST_SHOWN)
        rows = [row for row in sent if row.sent_ms is not None and row.track.status in _NOWHERE]
        if not rows:
            return []
        answers = await client.batch([Call("eth_getTransactionReceipt", [row.hash]) for row in rows], read_receipt)
        waiting = [
            row for row, told in zip(rows, answers, strict=True) if told is None or isinstance(told, NodeRefused)
        ]
        found = [moved for row in waiting for moved in await self._moved(row)]
        return sorted(found, key=lambda each: each.place)

    async def _moved(self, row: ChainTransactionDocument) -> list[WalletMovement]:
        """Its own coins, and a token that it transfers; what else a contract would do is not foreseen."""
        try:
            signed = read_signed("0x" + row.raw.hex())
        except WalletRefused:
            return []
        if signed.to is None:
            return []
        draft = Draft(signed.sender, signed.to, signed.value, signed.data)
        effects = await effects_of(
            self._tokens.coin(row.chain), draft, lambda contract: self._tokens.describe(row.chain, contract)
        )
        place = row.created_ms * _PLACES + int(row.hash[-8:], 16) % (_PLACES // 2) * 2
        return [
            _movement(row, place + (effect.token.contract is not None), effect.token, effect.to, int(effect.units))
            for effect in effects
            if effect.kind is EffectKind.TRANSFER and effect.sender == row.sender
            if effect.token is not None and effect.to is not None and effect.units not in (None, "0")
        ]


def _movement(row: ChainTransactionDocument, place: int, token: TokenEntry, to: str, units: int) -> WalletMovement:
    return WalletMovement(
        place=place,
        hash=row.hash,
        part="coin" if token.contract is None else "token",
        direction=TransferDirection.SELF if to == row.sender else TransferDirection.OUT,
        token=TokenState(**token.model_dump()),
        units=units,
        counterparty=to,
        status=row.track.status,
        confirmations=0,
        time_ms=None,
    )
