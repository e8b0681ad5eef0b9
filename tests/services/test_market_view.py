"""One process's picture of the markets: how it is folded, asked for again, and when it may not be trusted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from core.bus import BusGap, MemoryBus
from core.vocabulary import CandleInterval, FeedStatus, MarketStatus, PriceSource, Series
from events.market import (
    CONTROL_TOPIC,
    MARKET_TOPIC,
    MarketStatusChanged,
    ResyncFinished,
    ResyncRequested,
)
from services import market_view
from services.market_states import RECENT_CANDLES, RECENT_TRADES, FeedUnavailable
from tests.markets import (
    BTC,
    ETH,
    NOW_MS,
    PROCESS,
    D,
    Markets,
    book,
    book_change,
    candle,
    feed,
    levels,
    tick,
    ticker,
    trade,
)

SIMULATED = Series.SIMULATED


class Worker:
    """Answers as the worker does: everything it has, then ResyncFinished."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.state: list[object] = []
        self.asked: list[str] = []
        self.answers = True
        self.was_asked = asyncio.Event()

    async def run(self) -> None:
        async with self.bus.subscribe(CONTROL_TOPIC) as subscription:
            async for item in subscription:
                assert not isinstance(item, BusGap)
                if isinstance(item.event, ResyncRequested):
                    self.asked.append(item.event.process)
                    self.was_asked.set()
                    if self.answers:
                        self.answer(item.event.process)

    def answer(self, process: str) -> None:
        for event in self.state:
            self.bus.publish(MARKET_TOPIC, event)
        self.bus.publish(MARKET_TOPIC, ResyncFinished(process))


@asynccontextmanager
async def running(markets: Markets) -> AsyncIterator[Worker]:
    worker = Worker(markets.bus)
    tasks = [asyncio.create_task(worker.run())]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(markets.view.run()))
    try:
        yield worker
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def gap(markets: Markets) -> None:
    markets.bus._readers.deliver(BusGap(MARKET_TOPIC, "the bus was away"))


STATE: list[object] = [feed(), trade(1), trade(2), tick(5), ticker(), book(7), candle(NOW_MS), MarketStatusChanged(BTC, MarketStatus.HALTED)]  # fmt: skip


def assert_whole(markets: Markets) -> None:
    state = markets.view.states[BTC]
    assert (state.feed, state.tick, state.ticker) == (feed(), tick(5), ticker())
    assert list(state.trades) == [trade(1), trade(2)]
    assert list(state.candles[CandleInterval.MINUTE_15]) == [candle(NOW_MS)]
    assert markets.view.book_window(BTC, depth=5, grouping=None).sequence == 7
    assert markets.catalogue.market(BTC).status is MarketStatus.HALTED


async def test_a_process_that_starts_is_told_everything() -> None:
    markets = Markets()
    async with running(markets) as worker:
        worker.state = STATE
        async with asyncio.timeout(30):
            await markets.view.synced.wait()
        assert_whole(markets)
        assert worker.asked == [PROCESS]


async def test_after_a_gap_everything_is_restored() -> None:
    markets = Markets()
    async with running(markets) as worker:
        async with asyncio.timeout(30):
            await markets.view.synced.wait()
        markets.apply(feed(), tick(3, "90"), book(5), trade(1))
        worker.state = STATE
        gap(markets)
        await until(lambda: markets.losses.counts["bus", "gap"] == 1 and markets.view.synced.is_set())
        assert_whole(markets)
        assert worker.asked == [PROCESS] * 2


async def test_last_known_values_stay_while_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_view, "RESYNC_SECONDS", 0.02)
    markets = Markets()
    async with running(markets) as worker:
        worker.state = STATE
        async with asyncio.timeout(30):
            await markets.view.synced.wait()
        worker.answers = False
        gap(markets)
        await until(lambda: len(worker.asked) >= 4)
        assert not markets.view.synced.is_set()
        assert_whole(markets)
        worker.answers = True
        async with asyncio.timeout(30):
            await markets.view.synced.wait()


async def test_the_answer_to_another_process_does_not_count() -> None:
    markets = Markets()
    async with running(markets) as worker:
        worker.answers = False
        await worker.was_asked.wait()
        worker.answer("another process")
        markets.bus.publish(MARKET_TOPIC, tick(1))
        markets.bus.publish(MARKET_TOPIC, feed(ETH))
        await until(lambda: markets.view.states[ETH].feed is not None)
        assert not markets.view.synced.is_set()
        worker.answer(PROCESS)
        async with asyncio.timeout(30):
            await markets.view.synced.wait()


async def test_a_gap_in_the_middle_of_an_answer_is_asked_for_again() -> None:
    markets = Markets()
    async with running(markets) as worker:
        worker.answers = False
        await worker.was_asked.wait()
        worker.answers, worker.state = True, STATE
        gap(markets)
        worker.bus.publish(MARKET_TOPIC, ResyncFinished(PROCESS))
        async with asyncio.timeout(30):
            await markets.view.synced.wait()
        assert worker.asked == [PROCESS] * 2
        assert_whole(markets)


async def test_prices_are_stale_when_the_worker_is_gone_and_current_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(market_view, "RESYNC_SECONDS", 0.02)
    monkeypatch.setattr(market_view, "SILENT_SECONDS", 0.05)
    markets = Markets()
    async with running(markets) as worker:
        worker.state = STATE
        async with asyncio.timeout(30):
            await markets.view.synced.wait()
        await until(lambda: len(worker.asked) >= 3)
        assert not markets.view.states[BTC].stale, "a quiet worker that answers is there"
        worker.answers = False
        await until(lambda: markets.view.states[BTC].stale)
        known = markets.view.states[BTC].feed
        assert known is not None
        assert known.status is FeedStatus.STALE
        assert markets.view.states[BTC].tick == tick(5), "the last price stays"
        with pytest.raises(FeedUnavailable, match="silent"):
            markets.view.book_window(BTC, depth=5, grouping=None)
        worker.answers = True
        await until(lambda: not markets.view.states[BTC].stale)
        assert_whole(markets)


async def test_events_of_markets_this_process_does_not_know_change_nothing() -> None:
    markets = Markets()
    known = list(markets.view.states)
    with capture_logs() as logs:
        markets.apply(
            feed("NEW-USD"),
            tick(1, symbol="NEW-USD"),
            book(1, symbol="NEW-USD"),
            MarketStatusChanged("NEW-USD", MarketStatus.HALTED),
            object(),
        )
    assert list(markets.view.states) == list(markets.view.books) == known
    assert [line["event"] for line in logs] == ["market_view.unknown_event"] * 5


def test_another_kind_of_data_forgets_the_old() -> None:
    markets = Markets()
    old = [
        tick(9, source=PriceSource.SIMULATED),
        trade(9, series=SIMULATED),
        candle(NOW_MS, series=SIMULATED),
        ticker(),
        book(3),
    ]
    markets.apply(feed(series=SIMULATED, status=FeedStatus.SIMULATED), *old)
    state = markets.view.states[BTC]
    assert None not in (state.tick, state.ticker)
    markets.apply(feed())
    assert (state.tick, state.ticker, len(state.trades)) == (None, None, 0)
    assert not any(state.candles.values())
    with pytest.raises(FeedUnavailable, match="another feed"):
        markets.view.book_window(BTC, depth=5, grouping=None)
    markets.apply(*old[:3])
    assert (state.tick, len(state.trades)) == (None, 0), "what the old feed left behind is passed over"
    assert not any(state.candles.values())
    markets.apply(tick(10), trade(1), book(4))
    assert state.tick == tick(10)
    assert markets.view.book_window(BTC, depth=5, grouping=None).sequence == 4


def test_a_feed_that_is_lost_for_a_while_forgets_nothing() -> None:
    markets = Markets().full(BTC)
    state = markets.view.states[BTC]
    markets.apply(feed(status=FeedStatus.STALE))
    assert (state.tick, state.stale, len(state.trades)) == (tick(1), True, 3)
    markets.apply(feed())
    assert (state.tick, state.stale, len(state.trades)) == (tick(1), False, 3)


def test_memory_is_bounded() -> None:
    markets = Markets().apply(feed())
    for number in range(1, RECENT_TRADES + 50):
        markets.apply(trade(number))
    for number in range(50):
        markets.apply(candle(NOW_MS + number * CandleInterval.MINUTE_15.length_ms))
    state = markets.view.states[BTC]
    assert [one.sequence for one in state.trades] == list(range(50, RECENT_TRADES + 50))
    assert len(state.candles[CandleInterval.MINUTE_15]) == RECENT_CANDLES


async def test_a_missed_change_of_the_book_loses_it_and_is_asked_for() -> None:
    markets = Markets()
    async with running(markets) as worker:
        worker.state = [feed(), book(7)]
        async with asyncio.timeout(30):
            await markets.view.synced.wait()
        worker.state = [feed(), book(12, levels(("50", "1")))]
        markets.bus.publish(MARKET_TOPIC, book_change(9, bids=levels(("97", "1"))))
        await until(lambda: len(worker.asked) == 2 and markets.view.synced.is_set())
        window = markets.view.book_window(BTC, depth=5, grouping=None)
        assert (window.sequence, window.bids) == (12, ((D(50), D(1)),))
