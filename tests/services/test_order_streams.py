"""Streams of orders and fills: what holds now, then every change once, whatever the bus loses."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import pytest

from core.bus import BusGap, MemoryBus
from core.cache import MemoryCache
from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.order_vocabulary import OrderStatus
from events.trading import PROJECTION_TOPIC, LoggedFill, ProjectionAdvanced, trading_topic
from models.projection import Watermark
from services import catalogue
from services.catalogue import UnknownMarket
from services.exchange_log import MOST_BEHIND
from services.order_reads import OrderReads
from services.order_streams import EventsMissed, OrderStreams
from services.read_marks import Reader, ReadMarks
from tests.trading import changed, fill_state, logged, order_state, store_account, store_fills, store_log, store_orders
from tests.trading_rows import write_watermark

Item = TypeVar("Item")
TOPIC = trading_topic("ann")


class Desk:
    def __init__(self) -> None:
        self.bus = MemoryBus()
        marks = ReadMarks(self.bus, MemoryCache(ManualClock()), ManualClock())
        self.streams = OrderStreams(self.bus, marks, OrderReads(marks), catalogue.read_files())

    async def written(self, *, logged: int, sequence: int) -> None:
        """The projection has reached this place of the journal, and this event of ann's log."""
        await store_account(sequence=sequence, logged=logged)
        await write_watermark(Watermark(sequence, sequence, 0))
        self.bus.publish(PROJECTION_TOPIC, ProjectionAdvanced(sequence, 0))


@pytest.fixture
async def desk(database: Database) -> Desk:
    """Ann has orders 1 and 2 open, and her log reaches to 2."""
    await store_orders([order_state(1), order_state(2, symbol="ETH-USDT"), order_state(3, status=OrderStatus.FILLED)])
    await store_account(open=[1, 2], orders=3, logged=2)
    return Desk()


async def take(stream: AsyncGenerator[Item, None], count: int) -> list[Item]:
    async with asyncio.timeout(30):
        return [await anext(stream) for _ in range(count)]


async def test_open_orders_come_first_then_changes(desk: Desk) -> None:
    reader = Reader()
    async with aclosing(desk.streams.watch_orders("ann", None, reader)) as stream:
        assert [state.id for state in await take(stream, 2)] == [1, 2]
        newer = order_state(1, status=OrderStatus.FILLED, sequence=9)
        desk.bus.publish(TOPIC, logged("ann", changed(2, order_state(2)), changed(3, newer)))
        desk.bus.publish(TOPIC, logged("ann", changed(3, newer)))
        desk.bus.publish(TOPIC, logged("ann", changed(4, order_state(4, sequence=10))))
        assert [(state.id, state.sequence) for state in await take(stream, 2)] == [(1, 9), (4, 10)]
    assert reader.shown == 10


async def test_a_change_that_the_snapshot_holds_is_not_repeated(desk: Desk) -> None:
    """The row of an order may be newer than the account's."""
    async with aclosing(desk.streams.watch_orders("ann", None, Reader())) as stream:
        await take(stream, 2)
        desk.bus.publish(
            TOPIC, logged("ann", changed(3, order_state(1, sequence=1)), changed(4, order_state(1, sequence=2)))
        )
        assert [state.sequence for state in await take(stream, 1)] == [2]


async def test_what_the_bus_lost_is_read_from_storage(desk: Desk) -> None:
    async with aclosing(desk.streams.watch_orders("ann", None, Reader())) as stream:
        await take(stream, 2)
        await store_log(logged("ann", changed(3, order_state(5)), changed(4, order_state(6))))
        await store_log(logged("ann", changed(5, order_state(7)), changed(6, order_state(8))))
        await desk.written(logged=6, sequence=8)
        desk.bus.publish(TOPIC, logged("ann", changed(6, order_state(8))))
        assert [state.id for state in await take(stream, 4)] == [5, 6, 7, 8]
        await store_log(logged("ann", changed(7, order_state(9))))
        await desk.written(logged=7, sequence=9)
        desk.bus._readers.deliver(BusGap(TOPIC, "a test"))
        desk.bus.publish(TOPIC, logged("ann", changed(7, order_state(9)), changed(8, order_state(10))))
        assert [state.id for state in await take(stream, 2)] == [9, 10]


async def test_what_is_not_written_yet_is_waited_for(desk: Desk) -> None:
    async with aclosing(desk.streams.watch_orders("ann", None, Reader())) as stream:
        await take(stream, 2)
        desk.bus.publish(TOPIC, logged("ann", changed(4, order_state(8))))
        waiting = asyncio.create_task(take(stream, 2))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.shield(waiting)
        await store_log(logged("ann", changed(3, order_state(7)), changed(4, order_state(8))))
        await desk.written(logged=4, sequence=8)
        assert [state.id for state in await waiting] == [7, 8]


async def test_a_reader_too_far_behind_is_ended(desk: Desk) -> None:
    async with aclosing(desk.streams.watch_orders("ann", None, Reader())) as stream:
        await take(stream, 2)
        await desk.written(logged=3 + MOST_BEHIND, sequence=20)
        desk.bus._readers.deliver(BusGap(TOPIC, "a test"))
        with pytest.raises(EventsMissed):
            await take(stream, 1)


async def test_some_markets_alone(desk: Desk) -> None:
    async with aclosing(desk.streams.watch_orders("ann", ["ETH-USDT"], Reader())) as stream:
        assert [state.id for state in await take(stream, 1)] == [2]
        desk.bus.publish(
            TOPIC, logged("ann", changed(3, order_state(4)), changed(4, order_state(5, symbol="ETH-USDT")))
        )
        assert [state.id for state in await take(stream, 1)] == [5]
    with pytest.raises(UnknownMarket):
        await anext(desk.streams.watch_orders("ann", ["NO-SUCH"], Reader()))
    with pytest.raises(InvalidInput):
        await anext(desk.streams.watch_orders("ann", [], Reader()))


async def test_the_newest_fill_comes_first_then_new_ones(desk: Desk) -> None:
    await store_fills([fill_state(20, 1, 1), fill_state(22, 1, 2)])
    await store_account(sequence=5, logged=2, fills=2)
    async with aclosing(desk.streams.watch_fills("ann", None, Reader())) as stream:
        assert [state.number for state in await take(stream, 1)] == [2]
        fills = [LoggedFill(number, fill_state(20 + 2 * number, 1, number - 1)) for number in (3, 4)]
        desk.bus.publish(TOPIC, logged("ann", *fills))
        assert [state.number for state in await take(stream, 1)] == [3]
