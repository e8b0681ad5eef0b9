"""The worker's truth: what it publishes of what its sources say, and how it continues after a stop."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from core.clock import ManualClock
from core.database import Database
from core.vocabulary import CandleInterval, FeedStatus, OrderSide, PriceSource, Series
from events.feed import (
    FeedBookDelta,
    FeedBookSnapshot,
    FeedConnected,
    FeedDisconnected,
    FeedMessage,
    FeedRejected,
    FeedStats24h,
    FeedTrade,
)
from events.market import (
    MARKET_TOPIC,
    BookChanged,
    BookLost,
    BookReset,
    CandleChanged,
    FeedChanged,
    ResyncFinished,
    TickAccepted,
    TickerChanged,
    TradeAccepted,
)
from services import catalogue
from services.market_data import MarketData
from services.market_history import MarketHistory
from services.market_view import MarketView
from services.price_sources import PriceLimits
from services.sequences import Sequences
from tests.markets import BTC, ETH, Losses, levels

BINANCE, COINBASE, SIMULATED = PriceSource.BINANCE, PriceSource.COINBASE, PriceSource.SIMULATED
REPLAY = PriceSource.REPLAY
D = Decimal
NOON_MS = 1_610_020_800_000


class Heard:
    """A bus that remembers."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def publish(self, topic: str, event: object) -> None:
        assert topic == MARKET_TOPIC
        self.events.append(event)


class Worker:
    """A started worker's data, its clock, and everything it said since it was last asked."""

    def __init__(self, clock: ManualClock, sources: Sequence[PriceSource]) -> None:
        self.clock = clock
        self.bus = Heard()
        self.number = clock.now_ms()
        known = catalogue.read_files()
        known.markets = {symbol: known.markets[symbol] for symbol in (BTC, ETH)}
        sequences = Sequences(block=100)
        self.data = MarketData(
            bus=self.bus,  # type: ignore[arg-type]
            clock=clock,
            catalogue=known,
            history=MarketHistory(sequences, clock, retention_days=36_500),
            sequences=sequences,
            sources={BTC: sources, ETH: sources},
            limits=PriceLimits(max_deviation=D("0.05"), stale_ms=15_000),
        )

    async def send(self, *messages: FeedMessage) -> list[Any]:
        for message in messages:
            await self.data.handle(message)
        return self.said()

    def said(self) -> list[Any]:
        events, self.bus.events = self.bus.events, []
        return events

    async def check(self, seconds: float = 0.1) -> list[Any]:
        self.clock.advance(seconds)
        await self.data.check()
        return self.said()

    def trade(self, source: PriceSource = BINANCE, price: str = "100", symbol: str = BTC) -> FeedTrade:
        self.number += 1
        return FeedTrade(source, symbol, f"t{self.number}", D(price), D(1), OrderSide.BUY, self.clock.now_ms())


async def started(*sources: PriceSource, clock: ManualClock | None = None) -> Worker:
    worker = Worker(clock or ManualClock(NOON_MS), sources or (BINANCE, COINBASE))
    await worker.data.load()
    return worker


def snapshot(source: PriceSource, bid: str, ask: str, symbol: str = BTC) -> FeedBookSnapshot:
    return FeedBookSnapshot(source, symbol, levels((bid, "1")), levels((ask, "1")), NOON_MS)


def names(events: Sequence[object]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_the_feed_is_told_before_the_first_price_and_each_trade_makes_a_tick(database: Database) -> None:
    worker = await started()
    assert names(await worker.send(FeedConnected(BINANCE))) == ["FeedChanged"] * 2
    events = await worker.send(worker.trade())
    assert names(events) == ["FeedChanged", "TradeAccepted", "TickAccepted"]
    feed, trade, tick = events
    assert (feed.status, feed.source, feed.series) == (FeedStatus.DEGRADED, BINANCE, Series.LIVE)
    assert (trade.sequence, tick.sequence, tick.price, tick.source) == (1, 1, D(100), BINANCE)
    events = await worker.send(worker.trade(), worker.trade(price="101"), worker.trade(symbol=ETH))
    ticks = [event for event in events if isinstance(event, TickAccepted)]
    assert [(tick.symbol, tick.sequence) for tick in ticks] == [(BTC, 2), (BTC, 3), (ETH, 1)]


async def test_tickers_and_candles_come_with_the_check_in_their_newest_state(database: Database) -> None:
    worker = await started()
    await worker.send(
        worker.trade(price="100"), worker.trade(price="102"), FeedStats24h(BINANCE, BTC, NOON_MS, open=D(50), trades=77)
    )
    events = await worker.check()
    (ticker,) = [event for event in events if isinstance(event, TickerChanged)]
    assert (ticker.symbol, ticker.last, ticker.open24h, ticker.trades24h) == (BTC, D(102), D(50), 77)
    candles = [event for event in events if isinstance(event, CandleChanged)]
    assert {candle.interval for candle in candles} == set(CandleInterval)
    assert {(candle.open, candle.close, candle.trades) for candle in candles} == {(D(100), D(102), 2)}
    assert await worker.check() == [], "nothing has changed"


async def test_messages_that_help_nobody_change_nothing(database: Database) -> None:
    worker = await started()
    await worker.send(worker.trade())
    unknown = FeedTrade(BINANCE, "NO-PE", "1", D(1), D(1), None, NOON_MS)
    wild = worker.trade(price="100000")
    duplicate = worker.trade()
    await worker.send(duplicate)
    events = await worker.send(
        unknown, duplicate, wild, worker.trade(PriceSource.KRAKEN), FeedRejected(BINANCE, "garbage")
    )
    assert not [event for event in events if isinstance(event, TickAccepted | TradeAccepted)]


async def test_another_leader_brings_its_book_and_its_trades_without_a_hole(database: Database) -> None:
    worker = await started()
    await worker.send(
        worker.trade(), worker.trade(COINBASE, "101"), snapshot(BINANCE, "99", "101"), snapshot(COINBASE, "98", "102")
    )
    passed_over = await worker.send(worker.trade(COINBASE, "101"))
    assert "TradeAccepted" not in names(passed_over)
    changed = await worker.send(FeedBookDelta(BINANCE, BTC, levels(("99", "5")), (), NOON_MS))
    assert [type(event) for event in changed] == [BookChanged]
    before = changed[0].sequence
    events = await worker.send(FeedDisconnected(BINANCE, "closed"))
    feeds = [event for event in events if isinstance(event, FeedChanged) and event.symbol == BTC]
    assert feeds[-1].source is COINBASE
    (reset,) = [event for event in events if isinstance(event, BookReset)]
    assert (reset.sequence, reset.bids) == (before + 1, levels(("98", "1")))
    events = await worker.send(worker.trade(COINBASE, "101.5"))
    (trade,) = [event for event in events if isinstance(event, TradeAccepted)]
    assert (trade.source, trade.sequence) == (COINBASE, 2)


async def test_without_a_source_the_price_goes_stale_and_the_book_is_lost(database: Database) -> None:
    worker = await started()
    await worker.send(worker.trade(), snapshot(BINANCE, "99", "101"))
    events = await worker.check(seconds=20)
    (feed,) = [event for event in events if isinstance(event, FeedChanged) and event.symbol == BTC]
    assert (feed.status, feed.source, feed.series) == (FeedStatus.STALE, None, Series.LIVE)
    assert [event.symbol for event in events if isinstance(event, BookLost)] == [BTC]
    assert not [event for event in events if isinstance(event, TickAccepted)]


async def test_real_data_drives_out_the_simulated(database: Database) -> None:
    worker = await started()
    await worker.send(worker.trade(SIMULATED, "500"), snapshot(SIMULATED, "499", "501"))
    await worker.check()
    worker.clock.advance(1)
    events = await worker.send(worker.trade(BINANCE, "100"))
    feed = next(place for place, event in enumerate(events) if isinstance(event, FeedChanged))
    tick = next(place for place, event in enumerate(events) if isinstance(event, TickAccepted))
    assert feed < tick
    assert events[feed].series is Series.LIVE
    assert (events[tick].sequence, events[tick].price) == (2, D(100))
    (trade,) = [event for event in events if isinstance(event, TradeAccepted)]
    assert (trade.series, trade.sequence) == (Series.LIVE, 1)
    assert "BookLost" in names(events)
    assert not [e for e in await worker.send(worker.trade(SIMULATED, "500")) if not isinstance(e, FeedChanged)]


@pytest.mark.parametrize("sources", [(BINANCE,), (SIMULATED,)])
async def test_numbers_continue_over_a_stop(database: Database, sources: tuple[PriceSource, ...]) -> None:
    worker = await started(*sources)
    await worker.send(snapshot(sources[0], "99", "101"))
    for _ in range(5):
        await worker.send(worker.trade(sources[0]))
    await worker.check()
    await worker.data.flush()
    await worker.data.close()
    worker.clock.advance(30)
    again = await started(*sources, clock=worker.clock)
    events = await again.send(again.trade(sources[0]), snapshot(sources[0], "99", "101"))
    numbers = {
        type(event): event.sequence for event in events if isinstance(event, TickAccepted | TradeAccepted | BookReset)
    }
    assert numbers == {TickAccepted: 6, TradeAccepted: 6, BookReset: 2}


async def test_numbers_are_never_used_twice_after_a_kill(database: Database) -> None:
    worker = await started()
    ticks = [
        event for event in await worker.send(*(worker.trade() for _ in range(5))) if isinstance(event, TickAccepted)
    ]
    again = await started(clock=worker.clock)
    events = await again.send(again.trade())
    (tick,) = [event for event in events if isinstance(event, TickAccepted)]
    (trade,) = [event for event in events if isinstance(event, TradeAccepted)]
    assert tick.sequence > ticks[-1].sequence
    assert trade.sequence > 5


async def test_a_replay_begins_anew_and_keeps_counting(database: Database) -> None:
    worker = await started(REPLAY)
    await worker.send(*(worker.trade(REPLAY) for _ in range(3)))
    await worker.data.flush()
    await worker.data.close()
    again = await started(REPLAY, clock=worker.clock)
    again.data.resync("x")
    assert not [event for event in again.said() if isinstance(event, TradeAccepted | CandleChanged)]
    (trade,) = [event for event in await again.send(again.trade(REPLAY)) if isinstance(event, TradeAccepted)]
    assert trade.sequence == 4


async def test_a_process_that_joins_is_told_everything_in_an_order_it_can_use(database: Database) -> None:
    worker = await started()
    await worker.send(worker.trade(), worker.trade(), snapshot(BINANCE, "99", "101"), worker.trade(SIMULATED, "7", ETH))
    await worker.check()
    worker.data.resync("joining")
    events = worker.said()
    assert events[-1] == ResyncFinished("joining")
    joined = MarketView(worker.bus, catalogue.read_files(), process="joining", observer=Losses())  # type: ignore[arg-type]
    for event in events:
        joined.apply(event)
    state = joined.states[BTC]
    assert state.tick is not None
    assert state.ticker is not None
    assert [trade.sequence for trade in state.trades] == [1, 2]
    assert all(len(candles) == 1 for candles in state.candles.values())
    assert joined.book_window(BTC, depth=5, grouping=None).sequence == 1
    assert joined.states[ETH].series is Series.SIMULATED


async def test_a_database_that_is_away_stops_no_price(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await started()
    await worker.send(worker.trade())

    async def away(*_: object) -> None:
        raise AutoReconnect("away")

    with monkeypatch.context() as broken:
        broken.setattr("services.trades.insert_trades", away)
        await worker.data.flush()
        events = await worker.send(worker.trade(), worker.trade())
        assert [event.sequence for event in events if isinstance(event, TickAccepted)] == [2, 3]
        with pytest.raises(AutoReconnect):
            await worker.data.close()
    await worker.data.flush()
    await worker.data.close()
    again = await started(clock=worker.clock)
    again.data.resync("x")
    assert [event.sequence for event in again.said() if isinstance(event, TradeAccepted)] == [1, 2, 3]
