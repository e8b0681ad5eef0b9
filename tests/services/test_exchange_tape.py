"""The exchange's own trades, tickers and candles: what is told, what is stored, and that taking them again changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from core.bus import BusMessage
from core.clock import ManualClock
from core.order_vocabulary import OrderType
from core.paging import PageRequest
from core.vocabulary import CandleInterval, MarketDataOrigin, OrderSide, PriceSource, Series, TimeOrder
from events.commands import PlaceOrder
from events.journal import Event, Traded
from events.market import EXCHANGE_TOPIC, CandleChanged, TickerChanged, TradeAccepted
from models.candle import Candle, candles_between
from models.trade import TradeEntry, trades_between
from services import exchange_tape
from services.exchange_tape import OLD_MS, ExchangeTape, ExchangeTrade
from services.market_view import MarketView
from tests.exchange.floor import BUY, EXACT, SELL, Floor, wish
from tests.markets import Markets

D = Decimal
ETH = EXACT.symbol
SYMBOLS = (ETH, "BTC-USD")
NOON_MS = 1_610_020_800_000
DAY_MS = 86_400_000
EXCHANGE = MarketDataOrigin.EXCHANGE


def trade(number: int, time_ms: int = NOON_MS, price: str = "10", symbol: str = ETH) -> ExchangeTrade:
    return ExchangeTrade(symbol, number, D(price), D("0.5"), OrderSide.BUY, time_ms)


class Projector:
    """One life of a projector's tape, everything it told, and a process that follows it."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.markets = Markets()
        self.bus = self.markets.bus
        self.heard = self.bus.subscribe(EXCHANGE_TOPIC)
        self.tape = ExchangeTape(self.bus, clock, SYMBOLS)

    def told(self, kind: type[Any]) -> list[Any]:
        """Events of this kind since the last call; the process that follows took all."""
        events = []
        while self.heard._items:
            item = self.heard._items.popleft()
            assert isinstance(item, BusMessage)
            self.markets.apply_own(item.event)
            events.append(item.event)
        return [event for event in events if isinstance(event, kind)]


async def started(now_ms: int = NOON_MS, clock: ManualClock | None = None) -> Projector:
    projector = Projector(clock or ManualClock(now_ms))
    await projector.tape.load()
    return projector


class Rows(NamedTuple):
    """Everything that is stored of the exchange's own."""

    trades: list[TradeEntry]
    candles: list[tuple[str, CandleInterval, Candle]]


async def rows() -> Rows:
    """All there is now."""
    return Rows(
        [
            row
            for symbol in SYMBOLS
            for row in await trades_between(Series.EXCHANGE, symbol, from_sequence=0, to_sequence=10**9)
        ],
        [
            (symbol, interval, candle)
            for symbol in SYMBOLS
            for interval in CandleInterval
            for candle in await candles_between(Series.EXCHANGE, symbol, interval, from_ms=0, to_ms=None)
        ],
    )


def random_trades(seed: int, count: int, *, span_ms: int = 3 * DAY_MS) -> list[ExchangeTrade]:
    source = Random(seed)
    times = sorted(NOON_MS - source.randint(0, span_ms) for _ in range(count))
    numbers = dict.fromkeys(SYMBOLS, 0)
    found = []
    for time_ms in times:
        symbol = source.choice(SYMBOLS)
        numbers[symbol] += 1
        found.append(
            ExchangeTrade(
                symbol, numbers[symbol], D(source.randint(900, 1100)) / 100, D(source.randint(1, 99)) / 10_000, OrderSide.SELL, time_ms
            )
        )  # fmt: skip
    return found


def traded(floor: Floor, events: Sequence[Event], number: int) -> list[ExchangeTrade]:
    """As the projector makes them."""
    found = []
    for event in events:
        if isinstance(event, Traded):
            number += 1
            price, lots = D(event.price * EXACT.tick).scaleb(-18), D(event.lots * EXACT.lot).scaleb(-18)
            found.append(ExchangeTrade(event.symbol, number, price, lots, event.taker_side, floor.now_ms))
    return found


@pytest.mark.usefixtures("database")
async def test_trades_of_the_exchange_are_told_at_once_and_figures_follow() -> None:
    floor = Floor("ann", "bob")
    for person, side, price, lots in (("ann", SELL, 1000, 5), ("ann", SELL, 1010, 5), ("bob", BUY, 1010, 8)):
        floor.exchange.execute(
            PlaceOrder(person, floor.key(), "", wish(side, OrderType.LIMIT, price=price, lots=lots)), floor.now_ms
        )
    projector = await started(floor.now_ms)
    projector.tape.take(traded(floor, floor.collect(), 0))
    await projector.tape.merge()
    told = projector.told(TradeAccepted)
    assert [(one.sequence, one.price, one.quantity, one.taker_side) for one in told] == [
        (1, D("10"), D("0.0005"), BUY), (2, D("10.1"), D("0.0003"), BUY)
    ]  # fmt: skip
    assert {(one.series, one.source) for one in told} == {(Series.EXCHANGE, PriceSource.EXCHANGE)}
    await projector.tape.publish()
    (figures,) = projector.told(TickerChanged)
    assert (figures.last, figures.open24h, figures.high24h, figures.volume24h, figures.trades24h) == (
        D("10.1"), D(10), D("10.1"), D("0.0008"), 2
    )  # fmt: skip
    state = projector.markets.exchange_view.states[ETH]
    assert state.candles[CandleInterval.HOUR_1][-1].trades == 2
    assert len(state.trades) == 2


@pytest.mark.usefixtures("database")
async def test_a_market_without_a_trade_has_a_ticker_of_nothing() -> None:
    projector = await started()
    projector.tape._tell()
    (figures, _) = projector.told(TickerChanged)
    assert [getattr(figures, name) for name in ("last", "open24h", "volume24h", "vwap24h", "trades24h")] == [None] * 5


@pytest.mark.usefixtures("database")
async def test_trades_taken_again_change_nothing() -> None:
    projector = await started()
    projector.tape.take([trade(1), trade(2, price="12")])
    await projector.tape.flush()
    before = await rows()
    projector.told(object)
    projector.tape.take([trade(1), trade(2, price="12")])
    await projector.tape.flush()
    assert projector.told(object) == []
    again = await started(clock=projector.clock)
    again.tape.take([trade(1), trade(2, price="12"), trade(3, price="9")])
    await again.tape.flush()
    assert [one.sequence for one in again.told(TradeAccepted)] == [3]
    after = await rows()
    assert after.trades[:2] == before.trades
    assert {candle.trades for _, _, candle in after.candles} == {3}
    assert {row.expires_at for row in after.trades} == {None}, "kept for good"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("stored", ["nothing", "trades", "trades and candles"])
async def test_a_crash_in_the_middle_of_a_flush_loses_and_doubles_nothing(
    monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    everything = random_trades(1, 300)
    projector = await started()
    projector.tape.take(everything[:100])
    await projector.tape.flush()

    async def killed(*_: object) -> None:
        raise AutoReconnect("killed")

    broken = {"nothing": "services.trades.insert_trades", "trades": "services.stored_history.insert_candles"}
    with monkeypatch.context() as patched:
        patched.setattr(broken.get(stored, "services.stored_history.write_states"), killed)
        projector.tape.take(everything[100:200])
        with pytest.raises(AutoReconnect):
            await projector.tape.flush()
    again = await started(clock=projector.clock)
    again.tape.take(everything[50:])
    await again.tape.flush()
    crashed = await rows()
    await exchange_tape.forget(SYMBOLS)
    assert await rows() == Rows([], [])
    anew = await started(clock=projector.clock)
    anew.tape.take(everything)
    await anew.tape.flush()
    assert await rows() == crashed
    assert len(crashed.trades) == 300


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("sizes", [(300,), (7, 60, 1, 150, 82)])
async def test_a_rebuild_gives_the_same_rows_however_it_is_cut(sizes: tuple[int, ...]) -> None:
    everything = random_trades(2, 300, span_ms=20 * DAY_MS)
    clock = ManualClock(NOON_MS)
    live = await started(clock=ManualClock(everything[0].time_ms))
    for one in everything:
        live.clock.advance((one.time_ms - live.clock.now_ms()) / 1000)
        live.tape.take([one])
        await live.tape.publish()
    live.clock.advance((NOON_MS - live.clock.now_ms()) / 1000)
    await live.tape.flush()
    before = await rows()
    await exchange_tape.forget(SYMBOLS)
    rest = list(everything)
    for size in sizes:
        life = await started(clock=clock)
        life.tape.take(rest[:size])
        await life.tape.flush()
        rest = rest[size:]
        clock.advance(2)
        await life.tape.flush()
    assert await rows() == before


@pytest.mark.usefixtures("database")
async def test_old_trades_are_told_together_once_nothing_waits() -> None:
    projector = await started()
    old = [trade(number, NOON_MS - OLD_MS - 1) for number in range(1, 500)]
    projector.tape.take([*old, trade(500)])
    await projector.tape.merge()
    assert [one.sequence for one in projector.told(TradeAccepted)] == [500]
    await projector.tape.publish()
    newest = projector.told(TradeAccepted)
    assert [one.sequence for one in newest] == list(range(301, 501))
    assert projector.markets.exchange_view.states[ETH].trades[-1].sequence == 500


@pytest.mark.usefixtures("database")
async def test_figures_fall_out_of_the_day_without_a_trade() -> None:
    projector = await started()
    projector.tape.take([trade(1)])
    await projector.tape.publish()
    assert projector.told(TickerChanged)[-1].trades24h == 1
    projector.clock.advance(25 * 3600)
    await projector.tape.publish()
    figures = projector.told(TickerChanged)[-1]
    assert (figures.last, figures.trades24h, figures.volume24h) == (D(10), None, None)
    await projector.tape.publish()
    assert projector.told(TickerChanged) == []


@pytest.mark.usefixtures("database")
async def test_a_candle_closes_when_its_time_is_over() -> None:
    projector = await started()
    projector.tape.take([trade(1)])
    await projector.tape.publish()
    assert not any(candle.closed for candle in projector.told(CandleChanged))
    projector.clock.advance(60)
    await projector.tape.publish()
    assert [candle.interval for candle in projector.told(CandleChanged) if candle.closed] == [CandleInterval.MINUTE_1]


@pytest.mark.usefixtures("database")
async def test_a_database_that_is_away_holds_back_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_tape, "MOST_WAITING", 100)
    projector = await started()

    async def away(*_: object) -> None:
        raise AutoReconnect("away")

    with monkeypatch.context() as broken:
        broken.setattr("services.trades.insert_trades", away)
        projector.tape.take([trade(number) for number in range(1, 101)])
        with pytest.raises(AutoReconnect):
            await projector.tape.flush()
        waiting = asyncio.ensure_future(projector.tape.room())
        await asyncio.sleep(0)
        assert not waiting.done()
    await projector.tape.flush()
    await waiting
    assert len((await rows()).trades) == 100


@pytest.mark.usefixtures("database")
async def test_a_hole_is_reported_and_stops_nothing() -> None:
    projector = await started()
    with capture_logs() as logs:
        projector.tape.take([trade(1), trade(3)])
        await projector.tape.merge()
    assert [(line["event"], line["known"], line["number"]) for line in logs] == [("exchange_tape.trades_missing", 1, 3)]
    assert [one.sequence for one in projector.told(TradeAccepted)] == [1, 3]


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(projector.tape.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("database")
async def test_a_process_that_joins_late_knows_everything_and_the_end_stores_what_is_left() -> None:
    projector = await started()
    late = MarketView(
        projector.bus, projector.markets.catalogue, process="late", observer=projector.markets.losses, origin=EXCHANGE
    )
    async with running(projector):
        projector.tape.take([trade(1), trade(2)])
        following = asyncio.create_task(late.run())
        async with asyncio.timeout(30):
            await late.synced.wait()
        await until(lambda: len(late.states[ETH].trades) == 2)
        projector.tape.take([trade(3)])
        await until(lambda: len(late.states[ETH].trades) == 3)
        following.cancel()
    assert [row.sequence for row in (await rows()).trades] == [1, 2, 3]


@pytest.mark.usefixtures("database")
async def test_history_is_read_as_that_of_the_reference() -> None:
    projector = await started()
    projector.tape.take(random_trades(3, 400, span_ms=DAY_MS))
    await projector.tape.flush()
    await projector.tape.publish()
    projector.told(object)
    reads = projector.markets
    page = await reads.market_data.trades(ETH, EXCHANGE, TimeOrder.OLDEST_FIRST, PageRequest(first=10))
    assert [one.sequence for one in page.items] == list(range(1, 11))
    candles = await reads.market_data.candles(
        ETH, EXCHANGE, CandleInterval.HOUR_1, PageRequest(last=100), from_=None, to=None
    )
    assert sum(candle.trades or 0 for candle in candles.items) == len(reads.exchange_view.states[ETH].trades) + (
        (await reads.market_data.trades(ETH, EXCHANGE, TimeOrder.NEWEST_FIRST, PageRequest(first=1))).items[0].sequence
        - len(reads.exchange_view.states[ETH].trades)
    )
    assert (await reads.market_data.trade(Series.EXCHANGE, ETH, 5)) is not None
