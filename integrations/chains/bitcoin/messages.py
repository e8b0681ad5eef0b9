"""What is known of a chain of Bitcoin's kind, as nodes tell it."""

from dataclasses import dataclass
from typing import NamedTuple

from integrations.chains.bitcoin.parameters import COINBASE_MATURITY
from integrations.chains.bitcoin.transactions import Outpoint, Tx, TxOutput


class Place(NamedTuple):
    """The block of the best chain that a transaction is in."""

    height: int
    hash: str


@dataclass(frozen=True, slots=True)
class FoundTransaction:
    """A transaction that a node knows. `place` is None while it waits; `confirmations` is then 0."""

    tx: Tx
    place: Place | None
    confirmations: int


@dataclass(frozen=True, slots=True)
class Utxo:
    """An output that nothing spends, as far as the node knows, and nothing that waits either. `height` is None while its transaction waits."""

    outpoint: Outpoint
    sats: int
    script: bytes
    height: int | None
    coinbase: bool

    def confirmations(self, tip: int) -> int:
        """How deep it lies when the newest block is `tip`."""
        return 0 if self.height is None else max(tip - self.height + 1, 0)

    def mature(self, tip: int) -> bool:
        """Whether a transaction in the next block may spend it: what a miner made must be 100 blocks deep."""
        return not self.coinbase or self.confirmations(tip) >= COINBASE_MATURITY


@dataclass(frozen=True, slots=True)
class Unspent:
    """What a script owns at a height. `complete`: whether outputs that wait for their first confirmation are among them; a Core node cannot tell those."""

    height: int
    outputs: tuple[Utxo, ...]
    complete: bool

    def spendable(self, *, confirmations: int = 1) -> tuple[Utxo, ...]:
        """Those that may be spent now and are this deep at least."""
        deep = (each for each in self.outputs if each.confirmations(self.height) >= confirmations)
        return tuple(each for each in deep if each.mature(self.height))


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits to be confirmed: all txids, and those transactions that were not known yet, or as many of them as were asked for."""

    txids: frozenset[str]
    transactions: tuple[Tx, ...]


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Fee rates in satoshis for 1,000 virtual bytes, so that they are whole numbers: 1,000 is 1 sat/vB.

    `floor` is what nodes take at all; a speed is None when the node cannot estimate it. Never below the floor; a faster one is never cheaper.
    """

    floor: int
    slow: int | None
    standard: int | None
    fast: int | None

    @property
    def usual(self) -> int:
        """For what is to be in one of the next few blocks; the floor where the node can estimate nothing."""
        return self.standard or self.fast or self.floor

    @property
    def estimated(self) -> bool:
        return None not in (self.slow, self.standard, self.fast)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A transaction that touches an address, by one node's word: what it took from there and gave to it, in satoshis.

    `senders` and `receivers`: scripts of the other inputs and outputs. `fee` in satoshis. `time_ms`: of its block.
    """

    txid: str
    place: Place | None
    time_ms: int | None
    spent: int
    received: int
    fee: int
    senders: tuple[bytes, ...]
    receivers: tuple[TxOutput, ...]
