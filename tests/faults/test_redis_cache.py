"""The cache while its server is away, hangs, or refuses: always a miss, never an error, never a long wait."""

import asyncio
import signal
import time
from pathlib import Path

from redis.asyncio import Redis

from core.clock import ManualClock, SystemClock
from core.redis_cache import RedisCache
from core.redis_guard import REST_SECONDS, TIMEOUT_SECONDS
from tests import components


async def test_an_absent_server_is_a_miss(patient_redis: None) -> None:
    cache = RedisCache(f"redis://127.0.0.1:{components.free_port()}/0", clock=SystemClock())
    await cache.start()
    await cache.set("a", b"1")
    await cache.delete("a")
    assert await cache.get("a") is None
    assert cache.failures == 3
    await cache.close()


async def test_a_killed_server_is_a_miss_until_it_is_back(tmp_path: Path, patient_redis: None) -> None:
    clock = ManualClock()
    port = components.free_port()
    cache = RedisCache(f"redis://127.0.0.1:{port}/0", clock=clock)
    async with components.redis(tmp_path, port) as (process, _):
        await cache.set("a", b"1")
        assert await cache.get("a") == b"1"
        process.kill()
        await process.wait()
        assert await cache.get("a") is None
    async with components.redis(tmp_path, port):
        assert await cache.get("a") is None
        assert cache.failures == 2
        clock.advance(REST_SECONDS)
        await cache.set("a", b"2")
        assert await cache.get("a") == b"2"
        assert cache.failures == 2
    await cache.close()


async def test_a_server_that_hangs_costs_one_short_wait(tmp_path: Path) -> None:
    async with components.redis(tmp_path) as (process, url):
        clock = ManualClock()
        cache = RedisCache(url, clock=clock)
        await cache.set("a", b"1")
        process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        assert [await cache.get("a") for _ in range(50)] == [None] * 50
        assert await asyncio.gather(*(cache.get("a") for _ in range(50))) == [None] * 50
        assert time.monotonic() - start < TIMEOUT_SECONDS * 6
        process.send_signal(signal.SIGCONT)
        clock.advance(REST_SECONDS)
        await cache.set("b", b"2")
        assert await cache.get("a") == b"1"
        assert await cache.get("b") == b"2"
        await cache.close()


async def test_a_full_server_that_refuses_writes_is_a_miss(tmp_path: Path, patient_redis: None) -> None:
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        await operator.config_set("maxmemory", "1")
        cache = RedisCache(url, clock=SystemClock())
        await cache.set("a", b"1")
        assert cache.failures == 1
        assert await cache.get("a") is None
        await cache.close()


async def test_a_value_of_another_type_is_a_miss(tmp_path: Path, patient_redis: None) -> None:
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        await operator.lpush("cryptovault:cache:a", "1")
        cache = RedisCache(url, clock=SystemClock())
        assert await cache.get("a") is None
        await cache.close()


async def test_many_at_once_share_few_connections(tmp_path: Path, patient_redis: None) -> None:
    async with components.redis(tmp_path) as (_, url), Redis.from_url(url) as operator:
        cache = RedisCache(url, clock=SystemClock(), max_connections=4)
        await asyncio.gather(*(cache.set(f"k{number}", b"%d" % number) for number in range(300)))
        values = await asyncio.gather(*(cache.get(f"k{number}") for number in range(300)))
        assert values == [b"%d" % number for number in range(300)]
        assert cache.failures == 0
        assert len(await operator.client_list()) <= 5
        await cache.close()


async def test_under_load_nobody_is_overtaken(tmp_path: Path, patient_redis: None) -> None:
    """Of many who read all the time, none is ever further than others by more than what is under way."""
    async with components.redis(tmp_path) as (_, url):
        cache = RedisCache(url, clock=SystemClock(), max_connections=4)
        await cache.set("a", b"1")
        read, apart = [0] * 64, 0

        async def read_often(place: int) -> None:
            nonlocal apart
            for _ in range(60):
                assert await cache.get("a") == b"1"
                read[place] += 1
                apart = max(apart, max(read) - min(read))

        await asyncio.gather(*map(read_often, range(len(read))))
        assert apart <= 4
        assert cache.failures == 0
        await cache.close()
