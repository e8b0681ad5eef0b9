"""What transactions that were sent from here would move, or would have moved, and that stand in no block: they wait, were given up with their block, replaced or dropped.

They stand above all blocks in a wallet's activity, by when they came here. What has become of them is what `chain_tracking.py` has found out.
"""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import NamedTuple

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
_MOST_PARTS = 10
"""Of one transaction."""
_PLACES = MOST_SHOWN * _MOST_PARTS
"""Of one millisecond: those of all that is shown, had it come in the same one."""
_KEPT_MS = 7 * 24 * 3_600_000
_NOWHERE = frozenset({S.PENDING, S.REPLACED, S.DROPPED, S.REVERTED})
_TOLD_BY_US = frozenset({S.REPLACED, S.DROPPED, S.REVERTED})
"""What a node's list does not say of what it has in no block."""


class _Placed(NamedTuple):
    """A transaction that was sent from here, and the place of its first part."""

    row: ChainTransactionDocument
    place: int


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
        sent = await self._sent(entry.key, sender)
        if not sent:
            return []
        answers = await client.batch(
            [Call("eth_getTransactionReceipt", [each.row.hash]) for each in sent], read_receipt
        )
        waiting = [
            each for each, told in zip(sent, answers, strict=True) if told is None or isinstance(told, NodeRefused)
        ]
        return await self._moved(waiting, entry)

    async def of_bitcoin(self, entry: ChainEntry, sender: str) -> Sequence[WalletMovement]:
        """The same of an address on a chain of Bitcoin's kind; some may be in a block by now (`joined` leaves them out)."""
        return await self._moved(await self._sent(entry.key, sender), entry)

    async def of_solana(self, client: SolanaClient, entry: ChainEntry, sender: str) -> Sequence[WalletMovement]:
        """The same of a wallet on Solana, without what is in a block that most have voted for. Raises ChainError."""
        sent = await self._sent(entry.key, sender)
        if not sent:
            return []
        found = await client.statuses([each.row.hash for each in sent], search_history=True)
        waiting = [
            each
            for each, status in zip(sent, found, strict=True)
            if status is None or status.commitment is Commitment.PROCESSED
        ]
        return await self._moved(waiting, entry)

    async def sent(self, entry: ChainEntry, sender: str) -> list[OwnMovement]:
        """The same for who follows an address, of any family and without a question to its nodes; also what failed. Raises ChainError."""
        sent = await self._sent(entry.key, sender, _NOWHERE | {S.FAILED})
        over = {each.row.hash for each in sent if each.row.track.over}
        return [OwnMovement(each, each.hash in over) for each in await self._moved(sent, entry)]

    async def _sent(self, chain: str, sender: str, statuses: Set[ChainTxStatus] = _NOWHERE) -> list[_Placed]:
        since_ms = self._clock.now_ms() - _KEPT_MS
        rows = await chain_transaction.of_sender(chain, sender, since_ms, MOST_SHOWN)
        return [each for each in _placed(rows) if each.row.sent_ms is not None and each.row.track.status in statuses]

    async def _moved(self, sent: Sequence[_Placed], entry: ChainEntry) -> list[WalletMovement]:
        """Lowest place first, as `sent` is."""
        return [
            _movement(row, place + number, each)
            for row, place in sent
            for number, each in enumerate((await outflows(row, entry, self._tokens))[:_MOST_PARTS])
        ]


def _placed(rows: Sequence[ChainTransactionDocument]) -> list[_Placed]:
    """At most MOST_SHOWN, as `of_sender` gives them. Those of one millisecond are counted from the last: which of the first are still among them changes no place."""
    found = []
    counted: Counter[int] = Counter()
    for row in reversed(rows):
        counted[row.created_ms] += 1
        found.append(_Placed(row, row.created_ms * _PLACES + _PLACES - counted[row.created_ms] * _MOST_PARTS))
    return found[::-1]


def joined(listed: Sequence[WalletMovement], own: Sequence[WalletMovement]) -> list[WalletMovement]:
    """What a chain tells and what was sent from here, of which the chain's word comes first: only of what it has in no block it is told here what became of it."""
    became = {each.hash: each.status for each in own if each.status in _TOLD_BY_US}
    seen = {each.hash for each in listed}
    told = [replace(each, status=became.get(each.hash, each.status)) if _is_nowhere(each) else each for each in listed]
    return [*told, *(each for each in own if each.hash not in seen)]


def _is_nowhere(moved: WalletMovement) -> bool:
    return moved.confirmations == 0 and moved.time_ms is None


def _movement(row: ChainTransactionDocument, place: int, each: Outflow) -> WalletMovement:
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
