"""Kraken over its real protocol: recorded messages, the documented checksum, depth, and what goes wrong."""

import json
import random
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import SystemClock
from core.vocabulary import OrderSide, PriceSource
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
from integrations.feeds.base import FeedMarket
from integrations.feeds.fields import as_quantity, decode
from integrations.feeds.kraken import KrakenBook, KrakenFeed
from integrations.feeds.socket import SocketPolicy
from tests.integrations.feeds.conftest import Sample
from tests.integrations.feeds.recorder import fold, running
from tests.integrations.feeds.venues.kraken import ASKS, BIDS, CHECKSUM, KrakenVenue

KRAKEN = PriceSource.KRAKEN
MARKETS = [FeedMarket("BTC-USD", "BTC/USD")]
Levels = list[tuple[Decimal, Decimal]]


@pytest.fixture
async def venue() -> AsyncIterator[KrakenVenue]:
    venue = KrakenVenue()
    async with venue.listening():
        yield venue


@pytest.fixture
def feed(venue: KrakenVenue, quick: SocketPolicy) -> KrakenFeed:
    return KrakenFeed(
        MARKETS, clock=SystemClock(), ws_url=venue.url, depth=10, socket_policy=quick, randomness=random.Random(1)
    )


def exact(pairs: Any) -> Levels:
    return [(Decimal(level), Decimal(size)) for level, size in pairs]


def test_the_documented_checksum() -> None:
    book = KrakenBook(10)
    book.reset(exact(BIDS), exact(reversed(ASKS)))
    assert book.checksum() == CHECKSUM == KrakenVenue().checksum()
    book.apply([(Decimal("45283.5"), Decimal("0.1"))], [])
    assert book.checksum() != CHECKSUM, "the digits count, not the value"


def test_the_recorded_samples_carry_no_true_checksum(sample_text: Callable[[str], str]) -> None:
    """They were shortened to three levels, so the figures below them belong to other books."""
    message: Any = decode(sample_text("kraken/ws_book_snapshot"))
    (entry,) = message["data"]
    book = KrakenBook(10)
    book.reset(*([(level["price"], level["qty"]) for level in entry[side]] for side in ("bids", "asks")))
    assert book.checksum() != entry["checksum"]


def test_numbers_of_every_spelling_keep_their_digits() -> None:
    sent: Any = decode("[0.00100000, 1E-8, 1.50e+3, 7]")
    spelled = [as_quantity(number, "number") for number in sent]
    book = KrakenBook(10)
    book.reset([(spelled[2], spelled[0])], [(spelled[3], spelled[1])])
    assert book.checksum() == crc32(b"7" + b"1" + b"1500" + b"100000")


levels = st.lists(st.tuples(st.integers(1, 15), st.integers(0, 3)), max_size=6)


@settings(max_examples=200, deadline=None)
@given(depth=st.integers(1, 6), steps=st.lists(st.tuples(levels, levels), max_size=20))
def test_a_reader_of_the_changes_has_the_same_book(depth: int, steps: list[tuple[Any, Any]]) -> None:
    book = KrakenBook(depth)
    book.reset([], [])
    read: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    kept: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
    for step in steps:
        changed = book.apply(*(exact(side) for side in step))
        for number in (0, 1):
            for level, size in step[number]:
                kept[number].pop(level, None)
                if size:
                    kept[number][level] = size
            for level in sorted(kept[number], reverse=number == 0)[depth:]:
                del kept[number][level]
            for price, quantity in changed[number]:
                read[number].pop(price, None)
                if quantity:
                    read[number][price] = quantity
        assert read == kept


async def test_recorded_messages(
    venue: KrakenVenue, feed: KrakenFeed, sample_text: Callable[[str], str], sample: Sample
) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        for name in (
            "ws_ticker_snapshot",
            "ws_ticker_snapshot",
            "ws_ohlc_update",
            "ws_trade_update",
            "ws_trade_update",
        ):
            await line.send(sample_text(f"kraken/{name}"))
        await line.send({"channel": "heartbeat"})
        await seen.wait(FeedTrade, 2)
        await venue.change(line, "bids", "45283.5", "0.20000000")
        await seen.wait(FeedBookDelta)
    assert [(request["method"], request["params"]) for request in line.received] == [
        ("subscribe", {"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": "bbo"}),
        ("subscribe", {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": True}),
        ("subscribe", {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}),
    ]
    assert isinstance(seen.messages[0], FeedConnected)
    quote = FeedQuote(KRAKEN, "BTC-USD", Decimal("105944.2"), Decimal("105944.3"), 1671960659123)
    assert seen.of(FeedQuote) == [quote, quote]
    (stats,) = seen.of(FeedStats24h)
    assert (stats.time_ms, stats.volume, stats.vwap) == (
        1671960659123,
        Decimal("163.28908096"),
        Decimal("105904.39279"),
    )
    assert (stats.high, stats.low, stats.open) == (Decimal("106613.1"), Decimal(104711), None)
    assert seen.of(FeedTrade) == [
        FeedTrade(
            KRAKEN, "BTC-USD", "10218208", Decimal("105944.2"), Decimal("0.00027625"), OrderSide.BUY, 1696613755440
        ),
        FeedTrade(
            KRAKEN, "BTC-USD", "10218209", Decimal("105910.5"), Decimal("0.0001246"), OrderSide.SELL, 1696613756123
        ),
    ]
    assert not seen.of(FeedRejected)
    assert not seen.of(FeedBookLost)


def truth(venue: KrakenVenue) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
    return dict(exact(venue.best("bids", 10))), dict(exact(venue.best("asks", 10)))


async def test_book_is_cut_to_its_depth_after_every_message(venue: KrakenVenue, feed: KrakenFeed) -> None:
    steps = [
        ("bids", "45283.6", "1.00000000"),
        ("asks", "45285.1", "0.50000000"),
        ("asks", "45285.1", "0"),
        ("asks", "45299.5", "0.18772827"),
        ("bids", "45276.6", "0.15445238"),
        ("bids", "45283.5", "0.00000001"),
    ]
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        for number, step in enumerate(steps, start=1):
            await venue.change(line, *step)
            await seen.wait(FeedBookDelta, number)
            assert fold(seen.messages, "BTC-USD") == truth(venue)


async def test_a_wrong_checksum_loses_the_book_and_subscribes_again(venue: KrakenVenue, feed: KrakenFeed) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        await venue.change(line, "bids", "45283.5", "9.00000000", checksum=1)
        lost = await seen.wait(FeedBookLost)
        await seen.wait(FeedBookSnapshot, 2)
        await venue.change(line, "asks", "45285.2", "3.00000000")
        await seen.wait(FeedBookDelta)
    assert lost == FeedBookLost(KRAKEN, "BTC-USD", "checksum: does not match the book")
    assert [request["method"] for request in line.received[3:]] == ["unsubscribe", "subscribe"]
    assert fold(seen.messages, "BTC-USD") == truth(venue)
    assert not seen.of(FeedDisconnected)


async def test_a_missed_update_is_found_by_the_next_checksum(venue: KrakenVenue, feed: KrakenFeed) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        venue.bids["45283.5"] = "4.00000000"  # never sent
        await venue.change(line, "asks", "45285.2", "3.00000000")
        await seen.wait(FeedBookSnapshot, 2)
    assert not seen.of(FeedBookDelta)
    assert fold(seen.messages, "BTC-USD") == truth(venue)


async def test_wrong_checksums_without_end_are_a_reconnect(venue: KrakenVenue, feed: KrakenFeed) -> None:
    venue.checksum = lambda: 1  # type: ignore[method-assign]
    async with running(feed) as seen:
        gone = await seen.wait(FeedDisconnected)
    assert gone.reason == "11 books lost on one connection"
    assert not seen.of(FeedBookSnapshot)


ENTRY = {"symbol": "BTC/USD", "bids": [], "asks": [], "checksum": 1, "timestamp": "2023-10-06T17:35:55.440295Z"}


@pytest.mark.parametrize(
    "wrong",
    [
        '{"bids": [{"price": NaN, "qty": 1}]}',
        '{"bids": [{"price": -1, "qty": 1}]}',
        '{"bids": [{"price": 1e99, "qty": 1}]}',
        '{"bids": [{"price": 1e99999999999999999999, "qty": 1}]}',
        '{"asks": [{"price": "x", "qty": 1}]}',
        '{"asks": 7}',
        '{"checksum": "no"}',
        '{"checksum": null}',
        '{"timestamp": "later"}',
    ],
)
async def test_an_unusable_book_message_never_leaves_a_wrong_book(
    venue: KrakenVenue, feed: KrakenFeed, wrong: str
) -> None:
    body = json.dumps({"channel": "book", "type": "update", "data": ["ENTRY"]})
    entry = ", ".join(f'"{key}": {json.dumps(value)}' for key, value in ENTRY.items() if f'"{key}"' not in wrong)
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        await line.send(body.replace('"ENTRY"', "{" + entry + ", " + wrong[1:]))
        await seen.wait(FeedRejected)
        await venue.change(line, "bids", "45283.5", "2.00000000")
        await seen.until(lambda: fold(seen.messages, "BTC-USD") == truth(venue))
    assert not seen.of(FeedDisconnected)


@pytest.mark.parametrize(
    "message",
    [
        {"channel": "trade", "type": "update", "data": [{"symbol": "DOGE/USD", "side": "buy"}]},
        {"channel": "ticker", "type": "update", "data": [{"symbol": "BTC/USD", "bid": -1, "ask": 2}]},
        {"channel": "ticker", "type": "update", "data": {"symbol": "BTC/USD"}},
        {"channel": "book", "type": "update", "data": [{"symbol": "DOGE/USD"}]},
        {"channel": "book", "type": "update", "data": [{"symbol": ["BTC/USD"]}]},
        {"channel": 5},
        {"method": "subscribe", "success": False, "error": "Currency pair not supported"},
    ],
    ids=str,
)
async def test_a_wrong_message_is_rejected_alone(venue: KrakenVenue, feed: KrakenFeed, message: dict[str, Any]) -> None:
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
        line = await venue.line()
        await line.send(message)
        await venue.change(line, "bids", "45283.5", "2.00000000")
        await seen.wait(FeedBookDelta)
    assert len(seen.of(FeedRejected)) == 1
    assert not seen.of(FeedBookLost)
    assert not seen.of(FeedDisconnected)


async def test_one_unknown_pair_does_not_disturb_the_others(venue: KrakenVenue, quick: SocketPolicy) -> None:
    markets = [FeedMarket("XXX-USD", "XXX/USD"), *MARKETS]
    feed = KrakenFeed(markets, clock=SystemClock(), ws_url=venue.url, socket_policy=quick)
    async with running(feed) as seen:
        await seen.wait(FeedBookSnapshot)
    assert {rejected.reason for rejected in seen.of(FeedRejected)} == {"subscribe: refused by the provider"}
