"""Binance over its real protocol: recorded messages, the book with its resync, candles, rules, and everything that goes wrong."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest

from core.clock import ManualClock, SystemClock
from core.vocabulary import CandleInterval, OrderSide, PriceSource
from events.feed import (
    FeedBookDelta,
    FeedBookLost,
    FeedBookSnapshot,
    FeedConnected,
    FeedDisconnected,
    FeedQuote,
    FeedRejected,
    FeedStats24h,
    FeedTrade,
)
from integrations.feeds.base import FeedMarket, HistoryFeed, ProviderRules, ProviderUnavailable, RulesFeed
from integrations.feeds.binance import BinanceFeed
from integrations.feeds.http import HttpPolicy, RateLimited
from integrations.feeds.socket import SocketPolicy
from tests.integrations.feeds.conftest import Sample
from tests.integrations.feeds.recorder import Recorder, fold, running
from tests.integrations.feeds.venues.binance import BinanceVenue
from tests.integrations.feeds.venues.web import Reply, Request

BINANCE = PriceSource.BINANCE
MARKETS = [FeedMarket("BTC-USDT", "BTCUSDT"), FeedMarket("ETH-USDT", "ETHUSDT"), FeedMarket("BNB-BTC", "BNBBTC")]
Changes = list[tuple[str, Decimal, Decimal]]


@pytest.fixture
async def venue() -> AsyncIterator[BinanceVenue]:
    venue = BinanceVenue()
    async with venue.both():
        yield venue


@pytest.fixture
def make(venue: BinanceVenue, quick: SocketPolicy, quick_http: HttpPolicy) -> Callable[..., BinanceFeed]:
    def build(markets: list[FeedMarket] | None = None, policy: SocketPolicy = quick) -> BinanceFeed:
        return BinanceFeed(
            markets or [MARKETS[0]],
            clock=SystemClock(),
            ws_url=venue.url,
            rest_url=venue.web.url,
            api_key="the-key",
            socket_policy=policy,
            http_policy=quick_http,
            randomness=random.Random(1),
        )

    return build


def level(price: str, size: str) -> tuple[Decimal, Decimal]:
    return Decimal(price), Decimal(size)


async def test_recorded_messages(venue: BinanceVenue, make: Callable[..., BinanceFeed], sample: Sample) -> None:
    async with running(make(MARKETS)) as seen:
        line = await venue.line()
        await line.until(lambda: len(line.received) == 1)
        streams = ("trade", "bookTicker", "ticker", "depth@100ms")
        names = ("btcusdt", "ethusdt", "bnbbtc")
        assert line.path == "/stream"
        assert line.received[0]["params"] == [f"{name}@{stream}" for name in names for stream in streams]
        await line.send(sample("binance/ws_spot_trade"))
        await line.send(sample("binance/ws_spot_ticker_book"))
        await line.send({"stream": "bnbbtc@ticker", "data": sample("binance/ws_spot_ticker_24hr")})
        await seen.wait(FeedStats24h)
        refused = await seen.wait(FeedRejected)
    assert isinstance(seen.messages[0], FeedConnected)
    assert seen.of(FeedTrade) == [
        FeedTrade(
            BINANCE,
            "ETH-USDT",
            "705291099",
            Decimal("4149.74"),
            Decimal("0.4387"),
            OrderSide.SELL,
            1639351062243,
        )
    ]
    assert seen.of(FeedQuote) == [FeedQuote(BINANCE, "ETH-USDT", Decimal("4507.24"), Decimal("4507.25"), 1646199228123)]
    stats = seen.of(FeedStats24h)[0]
    assert (stats.symbol, stats.open, stats.high, stats.low) == ("BNB-BTC", *map(Decimal, ("0.001", "0.0025", "0.001")))
    assert (stats.volume, stats.quote_volume, stats.vwap) == (Decimal(10000), Decimal(18), Decimal("0.0018"))
    assert stats.trades == 18151
    assert refused.reason == "ETH-USDT snapshot: the provider refused the request with status 400"


async def test_recorded_snapshot_and_a_diff_that_follows_it(
    venue: BinanceVenue, make: Callable[..., BinanceFeed], sample: Sample
) -> None:
    venue.replies["/api/v3/depth"] = Reply(sample("binance/depth"))
    async with running(make()) as seen:
        snapshot = await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        diff = {"e": "depthUpdate", "E": 1634942465000, "s": "BTCUSDT", "U": 14527958480, "u": 14527958490}
        sides = {"b": [["60650.00000000", "0"]], "a": [["60650.01000000", "5"]]}
        await line.send({"stream": "btcusdt@depth@100ms", "data": {**diff, **sides}})
        delta = await seen.wait(FeedBookDelta)
    assert len(snapshot.bids) == len(snapshot.asks) == 10
    assert snapshot.asks[0] == level("60650.01", "0.61982")
    assert (delta.bids, delta.asks) == ((level("60650", "0"),), (level("60650.01", "5"),))
    assert venue.web.requests[0].query == {"symbol": "BTCUSDT", "limit": "1000"}
    assert venue.web.requests[0].headers["x-mbx-apikey"] == "the-key"


async def test_book_equals_the_venues_after_every_message_and_over_a_dropped_one(
    venue: BinanceVenue, make: Callable[..., BinanceFeed]
) -> None:
    source = random.Random(7)

    def some() -> Changes:
        sides = (("b", 90, 100), ("a", 101, 111))
        picks = [source.choice(sides) for _ in range(source.randint(1, 4))]
        return [(side, Decimal(source.randint(low, high)), Decimal(source.randint(0, 5))) for side, low, high in picks]

    async with running(make()) as seen:
        line = await venue.line()
        await seen.wait(FeedBookSnapshot)
        for number in range(1, 61):
            await venue.trade(line, some())
            await seen.wait(FeedBookDelta, number)
            assert fold(seen.messages, "BTC-USDT") == (venue.engine.bids, venue.engine.asks)
        venue.engine.change(some())  # never sent
        await venue.trade(line, some())
        lost = await seen.wait(FeedBookLost)
        await seen.wait(FeedBookSnapshot, 2)
        assert "does not follow" in lost.reason
        assert fold(seen.messages, "BTC-USDT") == (venue.engine.bids, venue.engine.asks)
        await venue.trade(line, [("b", Decimal(99), Decimal(7))])
        await seen.wait(FeedBookDelta, 61)
        assert fold(seen.messages, "BTC-USDT") == (venue.engine.bids, venue.engine.asks)
    assert venue.snapshots_asked == 2
    assert not seen.of(FeedDisconnected)


async def test_a_snapshot_older_than_the_stream_is_asked_for_again(
    venue: BinanceVenue, make: Callable[..., BinanceFeed]
) -> None:
    old = Reply(venue.engine.snapshot())
    venue.engine.change([("b", Decimal(98), Decimal(3))])
    venue.replies["/api/v3/depth"] = Reply(None, status=503)
    async with running(make()) as seen:
        line = await venue.line()
        await seen.wait(FeedRejected)
        await venue.trade(line, [("b", Decimal(97), Decimal(2))])
        venue.replies["/api/v3/depth"] = old
        await seen.until(lambda: any("does not follow" in rejected.reason for rejected in seen.of(FeedRejected)))
        assert not seen.of(FeedBookSnapshot)
        del venue.replies["/api/v3/depth"]
        await seen.wait(FeedBookSnapshot)
    assert fold(seen.messages, "BTC-USDT") == (venue.engine.bids, venue.engine.asks)
    assert not seen.of(FeedBookLost)


async def test_too_many_snapshot_requests_are_waited_out_as_asked(
    venue: BinanceVenue, make: Callable[..., BinanceFeed]
) -> None:
    venue.replies["/api/v3/depth"] = Reply(None, status=429, headers={"Retry-After": "1"})
    began = time.monotonic()
    async with running(make()) as seen:
        await venue.web.asked()
        del venue.replies["/api/v3/depth"]
        await seen.wait(FeedBookSnapshot)
    assert time.monotonic() - began >= 1
    assert venue.snapshots_asked == 2


TRADE = {"e": "trade", "s": "BTCUSDT", "t": 1, "p": "1.5", "q": "2", "T": 1700000000000, "m": True}
BAD_TRADES: list[dict[str, object]] = [
    {"p": "NaN"},
    {"p": "Infinity"},
    {"p": "-1"},
    {"p": "0"},
    {"p": "1e30"},
    {"p": "0.0000000000000000001"},
    {"p": 1.5e400},
    {"p": None},
    {"p": ["1"]},
    {"p": True},
    {"q": "-0.1"},
    {"q": "١"},
    {"t": "x"},
    {"t": -1},
    {"t": 1.5},
    {"T": 0},
    {"T": 10**15},
    {"T": "soon"},
    {"m": "yes"},
    {"s": "DOGEUSDT"},
    {"s": 5},
]


@pytest.mark.parametrize("wrong", BAD_TRADES, ids=str)
async def test_a_wrong_field_rejects_the_message_alone(
    venue: BinanceVenue, make: Callable[..., BinanceFeed], wrong: dict[str, object]
) -> None:
    async with running(make()) as seen:
        line = await venue.line()
        await seen.wait(FeedConnected)
        await line.send({"stream": "btcusdt@trade", "data": {**TRADE, **wrong}})
        await line.send({"stream": "btcusdt@trade", "data": TRADE})
        await seen.wait(FeedTrade)
    assert len(seen.of(FeedRejected)) == len(seen.of(FeedTrade)) == 1
    assert not seen.of(FeedDisconnected)


async def test_an_unusable_diff_is_noticed_as_a_gap(venue: BinanceVenue, make: Callable[..., BinanceFeed]) -> None:
    async with running(make()) as seen:
        line = await venue.line()
        await seen.wait(FeedBookSnapshot)
        bad = venue.engine.change([("b", Decimal(95), Decimal(1))])
        await line.send({"stream": "btcusdt@depth@100ms", "data": {**bad, "b": [["95", "NaN"]]}})
        await venue.trade(line, [("a", Decimal(105), Decimal(2))])
        await seen.wait(FeedBookSnapshot, 2)
    assert seen.of(FeedRejected)
    assert [lost.symbol for lost in seen.of(FeedBookLost)] == ["BTC-USDT"]
    assert fold(seen.messages, "BTC-USDT") == (venue.engine.bids, venue.engine.asks)


async def test_a_lost_connection_loses_the_book_and_comes_back(
    venue: BinanceVenue, make: Callable[..., BinanceFeed]
) -> None:
    async with running(make()) as seen:
        await seen.wait(FeedBookSnapshot)
        (await venue.line()).abort()
        lost = await seen.wait(FeedBookLost)
        gone = await seen.wait(FeedDisconnected)
        await seen.wait(FeedBookSnapshot, 2)
    assert lost.reason == gone.reason
    assert seen.messages.index(lost) < seen.messages.index(gone)
    assert len(seen.of(FeedConnected)) == 2


async def test_a_refused_subscription_is_a_reconnect(venue: BinanceVenue, make: Callable[..., BinanceFeed]) -> None:
    async with running(make()) as seen:
        await (await venue.line()).send({"error": {"code": 2, "msg": "Invalid request"}, "id": 1})
        gone = await seen.wait(FeedDisconnected)
        await venue.line(2)
    assert gone.reason == "the provider refused the subscription"


async def test_subscribing_to_all_streams_keeps_the_message_rate(
    venue: BinanceVenue, make: Callable[..., BinanceFeed]
) -> None:
    markets = [FeedMarket(f"A{number}-USDT", f"A{number}USDT") for number in range(256)]
    async with running(make(markets, SocketPolicy())):
        line = await venue.line()
        await line.until(lambda: sum(str(message).count("@") for message in line.received) == 1024 + 256)
    assert all(later - first >= 1 for first, later in zip(line.times, line.times[5:], strict=False))
    with pytest.raises(ValueError, match="at most 256 markets"):
        make([*markets, FeedMarket("B-USDT", "BUSDT")])


async def test_an_unreachable_venue_is_said_so_and_tried_again(quick: SocketPolicy) -> None:
    feed = BinanceFeed([MARKETS[0]], clock=SystemClock(), ws_url="ws://127.0.0.1:1", socket_policy=quick)
    async with running(feed) as seen:
        second = await seen.wait(FeedDisconnected, 2)
    assert second.reason == "the provider cannot be reached"
    assert not seen.of(FeedConnected)


def rest_feed(venue: BinanceVenue, clock: ManualClock, policy: HttpPolicy) -> BinanceFeed:
    feed = BinanceFeed(MARKETS, clock=clock, rest_url=venue.web.url, http_policy=policy)
    assert isinstance(feed, HistoryFeed)
    assert isinstance(feed, RulesFeed)
    return feed


async def test_recorded_candles_without_the_open_one(
    venue: BinanceVenue, sample: Sample, quick_http: HttpPolicy
) -> None:
    rows = sample("binance/klines")
    venue.replies["/api/v3/klines"] = Reply(rows)
    clock = ManualClock(rows[-1][0] + 59_999)
    start = rows[0][0]
    found = await rest_feed(venue, clock, quick_http).candles(
        "BTC-USDT", CandleInterval.MINUTE_1, from_ms=start, to_ms=start + 600_000
    )
    assert [candle.open_time_ms for candle in found] == [row[0] for row in rows[:-1]]
    first = found[0]
    assert (first.open, first.high, first.low, first.close) == tuple(map(Decimal, rows[0][1:5]))
    assert (first.volume, first.quote_volume, first.trades) == (Decimal(rows[0][5]), Decimal(rows[0][7]), rows[0][8])
    assert venue.web.requests[0].query["interval"] == "1m"


def kline(open_ms: int) -> list[object]:
    return [open_ms, "1", "2", "0.5", "1.5", "10", open_ms + 59_999, "15", 3, "5", "7", "0"]


async def test_candles_are_read_page_by_page(venue: BinanceVenue, quick_http: HttpPolicy) -> None:
    minute, start = 60_000, 1_700_000_040_000

    def answer(request: Request) -> Reply:
        first, last = int(request.query["startTime"]), int(request.query["endTime"])
        times = range(-(-first // minute) * minute, last + 1, minute)
        return Reply([kline(time_ms) for time_ms in times[: int(request.query["limit"])]])

    venue.web.answer = answer
    feed = rest_feed(venue, ManualClock(start + 10**10), quick_http)
    end = start + 2500 * minute
    found = await feed.candles("BTC-USDT", CandleInterval.MINUTE_1, from_ms=start, to_ms=end)
    assert [candle.open_time_ms for candle in found] == list(range(start, end, minute))
    assert len(venue.web.requests) == 3
    assert await feed.candles("BTC-USDT", CandleInterval.MINUTE_1, from_ms=end, to_ms=start) == []


BAD_KLINES: list[object] = [
    {"not": "a list"},
    b"<html>",
    [[1]],
    [kline(1)],
    [kline(1_700_000_040_000), kline(1_700_000_040_000)],
    [[*kline(1_700_000_040_000)[:1], "NaN", *kline(1_700_000_040_000)[2:]]],
    [[*kline(1_700_000_040_000)[:8], "3"]],
]


@pytest.mark.parametrize("body", BAD_KLINES, ids=str)
async def test_unusable_candles_are_unavailable(venue: BinanceVenue, quick_http: HttpPolicy, body: object) -> None:
    venue.replies["/api/v3/klines"] = Reply(body)
    feed = rest_feed(venue, ManualClock(1_800_000_000_000), quick_http)
    with pytest.raises(ProviderUnavailable):
        await feed.candles("BTC-USDT", CandleInterval.MINUTE_1, from_ms=1_700_000_000_000, to_ms=1_700_000_100_000)
    with pytest.raises(ProviderUnavailable, match="not configured"):
        await feed.candles("XX-YY", CandleInterval.MINUTE_1, from_ms=1, to_ms=2)


async def test_recorded_rules(venue: BinanceVenue, sample: Sample, quick_http: HttpPolicy) -> None:
    venue.replies["/api/v3/exchangeInfo"] = Reply(sample("binance/exchange_info"))
    found = await rest_feed(venue, ManualClock(), quick_http).rules()
    assert venue.web.requests[0].query == {"symbols": '["BNBBTC","BTCUSDT","ETHUSDT"]'}
    assert found == [
        ProviderRules(
            symbol="BTC-USDT",
            tick_size=Decimal("0.01"),
            lot_size=Decimal("0.00001"),
            min_quantity=Decimal("0.00001"),
            max_quantity=Decimal(9000),
            min_notional=Decimal(10),
            trading=True,
        ),
        ProviderRules(
            symbol="ETH-USDT",
            tick_size=Decimal("0.01"),
            lot_size=Decimal("0.0001"),
            min_quantity=Decimal("0.0001"),
            max_quantity=Decimal(9000),
            min_notional=Decimal(10),
            trading=True,
        ),
    ]
    venue.replies["/api/v3/exchangeInfo"] = Reply({"symbols": [{"symbol": "BTCUSDT", "filters": 3}]})
    with pytest.raises(ProviderUnavailable, match="filters"):
        await rest_feed(venue, ManualClock(), quick_http).rules()


async def test_used_up_weight_holds_requests_until_the_next_minute(venue: BinanceVenue, quick_http: HttpPolicy) -> None:
    clock = ManualClock(1_700_000_050_000 // 60_000 * 60_000 + 20_000)
    venue.replies["/api/v3/klines"] = Reply([], headers={"X-MBX-USED-WEIGHT-1M": "4800"})
    feed = rest_feed(venue, clock, quick_http)

    async def ask() -> None:
        await feed.candles("BTC-USDT", CandleInterval.DAY_1, from_ms=1, to_ms=2)

    await ask()
    with pytest.raises(RateLimited) as limited:
        await ask()
    assert limited.value.retry_after_seconds == pytest.approx(40)
    assert len(venue.web.requests) == 1
    clock.advance(40)
    await ask()
    assert len(venue.web.requests) == 2


async def test_back_pressure_reaches_the_socket_and_loses_nothing(
    venue: BinanceVenue, make: Callable[..., BinanceFeed]
) -> None:
    gate = asyncio.Event()

    class Slow(Recorder):
        async def __call__(self, message: object) -> None:
            await gate.wait()
            await super().__call__(message)  # type: ignore[arg-type]

    async with running(make(), Slow()) as seen:
        line = await venue.line()
        for number in range(500):
            await line.send({"stream": "btcusdt@trade", "data": {**TRADE, "t": number}})
        gate.set()
        await seen.wait(FeedTrade, 500)
    assert [trade.trade_id for trade in seen.of(FeedTrade)] == [str(number) for number in range(500)]
