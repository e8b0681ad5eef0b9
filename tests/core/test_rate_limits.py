"""What all limits promise, in memory and on Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from core import redis_guard
from core.clock import ManualClock, SystemClock
from core.rate_limits import Limit, MemoryRateLimits, RateLimits, RedisRateLimits
from tests import components

THREE = Limit("log-in per address", 3, 60)


@dataclass(frozen=True)
class Backend:
    """Limits, a second process' view of them (the same in memory), and how to let time pass for both."""

    limits: RateLimits
    others: RateLimits
    advance: Callable[[float], None]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason to go on without the server."""
    monkeypatch.setattr(redis_guard, "TIMEOUT_SECONDS", 30.0)


@pytest.fixture(params=["memory", "redis"])
async def backend(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Backend]:
    clock = ManualClock()
    if request.param == "memory":
        memory = MemoryRateLimits(clock)
        yield Backend(memory, memory, clock.advance)
        return
    source = SimpleNamespace(time=lambda: clock.now_ms() / 1000)
    monkeypatch.setattr("limits.aio.storage.redis.redispy.time", source)
    monkeypatch.setattr("core.rate_limits.time", source)
    async with components.redis(tmp_path) as (_, url):
        made = (RedisRateLimits(url, clock=clock), RedisRateLimits(url, clock=clock))
        yield Backend(*made, clock.advance)
        for limits in made:
            assert (limits.degraded, limits.failures) == (False, 0)
            await limits.close()


async def test_so_many_are_allowed_and_the_next_waits_for_the_oldest_to_leave(backend: Backend) -> None:
    for _ in range(3):
        assert await backend.limits.hit(THREE, "a") is None
        backend.advance(10)
    assert await backend.limits.hit(THREE, "a") == 30
    assert await backend.others.hit(THREE, "a") == 30
    backend.advance(29.5)
    assert await backend.limits.hit(THREE, "a") == 1
    backend.advance(0.501)
    assert await backend.others.hit(THREE, "a") is None
    assert await backend.limits.hit(THREE, "a") == 10


async def test_what_is_refused_is_not_counted(backend: Backend) -> None:
    for _ in range(20):
        await backend.limits.hit(THREE, "a")
        backend.advance(1)
    backend.advance(40.001)
    assert await backend.limits.hit(THREE, "a") is None


async def test_checking_counts_nothing(backend: Backend) -> None:
    for _ in range(5):
        assert await backend.limits.check(THREE, "a") is None
    for _ in range(2):
        await backend.limits.hit(THREE, "a")
    assert await backend.others.check(THREE, "a") is None
    assert await backend.limits.hit(THREE, "a") is None
    assert await backend.limits.check(THREE, "a") == 60
    assert await backend.others.check(THREE, "a") == 60
    backend.advance(60.001)
    assert await backend.limits.check(THREE, "a") is None


async def test_keys_and_rules_do_not_share(backend: Backend) -> None:
    once = Limit("once", 1, 60)
    also = Limit("also once", 1, 60)
    assert await backend.limits.hit(once, "a") is None
    assert await backend.limits.hit(once, "a") == 60
    assert await backend.limits.hit(also, "a") is None
    assert await backend.limits.hit(once, "b") is None


@pytest.mark.parametrize("key", ["", "größe@example.com", "a/3/60/second", "\ud800", "x" * 100_000, "\x00\r\n*"])
async def test_any_text_is_a_key(backend: Backend, key: str) -> None:
    once = Limit("once", 1, 60)
    assert await backend.limits.hit(once, key) is None
    assert await backend.others.hit(once, key) == 60
    assert await backend.limits.hit(once, key + "b") is None


async def test_exactly_so_many_of_200_at_once_pass(backend: Backend) -> None:
    limit = Limit("busy", 37, 60)
    for key in ("a", "b"):
        answers = await asyncio.gather(
            *((backend.limits, backend.others)[number % 2].hit(limit, key) for number in range(200))
        )
        assert answers.count(None) == 37
        assert set(answers) == {None, 60}


@given(st.lists(st.integers(0, 3_000), max_size=60), st.integers(1, 4), st.integers(1, 3))
async def test_memory_allows_all_that_no_window_forbids(gaps_ms: list[int], amount: int, seconds: int) -> None:
    clock = ManualClock()
    limits = MemoryRateLimits(clock)
    limit = Limit("any", amount, seconds)
    now_ms = 0
    allowed: list[int] = []
    for gap_ms in gaps_ms:
        clock.advance(gap_ms / 1000)
        now_ms += gap_ms
        counted = [at for at in allowed if at > now_ms - seconds * 1000]
        wait = None
        if len(counted) >= amount:
            wait = -(-(counted[0] + seconds * 1000 - now_ms) // 1000)
        assert await limits.check(limit, "a") == wait
        assert await limits.hit(limit, "a") == wait
        if wait is None:
            allowed.append(now_ms)


async def test_keys_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.rate_limits._KEYS_REMEMBERED", 2)
    limits = MemoryRateLimits(ManualClock())
    once = Limit("once", 1, 60)
    for key in ("a", "b", "a", "c"):
        await limits.hit(once, key)
    assert await limits.hit(once, "a") == 60
    assert await limits.hit(once, "c") == 60
    assert await limits.hit(once, "b") is None


async def test_a_key_never_appears_in_plain_and_ends_with_its_window(tmp_path: Path) -> None:
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url, decode_responses=True) as operator:
        limits = RedisRateLimits(url, clock=SystemClock(), namespace="ours")
        theirs = RedisRateLimits(url, clock=SystemClock(), namespace="theirs")
        once = Limit("once", 1, 60)
        assert await limits.hit(once, "someone@example.com") is None
        assert await theirs.hit(once, "someone@example.com") is None
        for name in map(str, await operator.keys()):
            assert "someone" not in name
            assert name.startswith(("ours:limits:once/", "theirs:limits:once/"))
            assert 0 < int(await operator.ttl(name)) <= 60
        await limits.close()
        await theirs.close()


@pytest.mark.parametrize(("amount", "seconds"), [(0, 60), (-1, 60), (1, 0), (1, -60)])
def test_a_limit_that_allows_nothing_is_refused(amount: int, seconds: int) -> None:
    with pytest.raises(ValueError, match="at least once"):
        Limit("wrong", amount, seconds)
