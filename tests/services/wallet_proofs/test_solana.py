"""Signatures of Solana's kind."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from services.wallet_proofs.refusals import SignatureInvalid
from services.wallet_proofs.solana import verify_solana
from tests.wallet_keys import SolanaKey

MESSAGE = "vault.example wants you to sign in with your Solana account:\nmany lines"
KEY = SolanaKey()


def accepts(address: str, signature: str, message: str = MESSAGE) -> bool:
    try:
        verify_solana(address, message, signature)
    except SignatureInvalid:
        return False
    return True


def test_a_signature_counts_in_both_spellings() -> None:
    signature = KEY.pair.sign_message(MESSAGE.encode())
    for text in (str(signature), b64encode(bytes(signature)).decode()):
        assert accepts(KEY.address, text)
        assert not accepts(KEY.address, text, MESSAGE + " ")
        assert not accepts(SolanaKey().address, text)


def test_the_envelope_of_off_chain_messages_counts() -> None:
    body = len(MESSAGE).to_bytes(2, "little") + MESSAGE.encode()
    own, other = bytes(KEY.pair.pubkey()), bytes(SolanaKey().pair.pubkey())
    start = b"\xffsolana offchain\x00"
    good = [start + bytes(32) + b"\x01\x01" + own + body, start + b"\x01" + body]
    bad = [
        start + bytes(32) + b"\x01\x01" + other + body,
        start + bytes(32) + b"\x01\x02" + own + other + body,
        start[:-1] + b"\x01" + bytes(32) + b"\x01\x01" + own + body,
        start + b"\x01" + body + b" ",
    ]
    assert [accepts(KEY.address, str(KEY.pair.sign_message(each))) for each in (*good, *bad)] == [True] * 2 + [
        False
    ] * 4


@pytest.mark.parametrize("small", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_keys_of_small_order_sign_nothing(small: bytes) -> None:
    """For such a key anybody can make signatures that a lax verification takes; the first is the System Program's address."""
    for first in (small, b"\x01" + bytes(31)):
        for number in range(32):
            assert not accepts(str(Pubkey(small)), b64encode(first + bytes(32)).decode(), f"{MESSAGE}{number}")


def test_a_signature_has_one_form() -> None:
    """S is below the group's order (RFC 8032, 5.1.7)."""
    signature = bytes(KEY.pair.sign_message(MESSAGE.encode()))
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    assert not accepts(KEY.address, b64encode(signature[:32] + s.to_bytes(32, "little")).decode())


@given(st.integers(0, 63), st.integers(0, 255))
def test_one_changed_byte_is_noticed(place: int, value: int) -> None:
    signature = bytearray(bytes(KEY.pair.sign_message(MESSAGE.encode())))
    before, signature[place] = signature[place], value
    assert accepts(KEY.address, b64encode(bytes(signature)).decode()) is (before == value)


@given(st.text(max_size=100))
def test_any_text_is_refused(text: str) -> None:
    assert not accepts(KEY.address, text)
