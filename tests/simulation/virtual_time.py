"""An event loop whose time is a number: it never waits but goes to the next timer at once, so that a minute costs what happens in it.

What happens on it belongs to a `Life`, one process from its start to its end, or to nobody (clients, the simulation itself). A life may stand
still, as a process that is swapped out, and it may be killed.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

START_MS = 1_700_000_000_000


class Life:
    """One process. What it does once it is not `alive` has no effect outside of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stands_still = False
        self.deferred: list[tuple[Callable[..., object], tuple[Any, ...], Context]] = []
        self.task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin its work."""
        context = copy_context()
        context.run(_LIFE.set, self)
        self.task = asyncio.get_running_loop().create_task(work, context=context)
        return self.task

    def stop(self) -> None:
        """Stand still until `go_on`."""
        self.stands_still = True

    def go_on(self) -> None:
        """Do what has waited, and go on."""
        if not self.stands_still:
            return
        self.stands_still = False
        waiting, self.deferred = self.deferred, []
        loop = asyncio.get_running_loop()
        for callback, arguments, context in waiting:
            loop.call_soon(callback, *arguments, context=context)

    def kill(self) -> None:
        """kill -9: its tasks end, and whatever they try on their way has no effect."""
        self.alive = False
        self.go_on()
        if self.task is not None:
            self.task.cancel()


_LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


def current_life() -> Life | None:
    """Whose code is running; None: of nobody's process."""
    return _LIFE.get()


def stay_alive() -> None:
    """Called by everything that reaches out of a process. Raises CancelledError in one that was killed."""
    life = _LIFE.get()
    if life is not None and not life.alive:
        raise asyncio.CancelledError


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: the same tasks give the same order of steps."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Timers(self))
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self.now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As ever, but a life that stands still does it later."""
        life = _LIFE.get() if context is None else context.get(_LIFE)
        if life is not None and life.stands_still:
            context = context or copy_context()
            life.deferred.append((callback, args, context))
            return asyncio.Handle(callback, args, self, context)
        return super().call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Threads would not be deterministic: it is done here and now."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            done.set_exception(error)
        return done


class _Timers(selectors.SelectSelector):
    """Instead of waiting it moves the time on."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else: nothing will ever happen again")
        self._loop.now += max(0.0, timeout)
        return []


class VirtualClock:
    """The clock of one machine, which may be early or late by `skew_ms`, and be set right at any time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, skew_ms: int = 0) -> None:
        self._loop = loop
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as this machine believes."""
        return START_MS + int(self._loop.time() * 1000) + self.skew_ms

    def monotonic(self) -> float:
        """Seconds, never backwards."""
        return self._loop.time()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run on a virtual loop of its own; what was left behind is ended."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work)
