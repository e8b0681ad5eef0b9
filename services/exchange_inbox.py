"""What waits for the exchange's writer: bounded, in the order of arrival; while more than half full, cancels go first."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from core.order_vocabulary import OrderErrorCode
from events import commands
from events.answers import Answer, HouseState, PreviewOrder, PreviewState, ReadHouse, RefusalState

CAPACITY = 10_000
_CANCELS = (commands.CancelOrder, commands.CancelGroup, commands.CancelAll, commands.SetCancelTimer)

Question = commands.Command | PreviewOrder | ReadHouse
Answered = Answer | PreviewState | HouseState


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, until when it may be begun, where its answer goes, and whether another writer may have executed it."""

    question: Question
    deadline_ms: int
    reply: Callable[[Answered], None]
    again: bool = False

    def not_done(self, code: OrderErrorCode) -> Answer:
        """The answer when it is not executed here."""
        return refused(OrderErrorCode.OUTCOME_UNKNOWN if self.again else code)


def refused(code: OrderErrorCode) -> Answer:
    """The answer to what was not executed, or is not known to have been."""
    return Answer(refusal=RefusalState(code))


class Inbox:
    """One reader, any number of writers in one process."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._cancels: deque[Asked] = deque()
        self._all: deque[Asked] = deque()
        self._taken: set[int] = set()
        """Ids of cancels that went before others and stand in `_all` still."""
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._all) - len(self._taken)

    def put(self, asked: Asked) -> bool:
        """Let it wait. False: too much waits already."""
        if len(self) >= self._capacity:
            return False
        self._all.append(asked)
        if isinstance(asked.question, _CANCELS):
            self._cancels.append(asked)
        self._ready.set()
        return True

    def wake(self) -> None:
        """Let the reader look, though nothing was put."""
        self._ready.set()

    async def wait(self, seconds: float) -> None:
        """Until something waits or somebody wakes the reader, but no longer than this."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return

    def take(self, most: int) -> list[Asked]:
        """At most so many of those that wait."""
        self._ready.clear()
        found: list[Asked] = []
        while len(found) < most and self._cancels and len(self) > self._capacity // 2:
            asked = self._cancels.popleft()
            if id(asked) not in self._taken:
                self._taken.add(id(asked))
                found.append(asked)
        while len(found) < most and self._all:
            asked = self._all.popleft()
            if id(asked) in self._taken:
                self._taken.discard(id(asked))
                continue
            if self._cancels and self._cancels[0] is asked:
                self._cancels.popleft()
            found.append(asked)
        if self._all:
            self._ready.set()
        return found
