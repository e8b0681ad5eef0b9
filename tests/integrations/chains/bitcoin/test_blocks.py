"""Blocks and transactions by their bytes: Bitcoin's first block, and what a liar would make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.bitcoin.blocks import merkle_root, read_block
from integrations.chains.bitcoin.parameters import MOST_SATS
from integrations.chains.bitcoin.transactions import (
    NotReadable,
    Outpoint,
    Reader,
    Tx,
    TxInput,
    TxOutput,
    compact_size,
    double_sha256,
    hash_text,
    parse_transaction,
    serialize,
)
from integrations.chains.errors import Failure, ProviderFailed

GENESIS_HASH = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
GENESIS = bytes.fromhex(
    f"01000000{'00' * 32}3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
    f"010100000001{'00' * 32}ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f"
    "72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0"
    "fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf1"
    "1d5fac00000000"
)
COINBASE = TxInput(Outpoint("00" * 32, 0xFFFFFFFF), 0xFFFFFFFF, b"\x51\x51")
PAY = TxInput(Outpoint("11" * 32, 0), 0xFFFFFFFF, b"", (b"sig", b"key"))


def block_of(*transactions: bytes, root: bytes | None = None) -> tuple[bytes, str]:
    """A block on nothing, without work, and its hash."""
    hashes = [bytes.fromhex(parse_transaction(each).txid)[::-1] for each in transactions]
    header = b"\x01\0\0\0" + bytes(32) + (root or merkle_root(hashes)) + b"\x29\xab\x5f\x49\xff\xff\x7f\x20" + bytes(4)
    return header + compact_size(len(transactions)) + b"".join(transactions), hash_text(double_sha256(header))


def paying(sats: int, script: bytes = b"\x00\x14" + bytes(20)) -> bytes:
    return serialize((PAY,), (TxOutput(script, sats),))


def making(sats: int = 50) -> bytes:
    return serialize((COINBASE,), (TxOutput(b"\x51", sats),))


def refused(raw: bytes, asked: str, least_difficulty: int = 0) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as failed:
        read_block(raw, asked=asked, height=1, least_difficulty=least_difficulty)
    return failed.value


def test_the_first_block() -> None:
    block = read_block(GENESIS, asked=GENESIS_HASH, height=0, least_difficulty=1)
    assert (block.hash, block.parent, block.time_ms) == (GENESIS_HASH, "00" * 32, 1_231_006_505_000)
    (only,) = block.transactions
    assert only.txid == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert only.coinbase
    assert only.weight == 4 * 204
    assert only.outputs[0].sats == 5_000_000_000


def test_a_block_of_several() -> None:
    raw, name = block_of(making(), paying(100), paying(200))
    block = read_block(raw, asked=name, height=7)
    assert [sum(output.sats for output in each.outputs) for each in block.transactions] == [50, 100, 200]
    assert read_block(raw + b"extension", asked=name, height=7) == block


def test_another_block_is_not_the_one_asked_for() -> None:
    raw, _ = block_of(making())
    assert refused(raw, GENESIS_HASH).failure is Failure.CONTRADICTS


def test_a_payment_that_is_not_in_the_header() -> None:
    true, name = block_of(making(), paying(100))
    forged = true[:80] + b"\x02" + making() + paying(100_000)
    assert refused(forged, name).failure is Failure.CONTRADICTS
    assert "not those of the header" in str(refused(forged, name))


def test_a_payment_that_stands_twice() -> None:
    """CVE-2012-2459: two lists of transactions with one root."""
    parts = [making(), paying(100), paying(200)]
    _, name = block_of(*parts)
    true, _ = block_of(*parts)
    twice = true[:80] + b"\x04" + b"".join([*parts, parts[2]])
    assert "twice" in str(refused(twice, name))
    assert refused(twice, name).failure is Failure.CONTRADICTS


def test_a_transaction_that_may_be_a_node_of_the_tree() -> None:
    """CVE-2017-12842."""
    small = serialize((PAY._replace(witness=()),), (TxOutput(b"\x51" * 4, 1),))
    assert len(small) == 64
    raw, name = block_of(making(), small)
    assert refused(raw, name).failure is Failure.MALFORMED


def test_coins_from_nothing() -> None:
    for parts in ([paying(100)], [making(), making(51)], [paying(1), making()]):
        raw, name = block_of(*parts)
        assert refused(raw, name).failure is Failure.CONTRADICTS


def test_a_block_without_work() -> None:
    raw, name = block_of(making())
    assert read_block(raw, asked=name, height=1)
    assert "work" in str(refused(raw, name, 1))
    assert "work" in str(refused(GENESIS, GENESIS_HASH, 2))
    for bits in (b"\xff\xff\x00\xff", b"\x00\x00\x80\x1d", b"\x01\x00\x00\x03", b"\x00\x00\x00\x00"):
        header = GENESIS[:72] + bits + GENESIS[76:80]
        assert "work" in str(refused(header + GENESIS[80:], hash_text(double_sha256(header)), 1))


@given(st.integers(0, len(GENESIS) - 1))
def test_a_block_cut_short(length: int) -> None:
    assert refused(GENESIS[:length], GENESIS_HASH).failure is Failure.MALFORMED


@given(st.integers(0, len(GENESIS) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found(at: int, change: int) -> None:
    changed = bytearray(GENESIS)
    changed[at] ^= change
    assert refused(bytes(changed), GENESIS_HASH).failure in (Failure.MALFORMED, Failure.CONTRADICTS)


inputs = st.builds(
    TxInput,
    st.builds(Outpoint, st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, 2**32 - 1)),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=300),
    st.lists(st.binary(max_size=80), max_size=3).map(tuple),
)
outputs = st.builds(TxOutput, st.binary(max_size=300), st.integers(0, MOST_SATS))


@given(
    st.lists(inputs, min_size=1, max_size=5).map(tuple),
    st.lists(outputs, min_size=1, max_size=5).map(tuple),
    st.integers(0, 2**32 - 1),
)
def test_what_is_written_is_read(ins: tuple[TxInput, ...], outs: tuple[TxOutput, ...], locktime: int) -> None:
    raw = serialize(ins, outs, locktime=locktime)
    found: Tx = parse_transaction(raw)
    assert (found.inputs, found.outputs, found.locktime, found.version) == (ins, outs, locktime, 2)
    stripped = serialize(tuple(each._replace(witness=()) for each in ins), outs, locktime=locktime)
    assert found.weight == 3 * len(stripped) + len(raw)
    assert found.txid == hash_text(double_sha256(stripped))


@given(st.binary(max_size=400))
def test_what_is_no_transaction(raw: bytes) -> None:
    with pytest.raises(NotReadable):
        parse_transaction(raw)


@pytest.mark.parametrize(
    "raw",
    [
        paying(100) + b"\x00",
        paying(MOST_SATS + 1),
        b"\x02\0\0\0\x00\x01\x01" + serialize((PAY._replace(witness=()),), (TxOutput(b"", 1),))[5:-4] + bytes(5),
        serialize((), (TxOutput(b"", 1),)),
        serialize((PAY,), ()),
        b"\x02\0\0\0" + b"\xff" * 9 + bytes(100),
        bytes(4_000_001),
    ],
)
def test_what_nodes_would_not_take(raw: bytes) -> None:
    with pytest.raises(NotReadable):
        parse_transaction(raw)


def test_a_size_has_one_spelling() -> None:
    for wrong in (b"\xfd\x10\x00", b"\xfe\xff\xff\x00\x00", b"\xff\xff\xff\xff\xff\x00\x00\x00\x00"):
        with pytest.raises(NotReadable, match="shortest"):
            Reader(wrong).compact()
    for value in (0, 252, 253, 65535, 65536, 2**32 - 1, 2**32):
        assert Reader(compact_size(value)).compact() == value
