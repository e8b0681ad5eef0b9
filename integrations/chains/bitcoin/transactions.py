"""Transactions as they travel (Bitcoin's protocol, BIP-144), read strictly and written. Pure.

Reading computes the txid, so that what is read is what the txid stands for. Hashes are written in the usual order, last byte first.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from integrations.chains.bitcoin.parameters import MOST_SATS

MOST_TRANSACTION_BYTES = 4_000_000
_NO_TXID, _NO_VOUT = "00" * 32, 0xFFFFFFFF


class NotReadable(ValueError):
    """Bytes that are no transaction or block; says what is wrong."""


class Outpoint(NamedTuple):
    """An output by its transaction and place."""

    txid: str
    vout: int


class TxInput(NamedTuple):
    """What spends an output. Without script and witness it is not signed."""

    outpoint: Outpoint
    sequence: int
    script_sig: bytes = b""
    witness: tuple[bytes, ...] = ()


class TxOutput(NamedTuple):
    """Satoshis under a scriptPubKey."""

    script: bytes
    sats: int


@dataclass(frozen=True, slots=True)
class Tx:
    """A transaction; `weight` in weight units (BIP-141)."""

    txid: str
    version: int
    inputs: tuple[TxInput, ...]
    outputs: tuple[TxOutput, ...]
    locktime: int
    weight: int

    @property
    def vsize(self) -> int:
        """Virtual bytes, by which fees are counted."""
        return -(-self.weight // 4)

    @property
    def coinbase(self) -> bool:
        """Whether it makes new coins."""
        return len(self.inputs) == 1 and self.inputs[0].outpoint == (_NO_TXID, _NO_VOUT)


def double_sha256(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def hash_text(digest: bytes) -> str:
    """A hash as it is written."""
    return digest[::-1].hex()


class Reader:
    """A place in bytes."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def done(self) -> bool:
        return self.at == len(self.data)

    def take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > len(self.data):
            raise NotReadable("it ends too early")
        return self.data[start : self.at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def compact(self) -> int:
        """A compact size, which must be written in its shortest form."""
        first = self.number(1)
        if first < 0xFD:
            return first
        width = 2 ** (first - 0xFC)
        value = self.number(width)
        if value < (0xFD if width == 2 else 1 << (4 * width)):
            raise NotReadable("a size is not written in its shortest form")
        return value

    def text(self) -> bytes:
        """Bytes after their size."""
        return self.take(self.compact())


def compact_size(value: int) -> bytes:
    """A size as it travels."""
    if value < 0xFD:
        return bytes([value])
    width = 2 if value <= 0xFFFF else 4 if value <= 0xFFFFFFFF else 8
    return bytes([{2: 0xFD, 4: 0xFE, 8: 0xFF}[width]]) + value.to_bytes(width, "little")


def parse_transaction(raw: bytes) -> Tx:
    """A transaction, signed or not. Raises NotReadable."""
    if len(raw) > MOST_TRANSACTION_BYTES:
        raise NotReadable("it is longer than a block")
    reader = Reader(raw)
    found = read_transaction(reader)
    if not reader.done:
        raise NotReadable("something follows after its end")
    return found


def read_transaction(reader: Reader) -> Tx:
    """The transaction that begins here. Raises NotReadable."""
    start = reader.at
    version = reader.number(4)
    segwit = reader.data[reader.at : reader.at + 2] == b"\x00\x01"
    if segwit:
        reader.take(2)
    body = reader.at
    inputs = [_read_input(reader) for _ in range(reader.compact())]
    outputs = tuple(_read_output(reader) for _ in range(reader.compact()))
    if not inputs or not outputs:
        raise NotReadable("it has no inputs or no outputs")
    body_end = reader.at
    if segwit:
        inputs = [each._replace(witness=_read_witness(reader)) for each in inputs]
        if not any(each.witness for each in inputs):
            raise NotReadable("it says that it has witnesses, and has none")
    locktime = reader.number(4)
    data = reader.data
    stripped = data[start : start + 4] + data[body:body_end] + data[reader.at - 4 : reader.at]
    weight = 3 * len(stripped) + reader.at - start
    return Tx(hash_text(double_sha256(stripped)), version, tuple(inputs), outputs, locktime, weight)


def _read_input(reader: Reader) -> TxInput:
    outpoint = Outpoint(hash_text(reader.take(32)), reader.number(4))
    script = reader.text()
    return TxInput(outpoint, reader.number(4), script)


def _read_output(reader: Reader) -> TxOutput:
    sats = reader.number(8)
    if sats > MOST_SATS:
        raise NotReadable("an output holds more than there is")
    return TxOutput(reader.text(), sats)


def _read_witness(reader: Reader) -> tuple[bytes, ...]:
    return tuple(reader.text() for _ in range(reader.compact()))


def serialize(
    inputs: tuple[TxInput, ...], outputs: tuple[TxOutput, ...], *, version: int = 2, locktime: int = 0
) -> bytes:
    """A transaction as it travels; with witnesses where an input has one."""
    segwit = any(each.witness for each in inputs)
    parts = [version.to_bytes(4, "little"), b"\x00\x01" if segwit else b"", compact_size(len(inputs))]
    for each in inputs:
        parts += [bytes.fromhex(each.outpoint.txid)[::-1], each.outpoint.vout.to_bytes(4, "little")]
        parts += [compact_size(len(each.script_sig)), each.script_sig, each.sequence.to_bytes(4, "little")]
    parts.append(compact_size(len(outputs)))
    for output in outputs:
        parts += [output.sats.to_bytes(8, "little"), compact_size(len(output.script)), output.script]
    if segwit:
        for each in inputs:
            parts.append(compact_size(len(each.witness)))
            parts += [compact_size(len(item)) + item for item in each.witness]
    parts.append(locktime.to_bytes(4, "little"))
    return b"".join(parts)
