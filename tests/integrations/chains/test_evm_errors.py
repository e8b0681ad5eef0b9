"""What nodes' refusals mean: wordings of geth, Erigon, Nethermind, Besu, Reth and Anvil, as their sources have them."""

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.errors import NodeRefused
from integrations.chains.evm.errors import Meaning, Refusal, meaning, revert_reason

ERROR = "0x08c379a0" + encode(["string"], ["balance too small"]).hex()
PANIC = "0x4e487b71" + encode(["uint256"], [0x11]).hex()
OWN = "0xe450d38c" + "00" * 96


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-32000, "nonce too low: next nonce 5, tx nonce 3", Refusal.NONCE_TOO_LOW),
        (-32003, "nonce too low", Refusal.NONCE_TOO_LOW),
        (-32000, "OldNonce, Current nonce: 5, nonce of rejected tx: 3", Refusal.NONCE_TOO_LOW),
        (-32001, "Nonce too low", Refusal.NONCE_TOO_LOW),
        (-32000, "already known", Refusal.ALREADY_KNOWN),
        (-32000, "AlreadyKnown", Refusal.ALREADY_KNOWN),
        (-32000, "ALREADY_EXISTS: already known", Refusal.ALREADY_KNOWN),
        (-32000, "Known transaction", Refusal.ALREADY_KNOWN),
        (-32003, "transaction already imported", Refusal.ALREADY_KNOWN),
        (-32000, "replacement transaction underpriced", Refusal.UNDERPRICED),
        (-32000, "transaction underpriced: gas tip cap 0, minimum needed 1000000", Refusal.UNDERPRICED),
        (-32000, "max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1, baseFee: 7", Refusal.UNDERPRICED),
        (-32010, "FeeTooLow, MaxFeePerGas too low", Refusal.UNDERPRICED),
        (-32000, "FeeTooLowToCompete", Refusal.UNDERPRICED),
        (-32009, "Gas price below configured minimum gas price", Refusal.UNDERPRICED),
        (-32000, "INTERNAL_ERROR: replacement transaction underpriced", Refusal.UNDERPRICED),
        (-32000, "insufficient funds for gas * price + value: address 0x00 have 1 want 2", Refusal.INSUFFICIENT_GAS),
        (-32003, "Insufficient funds for gas * price + value", Refusal.INSUFFICIENT_GAS),
        (-32000, "InsufficientFunds, Balance is 1 less than sending value + gas 2", Refusal.INSUFFICIENT_GAS),
        (-32004, "Upfront cost exceeds account balance (transaction up-front cost 0x2 exceeds 0x1)", Refusal.INSUFFICIENT_GAS),
        (3, "execution reverted", Refusal.REVERTED),
        (-32000, "Execution reverted", Refusal.REVERTED),
        (-32015, "VM execution error.", Refusal.REVERTED),
        (-32000, "gas required exceeds allowance (25000)", Refusal.REVERTED),
        (-32000, "intrinsic gas too low: gas 20000, minimum needed 21000", Refusal.OTHER),
        (-32000, "nonce too high", Refusal.OTHER),
        (-32602, "invalid argument 0: hex string without 0x prefix", Refusal.OTHER),
        (-32000, "max priority fee per gas higher than max fee per gas", Refusal.OTHER),
        (-32000, "exceeds block gas limit", Refusal.OTHER),
    ],
)  # fmt: skip
def test_one_meaning_for_many_wordings(code: int, message: str, kind: Refusal) -> None:
    assert meaning(NodeRefused(code, message)).kind is kind


@pytest.mark.parametrize(
    ("code", "message", "data", "said"),
    [
        (3, "execution reverted: balance too small", ERROR, "balance too small"),
        (3, "execution reverted: balance too small", None, "balance too small"),
        (3, "execution reverted", "0x", None),
        (3, "execution reverted", PANIC, "a number went out of its range"),
        (3, "execution reverted", OWN, "its own error 0xe450d38c"),
        (-32000, "Execution reverted", ERROR, "balance too small"),
        (-32015, "VM execution error.", f"Reverted {ERROR}", "balance too small"),
        (-32015, "VM execution error.", f"revert: {ERROR}", "balance too small"),
        (-32000, "execution reverted", {"data": ERROR}, "balance too small"),
        (3, "execution reverted", "0x08c379a0ffff", None),
        (3, "execution reverted", ["what"], None),
    ],
)
def test_what_a_contract_said_is_read_from_wherever_a_node_put_it(
    code: int, message: str, data: object, said: str | None
) -> None:
    assert meaning(NodeRefused(code, message, data)) == Meaning(Refusal.REVERTED, said)


def test_a_contract_cannot_draw_over_the_screen() -> None:
    text = "line\nbreak \x1b[2J\u202e backwards" + "x" * 1000
    said = revert_reason("0x08c379a0" + encode(["string"], [text]).hex())
    assert said is not None
    assert said.isprintable()
    assert len(said) <= 200


@given(st.one_of(st.binary(), st.binary().map(lambda tail: bytes.fromhex("08c379a0") + tail)))
def test_whatever_a_contract_says_is_a_text_or_nothing(data: bytes) -> None:
    said = revert_reason("0x" + data.hex())
    assert said is None or (said and said.isprintable())
