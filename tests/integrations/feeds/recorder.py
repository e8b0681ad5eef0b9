"""What a feed emits, kept in order, and a way to wait for something among it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TypeVar

from events.feed import FeedBookDelta, FeedBookLost, FeedBookSnapshot, FeedMessage
from integrations.feeds.base import Feed

Kind = TypeVar("Kind", bound=FeedMessage)
Sides = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]
WAIT_SECONDS = 30.0


class Recorder:
    """An `Emit` that remembers."""

    def __init__(self) -> None:
        self.messages: list[FeedMessage] = []
        self._changed = asyncio.Condition()

    async def __call__(self, message: FeedMessage) -> None:
        async with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def of(self, kind: type[Kind]) -> list[Kind]:
        """All messages of one kind so far."""
        return [message for message in self.messages if isinstance(message, kind)]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds that only messages change."""
        async with asyncio.timeout(WAIT_SECONDS), self._changed:
            await self._changed.wait_for(true)

    async def wait(self, kind: type[Kind], count: int = 1) -> Kind:
        """The count-th message of a kind, waited for."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


@asynccontextmanager
async def running(feed: Feed, recorder: Recorder | None = None) -> AsyncIterator[Recorder]:
    """The feed at work; cancelled at the end, and anything else it raised is raised here."""
    recorder = recorder or Recorder()
    task = asyncio.create_task(feed.run(recorder))
    try:
        yield recorder
    finally:
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if not isinstance(outcome, asyncio.CancelledError):
            raise AssertionError("the feed ended by itself") from outcome


def fold(messages: list[FeedMessage], symbol: str) -> Sides | None:
    """The book a reader of these messages has; None: lost or not there yet."""
    book: Sides | None = None
    for message in messages:
        if getattr(message, "symbol", None) != symbol:
            continue
        if isinstance(message, FeedBookSnapshot):
            book = (dict(message.bids), dict(message.asks))
        elif isinstance(message, FeedBookLost):
            book = None
        elif isinstance(message, FeedBookDelta):
            assert book is not None, "a change of a book that is not there"
            for side, changes in zip(book, (message.bids, message.asks), strict=True):
                for level, size in changes:
                    side.pop(level, None)
                    if size:
                        side[level] = size
    return book
