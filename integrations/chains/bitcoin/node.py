"""A node of a chain of Bitcoin's kind, whatever it speaks; and what is read of it alike."""

from collections.abc import Collection, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from integrations.chains.bitcoin.addresses import BitcoinAddress
from integrations.chains.bitcoin.blocks import BlockSummary
from integrations.chains.bitcoin.messages import FeeRates, FoundTransaction, HistoryEntry, Place, Unspent, Utxo, Waiting
from integrations.chains.bitcoin.parameters import COIN, MOST_SATS
from integrations.chains.bitcoin.transactions import NotReadable, Outpoint, Tx, parse_transaction
from integrations.chains.errors import Failure, ProviderFailed
from integrations.chains.pool import Head
from integrations.chains.reserves import ChainReserves
from integrations.chains.shapes import JsonObject, as_int, as_text, malformed

FAST_BLOCKS, STANDARD_BLOCKS, SLOW_BLOCKS = 2, 6, 24
"""Within how many blocks a fee of each speed should be confirmed."""
MOST_FEE_RATE = 5_000_000
"""5,000 sat/vB: more was never paid for long, and whoever says more errs or lies."""
_HEX = frozenset("0123456789abcdef")


class BitcoinNode(Protocol):
    """A connection to one node. Everything may raise ProviderFailed; only `broadcast` raises NodeRefused, for the transaction."""

    @property
    def knows_addresses(self) -> bool:
        """Whether it can tell what has happened to an address, and what spends an output."""
        ...

    @property
    def shows_mempool(self) -> bool:
        """Whether it may be asked again and again for all that waits."""
        ...

    @property
    def knows_transactions(self) -> bool:
        """Whether it finds every transaction by its txid alone."""
        ...

    async def close(self) -> None: ...

    async def tip(self) -> BlockSummary:
        """The newest block of its best chain."""
        ...

    async def block_hash(self, height: int) -> str | None:
        """The block of its best chain at this height; None above its tip."""
        ...

    async def summary(self, block_hash: str) -> BlockSummary | None:
        """A block, of the best chain or not; None for one that it does not know."""
        ...

    async def raw_block(self, block_hash: str) -> bytes | None:
        """The bytes of a block, unchecked."""
        ...

    async def transaction(self, txid: str, block_hash: str | None) -> FoundTransaction | None:
        """A transaction that waits or is in the best chain; `block_hash` helps a node without an index to find it."""
        ...

    async def output(self, outpoint: Outpoint) -> Utxo | None:
        """An output that nothing spends, nor anything that waits; None also for one that there is not."""
        ...

    async def spender(self, outpoint: Outpoint) -> str | None:
        """The transaction that spends an output, waiting or not."""
        ...

    async def unspent(self, address: BitcoinAddress) -> Unspent:
        """What an address owns."""
        ...

    async def confirmed(self, addresses: Sequence[BitcoinAddress]) -> ChainReserves:
        """What blocks up to its newest one have given to these addresses and not taken again, all as of that one."""
        ...

    async def history(self, address: BitcoinAddress, after: str | None) -> Sequence[HistoryEntry]:
        """Transactions that touch an address, the newest first; after the confirmed one with this txid."""
        ...

    async def waiting(self, known: Collection[str], most: int) -> Waiting:
        """What waits, with the transactions that are not `known`, `most` of them at most."""
        ...

    async def fee_rates(self) -> FeeRates:
        """What fees it advises."""
        ...

    async def broadcast(self, raw: bytes) -> str:
        """Hand over a signed transaction; gives the txid that the node says."""
        ...


async def probe(node: BitcoinNode, genesis: str | None) -> Head:
    """A node's head. Raises ProviderFailed, with WRONG_CHAIN for a node of another chain."""
    if genesis is not None:
        told = await node.block_hash(0)
        if told != genesis:
            raise ProviderFailed(Failure.WRONG_CHAIN, "its first block is another chain's")
    tip = await node.tip()
    return Head(tip.height, tip.time_ms)


def as_hash(value: object, what: str) -> str:
    """A hash of 32 bytes as it is written, in small letters."""
    if not isinstance(value, str) or len(value) != 64 or not _HEX.issuperset(value):
        raise malformed(what, "a hash")
    return value


def as_bytes(value: object, what: str) -> bytes:
    """The bytes of a text in hexadecimal."""
    text = as_text(value, what)
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise malformed(what, "bytes in hexadecimal") from None


def as_outpoint(entry: JsonObject) -> Outpoint:
    """The output that an entry names by `txid` and `vout`."""
    vout = as_int(entry.get("vout"), "vout")
    if vout > 0xFFFFFFFF:
        raise malformed("vout", "the place of an output")
    return Outpoint(as_hash(entry.get("txid"), "txid"), vout)


def as_sats(value: object, what: str) -> int:
    """Satoshis."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_SATS:
        raise malformed(what, "an amount in satoshis")
    return value


def coins_as_sats(value: object, what: str) -> int:
    """Satoshis of an amount in whole coins, as Core writes it."""
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise malformed(what, "an amount")
    coins = Decimal(value)
    if not coins.is_finite() or not -9 < coins.adjusted() < 9 or not 0 <= coins * COIN <= MOST_SATS:
        if coins.is_finite() and coins.is_zero():
            return 0
        raise malformed(what, "an amount")
    sats = coins * COIN
    if sats != sats.to_integral_value():
        raise malformed(what, "an amount of whole satoshis")
    return int(sats)


def as_fee_rate(value: object, per_unit: int, what: str) -> int:
    """A fee rate in satoshis for 1,000 virtual bytes, rounded up, of a number in units of `per_unit` of them."""
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise malformed(what, "a fee rate")
    rate = Decimal(value)
    if not rate.is_finite() or rate < 0 or rate.adjusted() > 9:
        raise malformed(what, "a fee rate")
    found = int((rate * per_unit).to_integral_value(ROUND_CEILING)) if rate.adjusted() > -30 else 0
    if found > MOST_FEE_RATE:
        raise malformed(what, f"a fee rate up to {MOST_FEE_RATE // 1000} sat/vB")
    return found


def in_order(floor: int, slow: int | None, standard: int | None, fast: int | None) -> FeeRates:
    """Fee rates none of which is below the floor or below a slower one."""
    least = floor
    found: list[int | None] = []
    for rate in (slow, standard, fast):
        least = least if rate is None else max(least, rate)
        found.append(None if rate is None else least)
    return FeeRates(floor, *found)


def read_tx(raw: bytes, txid: str) -> Tx:
    """The transaction of this txid from a node's bytes. Raises ProviderFailed, with CONTRADICTS for another transaction."""
    try:
        tx = parse_transaction(raw)
    except NotReadable as problem:
        raise ProviderFailed(Failure.MALFORMED, f"transaction: {problem}") from None
    if tx.txid != txid:
        raise ProviderFailed(Failure.CONTRADICTS, "its transaction is another than the one asked for")
    return tx


def found(tx: Tx, place: Place | None, tip: int) -> FoundTransaction:
    """A transaction beside the newest block."""
    confirmations = 0 if place is None else max(tip - place.height + 1, 1)
    return FoundTransaction(tx, place, confirmations)
