"""A replay at full speed waits for its readers, for all of them, and for none that is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from core.bus import BusGap, MemoryBus, Subscription
from core.clock import SystemClock
from core.vocabulary import FeedStatus, PriceSource, Series
from events.market import CONTROL_TOPIC, MARKET_TOPIC, PaceConfirmed, PaceRequested, ResyncFinished
from services import market_streams, market_view, pacing
from services.live import follow
from services.pacing import Pacer
from tests.markets import BTC, ETH, Markets, feed, tick, trade

REPLAY = PriceSource.REPLAY


class Table:
    """A pacer and a bus on which its questions are read."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.pacer = Pacer(self.bus, SystemClock(), BTC)
        self.questions: Subscription = self.bus.subscribe(MARKET_TOPIC)

    async def question(self) -> PaceRequested:
        async with asyncio.timeout(30):
            async for item in self.questions:
                assert not isinstance(item, BusGap)
                assert isinstance(item.event, PaceRequested)
                return item.event
        raise LookupError("the bus ended")

    def answer(self, process: str, number: int, readers: int, symbol: str = BTC) -> None:
        self.pacer.confirmed(PaceConfirmed(process, symbol, number, readers))


@asynccontextmanager
async def waiting(table: Table) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(table.pacer.wait())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_goes_on_when_every_process_has_answered() -> None:
    table = Table()
    table.pacer.joined("a")
    table.pacer.joined("b")
    async with waiting(table) as task:
        number = (await table.question()).number
        table.answer("a", number, 1)
        await settled()
        assert not task.done()
        table.answer("b", number - 1, 1)
        table.answer("b", number, 1, symbol=ETH)
        await settled()
        assert not task.done(), "neither an old answer nor one of another market counts"
        table.answer("b", number, 0)
        async with asyncio.timeout(30):
            await task


async def test_it_waits_for_a_first_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "ASK_AGAIN_SECONDS", 0.01)
    table = Table()
    table.pacer.joined("a")
    async with waiting(table) as task:
        for _ in range(3):
            table.answer("a", (await table.question()).number, 0)
            await settled()
            assert not task.done()
        table.answer("a", (await table.question()).number, 1)
        async with asyncio.timeout(30):
            await task


async def test_a_process_that_is_gone_is_given_up_and_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "ANSWER_SECONDS", 0.05)
    table = Table()
    table.pacer.joined("alive")
    table.pacer.joined("gone")
    async with waiting(table) as task:
        table.answer("alive", (await table.question()).number, 1)
        async with asyncio.timeout(30):
            await task
    async with waiting(table) as task:
        table.answer("alive", (await table.question()).number, 1)
        await settled()
        assert task.done(), "nobody waits for it a second time"
    table.pacer.joined("gone")
    async with waiting(table) as task:
        number = (await table.question()).number
        table.answer("alive", number, 1)
        await settled()
        assert not task.done()
        table.answer("gone", number, 1)
        async with asyncio.timeout(30):
            await task


async def confirmation(control: Subscription) -> PaceConfirmed:
    async with asyncio.timeout(30):
        async for item in control:
            assert not isinstance(item, BusGap)
            assert isinstance(item.event, PaceConfirmed)
            return item.event
    raise LookupError("the bus ended")


@pytest.mark.parametrize("kind", ["ticks", "trades"])
async def test_a_process_answers_when_its_readers_have_taken_everything(kind: str) -> None:
    markets = Markets().apply(feed())
    control = markets.bus.subscribe(CONTROL_TOPIC)
    ticks, trades = follow(market_streams.ticks(markets.view, [BTC])), follow(market_streams.trades(markets.view, BTC))
    markets.apply(tick(1), trade(1))
    await anext(ticks)
    await anext(trades)
    markets.apply(tick(2) if kind == "ticks" else trade(2), PaceRequested(BTC, 7))
    await asyncio.sleep(0.01)
    assert len(control) == 0
    await anext(ticks if kind == "ticks" else trades)
    assert await confirmation(control) == PaceConfirmed("this process", BTC, 7, readers=1)
    await ticks.aclose()
    await trades.aclose()
    markets.apply(PaceRequested(BTC, 8))
    assert (await confirmation(control)).readers == 0


async def test_a_reader_that_takes_nothing_holds_it_up_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_view, "PACE_PATIENCE_SECONDS", 0.02)
    markets = Markets().apply(feed())
    control = markets.bus.subscribe(CONTROL_TOPIC)
    async with aclosing(follow(market_streams.ticks(markets.view, [BTC]))) as ticks:
        markets.apply(tick(1))
        await anext(ticks)
        markets.apply(tick(2), PaceRequested(BTC, 1))
        assert (await confirmation(control)).readers == 1


async def test_a_paced_reader_sees_every_tick() -> None:
    markets = Markets()
    pacer = Pacer(markets.bus, SystemClock(), BTC)
    count = market_streams.LATEST_CAPACITY * 5

    async def confirm() -> None:
        async with markets.bus.subscribe(CONTROL_TOPIC) as control:
            async for item in control:
                assert not isinstance(item, BusGap)
                if isinstance(item.event, PaceConfirmed):
                    pacer.confirmed(item.event)
                else:
                    pacer.joined(item.event.process)  # type: ignore[attr-defined]
                    markets.bus.publish(MARKET_TOPIC, ResyncFinished("this process"))

    async def play() -> None:
        markets.bus.publish(MARKET_TOPIC, feed(status=FeedStatus.REPLAY, series=Series.REPLAY))
        for sequence in range(1, count + 1):
            if sequence % 16 == 1:
                await pacer.wait()
            markets.bus.publish(MARKET_TOPIC, tick(sequence, source=REPLAY))

    tasks = [asyncio.create_task(work) for work in (confirm(), markets.view.run(), play())]
    async with aclosing(follow(market_streams.ticks(markets.view, [BTC]))) as ticks, asyncio.timeout(30):
        seen = [(await anext(ticks)).sequence for _ in range(count)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert seen == list(range(1, count + 1))
    assert markets.losses.counts == {}
