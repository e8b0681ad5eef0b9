"""Coinbase over its real protocol: recorded messages, sequence, trades seen twice, candles, and what goes wrong."""

import random
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

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
from integrations.feeds.base import FeedMarket, HistoryFeed, ProviderUnavailable
from integrations.feeds.coinbase import CoinbaseFeed
from integrations.feeds.http import HttpPolicy
from integrations.feeds.socket import SocketPolicy
from tests.integrations.feeds.conftest import Sample
from tests.integrations.feeds.recorder import fold, running
from tests.integrations.feeds.venues.coinbase import CoinbaseVenue
from tests.integrations.feeds.venues.web import HttpVenue, Reply, Request

COINBASE = PriceSource.COINBASE
MARKETS = [FeedMarket("BTC-USD", "BTC-USD"), FeedMarket("ETH-USD", "ETH-USD")]
TIME_MS = 1775572200123


@pytest.fixture
async def venue(sample: Sample) -> AsyncIterator[CoinbaseVenue]:
    venue = CoinbaseVenue(sample("coinbase/ws_l2_data_snapshot"))
    async with venue.listening():
        yield venue


@pytest.fixture
def feed(venue: CoinbaseVenue, quick: SocketPolicy) -> CoinbaseFeed:
    return CoinbaseFeed(
        MARKETS, clock=SystemClock(), ws_url=venue.url, socket_policy=quick, randomness=random.Random(1)
    )


async def test_recorded_messages(venue: CoinbaseVenue, feed: CoinbaseFeed, sample: Sample) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        for name in ("ws_heartbeats", "ws_l2_data_update", "ws_market_trades", "ws_ticker", "ws_candles"):
            await venue.repeat(line, sample(f"coinbase/{name}"))
        await seen.wait(FeedStats24h)
    products = [market.provider_symbol for market in MARKETS]
    assert line.received == [
        {"type": "subscribe", "channel": "heartbeats"},
        *(
            {"type": "subscribe", "channel": name, "product_ids": products}
            for name in ("ticker", "market_trades", "level2")
        ),
    ]
    assert isinstance(seen.messages[0], FeedConnected)
    assert seen.of(FeedBookSnapshot)[0].time_ms == TIME_MS
    assert seen.of(FeedTrade) == [
        FeedTrade(
            COINBASE, "BTC-USD", "995098700", Decimal("68900.5"), Decimal("0.0015"), OrderSide.SELL, 1775572202789
        ),
        FeedTrade(COINBASE, "BTC-USD", "995098701", Decimal(68900), Decimal("0.05"), OrderSide.BUY, 1775572202800),
    ]
    assert seen.of(FeedQuote) == [FeedQuote(COINBASE, "BTC-USD", Decimal(68900), Decimal(68901), 1775572203000)]
    stats = seen.of(FeedStats24h)[0]
    assert (stats.high, stats.low, stats.open) == (Decimal(69200), Decimal(67500), None)
    assert stats.volume == Decimal("15328.12345678")
    book = fold(seen.messages, "BTC-USD")
    assert book == (
        {Decimal(68900): Decimal(2), Decimal("68899.5"): Decimal("0.75"), Decimal(68899): Decimal("2.3")},
        {Decimal("68901.5"): Decimal("1.2"), Decimal(68902): Decimal("0.8")},
    )
    assert not seen.of(FeedRejected)


async def test_a_gap_in_the_sequence_loses_the_books_and_reconnects(venue: CoinbaseVenue, feed: CoinbaseFeed) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        venue.skip(line)
        await venue.say(line, "heartbeats", {"heartbeat_counter": 1})
        gone = await seen.wait(FeedDisconnected)
        await seen.wait(FeedBookSnapshot, 2)
    assert gone.reason.startswith("a gap in the sequence")
    assert seen.of(FeedBookLost) == [FeedBookLost(COINBASE, "BTC-USD", gone.reason)]


LEVEL = {"side": "bid", "event_time": "x", "price_level": "1", "new_quantity": "1"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "update", "product_id": "BTC-USD", "updates": [{**LEVEL, "price_level": "NaN"}]},
        {"type": "update", "product_id": "BTC-USD", "updates": [{**LEVEL, "new_quantity": "-1"}]},
        {"type": "update", "product_id": "BTC-USD", "updates": [{**LEVEL, "side": "left"}]},
        {"type": "update", "product_id": "BTC-USD", "updates": "none"},
        {"type": 5, "product_id": "BTC-USD", "updates": []},
        {"type": "update", "product_id": "DOGE-USD", "updates": []},
        {"type": "update", "product_id": "ETH-USD", "updates": []},
    ],
    ids=str,
)
async def test_an_unusable_book_message_never_leaves_a_wrong_book(
    venue: CoinbaseVenue, feed: CoinbaseFeed, event: dict[str, Any]
) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        await venue.say(await venue.line(), "l2_data", event)
        await seen.wait(FeedBookSnapshot, 2)
    assert not seen.of(FeedBookDelta)
    assert [lost.symbol for lost in seen.of(FeedBookLost)] == ["BTC-USD"]
    assert len(seen.of(FeedDisconnected)) == 1


TRADE = {
    "trade_id": "7",
    "product_id": "BTC-USD",
    "price": "5",
    "size": "1",
    "side": "BUY",
    "time": "2026-04-07T14:30:00Z",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": "NaN"},
        {"price": "-5"},
        {"price": "1" * 40},
        {"size": None},
        {"side": "HOLD"},
        {"time": "yesterday"},
        {"time": "2026-04-07T14:30:00"},
        {"time": 5},
        {"trade_id": "seven"},
        {"product_id": "DOGE-USD"},
    ],
    ids=str,
)
async def test_a_wrong_trade_is_rejected_alone(venue: CoinbaseVenue, feed: CoinbaseFeed, wrong: dict[str, Any]) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        await venue.say(line, "market_trades", {"type": "update", "trades": [{**TRADE, **wrong}]})
        await venue.say(line, "market_trades", {"type": "update", "trades": [TRADE]})
        await seen.wait(FeedTrade)
    assert len(seen.of(FeedRejected)) == len(seen.of(FeedTrade)) == 1
    assert not seen.of(FeedDisconnected)


async def test_trades_repeated_after_a_reconnect_come_once_and_in_order(
    venue: CoinbaseVenue, feed: CoinbaseFeed
) -> None:
    async with running(feed) as seen:
        for connection, ids in enumerate(([3, 2, 1], [5, 4, 3, 2]), start=1):
            line = await venue.line(connection)
            await seen.wait(FeedBookSnapshot, connection)
            trades = [{**TRADE, "trade_id": str(number)} for number in ids]
            await venue.say(line, "market_trades", {"type": "snapshot", "trades": trades})
            await seen.until(lambda ids=ids: any(trade.trade_id == str(ids[0]) for trade in seen.of(FeedTrade)))  # type: ignore[misc]
            line.abort()
            await seen.wait(FeedDisconnected, connection)
    assert [trade.trade_id for trade in seen.of(FeedTrade)] == ["1", "2", "3", "4", "5"]


async def test_an_error_message_is_a_reconnect(venue: CoinbaseVenue, feed: CoinbaseFeed) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        await (await venue.line()).send({"type": "error", "message": "rate limit exceeded"})
        assert (await seen.wait(FeedDisconnected)).reason == "the provider refused the subscription"
        await venue.line(2)


async def test_candles_are_read_in_windows_and_sorted(quick_http: HttpPolicy) -> None:
    minute, start = 60_000, 1_700_000_040_000

    def answer(request: Request) -> Reply:
        first, last = int(request.query["start"]) * 1000, int(request.query["end"]) * 1000
        times = [time_ms for time_ms in range(first, last + 1, minute) if time_ms != start + 5 * minute]
        candle = {"low": "1", "high": "4", "open": "2", "close": "3", "volume": "9.5"}
        assert len(times) <= 350
        return Reply({"candles": [{"start": str(time_ms // 1000), **candle} for time_ms in reversed(times)]})

    web = HttpVenue(answer)
    async with web.listening():
        now = start + 700 * minute + 30_000
        feed = CoinbaseFeed(MARKETS, clock=ManualClock(now), rest_url=web.url, http_policy=quick_http)
        assert isinstance(feed, HistoryFeed)
        found = await feed.candles("BTC-USD", CandleInterval.MINUTE_1, from_ms=start - 1, to_ms=now + 10 * minute)
        expected = [start + number * minute for number in range(700) if number != 5]
        assert [candle.open_time_ms for candle in found] == expected
        assert (found[0].open, found[0].close, found[0].volume) == (Decimal(2), Decimal(3), Decimal("9.5"))
        assert found[0].trades is None
        assert web.requests[0].path == "/api/v3/brokerage/market/products/BTC-USD/candles"
        assert web.requests[0].query["granularity"] == "ONE_MINUTE"
        web.answer = lambda request: Reply({"candles": [{"start": "x"}]})
        with pytest.raises(ProviderUnavailable, match="start"):
            await feed.candles("BTC-USD", CandleInterval.MINUTE_1, from_ms=start, to_ms=now)
        for symbol, interval in (("BTC-USD", CandleInterval.WEEK_1), ("XX-YY", CandleInterval.DAY_1)):
            with pytest.raises(ProviderUnavailable, match="has no"):
                await feed.candles(symbol, interval, from_ms=start, to_ms=now)
