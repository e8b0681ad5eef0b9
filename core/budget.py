"""Points a caller may spend: a bucket that refills at a steady rate (a leaky bucket, as the Shopify Admin API describes it).

All arithmetic is on integers: points are kept in thousandths, time in milliseconds, so `restore_per_second` points a second are
exactly that many thousandths a millisecond.
"""

from collections import OrderedDict
from typing import NamedTuple, Protocol

from core.clock import Clock

_THOUSANDTHS = 1000
_CALLERS_REMEMBERED = 100_000


class Allowance(NamedTuple):
    """Answer to a wish to spend."""

    granted: bool
    remaining: int
    """Whole points left now."""
    retry_after_ms: int
    """Until the wish can be granted; 0 when it was."""


class Budget(Protocol):
    """What spenders know of the budget. A caller that was never seen has a full bucket."""

    @property
    def capacity(self) -> int:
        """Points of a full bucket; more can never be granted at once."""
        ...

    @property
    def restore_per_second(self) -> int:
        """Points that come back each second."""
        ...

    async def take(self, key: str, points: int) -> Allowance:
        """Spend `points` of this caller, all or nothing."""
        ...

    async def remaining(self, key: str) -> int:
        """Whole points this caller has now."""
        ...


class MemoryBudget:
    """Buckets of this process. When too many callers are known, the one unseen for longest is forgotten (its bucket is full again)."""

    def __init__(self, clock: Clock, *, per_minute: int) -> None:
        """`per_minute`: points, a multiple of 60. It is both the capacity and what comes back each minute."""
        if per_minute <= 0 or per_minute % 60:
            raise ValueError(f"a budget per minute must be a positive multiple of 60, not {per_minute}")
        self.capacity = per_minute
        self.restore_per_second = per_minute // 60
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def take(self, key: str, points: int) -> Allowance:
        level, now = self._level(key)
        wanted = points * _THOUSANDTHS
        granted = wanted <= level
        if granted:
            level -= wanted
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _CALLERS_REMEMBERED:
            self._buckets.popitem(last=False)
        missing = 0 if granted else wanted - level
        return Allowance(granted, level // _THOUSANDTHS, -(-missing // self.restore_per_second))

    async def remaining(self, key: str) -> int:
        return self._level(key)[0] // _THOUSANDTHS

    def _level(self, key: str) -> tuple[int, int]:
        now = int(self._clock.monotonic() * 1000)
        full = self.capacity * _THOUSANDTHS
        level, then = self._buckets.get(key, (full, now))
        return min(full, level + (now - then) * self.restore_per_second), now
