"""Signed transactions of EVM chains, read strictly."""

from typing import Any

import pytest
import rlp
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from core.wallet_vocabulary import WalletErrorCode
from services.signed_transactions import Expected, SignedEvm, SignedUnreadable, differences, read_signed
from tests.chains import ANVIL_KEYS
from tests.evm import CHAIN_ID, FRIEND, OWNER

FEES: dict[int, dict[str, Any]] = {
    0: {"gasPrice": 30},
    1: {"type": 1, "gasPrice": 30, "accessList": [{"address": FRIEND, "storageKeys": ["0x" + "01" * 32]}]},
    2: {"type": 2, "maxFeePerGas": 30, "maxPriorityFeePerGas": 2},
}


def signed(kind: int = 2, **changes: Any) -> str:
    fields = {"chainId": CHAIN_ID, "nonce": 3, "to": FRIEND, "value": 7, "gas": 21_000, "data": b"abc"}
    raw = Account.sign_transaction({**fields, **FEES[kind], **changes}, ANVIL_KEYS[0]).raw_transaction
    return "0x" + bytes(raw).hex()


def expected(found: SignedEvm) -> Expected:
    return Expected(
        sender=found.sender,
        chain_id=found.chain_id,
        nonce=found.nonce,
        to=found.to or "",
        value=found.value,
        gas=found.gas,
        max_fee=found.max_fee,
        data=found.data,
    )


@pytest.mark.parametrize("kind", FEES)
def test_every_type_is_read(kind: int) -> None:
    found = read_signed(signed(kind))
    assert (found.sender, found.chain_id, found.nonce, found.to) == (OWNER, CHAIN_ID, 3, FRIEND)
    assert (found.value, found.gas, found.max_fee, found.data) == (7, 21_000, 30, b"abc")
    assert differences(found, expected(found)) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"to": OWNER}, f"to: {OWNER} ≠ {FRIEND}"),
        ({"value": 8}, "value: 8 ≠ 7"),
        ({"nonce": 4}, "nonce: 4 ≠ 3"),
        ({"data": b"abd"}, "data: 0x616264 ≠ 0x616263"),
        ({"maxFeePerGas": 61}, "fee: 1281000 > 1260000"),
    ],
)
def test_each_difference_is_told(changes: dict[str, Any], told: str) -> None:
    assert differences(read_signed(signed(**changes)), expected(read_signed(signed()))) == [told]


def test_long_data_that_differs_far_back_differs() -> None:
    one, other = (read_signed(signed(data=b"a" * 500 + end)) for end in (b"x", b"y"))
    (told,) = differences(one, expected(other))
    assert told.startswith("data: ")
    assert len(told) < 300


def test_a_fee_that_a_wallet_chose_is_no_difference() -> None:
    assert differences(read_signed(signed(maxFeePerGas=60)), expected(read_signed(signed()))) == []


def _changed(place: int, value: Any) -> str:
    fields = list(rlp.decode(bytes.fromhex(signed()[4:])))
    fields[place] = value
    encoded: bytes = rlp.encode(fields)
    return "0x02" + encoded.hex()


@pytest.mark.parametrize(
    "text",
    [
        *("", "0x", "0x0", "02", "0x02", "0x02c0", "0xc0", "0x80", "0x" + "c1" * 3000 + "c0", signed() + "00"),
        *(signed()[:-2], signed()[2:], "0x03" + signed()[4:], "0x04" + signed()[4:], "0x" + "00" * 200_000),
        *(_changed(1, b"\0"), _changed(5, b"short"), _changed(8, [b"x"]), _changed(8, b""), _changed(9, b"\2")),
        *(_changed(10, b""), _changed(11, b"\xff" * 32), _changed(7, [b"x"]), _changed(2, b"\xff")),
    ],
)
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(SignedUnreadable) as refused:
        read_signed(text)
    assert (refused.value.reason, refused.value.field) == (WalletErrorCode.TRANSACTION_REFUSED, ["signed"])


def test_one_that_names_no_chain_is_refused() -> None:
    fields = {"nonce": 3, "to": FRIEND, "value": 7, "gas": 21_000, "gasPrice": 30}
    raw = Account.sign_transaction(fields, ANVIL_KEYS[0]).raw_transaction
    with pytest.raises(SignedUnreadable, match="EIP-155"):
        read_signed("0x" + bytes(raw).hex())


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\1", b"\2", b"\xf8"]))
def test_any_bytes_are_refused_by_code(raw: bytes, start: bytes) -> None:
    with pytest.raises(SignedUnreadable):
        read_signed("0x" + (start + raw).hex())


@settings(max_examples=300)
@given(st.sampled_from([*FEES]), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_never_passes_for_what_was_signed(kind: int, place: int, flip: int) -> None:
    raw = bytearray.fromhex(signed(kind)[2:])
    raw[place % len(raw)] ^= flip
    original = read_signed(signed(kind))
    try:
        found = read_signed("0x" + raw.hex())
    except SignedUnreadable:
        return
    assert found.hash != original.hash
    assert found.sender != original.sender
