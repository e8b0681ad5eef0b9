"""Whatever JSON a node sends is read or refused as malformed; whatever error it names becomes a sentence."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.errors import ProviderFailed
from integrations.chains.solana import reading
from integrations.chains.solana.addresses import ASSOCIATED_TOKEN_PROGRAM, SYSTEM_PROGRAM, TOKEN_2022_PROGRAM
from integrations.chains.solana.errors import ProblemCode, problem_of
from integrations.chains.solana.landed import landed

WORDS = ("err", "slot", "value", "context", "meta", "lamports", "owner", "data", "account", "pubkey", "signature")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)
READERS: list[Callable[[object], object]] = [
    reading.blockhash,
    reading.tip,
    reading.account,
    reading.priority_fees,
    reading.signature_records,
    lambda answer: reading.simulation(answer, ()),
    lambda answer: reading.statuses(answer, 1),
    lambda answer: reading.token_holdings(answer, SYSTEM_PROGRAM, SYSTEM_PROGRAM),
    lambda answer: reading.block(answer, 5),
    lambda answer: landed(answer, "1" * 64),
]


@given(JSON, st.sampled_from(READERS))
def test_any_answer_is_read_or_malformed(answer: object, read: Callable[[object], object]) -> None:
    try:
        read(answer)
    except ProviderFailed:
        return


@given(JSON, st.lists(st.text(max_size=4), max_size=3))
def test_any_error_has_a_sentence(error: object, programs: list[str]) -> None:
    found = problem_of(error, programs)
    assert found.sentence
    assert len(found.sentence) < 250


@pytest.mark.parametrize(
    ("error", "programs", "code"),
    [
        ("BlockhashNotFound", [], ProblemCode.TRANSACTION_EXPIRED),
        ("AlreadyProcessed", [], ProblemCode.ALREADY_KNOWN),
        ("AccountNotFound", [], ProblemCode.INSUFFICIENT_GAS),
        ("InsufficientFundsForFee", [], ProblemCode.INSUFFICIENT_GAS),
        ("SignatureFailure", [], ProblemCode.SIGNATURE_INVALID),
        ("WouldExceedMaxBlockCostLimit", [], ProblemCode.TRANSACTION_REFUSED),
        ({"InsufficientFundsForRent": {"account_index": 0}}, [], ProblemCode.INSUFFICIENT_FUNDS),
        ({"InsufficientFundsForRent": {"account_index": 1}}, [], ProblemCode.AMOUNT_TOO_SMALL),
        ({"DuplicateInstruction": 1}, [], ProblemCode.TRANSACTION_REFUSED),
        ({"InstructionError": [0, {"Custom": 1}]}, [SYSTEM_PROGRAM], ProblemCode.INSUFFICIENT_FUNDS),
        ({"InstructionError": [1, {"Custom": 1}]}, ["x", TOKEN_2022_PROGRAM], ProblemCode.INSUFFICIENT_FUNDS),
        ({"InstructionError": [0, {"Custom": 1}]}, ["x"], ProblemCode.SIMULATION_REVERTED),
        ({"InstructionError": [5, {"Custom": 1}]}, [SYSTEM_PROGRAM], ProblemCode.SIMULATION_REVERTED),
        ({"InstructionError": [0, {"Custom": 0}]}, [ASSOCIATED_TOKEN_PROGRAM], ProblemCode.SIMULATION_REVERTED),
        ({"InstructionError": [0, "InsufficientFunds"]}, [], ProblemCode.INSUFFICIENT_FUNDS),
        ({"InstructionError": [0, {"BorshIoError": "x"}]}, [], ProblemCode.SIMULATION_REVERTED),
        ({"InstructionError": [0, "ComputationalBudgetExceeded"]}, [], ProblemCode.SIMULATION_REVERTED),
    ],
)
def test_errors_of_the_runtime_have_codes(error: object, programs: list[str], code: ProblemCode) -> None:
    assert problem_of(error, programs).code is code
