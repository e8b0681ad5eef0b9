"""What was found out a moment ago, kept so long that asking again would find the same, and asked for once however many want it at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from core.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BriefMemory(Generic[K, V]):
    """Bounded: the longest unused entry goes first. A failure is told to all who wait for it, and not kept."""

    def __init__(self, clock: Clock, *, most: int) -> None:
        self._clock = clock
        self._most = most
        self._known: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asked: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, ask: Callable[[], Awaitable[V]], *, seconds: float) -> V:
        """What is known of the key and not older than so many seconds, or else what asking finds."""
        known = self._known.get(key)
        if known is not None and self._clock.monotonic() - known[0] < seconds:
            self._known.move_to_end(key)
            return known[1]
        task = self._asked.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(key, ask))
            task.add_done_callback(_seen)
            self._asked[key] = task
        return await asyncio.shield(task)

    def last(self, key: K, *, seconds: float) -> V | None:
        """What was found last, if it is not older than so many seconds and was not pushed out: for when asking fails."""
        known = self._known.get(key)
        return None if known is None or self._clock.monotonic() - known[0] >= seconds else known[1]

    async def close(self) -> None:
        """Give up what is still being asked."""
        waiting = list(self._asked.values())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        began = self._clock.monotonic()
        try:
            found = await ask()
        finally:
            self._asked.pop(key, None)
        self._known[key] = (began, found)
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return found


def _seen(task: "asyncio.Task[V]") -> None:
    """A failure whose last reader has gone is nobody's: it was logged where it happened."""
    if not task.cancelled():
        task.exception()
