"""A limit of one length for what many tasks wait for: one timer serves all of them, where `asyncio.timeout` sets and cancels one for each."""

import asyncio
from collections import deque
from types import TracebackType


class Timeouts:
    """`with timeouts.limit():` within a task ends what it waits for after so many seconds, as `async with asyncio.timeout(...)` does."""

    __slots__ = ("_limits", "_timer", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._limits: deque[_Limit] = deque()
        """In the order of their ends; those that are over leave when they come first."""
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> "_Limit":
        """One use of it. Raises TimeoutError at its end when time was up."""
        return _Limit(self)

    def begun(self, limit: "_Limit") -> None:
        """Its time runs from now on."""
        loop = asyncio.get_running_loop()
        limit.ends_at = loop.time() + self.seconds
        self._limits.append(limit)
        if self._timer is None:
            self._timer = loop.call_at(limit.ends_at, self._look, loop)

    def ended(self) -> None:
        """One is over."""
        limits = self._limits
        while limits and limits[0].task is None:
            limits.popleft()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End those whose time is up, and look again when that of the next one is."""
        limits, now = self._limits, loop.time()
        while limits and (limits[0].task is None or limits[0].ends_at <= now):
            limits.popleft().expire()
        self._timer = loop.call_at(limits[0].ends_at, self._look, loop) if limits else None


class _Limit:
    """See `Timeouts`."""

    __slots__ = ("_cancelling", "_expired", "_timeouts", "ends_at", "task")

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._expired = False
        self.ends_at = 0.0
        self.task: asyncio.Task[object] | None = None
        """Who waits; None before and after."""

    def expire(self) -> None:
        if self.task is not None:
            self._expired = True
            self.task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be timed out")
        self.task, self._cancelling = task, task.cancelling()
        self._timeouts.begun(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        task, self.task = self.task, None
        self._timeouts.ended()
        if (
            self._expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error
