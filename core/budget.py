"""Points a caller may spend: a bucket that refills at a steady rate (a leaky bucket, as the Shopify Admin API describes it).

All arithmetic is on integers: points are kept in thousandths, time in milliseconds, so `restore_per_second` points a second are
exactly that many thousandths a millisecond.

A spender looks at `exhausted` first, which costs nothing, and later calls `take` once, with the whole price: the one question that may
leave the process (`core/redis_budget.py`).
"""

from collections import OrderedDict
from typing import NamedTuple, Protocol

from core.clock import Clock

THOUSANDTHS = 1000
_CALLERS_REMEMBERED = 100_000


class Allowance(NamedTuple):
    """Answer to a wish to spend."""

    granted: bool
    remaining: int
    """Whole points left now."""
    retry_after_ms: int
    """Until the wish can be granted; 0 when it was."""


def allowance(level: int, points: int, *, granted: bool, restore_per_second: int) -> Allowance:
    """The answer to a wish for so many points that left `level` thousandths."""
    missing = 0 if granted else points * THOUSANDTHS - level
    return Allowance(granted, level // THOUSANDTHS, -(-missing // restore_per_second))


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

    def exhausted(self, key: str) -> Allowance | None:
        """The refusal of a caller that is known here to have less than one point; None when it may ask."""
        ...

    async def take(self, key: str, points: int, *, if_refused: int = 0) -> Allowance:
        """Spend `points` of this caller, all or nothing.

        Args:
            if_refused: spent instead when `points` are not there, again all or nothing: the price of having asked.
        """
        ...

    async def remaining(self, key: str) -> int:
        """Whole points this caller has now."""
        ...

    def take_if_there(self, key: str, points: int) -> int | None:
        """Spend `points` of this caller without asking anybody, and say how many whole ones are left; None: not so many are known to be there, and nothing was spent."""
        ...

    def give_back(self, key: str, points: int) -> None:
        """Points of `take_if_there` that were not needed after all. Nothing may have been awaited since."""
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

    def exhausted(self, key: str) -> Allowance | None:
        level, _ = self._level(key)
        if level >= THOUSANDTHS:
            return None
        return allowance(level, 1, granted=False, restore_per_second=self.restore_per_second)

    def take_if_there(self, key: str, points: int) -> int | None:
        """Spend `points` of this caller and say how many whole ones are left; None: not so many are there, or not even one, and nothing was spent."""
        level, now = self._level(key)
        left = level - points * THOUSANDTHS
        if left < 0 or level < THOUSANDTHS:
            return None
        self.learn(key, left, now)
        return left // THOUSANDTHS

    async def take(self, key: str, points: int, *, if_refused: int = 0) -> Allowance:
        return self.take_now(key, points, if_refused=if_refused)

    def take_now(self, key: str, points: int, *, if_refused: int = 0) -> Allowance:
        """As `take`; nothing has to be asked for."""
        level, now = self._level(key)
        granted = points * THOUSANDTHS <= level
        spent = (points if granted else if_refused) * THOUSANDTHS
        if spent <= level:
            level -= spent
        self.learn(key, level, now)
        return allowance(level, points, granted=granted, restore_per_second=self.restore_per_second)

    async def remaining(self, key: str) -> int:
        return self.level(key)

    def level(self, key: str) -> int:
        """Whole points this caller has now."""
        return self._level(key)[0] // THOUSANDTHS

    def give_back(self, key: str, points: int) -> None:
        """Points that were taken and not needed."""
        level, now = self._level(key)
        self.learn(key, min(self.capacity * THOUSANDTHS, level + points * THOUSANDTHS), now)

    def learn(self, key: str, level: int, at_ms: int) -> None:
        """This caller had `level` thousandths at this time of the clock's monotonic milliseconds."""
        self._buckets[key] = (level, at_ms)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _CALLERS_REMEMBERED:
            self._buckets.popitem(last=False)

    def _level(self, key: str) -> tuple[int, int]:
        now = int(self._clock.monotonic() * 1000)
        full = self.capacity * THOUSANDTHS
        level, then = self._buckets.get(key, (full, now))
        return min(full, level + (now - then) * self.restore_per_second), now
