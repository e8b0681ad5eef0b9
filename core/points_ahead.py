"""Points that a process has taken of a caller before it asked for them, so that a busy caller does not cost a question to Redis each time.

A caller that asks often has the points of its next few requests taken along. They are out of everybody's reach until they are spent here or a second has passed; what was
not spent by then is forgotten: at most a 200th of a bucket, once at the end of a busy time.
"""

from collections import OrderedDict
from dataclasses import dataclass

from core.clock import Clock

OFTEN = 4
"""Requests within a second."""
KEPT_MS = 1_000
_REQUESTS_AHEAD = 256
"""At least; more where they would not last for LASTING_MS."""
LASTING_MS = 250
_RENEWED_BELOW = 8
"""A request that finds less than this part of what was there asks for more, while the others spend the rest."""
_WORTH_IT = 100
"""Points: of smaller buckets none are taken ahead, and all processes know to the point what is left."""
_CALLERS_REMEMBERED = 10_000


@dataclass(slots=True)
class _Caller:
    begun_ms: int
    """When the second began in which requests are counted."""
    requests: int = 0
    held: int = 0
    held_until_ms: int = 0
    most_held: int = 0
    """Since points were last taken along, at `taken_ms`."""
    taken_ms: int = 0
    sent: bool = False
    """A request is on its way to ask for more."""
    asking: bool = False
    """Points are being taken along; one request at a time does."""


class PointsAhead:
    """Of one process. Whole points throughout."""

    def __init__(self, clock: Clock, *, capacity: int) -> None:
        """`capacity`: of a bucket."""
        self._clock = clock
        most = capacity // 200
        self._most = most if most >= _WORTH_IT else 0
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    def held(self, key: str) -> int:
        """Points that are there for this caller."""
        caller = self._callers.get(key)
        return caller.held if caller is not None and caller.held_until_ms > self._now_ms() else 0

    def spend(self, key: str, points: int) -> int | None:
        """Spend so many of those that are there, and say how many are left; None: they are not, and nothing was spent."""
        caller = self._callers.get(key)
        if caller is None or not 0 < points <= caller.held or caller.held_until_ms <= self._now_ms():
            return None
        caller.held -= points
        return caller.held

    def give_back(self, key: str, points: int) -> None:
        """So many of those that were just spent are there again."""
        caller = self._callers.get(key)
        if caller is not None:
            caller.held += points

    def is_low(self, key: str) -> bool:
        """Whether the next request of this caller is to ask for more, though it may still spend."""
        caller = self._callers.get(key)
        return caller is not None and self._low(caller)

    def _low(self, caller: _Caller) -> bool:
        return not caller.asking and caller.held * _RENEWED_BELOW < caller.most_held

    def sends_one(self, key: str) -> bool:
        """Whether a request must go where more can be asked for: the first since they are low; those behind it need not wait for that."""
        caller = self._callers.get(key)
        if caller is None or caller.sent or not self._low(caller):
            return False
        caller.sent = True
        return True

    def wanted(self, key: str, points: int) -> int:
        """A request for so many points is about to be asked for: how many are to be taken along. If any, `took` must follow."""
        now = self._now_ms()
        caller = self._callers.get(key)
        if caller is None:
            caller = self._callers[key] = _Caller(now)
            if len(self._callers) > _CALLERS_REMEMBERED:
                self._callers.popitem(last=False)
        if now - caller.begun_ms >= KEPT_MS:
            caller.begun_ms, caller.requests = now, 0
        caller.requests += 1
        self._callers.move_to_end(key)
        held = self.held(key)
        if caller.asking or points > self._most or not (held or caller.requests >= OFTEN):
            return 0
        spent, passed_ms = caller.most_held - caller.held, max(1, now - caller.taken_ms)
        more = min(self._most, max(points * _REQUESTS_AHEAD, spent * LASTING_MS // passed_ms)) - held
        caller.asking = more > 0
        return max(0, more)

    def took(self, key: str, points: int) -> None:
        """So many were taken along; none when there were not so many. They count from now on, with what was left of earlier ones."""
        left = self.held(key)
        caller = self._callers.setdefault(key, _Caller(self._now_ms()))
        caller.asking = caller.sent = False
        caller.most_held, caller.taken_ms = left + points, self._now_ms()
        if points:
            caller.held = left + points
            caller.held_until_ms = self._now_ms() + KEPT_MS

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)
