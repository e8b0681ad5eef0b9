"""How often something may happen: so many times within any stretch of so many seconds (a moving window, by the `limits` library).

A key may be any text, such as an e-mail address; only its SHA-256 is kept or sent. Over Redis the window is shared by all processes,
whose clocks must agree: the library writes down the time of the process that asks. While the server is away each process goes on alone
from what it allowed itself, so that a caller may get up to `amount` per process.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter

from core.clock import Clock
from core.redis_client import connect
from core.redis_guard import RedisAway, RedisGuard

_KEYS_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Limit:
    """A rule: `amount` times in any `seconds`. Its name keeps its keys apart from those of other rules."""

    name: str
    amount: int
    seconds: int

    def __post_init__(self) -> None:
        if self.amount < 1 or self.seconds < 1:
            raise ValueError(f"a limit allows at least once in at least a second, not {self}")


class RateLimits(Protocol):
    """What every room knows of the limits. No method raises for an absent server."""

    async def hit(self, limit: Limit, key: str) -> int | None:
        """Count one; None when it is allowed, else the whole seconds until it can be. What is refused is not counted."""
        ...

    async def check(self, limit: Limit, key: str) -> int | None:
        """What `hit` would answer, counting nothing."""
        ...


class _Windows:
    """The library's strategy on one of its storages."""

    def __init__(self, storage: Storage, now: Callable[[], float]) -> None:
        """`now`: the clock that the storage reads, in seconds."""
        self._limiter = MovingWindowRateLimiter(storage)
        self._now = now

    async def hit(self, limit: Limit, key: str) -> int | None:
        if await self._limiter.hit(_item(limit), _hashed(key)):
            return None
        return await self.check(limit, key) or 1

    async def check(self, limit: Limit, key: str) -> int | None:
        reset, remaining = await self._limiter.get_window_stats(_item(limit), _hashed(key))
        if remaining > 0:
            return None
        wait_ms = round((reset - self._now()) * 1000)
        return max(1, -(-wait_ms // 1000))


class MemoryRateLimits:
    """Limits of this process. When too many keys are known, the one unseen for longest is forgotten (it may begin again)."""

    def __init__(self, clock: Clock) -> None:
        self._windows = _Windows(_BoundedStorage(clock), clock.monotonic)

    async def hit(self, limit: Limit, key: str) -> int | None:
        return await self._windows.hit(limit, key)

    async def check(self, limit: Limit, key: str) -> int | None:
        return await self._windows.check(limit, key)


class RedisRateLimits:
    """Limits that every process on the same server and namespace counts together."""

    def __init__(self, url: str, *, clock: Clock, namespace: str = "cryptovault", max_connections: int = 16) -> None:
        self._client = connect(url, max_connections=max_connections)
        storage = RedisStorage(
            "async+redis://",  # the pool knows where the server is
            implementation="redispy",
            key_prefix=f"{namespace}:limits",
            connection_pool=self._client.connection_pool,  # type: ignore[arg-type] # as documented; typed too narrowly
        )
        self._windows = _Windows(storage, time.time)
        self._memory = MemoryRateLimits(clock)
        self._guard = RedisGuard("limits", clock, turns=max_connections)

    @property
    def degraded(self) -> bool:
        """Whether each process counts alone because the server is away."""
        return self._guard.degraded

    @property
    def failures(self) -> int:
        """Questions the server did not answer."""
        return self._guard.failures

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()

    async def hit(self, limit: Limit, key: str) -> int | None:
        try:
            wait = await self._guard.ask(self._windows.hit, limit, key)
        except RedisAway:
            return await self._memory.hit(limit, key)
        if wait is None:
            await self._memory.hit(limit, key)
        return wait

    async def check(self, limit: Limit, key: str) -> int | None:
        try:
            return await self._guard.ask(self._windows.check, limit, key)
        except RedisAway:
            return await self._memory.check(limit, key)


class _BoundedStorage(MemoryStorage):
    """The library's storage in memory, with windows on our clock and a bound on the keys.

    The library's own keeps every key of a window, however many, and after each hit sends all of them through a thread, one by one.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._hits: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now, hits = self._window(key, expiry)
        granted = len(hits) + amount <= limit
        self._hits[key] = hits + (now,) * amount if granted else hits
        self._hits.move_to_end(key)
        if len(self._hits) > _KEYS_REMEMBERED:
            self._hits.popitem(last=False)
        return granted

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        now, hits = self._window(key, expiry)
        return (hits[0] if hits else now) / 1000, len(hits)

    def _window(self, key: str, expiry: int) -> tuple[int, tuple[int, ...]]:
        """Now, and the hits that still count, oldest first, in milliseconds."""
        now = round(self._clock.monotonic() * 1000)
        return now, tuple(at for at in self._hits.get(key, ()) if at > now - expiry * 1000)


def _item(limit: Limit) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(limit.amount, limit.seconds, namespace=limit.name)


def _hashed(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
