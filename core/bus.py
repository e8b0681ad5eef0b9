"""Publish and subscribe on topics: the interface, and the one inside a single process.

Delivery is at most once per subscription and in order per publisher. A subscription that may have missed something (its queue was
full, the server was away, a hole in a publisher's numbers) receives a `BusGap` at that place and goes on; it never ends silently
and never waits for a slow reader. `core/redis_bus.py` keeps the same promises between processes; there, a topic that is new to the
process begins with a BusGap, since what others published until then was missed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from core.request_id import current_request_id

DEFAULT_CAPACITY = 10_000
"""Messages a subscription may hold before it is told of a gap instead."""


@dataclass(frozen=True, slots=True)
class BusMessage:
    """One event as it was published. In one process it is the very object, so events are frozen.

    `request_id` is that of the request which caused it, if any: a worker enters it with `core.request_id.request_scope`.
    """

    topic: str
    event: object
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class BusGap:
    """Something on this topic may have been missed before the next message."""

    topic: str
    reason: str


BusItem = BusMessage | BusGap


class Subscription:
    """A bounded queue of one reader. When it is full, everything waiting is replaced by one gap per topic."""

    def __init__(self, topics: frozenset[str], capacity: int, on_close: "SubscriptionRegistry") -> None:
        self.topics = topics
        self.dropped = 0
        self._capacity = capacity
        self._items: deque[BusItem] = deque()
        self._ready = asyncio.Event()
        self._wake: Callable[[], object] = self._ready.set
        self._closed = False
        self._registry = on_close

    def __len__(self) -> int:
        return len(self._items)

    def deliver(self, item: BusItem) -> None:
        """Called by the bus; never blocks."""
        if self._closed:
            return
        if len(self._items) >= self._capacity:
            self.dropped += len(self._items)
            lost = {waiting.topic for waiting in self._items} | {item.topic}
            self._items.clear()
            self._items.extend(BusGap(topic, "reader too slow") for topic in sorted(lost))
        else:
            self._items.append(item)
        self._wake()

    async def each(self, take: Callable[[BusItem], None]) -> None:
        """Hand every item to `take`, until closed. As an iteration does, but no task wakes up for it: `take` is called from the event loop. Raises what `take` raises."""
        loop, context = asyncio.get_running_loop(), copy_context()
        ended: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            """What comes before the loop gets to it is taken together."""
            if self._closed or len(self._items) == 1:
                loop.call_soon(hand_on, context=context)

        def hand_on() -> None:
            try:
                while self._items and not ended.done():
                    take(self._items.popleft())
            except Exception as error:  # noqa: BLE001 - it is raised by who waits below
                if not ended.done():
                    ended.set_exception(error)
            if self._closed and not ended.done():
                ended.set_result(None)

        self._wake = wake
        try:
            if self._items or self._closed:
                hand_on()
            await ended
        finally:
            self._wake = self._ready.set

    def close(self) -> None:
        """End the iteration and free the queue."""
        self._closed = True
        self._items.clear()
        self._wake()
        self._registry.remove(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[BusItem]:
        while True:
            while self._items:
                yield self._items.popleft()
            if self._closed:
                return
            self._ready.clear()
            await self._ready.wait()


class SubscriptionRegistry:
    """Who reads what, in this process."""

    def __init__(self) -> None:
        self._by_topic: dict[str, list[Subscription]] = {}

    def add(self, topics: tuple[str, ...], capacity: int) -> Subscription:
        """Open a subscription; from here on it receives."""
        subscription = Subscription(frozenset(topics), capacity, self)
        for topic in subscription.topics:
            self._by_topic.setdefault(topic, []).append(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget it; twice is harmless."""
        for topic in subscription.topics:
            readers = self._by_topic.get(topic, [])
            if subscription in readers:
                readers.remove(subscription)
            if not readers:
                self._by_topic.pop(topic, None)

    def deliver(self, item: BusItem) -> None:
        """Hand an item to every reader of its topic."""
        for subscription in tuple(self._by_topic.get(item.topic, ())):
            subscription.deliver(item)

    def topics(self) -> list[str]:
        """Topics somebody reads."""
        return sorted(self._by_topic)

    def close(self) -> None:
        """End every subscription."""
        for readers in tuple(self._by_topic.values()):
            for subscription in tuple(readers):
                subscription.close()


@dataclass(frozen=True, slots=True)
class BusHealth:
    """State of the bus; `detail` is fit to be shown."""

    healthy: bool
    detail: str
    latency_ms: float | None = None


class Bus(Protocol):
    """What every room knows of the bus. `publish` never blocks and never raises for an absent server."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def publish(self, topic: str, event: object) -> None: ...

    def subscribe(self, *topics: str, capacity: int = DEFAULT_CAPACITY) -> Subscription: ...

    async def health(self) -> BusHealth: ...


class MemoryBus:
    """The bus of a single process: a call, no copy."""

    def __init__(self) -> None:
        self._readers = SubscriptionRegistry()

    async def start(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        self._readers.close()

    def publish(self, topic: str, event: object) -> None:
        self._readers.deliver(BusMessage(topic, event, current_request_id()))

    def subscribe(self, *topics: str, capacity: int = DEFAULT_CAPACITY) -> Subscription:
        return self._readers.add(topics, capacity)

    async def health(self) -> BusHealth:
        return BusHealth(healthy=True, detail="in memory, this process only", latency_ms=0.0)
