"""Limits and the budget while their server is away, hangs, restarts or refuses: each process counts alone, nobody waits long."""

import asyncio
import signal
import time
from pathlib import Path

from redis.asyncio import Redis
from structlog.testing import capture_logs

from core.budget import MemoryBudget
from core.clock import ManualClock, SystemClock
from core.rate_limits import Limit, RedisRateLimits
from core.redis_budget import RedisBudget
from core.redis_guard import REST_SECONDS, TIMEOUT_SECONDS
from tests import components

TWO = Limit("twice a minute", 2, 60)


async def test_an_absent_server_leaves_the_limits_of_this_process(patient_redis: None) -> None:
    url = f"redis://127.0.0.1:{components.free_port()}/0"
    limits = RedisRateLimits(url, clock=ManualClock())
    budget = RedisBudget(url, clock=ManualClock(), per_minute=60)
    assert (limits.degraded, budget.degraded) == (False, False)
    with capture_logs() as logs:
        assert [await limits.hit(TWO, "a") for _ in range(3)] == [None, None, 60]
        assert await limits.check(TWO, "a") == 60
        assert await budget.take("a", 50, if_refused=1) == (True, 10, 0)
        assert await budget.take("a", 50, if_refused=1) == (False, 9, 41_000)
        assert await budget.take("a", 9) == (True, 0, 0)
        assert budget.exhausted("a") == (False, 0, 1_000)
        assert await budget.remaining("a") == 0
    assert (limits.degraded, budget.degraded) == (True, True)
    assert (limits.failures, budget.failures) == (1, 1)
    assert [(line["event"], line["available"]) for line in logs] == [
        ("limits.availability", False),
        ("budget.availability", False),
    ]
    await limits.close()
    await budget.close()


async def test_limits_go_on_from_what_they_allowed_and_return_to_the_server(
    patient_redis: None, tmp_path: Path
) -> None:
    clock = ManualClock()
    port = components.free_port()
    limits = RedisRateLimits(f"redis://127.0.0.1:{port}/0", clock=clock)
    with capture_logs() as logs:
        async with components.redis(tmp_path, port) as (process, _):
            assert await limits.hit(TWO, "a") is None
            process.kill()
            await process.wait()
            assert await limits.hit(TWO, "a") is None
            assert await limits.hit(TWO, "a") == 60
        async with components.redis(tmp_path, port) as (_, url):
            assert await limits.hit(TWO, "b") is None
            assert (limits.degraded, limits.failures) == (True, 1)
            clock.advance(REST_SECONDS)
            other = RedisRateLimits(url, clock=clock)
            assert await limits.hit(TWO, "c") is None
            assert await other.hit(TWO, "c") is None
            assert await limits.hit(TWO, "c") == 60
            assert (limits.degraded, limits.failures) == (False, 1)
            await other.close()
    assert [line["available"] for line in logs] == [False, True]
    await limits.close()


async def test_the_budget_goes_on_from_its_last_level_and_returns_to_the_server(
    patient_redis: None, tmp_path: Path
) -> None:
    clock = ManualClock()
    port = components.free_port()
    budget = RedisBudget(f"redis://127.0.0.1:{port}/0", clock=clock, per_minute=60)
    with capture_logs() as logs:
        async with components.redis(tmp_path, port) as (process, url):
            other = RedisBudget(url, clock=clock, per_minute=60)
            await other.take("a", 20)
            left = (await budget.take("a", 20)).remaining
            assert 20 <= left < 40
            await other.close()
            process.kill()
            await process.wait()
            assert (await budget.take("a", left + 1)).granted is False
            assert await budget.take("a", left - 5) == (True, 5, 0)
        async with components.redis(tmp_path, port):
            assert await budget.take("a", 5) == (True, 0, 0)
            clock.advance(REST_SECONDS)
            assert await budget.take("a", 1) == (True, 59, 0)
            assert (budget.degraded, budget.failures) == (False, 1)
    assert [line["available"] for line in logs] == [False, True]
    await budget.close()


async def test_a_server_that_forgot_the_scripts_is_told_again(patient_redis: None, tmp_path: Path) -> None:
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        limits = RedisRateLimits(url, clock=SystemClock())
        budget = RedisBudget(url, clock=SystemClock(), per_minute=60)
        for left in (40, 20):
            await operator.script_flush()
            assert left <= (await budget.take("a", 20)).remaining < left + 20
            assert await limits.hit(TWO, "a") is None
        assert await limits.hit(TWO, "a") == 60
        assert (limits.failures, budget.failures) == (0, 0)
        await limits.close()
        await budget.close()


async def test_a_server_that_hangs_costs_one_short_wait(tmp_path: Path) -> None:
    clock = ManualClock()
    async with components.redis(tmp_path) as (process, url):
        limits = RedisRateLimits(url, clock=clock)
        budget = RedisBudget(url, clock=clock, per_minute=60)
        await asyncio.gather(limits.hit(TWO, "a"), budget.take("a", 10))
        process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        waits = await asyncio.gather(*(limits.hit(TWO, "b") for _ in range(100)))
        answers = await asyncio.gather(*(budget.take("b", 1) for _ in range(100)))
        assert (waits.count(None), sum(answer.granted for answer in answers)) == (2, 60)
        assert time.monotonic() - start < TIMEOUT_SECONDS * 6
        assert (limits.degraded, budget.degraded) == (True, True)
        process.send_signal(signal.SIGCONT)
        await limits.close()
        await budget.close()


async def test_one_caller_tries_a_resting_server_while_others_go_on(tmp_path: Path) -> None:
    clock = ManualClock()
    async with components.redis(tmp_path) as (process, url):
        budget = RedisBudget(url, clock=clock, per_minute=60)
        process.send_signal(signal.SIGSTOP)
        await budget.take("a", 1)
        assert budget.failures == 1
        clock.advance(REST_SECONDS)
        await asyncio.gather(*(budget.take("a", 1) for _ in range(50)))
        assert budget.failures == 2
        process.send_signal(signal.SIGCONT)
        await budget.close()


async def test_a_caller_cancelled_while_it_tries_leaves_a_budget_that_recovers(
    patient_redis: None, tmp_path: Path
) -> None:
    clock = ManualClock()
    async with components.redis(tmp_path) as (process, url):
        budget = RedisBudget(url, clock=clock, per_minute=60, max_connections=1)
        process.send_signal(signal.SIGSTOP)
        waiting = [asyncio.create_task(budget.take("a", 1)) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting)
        process.send_signal(signal.SIGCONT)
        assert await budget.take("b", 1) == (True, 59, 0)
        assert budget.failures == 0
        await budget.close()


async def test_a_full_server_that_refuses_writes_is_done_without(tmp_path: Path, patient_redis: None) -> None:
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        await operator.config_set("maxmemory", "1")
        limits = RedisRateLimits(url, clock=ManualClock())
        budget = RedisBudget(url, clock=ManualClock(), per_minute=60)
        assert [await limits.hit(TWO, "a") for _ in range(3)] == [None, None, 60]
        assert await budget.take("a", 60) == (True, 0, 0)
        assert (limits.failures, budget.failures) == (1, 1)
        await limits.close()
        await budget.close()


async def test_callers_wait_for_few_connections_in_turn_and_nobody_starves(patient_redis: None, tmp_path: Path) -> None:
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        budget = RedisBudget(url, clock=SystemClock(), per_minute=180, max_connections=2)
        answered = [0] * 40

        async def spend(caller: int) -> None:
            for _ in range(20):
                assert (await budget.take(str(caller), 1)).granted
                answered[caller] += 1
                assert max(answered) - min(answered) <= 2

        await asyncio.gather(*(spend(caller) for caller in range(40)))
        assert budget.failures == 0
        assert len(await operator.client_list()) <= 3
        await budget.close()


async def test_a_process_without_the_server_has_the_budget_in_memory(patient_redis: None) -> None:
    url = f"redis://127.0.0.1:{components.free_port()}/0"
    clock = ManualClock()
    budget = RedisBudget(url, clock=clock, per_minute=60)
    alone = MemoryBudget(clock, per_minute=60)
    for points in (10, 60, 50, 1, 0):
        assert await budget.take("a", points, if_refused=1) == await alone.take("a", points, if_refused=1)
    await budget.close()
