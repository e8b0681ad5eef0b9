"""Mints and token accounts, read from their bytes: what is none is none."""

import pytest
from solders.keypair import Keypair

from integrations.chains.solana.addresses import SYSTEM_PROGRAM, TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from integrations.chains.solana.messages import Account
from integrations.chains.solana.mints import read_mint, read_token_account

OWNER, MINT = Keypair().pubkey(), Keypair().pubkey()


def mint(*extensions: tuple[int, bytes], program: str = TOKEN_2022_PROGRAM, decimals: int = 6) -> Account:
    head = bytes(44) + bytes([decimals, 1]) + bytes(36)
    told = b"".join(kind.to_bytes(2, "little") + len(data).to_bytes(2, "little") + data for kind, data in extensions)
    return Account(1, program, executable=False, data=head if not told else head + bytes(83) + b"\x01" + told)


def account(state: int = 1, tail: bytes = b"", program: str = TOKEN_PROGRAM) -> Account:
    data = bytes(MINT) + bytes(OWNER) + (7).to_bytes(8, "little") + bytes(36) + bytes([state]) + bytes(56)
    return Account(1, program, executable=False, data=data + tail)


def fee(older: int, newer: int) -> bytes:
    return bytes(88) + older.to_bytes(2, "little") + bytes(16) + newer.to_bytes(2, "little")


def metadata(name: str, symbol: str) -> bytes:
    texts = (len(each.encode()).to_bytes(4, "little") + each.encode() for each in (name, symbol, "uri"))
    return bytes(64) + b"".join(texts)


def test_a_plain_mint() -> None:
    for program in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM):
        found = read_mint(mint(program=program, decimals=9))
        assert found is not None
        assert (found.decimals, found.takes_a_fee, found.calls_a_program, found.program) == (9, False, False, program)
        assert found.account_bytes == (165 if program == TOKEN_PROGRAM else 170)


@pytest.mark.parametrize(
    ("extensions", "takes_a_fee", "calls", "size"),
    [
        ([(1, fee(0, 0))], False, False, 182),
        ([(1, fee(5, 0))], True, False, 182),
        ([(1, fee(0, 1))], True, False, 182),
        ([(14, bytes(64))], False, False, 175),
        ([(14, bytes(32) + bytes(OWNER))], False, True, 175),
        ([(9, b""), (26, bytes(33))], False, False, 178),
        ([(18, bytes(64)), (0, b""), (1, fee(5, 5))], False, False, 170),
    ],
)
def test_extensions(extensions: list[tuple[int, bytes]], takes_a_fee: bool, calls: bool, size: int) -> None:
    found = read_mint(mint(*extensions))
    assert found is not None
    assert (found.takes_a_fee, found.calls_a_program, found.account_bytes) == (takes_a_fee, calls, size)


def test_its_own_words() -> None:
    found = read_mint(mint((19, metadata("A coin", "COIN"))))
    assert found is not None
    assert (found.name, found.symbol) == ("A coin", "COIN")
    for cut in (b"", bytes(10), metadata("A coin", "COIN")[:70], bytes(64) + b"\xff" * 8):
        assert read_mint(mint((19, cut))) is not None


def test_what_is_none() -> None:
    assert read_mint(account()) is None
    assert read_mint(account(tail=b"\x02", program=TOKEN_2022_PROGRAM)) is None
    assert read_mint(Account(1, SYSTEM_PROGRAM, executable=False, data=mint().data)) is None
    assert read_mint(Account(1, TOKEN_PROGRAM, executable=False, data=bytes(82))) is None
    assert read_token_account(mint()) is None
    assert read_token_account(mint((1, fee(0, 0)))) is None
    assert read_token_account(account(state=0)) is None


def test_a_token_account() -> None:
    for state, tail in ((1, b""), (2, b"\x02\x07\x00\x00\x00")):
        found = read_token_account(account(state, tail))
        assert found is not None
        assert (found.mint, found.owner, found.amount, found.frozen) == (str(MINT), str(OWNER), 7, state == 2)
