"""Bounded queues between a producer that must not wait and one reader. Each says what happens when the reader is too slow."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Generic, TypeVar

from core.errors import ExpectedError

Item = TypeVar("Item")


class ReaderTooSlow(ExpectedError):
    """A stream that may not skip was ended because its reader fell too far behind."""

    code = "READER_TOO_SLOW"


class Channel(Generic[Item]):
    """A queue for one reader. `put` never waits. Iterate it to read; `close` ends the iteration.

    `lost` is told how many items the reader will never see, each time it is too slow.
    """

    def __init__(self, capacity: int, *, lost: Callable[[int], None]) -> None:
        self._capacity = capacity
        self._lost = lost
        self._items: deque[Item] = deque()
        self._wakeup = asyncio.Event()
        self._closed = False
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def readers(self) -> int:
        """How many get what is put in."""
        return 1

    def put(self, item: Item) -> None:
        """Add an item; when the queue is full, `overflow` decides."""
        if self._closed:
            return
        if len(self._items) >= self._capacity:
            self.overflow(item)
        else:
            self._items.append(item)
        self._wakeup.set()

    def overflow(self, item: Item) -> None:  # noqa: ARG002
        """Never skip: end the stream and say why."""
        self._lost(len(self._items) + 1)
        self._items.clear()
        self.fail(ReaderTooSlow("the reader fell too far behind; subscribe again and read what was missed by query"))

    def replace(self, item: Item) -> None:
        """Forget what waits, and let the reader go on with this."""
        self._lost(len(self._items))
        self._items.clear()
        self._items.append(item)

    def fail(self, error: Exception) -> None:
        """End the iteration with this error once the waiting items are read."""
        self._error = error
        self.close()

    def close(self) -> None:
        """End the iteration once the waiting items are read."""
        self._closed = True
        self._wakeup.set()

    async def __aiter__(self) -> AsyncIterator[Item]:
        while True:
            while self._items:
                yield self._items.popleft()
            if self._closed:
                if self._error is not None:
                    raise self._error
                return
            self._wakeup.clear()
            await self._wakeup.wait()


class ConflatingChannel(Channel[Item]):
    """When full, keeps only the newest item of each key: for values of which only the latest matters."""

    def __init__(self, capacity: int, key: Callable[[Item], Hashable], *, lost: Callable[[int], None]) -> None:
        super().__init__(capacity, lost=lost)
        self._key = key

    def overflow(self, item: Item) -> None:
        newest: dict[Hashable, Item] = {}
        for waiting in (*self._items, item):
            newest.pop(self._key(waiting), None)
            newest[self._key(waiting)] = waiting
        if replaced := len(self._items) + 1 - len(newest):
            self._lost(replaced)
        self._items = deque(newest.values())
