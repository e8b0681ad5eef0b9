"""How far a swap is, by every event in every state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wallet_vocabulary import ChainTxStatus, SwapStatus
from integrations.swaps.base import Progress, SwapProgress
from services.swap_states import SourceFate, SwapEvent, SwapState, advance

S, T, P = SwapStatus, ChainTxStatus, Progress
FIRST, SECOND, THERE = "0x1", "0x2", "0x9"


def at(status: SwapStatus, *, crosses: bool = True, destination: str | None = None) -> SwapState:
    return SwapState(crosses, status, None if status is S.PREPARED else FIRST, destination)


SENT_AND = [
    (T.PENDING, S.SENT, S.SENT),
    (T.DROPPED, S.SENT, S.SENT),
    (T.CONFIRMED, S.BRIDGING, S.DONE),
    (T.FINAL, S.BRIDGING, S.DONE),
    (T.FAILED, S.FAILED, S.FAILED),
    (T.REPLACED, S.FAILED, S.FAILED),
    (T.REVERTED, S.SENT, S.SENT),
]


@pytest.mark.parametrize("before", [S.PREPARED, S.SENT])
@pytest.mark.parametrize(("fate", "crossing", "staying"), SENT_AND)
def test_the_first_transaction(
    before: SwapStatus, fate: ChainTxStatus, crossing: SwapStatus, staying: SwapStatus
) -> None:
    for crosses, expected in ((True, crossing), (False, staying)):
        after = advance(at(before, crosses=crosses), SourceFate(FIRST, fate))
        assert (after.status, after.source, after.destination) == (expected, FIRST, None)


@pytest.mark.parametrize("before", [S.BRIDGING, S.DONE, S.FAILED])
def test_a_block_that_was_given_up_takes_the_swap_back(before: SwapStatus) -> None:
    crosses = before is not S.DONE
    assert advance(at(before, crosses=crosses), SourceFate(FIRST, T.REVERTED)) == at(S.SENT, crosses=crosses)


def test_the_same_with_other_fees_is_the_swap_from_then_on() -> None:
    after = advance(at(S.SENT), SourceFate(FIRST, T.REPLACED, same_again=SECOND))
    assert after == SwapState(True, S.SENT, SECOND)
    assert advance(after, SourceFate(FIRST, T.FAILED)) == after
    assert advance(after, SourceFate(SECOND, T.CONFIRMED)).status is S.BRIDGING


TOLD = [
    (P.UNKNOWN, S.BRIDGING, None),
    (P.PENDING, S.BRIDGING, None),
    (P.DONE, S.DONE, THERE),
    (P.REFUNDED, S.REFUNDED, None),
    (P.FAILED, S.FAILED, None),
]


@pytest.mark.parametrize(("told", "status", "destination"), TOLD)
def test_the_aggregators_word(told: Progress, status: SwapStatus, destination: str | None) -> None:
    after = advance(at(S.BRIDGING), SwapProgress(told, THERE))
    assert after == SwapState(True, status, FIRST, destination)


@pytest.mark.parametrize("before", [S.PREPARED, S.SENT, S.DONE, S.FAILED, S.REFUNDED])
@pytest.mark.parametrize("told", list(Progress))
def test_it_counts_only_while_the_first_transaction_stands(before: SwapStatus, told: Progress) -> None:
    assert advance(at(before), SwapProgress(told, THERE)) == at(before)


@pytest.mark.parametrize("fate", list(ChainTxStatus))
def test_what_has_arrived_or_come_back_stays(fate: ChainTxStatus) -> None:
    done, refunded = at(S.DONE, destination=THERE), at(S.REFUNDED)
    assert advance(done, SourceFate(FIRST, fate)) == done
    assert advance(refunded, SourceFate(FIRST, fate)) == refunded


@pytest.mark.parametrize("fate", list(ChainTxStatus))
@pytest.mark.parametrize("before", [each for each in S if each is not S.PREPARED])
def test_another_transaction_is_none_of_its_business(before: SwapStatus, fate: ChainTxStatus) -> None:
    assert advance(at(before), SourceFate(SECOND, fate)) == at(before)


fates = st.builds(
    SourceFate, st.sampled_from([FIRST, SECOND]), st.sampled_from(T), st.sampled_from([None, FIRST, SECOND])
)
events: st.SearchStrategy[SwapEvent] = fates | st.builds(SwapProgress, st.sampled_from(P), st.none() | st.just(THERE))


@given(st.booleans(), st.lists(events, max_size=20))
def test_whatever_happens_the_state_makes_sense(crosses: bool, told: list[SwapEvent]) -> None:
    swap = SwapState(crosses)
    for event in told:
        swap = advance(swap, event)
        assert advance(swap, event) == swap or isinstance(event, SourceFate)
        assert (swap.source is None) is (swap.status is S.PREPARED)
        assert swap.destination is None or (swap.status is S.DONE and crosses)
        assert swap.status not in (S.BRIDGING, S.REFUNDED) or crosses
