"""What every cache promises, in memory and on Redis."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from core.cache import PRICE_TTL_SECONDS, Cache, MemoryCache
from core.clock import ManualClock, SystemClock
from core.redis_cache import RedisCache
from tests import components


@dataclass(frozen=True)
class Backend:
    """A cache, how to see a key's remaining time in ms (None: not kept), and how to let time pass for it."""

    cache: Cache
    remaining_ms: Callable[[str], Awaitable[int | None]]
    expire: Callable[[str], Awaitable[None]]


def memory_backend() -> Backend:
    clock = ManualClock()
    cache = MemoryCache(clock)

    async def remaining_ms(key: str) -> int | None:
        entry = cache._entries.get(key)
        return None if entry is None else round((entry[0] - clock.monotonic()) * 1000)

    async def expire(key: str) -> None:
        left = await remaining_ms(key)
        assert left is not None
        clock.advance(left / 1000)

    return Backend(cache, remaining_ms, expire)


def redis_backend(url: str, operator: "Redis") -> Backend:
    async def remaining_ms(key: str) -> int | None:
        left = int(await operator.pttl(f"cryptovault:cache:{key}"))
        return None if left < 0 else left

    async def expire(key: str) -> None:
        await operator.pexpire(f"cryptovault:cache:{key}", 0)

    return Backend(RedisCache(url, clock=SystemClock()), remaining_ms, expire)


@pytest.fixture(params=["memory", "redis"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    if request.param == "memory":
        made = memory_backend()
        await made.cache.start()
        yield made
        await made.cache.close()
        return
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        made = redis_backend(url, operator)
        await made.cache.start()
        yield made
        await made.cache.close()


async def test_a_key_never_set_is_a_miss(backend: Backend) -> None:
    assert await backend.cache.get("a") is None


@pytest.mark.parametrize("value", [b"", b"x", b"\x00\xff\r\n", "größe".encode(), b"x" * 1_000_000])
async def test_a_value_comes_back_to_the_byte(backend: Backend, value: bytes) -> None:
    await backend.cache.set("a b:größe*", value)
    assert await backend.cache.get("a b:größe*") == value
    assert await backend.cache.get("a b:größe") is None


async def test_the_last_value_wins_with_its_own_time(backend: Backend) -> None:
    await backend.cache.set("a", b"1", ttl_seconds=1000)
    await backend.cache.set("a", b"2", ttl_seconds=10)
    assert await backend.cache.get("a") == b"2"
    left = await backend.remaining_ms("a")
    assert left is not None
    assert 9_000 <= left <= 10_000


async def test_prices_are_kept_a_minute(backend: Backend) -> None:
    await backend.cache.set("price", b"1")
    left = await backend.remaining_ms("price")
    assert left is not None
    assert PRICE_TTL_SECONDS == 60
    assert 59_000 <= left <= 60_000


@pytest.mark.parametrize(("ttl_seconds", "ttl_ms"), [(0.5, 500), (3600, 3_600_000), (86_400 * 30, 2_592_000_000)])
async def test_every_key_has_its_own_time(backend: Backend, ttl_seconds: float, ttl_ms: int) -> None:
    await backend.cache.set("a", b"1", ttl_seconds=ttl_seconds)
    await backend.cache.set("b", b"2", ttl_seconds=1234)
    left = await backend.remaining_ms("a")
    assert left is not None
    assert ttl_ms - 450 <= left <= ttl_ms


async def test_a_key_over_its_time_is_a_miss_and_others_stay(backend: Backend) -> None:
    await backend.cache.set("a", b"1", ttl_seconds=30)
    await backend.cache.set("b", b"2", ttl_seconds=40)
    await backend.expire("a")
    assert await backend.cache.get("a") is None
    assert await backend.remaining_ms("a") is None
    assert await backend.cache.get("b") == b"2"


@pytest.mark.parametrize("ttl_seconds", [0, -1])
async def test_no_time_at_all_forgets_the_key(backend: Backend, ttl_seconds: float) -> None:
    await backend.cache.set("a", b"1")
    await backend.cache.set("a", b"2", ttl_seconds=ttl_seconds)
    assert await backend.cache.get("a") is None


async def test_delete_forgets_one_key_and_twice_is_harmless(backend: Backend) -> None:
    await backend.cache.set("a", b"1")
    await backend.cache.set("b", b"2")
    for _ in range(2):
        await backend.cache.delete("a")
        assert await backend.cache.get("a") is None
    assert await backend.cache.get("b") == b"2"


async def test_memory_forgets_the_least_recently_used_first() -> None:
    cache = MemoryCache(ManualClock(), max_entries=2)
    await cache.set("a", b"1")
    await cache.set("b", b"2")
    assert await cache.get("a") == b"1"
    await cache.set("c", b"3")
    assert [await cache.get(key) for key in "abc"] == [b"1", None, b"3"]


async def test_two_installations_on_one_server_do_not_meet(tmp_path: Path) -> None:
    async with components.redis(tmp_path) as (_, url):
        ours, theirs = (RedisCache(url, clock=SystemClock(), namespace=name) for name in ("ours", "theirs"))
        await ours.set("a", b"1")
        assert await theirs.get("a") is None
        assert await ours.get("a") == b"1"
        await ours.close()
        await theirs.close()
