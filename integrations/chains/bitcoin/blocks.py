"""Blocks, believed only as far as their bytes prove: the header hashes to the name that was asked for, and the transactions to the header's Merkle root.

With `least_difficulty` also the work is checked, so that a forged block costs what a real one does. What only a node says is the height.
"""

from dataclasses import dataclass

from integrations.chains.bitcoin.transactions import NotReadable, Reader, Tx, double_sha256, hash_text, read_transaction
from integrations.chains.errors import Failure, ProviderFailed

_EASIEST_TARGET = 0xFFFF << 208
"""Of difficulty 1."""


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """A block as a node describes it; `time_ms` is the miner's time, epoch milliseconds."""

    height: int
    hash: str
    parent: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block whose transactions were checked against its hash."""

    height: int
    hash: str
    parent: str
    time_ms: int
    transactions: tuple[Tx, ...]


def read_block(raw: bytes, *, asked: str, height: int, least_difficulty: int = 0) -> Block:
    """The block of this hash from a node's bytes. Raises ProviderFailed: MALFORMED for no block, CONTRADICTS for bytes that are not this block's."""
    try:
        header, transactions = _parse(raw)
    except NotReadable as problem:
        raise ProviderFailed(Failure.MALFORMED, f"block: {problem}") from None
    digest = double_sha256(header)
    if hash_text(digest) != asked:
        raise ProviderFailed(Failure.CONTRADICTS, "its block has another hash than the one asked for")
    if least_difficulty and not _has_work(digest, header, least_difficulty):
        raise ProviderFailed(Failure.CONTRADICTS, "its block did not take the work that blocks take")
    txids = [each.txid for each in transactions]
    if len(set(txids)) != len(txids):
        raise ProviderFailed(Failure.CONTRADICTS, "its block holds a transaction twice")
    if hash_text(merkle_root([bytes.fromhex(each)[::-1] for each in txids])) != hash_text(header[36:68]):
        raise ProviderFailed(Failure.CONTRADICTS, "the transactions of its block are not those of the header")
    if not transactions[0].coinbase or any(each.coinbase for each in transactions[1:]):
        raise ProviderFailed(Failure.CONTRADICTS, "its block makes no coins, or makes them twice")
    parent, time_ms = hash_text(header[4:36]), int.from_bytes(header[68:72], "little") * 1000
    return Block(height, asked, parent, time_ms, tuple(transactions))


def merkle_root(hashes: list[bytes]) -> bytes:
    """The root over hashes in their inner order; the last of an odd row stands twice."""
    while len(hashes) > 1:
        if len(hashes) % 2:
            hashes = [*hashes, hashes[-1]]
        hashes = [double_sha256(hashes[at] + hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def _parse(raw: bytes) -> tuple[bytes, list[Tx]]:
    """Header and transactions. What follows them belongs to extensions of other chains (Litecoin's MWEB), which the header does not cover."""
    reader = Reader(raw)
    header = reader.take(80)
    count = reader.compact()
    if not count:
        raise NotReadable("it has no transactions")
    transactions = []
    for _ in range(count):
        start = reader.at
        transaction = read_transaction(reader)
        if (transaction.weight - (reader.at - start)) == 3 * 64:
            raise NotReadable("a transaction of 64 bytes may be a node of the Merkle tree")
        transactions.append(transaction)
    return header, transactions


def _has_work(digest: bytes, header: bytes, least_difficulty: int) -> bool:
    """Whether the hash is below the header's target, and the target no easier than that."""
    bits = int.from_bytes(header[72:76], "little")
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    if bits & 0x800000 or exponent > 32:
        return False
    target = mantissa << (8 * (exponent - 3)) if exponent > 3 else mantissa >> (8 * (3 - exponent))
    return 0 < target <= _EASIEST_TARGET // least_difficulty and int.from_bytes(digest, "little") <= target
