"""The budget, exact to the point."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.budget import MemoryBudget
from core.clock import ManualClock


async def test_points_are_spent_and_come_back_exactly() -> None:
    clock = ManualClock()
    budget = MemoryBudget(clock, per_minute=600)
    assert (budget.capacity, budget.restore_per_second) == (600, 10)
    assert await budget.take("a", 600) == (True, 0, 0)
    assert await budget.take("a", 1) == (False, 0, 100)
    clock.advance(0.099)
    assert await budget.take("a", 1) == (False, 0, 1)
    clock.advance(0.001)
    assert await budget.take("a", 1) == (True, 0, 0)
    clock.advance(30)
    assert await budget.remaining("a") == 300
    clock.advance(300)
    assert await budget.remaining("a") == 600


async def test_a_refused_wish_spends_nothing_and_callers_do_not_share() -> None:
    budget = MemoryBudget(ManualClock(), per_minute=60)
    assert (await budget.take("a", 61)).granted is False
    assert await budget.remaining("a") == 60
    assert (await budget.take("b", 60)).granted is True
    assert await budget.remaining("a") == 60


async def test_callers_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.budget._CALLERS_REMEMBERED", 2)
    budget = MemoryBudget(ManualClock(), per_minute=60)
    for key in ("a", "b", "c"):
        await budget.take(key, 60)
    assert [await budget.remaining(key) for key in ("a", "b", "c")] == [60, 0, 0]


@pytest.mark.parametrize("per_minute", [0, -60, 59, 90])
def test_a_rate_that_is_no_whole_number_a_second_is_refused(per_minute: int) -> None:
    with pytest.raises(ValueError, match="multiple of 60"):
        MemoryBudget(ManualClock(), per_minute=per_minute)


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 5_000)), max_size=50))
async def test_never_more_than_capacity_plus_what_came_back(steps: list[tuple[int, int]]) -> None:
    clock = ManualClock()
    budget = MemoryBudget(clock, per_minute=60)
    spent = 0
    elapsed_ms = 0
    for points, milliseconds in steps:
        clock.advance(milliseconds / 1000)
        elapsed_ms += milliseconds
        if (await budget.take("a", points)).granted:
            spent += points
        assert spent * 1000 <= 60_000 + elapsed_ms + 1


async def test_who_has_less_than_a_point_is_exhausted_to_the_millisecond() -> None:
    clock = ManualClock()
    budget = MemoryBudget(clock, per_minute=600)
    assert budget.exhausted("a") is None
    await budget.take("a", 599)
    assert budget.exhausted("a") is None
    await budget.take("a", 1)
    assert budget.exhausted("a") == (False, 0, 100)
    assert budget.exhausted("b") is None
    clock.advance(0.099)
    assert budget.exhausted("a") == (False, 0, 1)
    clock.advance(0.001)
    assert budget.exhausted("a") is None


async def test_a_refusal_has_its_own_price() -> None:
    budget = MemoryBudget(ManualClock(), per_minute=60)
    assert await budget.take("a", 10, if_refused=1) == (True, 50, 0)
    assert await budget.take("a", 51, if_refused=1) == (False, 49, 2_000)
    assert await budget.take("a", 60, if_refused=50) == (False, 49, 11_000)
    assert await budget.take("a", 60, if_refused=49) == (False, 0, 60_000)
    assert await budget.take("a", 1, if_refused=1) == (False, 0, 1_000)


async def test_a_level_learned_from_elsewhere_refills_from_its_own_time() -> None:
    clock = ManualClock()
    budget = MemoryBudget(clock, per_minute=60)
    clock.advance(5)
    budget.learn("a", 2_500, 3_000)
    assert await budget.remaining("a") == 4
    budget.learn("a", 0, 5_000)
    assert budget.exhausted("a") == (False, 0, 1_000)
