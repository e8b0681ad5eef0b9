"""The budget shared by processes, in Redis, with the promises of `core/budget.py`.

One script per `take`, atomic, on the server's own clock, so that processes agree; a bucket's key lives until it would be full. What an
answer says is also kept in this process: a caller that spent everything is refused without asking the server again until a point must
have come back, and while the server is away each process goes on from the last level it knew. A caller can then spend up to one bucket
per process, and what it spent meanwhile is not told to the server. Of callers that ask often some points are taken ahead (`core/points_ahead.py`).
"""

from core.budget import THOUSANDTHS, Allowance, MemoryBudget, allowance
from core.clock import Clock
from core.points_ahead import PointsAhead
from core.redis_client import connect
from core.redis_guard import RedisAway, RedisGuard

_TAKE = """
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wanted, otherwise, full, rate = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local level = full
local known = redis.call("GET", KEYS[1])
if known then
    local left, at = string.match(known, "^(%d+) (%d+)$")
    level = math.min(full, left + math.max(0, now - at) * rate)
end
local granted = wanted <= level
local spent = granted and wanted or otherwise
if spent <= level then
    level = level - spent
end
if level < full then
    redis.call("SET", KEYS[1], string.format("%.0f %.0f", level, now), "PX", math.ceil((full - level) / rate))
elseif known then
    redis.call("DEL", KEYS[1])
end
return {granted and 1 or 0, level}
"""
"""KEYS: the bucket, "level time" in thousandths of points and milliseconds. ARGV: thousandths wanted, thousandths if refused,
thousandths of a full bucket, thousandths that come back each millisecond. A clock set back restores nothing, once."""


class RedisBudget:
    """A `core.budget.Budget` that every process on the same server and namespace spends from."""

    def __init__(
        self, url: str, *, clock: Clock, per_minute: int, namespace: str = "cryptovault", max_connections: int = 16
    ) -> None:
        """`per_minute`: as for a `MemoryBudget`."""
        self._local = MemoryBudget(clock, per_minute=per_minute)
        self.capacity = self._local.capacity
        self.restore_per_second = self._local.restore_per_second
        self._client = connect(url, max_connections=max_connections)
        self._script = self._client.register_script(_TAKE)
        self._clock = clock
        self._prefix = f"{namespace}:budget:"
        self._guard = RedisGuard("budget", clock, turns=max_connections)
        self._ahead = PointsAhead(clock, capacity=self.capacity)

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

    def exhausted(self, key: str) -> Allowance | None:
        return None if self._ahead.held(key) else self._local.exhausted(key)

    def take_if_there(self, key: str, points: int) -> int | None:
        return None if self._ahead.sends_one(key) else self._spent(key, points)

    def give_back(self, key: str, points: int) -> None:
        self._ahead.give_back(key, points)

    def _spent(self, key: str, points: int) -> int | None:
        """Of the points that were taken ahead: what is left; None: not so many are there."""
        left = self._ahead.spend(key, points)
        return None if left is None else left + self._local.level(key)

    async def take(self, key: str, points: int, *, if_refused: int = 0) -> Allowance:
        if not self._ahead.is_low(key) and (left := self._spent(key, points)) is not None:
            return Allowance(granted=True, remaining=left, retry_after_ms=0)
        if points > 0 and self.exhausted(key) is not None:
            return await self._local.take(key, points)
        more = self._ahead.wanted(key, points) if points > 0 else 0
        if more:
            took = 0
            try:
                if (await self._ask(key, points + more)).granted:
                    took = more
            finally:
                self._ahead.took(key, took)
            if took:
                return Allowance(granted=True, remaining=self._left(key), retry_after_ms=0)
            if (left := self._spent(key, points)) is not None:
                return Allowance(granted=True, remaining=left, retry_after_ms=0)
        return await self._ask(key, points, if_refused=if_refused)

    async def remaining(self, key: str) -> int:
        return (await self.take(key, 0)).remaining + self._ahead.held(key)

    def _left(self, key: str) -> int:
        """Whole points, as far as this process knows."""
        return self._local.level(key) + self._ahead.held(key)

    async def _ask(self, key: str, points: int, *, if_refused: int = 0) -> Allowance:
        asked_ms = int(self._clock.monotonic() * 1000)
        try:
            granted, level = await self._guard.ask(self._take, key, points, if_refused)
        except RedisAway:
            return await self._local.take(key, points, if_refused=if_refused)
        self._local.learn(key, level, asked_ms)
        return allowance(level, points, granted=granted, restore_per_second=self.restore_per_second)

    async def _take(self, key: str, points: int, if_refused: int) -> tuple[bool, int]:
        """Whether it was granted, and the thousandths that are left."""
        granted, level = await self._script(
            keys=(self._prefix + key,),
            args=(
                points * THOUSANDTHS,
                if_refused * THOUSANDTHS,
                self.capacity * THOUSANDTHS,
                self.restore_per_second,
            ),
        )
        return granted == 1, level
