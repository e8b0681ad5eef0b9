"""The shared budget grants what the one in memory would, to the point and the millisecond."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from core import redis_budget, redis_guard
from core.budget import MemoryBudget
from core.clock import ManualClock, SystemClock
from core.ids import random_id
from core.redis_budget import RedisBudget
from tests import components

PER_MINUTE = 600
"""Ten points a second."""


class Shared:
    """A server whose scripts read the test's clock, and whose keys do not end with real time."""

    def __init__(self, url: str, operator: "Redis") -> None:
        self.url = url
        self.clock = ManualClock()
        self._operator = operator

    def budget(self, namespace: str = "cryptovault", per_minute: int = PER_MINUTE) -> RedisBudget:
        return RedisBudget(self.url, clock=self.clock, per_minute=per_minute, namespace=namespace)

    async def advance_ms(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds / 1000)
        await self.set_server_ms(1_600_000_000_000 + int(self.clock.monotonic() * 1000))

    async def set_server_ms(self, now_ms: int) -> None:
        await self._operator.delete("now")
        await self._operator.rpush("now", str(now_ms // 1000), str(now_ms % 1000 * 1000 + 999))


def on_the_tests_clock(script: str) -> str:
    for real, made in (
        ('redis.call("TIME")', 'redis.call("LRANGE", "now", 0, -1)'),
        ("math.ceil((full - level) / rate))", "3600000)"),
    ):
        assert script.count(real) == 1
        script = script.replace(real, made)
    return script


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason to go on without the server."""
    monkeypatch.setattr(redis_guard, "TIMEOUT_SECONDS", 30.0)


@pytest.fixture
async def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shared]:
    monkeypatch.setattr(redis_budget, "_TAKE", on_the_tests_clock(redis_budget._TAKE))
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        made = Shared(url, operator)
        await made.advance_ms(0)
        yield made


async def test_points_are_spent_and_come_back_exactly(shared: Shared) -> None:
    budget = shared.budget()
    assert (budget.capacity, budget.restore_per_second) == (600, 10)
    assert await budget.take("a", 601) == (False, 600, 100)
    assert await budget.take("a", 600) == (True, 0, 0)
    assert await budget.take("a", 1) == (False, 0, 100)
    assert await budget.take("a", 3) == (False, 0, 300)
    await shared.advance_ms(99)
    assert await budget.take("a", 1) == (False, 0, 1)
    await shared.advance_ms(1)
    assert await budget.take("a", 1) == (True, 0, 0)
    await shared.advance_ms(30_000)
    assert await budget.remaining("a") == 300
    await shared.advance_ms(300_000)
    assert await budget.remaining("a") == 600
    assert await budget.take("b", 600) == (True, 0, 0)
    assert (budget.degraded, budget.failures) == (False, 0)
    await budget.close()


Step = tuple[int, str, int, int, int]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from("ab"),
        st.one_of(st.integers(0, 5), st.integers(0, 610)),
        st.integers(0, 3),
        st.one_of(st.just(0), st.integers(0, 150), st.integers(0, 20_000)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_two_processes_grant_what_one_would(shared: Shared, steps: list[Step]) -> None:
    namespace = random_id()
    processes = (shared.budget(namespace), shared.budget(namespace))
    one = MemoryBudget(shared.clock, per_minute=PER_MINUTE)
    for process, key, points, if_refused, milliseconds in steps:
        await shared.advance_ms(milliseconds)
        if (known := processes[process].exhausted(key)) is not None:
            assert known == one.exhausted(key)
        granted = await processes[process].take(key, points, if_refused=if_refused)
        assert granted == await one.take(key, points, if_refused=if_refused)
    for budget in processes:
        assert await budget.remaining("a") == await one.remaining("a")
        assert budget.failures == 0
        await budget.close()


async def test_a_clock_set_back_restores_nothing_and_then_goes_on(shared: Shared) -> None:
    budget = shared.budget()
    await budget.take("a", 500)
    await shared.set_server_ms(1_500_000_000_000)
    assert await budget.take("a", 50) == (True, 50, 0)
    await shared.set_server_ms(1_500_000_001_000)
    assert await budget.remaining("a") == 60
    await budget.close()


async def test_in_parallel_exactly_the_points_that_are_there_are_granted(shared: Shared) -> None:
    budgets = (shared.budget(), shared.budget())
    answers = await asyncio.gather(*(budgets[number % 2].take("a", 4) for number in range(200)))
    assert sum(answer.granted for answer in answers) == 150
    assert {answer.remaining for answer in answers if answer.granted} == set(range(0, 600, 4))
    for budget in budgets:
        assert (await budget.take("a", 1)).granted is False
        await budget.close()


async def test_who_spent_everything_is_refused_without_the_server(tmp_path: Path) -> None:
    clock = ManualClock()
    async with components.redis(tmp_path) as (process, url):
        budget = RedisBudget(url, clock=clock, per_minute=60)
        assert budget.exhausted("a") is None
        await budget.take("a", 60)
        process.kill()
        await process.wait()
        assert budget.exhausted("a") == (False, 0, 1_000)
        assert await budget.take("a", 5, if_refused=1) == (False, 0, 5_000)
        assert budget.exhausted("b") is None
        assert budget.failures == 0
        clock.advance(1)
        assert budget.exhausted("a") is None
        await budget.close()


async def test_a_key_lives_until_its_bucket_would_be_full(tmp_path: Path) -> None:
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        budget = RedisBudget(url, clock=SystemClock(), per_minute=6_000)
        await budget.take("a", 3_000)
        assert 29_000 < int(await operator.pttl("cryptovault:budget:a")) <= 30_000
        await budget.take("a", 10_000)
        assert 28_000 < int(await operator.pttl("cryptovault:budget:a")) <= 30_000
        assert await budget.remaining("b") == 6_000
        assert await operator.keys() == [b"cryptovault:budget:a"]
        await budget.close()


async def test_two_installations_on_one_server_do_not_meet(shared: Shared) -> None:
    ours, theirs = shared.budget("ours"), shared.budget("theirs")
    await ours.take("a", 600)
    assert await theirs.remaining("a") == 600
    await ours.close()
    await theirs.close()


def test_a_rate_that_is_no_whole_number_a_second_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 60"):
        RedisBudget("redis://127.0.0.1:1/0", clock=ManualClock(), per_minute=90)


BUSY = 120_000
"""Points a minute, of which 600 are taken ahead at most."""


async def test_who_asks_often_is_not_asked_about_each_time(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    budget, asked = shared.budget(per_minute=BUSY), 0
    real = budget._take

    async def counted(key: str, points: int, if_refused: int) -> tuple[bool, int]:
        nonlocal asked
        asked += 1
        return await real(key, points, if_refused)

    monkeypatch.setattr(budget, "_take", counted)
    spent = 0
    for number in range(1, 101):
        spent += 10
        assert await budget.take("a", 10) == (True, BUSY - spent, 0), number
    assert asked == 3 + 2  # the fourth takes 600 along, for sixty more
    for _ in range(2):
        assert budget.take_if_there("a", 10) == BUSY - spent - 10
        budget.give_back("a", 10)
    await shared.advance_ms(1_000)
    assert budget.take_if_there("a", 10) is None
    assert await budget.take("b", 10) == (True, BUSY - 10, 0)
    await budget.close()


async def test_one_asks_for_more_before_the_rest_is_spent(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    budget, asked, answers = shared.budget(per_minute=BUSY), 0, asyncio.Event()
    real = budget._take
    for _ in range(4 + 53):
        await budget.take("a", 10)
    assert budget._ahead.held("a") == 70

    async def slow(key: str, points: int, if_refused: int) -> tuple[bool, int]:
        nonlocal asked
        asked += 1
        await answers.wait()
        return await real(key, points, if_refused)

    monkeypatch.setattr(budget, "_take", slow)
    assert budget.take_if_there("a", 10) is None, "one goes and asks"
    assert budget.take_if_there("a", 10) is not None, "the others spend"
    budget.give_back("a", 10)
    asking = asyncio.create_task(budget.take("a", 10))
    await asyncio.sleep(0)
    for left in range(60, -10, -10):
        assert (await budget.take("a", 10)).granted
        assert budget._ahead.held("a") == left
    assert asked == 1
    answers.set()
    assert await asking == (True, BUSY - 650, 0)
    assert budget._ahead.held("a") == 530
    await budget.close()


async def test_the_last_points_that_were_taken_ahead_are_granted(shared: Shared) -> None:
    ours, theirs = (shared.budget(per_minute=BUSY) for _ in range(2))
    for _ in range(4):
        await ours.take("a", 10)
    assert await theirs.take("a", BUSY - 640) == (True, 0, 0)
    for _ in range(60):
        assert (await ours.take("a", 10)).granted
    assert await ours.take("a", 10, if_refused=1) == (False, 0, 5)
    for budget in (ours, theirs):
        await budget.close()


async def test_two_processes_never_grant_more_than_there_is(shared: Shared) -> None:
    budgets = [shared.budget(per_minute=BUSY) for _ in range(2)]
    granted = 0
    for number in range(4_000):
        answer = await budgets[number % 2].take("a", 70, if_refused=1)
        granted += 70 if answer.granted else 1 if answer.remaining else 0
    assert BUSY - 2 * 70 <= granted <= BUSY
    for budget in budgets:
        assert budget.exhausted("a") is not None or budget._ahead.held("a")
        await budget.close()


async def test_of_many_at_once_one_takes_ahead(shared: Shared) -> None:
    budgets = [shared.budget(per_minute=BUSY) for _ in range(2)]
    answers = await asyncio.gather(*(budgets[number % 2].take("a", 100) for number in range(1_400)))
    granted = sum(answer.granted for answer in answers)
    held = [budget._ahead.held("a") for budget in budgets]
    assert max(held) <= BUSY // 200
    assert granted * 100 + sum(held) == BUSY
    for budget in budgets:
        await budget.close()


async def test_points_that_were_taken_ahead_and_not_used_are_few(shared: Shared) -> None:
    budget = shared.budget(per_minute=BUSY)
    for _ in range(10):
        await budget.take("a", 10)
    await shared.advance_ms(1_001)
    assert await budget.remaining("a") == BUSY
    for _ in range(10):
        await budget.take("a", 1_000)
    assert await budget.remaining("a") >= BUSY - 10_000 - BUSY // 200
    await budget.close()
