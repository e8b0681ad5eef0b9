"""Live values: what holds now first, then every change; readers that fall behind; nothing stays behind."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

import pytest

from core.channel import ReaderTooSlow
from core.vocabulary import CandleInterval, MarketStatus, Series
from events.book import WindowDelta, WindowSnapshot
from events.market import BookLost, MarketStatusChanged
from services import market_streams
from services.live import follow
from services.market_states import TradesMissed
from services.market_streams import BOOK_CAPACITY, LATEST_CAPACITY, LOSSLESS_CAPACITY
from services.market_view import MarketView
from tests.markets import BTC, ETH, NOW_MS, D, Markets, book, book_change, candle, feed, levels, tick, ticker, trade
from tests.services.test_book_windows import Client, brute_force

Item = TypeVar("Item")
QUARTER = CandleInterval.MINUTE_15


async def nothing_waits(stream: AsyncGenerator[Any, None]) -> None:
    """The reader waits; the stream is over afterwards."""
    waiting = asyncio.ensure_future(anext(stream))
    done, _ = await asyncio.wait({waiting}, timeout=0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not done


async def read(stream: AsyncGenerator[Item, None], count: int) -> list[Item]:
    async with asyncio.timeout(30):
        return [await anext(stream) for _ in range(count)]


Open = Callable[[MarketView], AsyncGenerator[Any, None]]
Make = Callable[[int], object]
CASES: dict[str, tuple[Open, Make]] = {
    "ticks": (lambda view: follow(market_streams.ticks(view, [BTC])), tick),
    "tickers": (lambda view: follow(market_streams.tickers(view, [BTC])), lambda n: ticker(last=str(n))),
    "trades": (lambda view: follow(market_streams.trades(view, BTC)), trade),
    "candles": (
        lambda view: follow(market_streams.candles(view, BTC, QUARTER)),
        lambda n: candle(NOW_MS, close=str(n)),
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_the_present_value_comes_first_then_every_change(name: str) -> None:
    open_stream, make = CASES[name]
    markets = Markets().apply(feed(), feed(ETH), make(1), make(2))
    async with aclosing(open_stream(markets.view)) as stream:
        assert await read(stream, 1) == [make(2)]
        markets.apply(make(3), make(4), tick(9, symbol=ETH), candle(NOW_MS, "9", ETH), trade(9, ETH), ticker(ETH))
        assert await read(stream, 2) == [make(3), make(4)]
        await nothing_waits(stream)
    assert markets.losses.counts == {}


@pytest.mark.parametrize("name", CASES)
async def test_a_reader_before_the_first_value_gets_it_when_it_comes(name: str) -> None:
    open_stream, make = CASES[name]
    markets = Markets().apply(feed())
    async with aclosing(open_stream(markets.view)) as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        markets.apply(make(1))
        assert await waiting == make(1)


@pytest.mark.parametrize("name", ["ticks", "tickers", "candles"])
async def test_a_reader_that_falls_behind_skips_to_the_newest_and_it_is_counted(name: str) -> None:
    open_stream, make = CASES[name]
    markets = Markets().apply(feed(), make(0))
    async with aclosing(open_stream(markets.view)) as stream:
        await read(stream, 1)
        for number in range(1, LATEST_CAPACITY + 2):
            markets.apply(make(number))
        assert await read(stream, 1) == [make(LATEST_CAPACITY + 1)]
        assert markets.losses.counts == {("conflated", name): LATEST_CAPACITY}
        markets.apply(make(1000))
        assert await read(stream, 1) == [make(1000)]


async def test_the_newest_of_every_market_is_kept() -> None:
    symbols = list(Markets().catalogue.markets)
    markets = Markets().apply(*map(feed, symbols))
    async with aclosing(follow(market_streams.ticks(markets.view, symbols))) as stream:
        markets.apply(tick(1, symbol=symbols[0]))
        await read(stream, 1)
        rounds = 10
        for sequence in range(2, rounds + 2):
            markets.apply(*(tick(sequence, symbol=symbol) for symbol in symbols))
        seen = {one.symbol: one.sequence for one in await read(stream, len(symbols))}
        while len(seen) < len(symbols) or set(seen.values()) != {rounds + 1}:
            (one,) = await read(stream, 1)
            assert one.sequence > seen[one.symbol]
            seen[one.symbol] = one.sequence
        await nothing_waits(stream)


async def test_trades_never_skip_and_a_reader_too_slow_is_told() -> None:
    markets = Markets().apply(feed(), trade(1))
    slow = follow(market_streams.trades(markets.view, BTC))
    quick = follow(market_streams.trades(markets.view, BTC))
    await read(slow, 1)
    seen = [one.sequence for one in await read(quick, 1)]
    for number in range(2, LOSSLESS_CAPACITY + 3):
        markets.apply(trade(number))
        seen += [one.sequence for one in await read(quick, 1)]
    assert seen == list(range(1, LOSSLESS_CAPACITY + 3))
    with pytest.raises(ReaderTooSlow):
        await read(slow, 1)
    assert markets.losses.counts == {("dropped", "trades"): LOSSLESS_CAPACITY + 1}
    assert len(markets.view.trades) == 1
    await quick.aclose()
    assert len(markets.view.trades) == 0


async def test_trades_that_this_process_missed_end_the_stream_by_name() -> None:
    markets = Markets().apply(feed(), trade(1), feed(ETH), trade(1, ETH))
    stream = follow(market_streams.trades(markets.view, BTC))
    other = follow(market_streams.trades(markets.view, ETH))
    await read(stream, 1)
    await read(other, 1)
    markets.apply(trade(2), trade(3), trade(9), trade(2, ETH))
    assert [one.sequence for one in await read(stream, 2)] == [2, 3]
    with pytest.raises(TradesMissed):
        await read(stream, 1)
    assert [one.sequence for one in await read(other, 1)] == [2]
    again = follow(market_streams.trades(markets.view, BTC))
    assert [one.sequence for one in await read(again, 1)] == [9]
    await again.aclose()
    await other.aclose()


async def test_a_repeated_answer_to_a_resync_is_no_news() -> None:
    markets = Markets().full(BTC)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(aclosing(open_(markets.view))) for open_, _ in CASES.values()]
        for stream in streams:
            await read(stream, 1)
        markets.full(BTC)
        markets.apply(trade(3), candle(NOW_MS))
        for stream, name in zip(streams, CASES, strict=True):
            if name != "tickers":
                await nothing_waits(stream)


async def test_a_late_correction_of_a_closed_candle_is_told() -> None:
    step = QUARTER.length_ms
    markets = Markets().apply(feed(), *(candle(NOW_MS + place * step) for place in range(5)))
    async with aclosing(follow(market_streams.candles(markets.view, BTC, QUARTER))) as stream:
        assert await read(stream, 1) == [candle(NOW_MS + 4 * step)]
        for place in (3, 0):
            markets.apply(candle(NOW_MS + place * step, "7"))
            assert await read(stream, 1) == [candle(NOW_MS + place * step, "7")]
    kept = markets.view.states[BTC].candles[QUARTER]
    assert [one.close for one in kept] == [D(100), D(7), D(100)]


async def test_statuses_once_at_the_start_then_when_they_change() -> None:
    markets = Markets()
    async with aclosing(follow(market_streams.statuses(markets.view, None))) as stream:
        assert await read(stream, len(markets.catalogue.markets)) == list(markets.catalogue.markets)
        markets.apply(MarketStatusChanged(BTC, MarketStatus.TRADING))
        markets.catalogue.set_status(ETH, MarketStatus.HALTED)
        markets.apply(MarketStatusChanged(ETH, MarketStatus.HALTED))
        assert await read(stream, 1) == [ETH], "also where the catalogue is shared with whoever changed it"
        assert markets.catalogue.market(ETH).status is MarketStatus.HALTED
        await nothing_waits(stream)


# the order book


def assert_same(client: Client, markets: Markets, *, depth: int, grouping: Decimal | None) -> None:
    """The client holds what the book's window is, worked out from the whole book."""
    whole = markets.view.books[BTC]
    for held, side, descending in ((client.bids, whole.bids, True), (client.asks, whole.asks, False)):
        known = dict(side.top(10_000))
        expected = brute_force(known, descending=descending, depth=depth, grouping=grouping)
        assert sorted(held.items(), reverse=descending) == expected


def change(random: Random, sequence: int) -> object:
    if random.random() < 0.03:
        return book(sequence, levels(("90", "1"), ("89", "2")), levels(("110", "3")))
    price, quantity = random.randrange(60, 95), str(random.choice([0, 0, 1, 2, 3]))
    changed = levels((str(price), quantity))
    return book_change(sequence, bids=changed) if random.random() < 0.5 else book_change(
        sequence, asks=levels((str(price + 40), quantity))
    )  # fmt: skip


@pytest.mark.parametrize(("depth", "grouping"), [(1, None), (5, None), (3, D(5)), (1000, D("0.5"))])
@pytest.mark.parametrize("seed", range(3))
async def test_a_client_that_applies_deltas_always_holds_the_book(
    depth: int, grouping: Decimal | None, seed: int
) -> None:
    random = Random(seed)
    markets = Markets().apply(feed(), book(1))
    client = Client()
    async with aclosing(follow(market_streams.order_book(markets.view, BTC, depth=depth, grouping=grouping))) as stream:
        (first,) = await read(stream, 1)
        assert isinstance(first, WindowSnapshot)
        client.take(first)
        (window,) = markets.view._windows[BTC].values()
        sequence = 1
        for turn in range(1500):
            for _ in range(BOOK_CAPACITY * 30 if turn in (200, 900) else 1):
                sequence += 1
                markets.apply(change(random, sequence))
            if random.random() < 0.2:
                while len(next(iter(markets.view.window_updates._channels.values()))[0]):
                    client.take(*await read(stream, 1))
                snapshot = window.snapshot()
                assert snapshot is None or client.checksum() == snapshot.checksum
                if snapshot is not None:
                    assert_same(client, markets, depth=depth, grouping=grouping)
        assert sequence > 1500
        assert markets.losses.counts["conflated", "order_book"] > 0


async def test_a_reader_of_the_book_that_falls_behind_starts_again_with_a_snapshot() -> None:
    markets = Markets().apply(feed(), book(1))
    async with aclosing(follow(market_streams.order_book(markets.view, BTC, depth=10, grouping=None))) as stream:
        client = Client()
        client.take(*await read(stream, 1))
        for sequence in range(2, BOOK_CAPACITY + 4):
            markets.apply(book_change(sequence, bids=levels(("97", str(sequence)))))
        snapshot, delta = await read(stream, 2)
        assert isinstance(snapshot, WindowSnapshot)
        assert isinstance(delta, WindowDelta)
        assert (snapshot.sequence, delta.previous_sequence, delta.sequence) == (102, 102, 103)
        client.take(snapshot)
        client.take(delta)
        assert_same(client, markets, depth=10, grouping=None)
        assert markets.losses.counts == {("conflated", "order_book"): BOOK_CAPACITY}


async def test_a_lost_book_is_silent_until_the_next_snapshot() -> None:
    markets = Markets().apply(feed(), book(1))
    async with aclosing(follow(market_streams.order_book(markets.view, BTC, depth=10, grouping=None))) as stream:
        await read(stream, 1)
        markets.apply(BookLost(BTC, "a gap"), book_change(2, bids=levels(("97", "1"))))
        async with aclosing(
            follow(market_streams.order_book(markets.view, BTC, depth=10, grouping=None))
        ) as joined_while_lost:
            waiting = asyncio.ensure_future(anext(joined_while_lost))
            await asyncio.sleep(0)
            markets.apply(book(3, bids=levels(("96", "1"))))
            (snapshot,) = await read(stream, 1)
            assert snapshot == await waiting
            assert isinstance(snapshot, WindowSnapshot)
            assert (snapshot.sequence, snapshot.bids) == (3, levels(("96", "1")))


async def test_leaving_frees_channels_and_shared_windows() -> None:
    markets = Markets().apply(feed(), book(1))
    view = markets.view
    wishes: list[tuple[int, Decimal | None]] = [(5, None), (5, None), (5, D(1)), (5, D("1.0")), (6, None)]
    streams = [follow(market_streams.order_book(view, BTC, depth=d, grouping=g)) for d, g in wishes]
    for stream in streams:
        await read(stream, 1)
    assert len(view._windows[BTC]) == 3, "one window for each depth and grouping"
    assert len(view.window_updates) == 5
    await streams[0].aclose()
    assert len(view._windows[BTC]) == 3
    for stream in streams:
        await stream.aclose()
    assert not view._windows[BTC]
    assert not view._window_readers
    assert len(view.window_updates) == 0
    others = [open_(view) for open_, _ in CASES.values()]
    markets.full(BTC)
    for other in others:
        await read(other, 1)
        await other.aclose()
    assert [len(watchers) for watchers in (view.ticks, view.tickers, view.trades, view.candles)] == [0] * 4


async def test_a_reader_that_is_cancelled_frees_its_channel() -> None:
    markets = Markets().apply(feed())
    stream = follow(market_streams.ticks(markets.view, [BTC, ETH]))
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert len(markets.view.ticks) == 2
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert len(markets.view.ticks) == 0


async def test_another_series_starts_its_own_trades() -> None:
    markets = Markets().apply(feed(series=Series.SIMULATED), trade(500, series=Series.SIMULATED))
    async with aclosing(follow(market_streams.trades(markets.view, BTC))) as stream:
        await read(stream, 1)
        markets.apply(feed(), trade(501, series=Series.SIMULATED), trade(1), trade(2))
        assert [(one.series, one.sequence) for one in await read(stream, 2)] == [(Series.LIVE, 1), (Series.LIVE, 2)]
