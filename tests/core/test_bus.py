"""What every bus promises, on each of them: in memory, on Redis within one process, on Redis between two."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.bus import Bus, BusGap, BusItem, BusMessage, MemoryBus, Subscription
from core.clock import SystemClock
from core.ids import random_id
from core.message_seal import MessageSeal
from core.redis_bus import Decode, RedisBus
from core.request_id import current_request_id, request_scope
from core.secret_box import SecretBox
from core.vocabulary import MarketStatus
from events import codec
from events.market import MarketStatusChanged
from tests import components

WAIT_SECONDS = 30.0


def event(number: int) -> MarketStatusChanged:
    return MarketStatusChanged(symbol=str(number), status=MarketStatus.TRADING)


def numbers(items: list[BusItem]) -> list[int]:
    """What the messages carry; fails for anything that is no message."""
    found = []
    for item in items:
        assert isinstance(item, BusMessage), item
        assert isinstance(item.event, MarketStatusChanged)
        found.append(int(item.event.symbol))
    return found


async def take(subscription: Subscription, count: int) -> list[BusItem]:
    """The next items, as soon as they are there."""
    items: list[BusItem] = []
    async with asyncio.timeout(WAIT_SECONDS):
        async for item in subscription:
            items.append(item)
            if len(items) == count:
                return items
    raise AssertionError(f"the subscription ended after {items}")


@dataclass(frozen=True)
class Pair:
    """A bus to publish on and one to read from; `joins` when a new topic begins with a gap."""

    publisher: Bus
    reader: Bus
    joins: bool

    async def subscribe(self, *topics: str, capacity: int = 10_000) -> Subscription:
        """A subscription that has joined all its topics; they must be new to the reading process."""
        subscription = self.reader.subscribe(*topics, capacity=capacity)
        if self.joins:
            gaps = await take(subscription, len(topics))
            assert all(isinstance(gap, BusGap) for gap in gaps)
            assert sorted(gap.topic for gap in gaps) == sorted(topics)
        return subscription


KEY = bytes(range(32))


def bus_seal(key: bytes = KEY) -> MessageSeal:
    return MessageSeal(SecretBox([key]), "bus")


def redis_bus(url: str, *, outbox_capacity: int = 10_000, decode: Decode = codec.decode) -> RedisBus:
    return RedisBus(
        url,
        encode=codec.encode,
        decode=decode,
        publisher=random_id(),
        clock=SystemClock(),
        seal=bus_seal(),
        outbox_capacity=outbox_capacity,
    )


@pytest.fixture(params=["memory", "redis, one process", "redis, two processes"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    if request.param == "memory":
        bus = MemoryBus()
        await bus.start()
        yield Pair(bus, bus, joins=False)
        await bus.close()
        return
    async with components.redis(tmp_path) as (_, url):
        publisher = redis_bus(url)
        reader = publisher if request.param == "redis, one process" else redis_bus(url)
        await publisher.start()
        if reader is not publisher:
            await reader.start()
        yield Pair(publisher, reader, joins=True)
        await publisher.close()
        await reader.close()


async def test_messages_arrive_once_and_in_order(pair: Pair) -> None:
    subscription = await pair.subscribe("a")
    for number in range(2000):
        pair.publisher.publish("a", event(number))
    assert numbers(await take(subscription, 2000)) == list(range(2000))
    assert len(subscription) == 0


async def test_a_message_carries_the_request_that_caused_it(pair: Pair) -> None:
    subscription = await pair.subscribe("a")
    with request_scope("request-1"):
        pair.publisher.publish("a", event(1))
    pair.publisher.publish("a", event(2))
    assert await take(subscription, 2) == [BusMessage("a", event(1), "request-1"), BusMessage("a", event(2))]


async def test_one_publishers_order_holds_across_topics(pair: Pair) -> None:
    subscription = await pair.subscribe("a", "b")
    for number in range(200):
        pair.publisher.publish("ab"[number % 2], event(number))
    items = await take(subscription, 200)
    assert numbers(items) == list(range(200))
    assert [item.topic for item in items] == ["a", "b"] * 100


async def test_only_the_topics_asked_for_arrive(pair: Pair) -> None:
    wanted = await pair.subscribe("a")
    other = await pair.subscribe("b")
    pair.publisher.publish("b", event(1))
    pair.publisher.publish("c", event(2))
    pair.publisher.publish("a", event(3))
    assert numbers(await take(wanted, 1)) == [3]
    assert numbers(await take(other, 1)) == [1]
    assert len(wanted) == len(other) == 0


async def test_every_reader_of_a_topic_gets_every_message(pair: Pair) -> None:
    first = await pair.subscribe("a")
    second = pair.reader.subscribe("a")
    pair.publisher.publish("a", event(1))
    assert numbers(await take(first, 1)) == numbers(await take(second, 1)) == [1]


async def test_a_topic_named_twice_is_read_once(pair: Pair) -> None:
    subscription = pair.reader.subscribe("a", "a")
    if pair.joins:
        await take(subscription, 1)
    pair.publisher.publish("a", event(1))
    pair.publisher.publish("a", event(2))
    assert numbers(await take(subscription, 2)) == [1, 2]


async def test_a_slow_reader_gets_a_gap_and_others_nothing(pair: Pair) -> None:
    slow = await pair.subscribe("a", capacity=3)
    quick = pair.reader.subscribe("a")
    for number in range(4):
        pair.publisher.publish("a", event(number))
    assert numbers(await take(quick, 4)) == [0, 1, 2, 3]
    assert await take(slow, 1) == [BusGap("a", "reader too slow")]
    assert slow.dropped == 3
    pair.publisher.publish("a", event(4))
    assert numbers(await take(slow, 1)) == [4]
    assert numbers(await take(quick, 1)) == [4]


async def test_a_gap_names_every_topic_that_lost_something(pair: Pair) -> None:
    slow = await pair.subscribe("a", "b", "c", capacity=2)
    marker = await pair.subscribe("end")
    for topic in ("a", "b", "b", "end"):
        pair.publisher.publish(topic, event(0))
    await take(marker, 1)
    assert [gap.topic for gap in await take(slow, 2)] == ["a", "b"]
    assert len(slow) == 0


async def test_closing_ends_the_iteration_and_frees_the_queue(pair: Pair) -> None:
    async with await pair.subscribe("a") as subscription:
        pair.publisher.publish("a", event(1))
        await take(subscription, 1)
        waiting = asyncio.create_task(anext(aiter(subscription), None))
        await asyncio.sleep(0)
    assert await asyncio.wait_for(waiting, WAIT_SECONDS) is None
    subscription.close()
    marker = await pair.subscribe("end")
    pair.publisher.publish("a", event(2))
    pair.publisher.publish("end", event(3))
    await take(marker, 1)
    assert len(subscription) == 0


class Told:
    """What a subscription handed on, and when it is so many."""

    def __init__(self, subscription: Subscription) -> None:
        self.items: list[BusItem] = []
        self._more = asyncio.Event()
        self.task = asyncio.create_task(subscription.each(self._take))

    def _take(self, item: BusItem) -> None:
        if item == BusMessage("a", event(666)):
            raise RuntimeError("not this one")
        self.items.append(item)
        self._more.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.items) < count:
                self._more.clear()
                await self._more.wait()


async def test_items_are_handed_on_as_an_iteration_gives_them(pair: Pair) -> None:
    subscription, marker = await pair.subscribe("a", "b", capacity=3), await pair.subscribe("end")
    pair.publisher.publish("a", event(0))
    pair.publisher.publish("end", event(0))
    await take(marker, 1)
    told = Told(subscription)
    await told.reach(1)
    pair.publisher.publish("b", event(1))
    await told.reach(2)
    assert numbers(told.items) == [0, 1]
    for item in (BusMessage("a", event(2)), BusMessage("b", event(3)), BusGap("b", "lost"), BusMessage("a", event(4))):
        subscription.deliver(item)
    await told.reach(4)
    assert told.items[2:] == [BusGap("a", "reader too slow"), BusGap("b", "reader too slow")], "it was not its turn yet"
    assert subscription.dropped == 3
    subscription.close()
    await asyncio.wait_for(told.task, WAIT_SECONDS)
    subscription.deliver(BusMessage("a", event(5)))
    assert len(told.items) == 4


async def test_who_cannot_take_an_item_is_told_and_nobody_else(pair: Pair) -> None:
    failing, other = Told(await pair.subscribe("a")), pair.reader.subscribe("a")
    for number in (1, 666, 2):
        pair.publisher.publish("a", event(number))
    with pytest.raises(RuntimeError, match="not this one"):
        await asyncio.wait_for(failing.task, WAIT_SECONDS)
    assert numbers(failing.items) == [1]
    assert numbers(await take(other, 3)) == [1, 666, 2]


async def test_handing_on_may_stop_and_an_iteration_go_on(pair: Pair) -> None:
    subscription = await pair.subscribe("a")
    told = Told(subscription)
    pair.publisher.publish("a", event(1))
    await told.reach(1)
    told.task.cancel()
    await asyncio.wait([told.task])
    pair.publisher.publish("a", event(2))
    assert numbers(await take(subscription, 1)) == [2]
    assert numbers(told.items) == [1]


async def test_what_is_handed_on_belongs_to_no_request_but_the_one_that_asked(pair: Pair) -> None:
    subscription = await pair.subscribe("a")
    seen: list[str | None] = []
    with request_scope("of-the-reader"):
        task = asyncio.create_task(subscription.each(lambda _: seen.append(current_request_id())))
    await asyncio.sleep(0)
    with request_scope("of-the-publisher"):
        pair.publisher.publish("a", event(1))

    async def heard() -> bool:
        return bool(seen)

    await eventually(heard)
    assert seen == ["of-the-reader"]
    subscription.close()
    await task


async def test_a_closed_subscription_is_not_kept_alive(pair: Pair) -> None:
    subscription = await pair.subscribe("a")
    alive = weakref.ref(subscription)
    subscription.close()
    del subscription

    async def freed() -> bool:
        gc.collect()
        return alive() is None

    await eventually(freed)


async def test_closing_the_bus_ends_every_subscription(pair: Pair) -> None:
    subscription = await pair.subscribe("a")
    waiting = asyncio.create_task(anext(aiter(subscription), None))
    await asyncio.sleep(0)
    await pair.reader.close()
    assert await asyncio.wait_for(waiting, WAIT_SECONDS) is None


async def test_a_reader_that_takes_over_at_once_reads_on(pair: Pair) -> None:
    subscription = await pair.subscribe("a")
    for number in range(5):
        subscription.close()
        subscription = pair.reader.subscribe("a")
        pair.publisher.publish("a", event(number))
        assert numbers(await take(subscription, 1)) == [number]


async def test_topics_may_carry_any_text(pair: Pair) -> None:
    topic = "account:größe/⚡ *?[x]"
    subscription = await pair.subscribe(topic)
    pair.publisher.publish(topic, event(1))
    (item,) = await take(subscription, 1)
    assert item.topic == topic


async def test_publishing_to_nobody_is_harmless(pair: Pair) -> None:
    pair.publisher.publish("nobody", event(1))
    subscription = await pair.subscribe("nobody")
    pair.publisher.publish("nobody", event(2))
    (first,) = numbers(await take(subscription, 1))
    assert first == 2 or numbers(await take(subscription, 1)) == [2]  # 1 may still have been on its way


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_health_answers_with_a_latency(pair: Pair) -> None:
    async def healthy() -> bool:
        return (await pair.reader.health()).healthy

    await eventually(healthy)
    health = await pair.reader.health()
    assert health.latency_ms is not None
    assert 0 <= health.latency_ms < 2000
