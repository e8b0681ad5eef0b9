"""`python -m server chain`: what a wallet would sign."""

import json

import pytest

from server.commands import main
from services.signed_transactions import read_signed
from tests.chains import ANVIL_ADDRESSES
from tests.evm import FRIEND

PAYLOAD = {
    "type": "0x2",
    "chainId": "0x7a69",
    "nonce": "0x5",
    "from": ANVIL_ADDRESSES[2],
    "to": FRIEND,
    "value": "0x1",
    "gas": "0x5208",
    "data": "0x",
    "maxFeePerGas": "0x77359400",
    "maxPriorityFeePerGas": "0x3b9aca00",
}


def test_a_prepared_transaction_is_signed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "sign-transaction", "--payload", json.dumps(PAYLOAD)]) == 0
    signed = read_signed(capsys.readouterr().out.strip())
    assert (signed.sender, signed.to, signed.value, signed.nonce) == (ANVIL_ADDRESSES[2], FRIEND, 1, 5)
    assert (signed.chain_id, signed.gas, signed.max_fee) == (31337, 21_000, 2 * 10**9)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("no JSON", "expected the payload"),
        ("[]", "expected the payload"),
        (json.dumps({**PAYLOAD, "gas": None}), "expected the payload"),
        (json.dumps({**PAYLOAD, "from": FRIEND}), f"signed by {FRIEND}"),
    ],
)
def test_what_is_none_is_refused_in_a_line(capsys: pytest.CaptureFixture[str], payload: str, said: str) -> None:
    assert main(["chain", "sign-transaction", "--payload", payload]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert said in told.err
