"""The reference book and its folded copy."""

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.vocabulary import PriceSource
from events.codec import decode, encode
from events.feed import FeedBookDelta, FeedBookLost, FeedBookSnapshot, FeedDisconnected
from events.market import BookChanged, BookLost, BookReset
from services.books import Book, ReferenceBook

BINANCE, KRAKEN = PriceSource.BINANCE, PriceSource.KRAKEN
D = Decimal
Levels = tuple[tuple[Decimal, Decimal], ...]


def levels(*pairs: tuple[str, str]) -> Levels:
    return tuple((D(price), D(quantity)) for price, quantity in pairs)


def snapshot(bids: Levels, asks: Levels, *, source: PriceSource = BINANCE, time_ms: int = 1) -> FeedBookSnapshot:
    return FeedBookSnapshot(source, "XRP-USDT", bids, asks, time_ms)


def delta(bids: Levels, asks: Levels, *, source: PriceSource = BINANCE, time_ms: int = 2) -> FeedBookDelta:
    return FeedBookDelta(source, "XRP-USDT", bids, asks, time_ms)


BIDS, ASKS = levels(("99", "1"), ("98", "2"), ("97", "3")), levels(("101", "1"), ("102", "2"), ("103", "3"))


def led(*, sequence: int = 0, max_levels: int = 5000) -> ReferenceBook:
    book = ReferenceBook("XRP-USDT", sequence=sequence, max_levels=max_levels)
    assert book.lead(BINANCE) is None
    return book


def recorded(shared_data: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(shared_data / "market" / "bybit-xrpusdt-depth500-2024-12-01.jsonl.gz", "rt") as lines:
        yield from map(json.loads, lines)


def feed_message(message: dict[str, Any]) -> FeedBookSnapshot | FeedBookDelta:
    bids, asks = (tuple((D(price), D(quantity)) for price, quantity in message["data"][side]) for side in ("b", "a"))
    make = snapshot if message["type"] == "snapshot" else delta
    return make(bids, asks, time_ms=message["ts"])


def fold(known: dict[Decimal, Decimal], changed: list[list[str]]) -> None:
    """The independent computation: a plain dict."""
    for price, quantity in changed:
        known[D(price)] = D(quantity)
        if D(quantity) == 0:
            del known[D(price)]


def test_the_recorded_book_equals_an_independent_one_after_every_message(shared_data: Path) -> None:
    reference, reader = led(), Book("XRP-USDT")
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}
    last_update = last_sequence = count = 0
    for message in recorded(shared_data):
        data = message["data"]
        if message["type"] == "delta":
            assert data["u"] == last_update + 1, "the recording is contiguous"
            assert data["seq"] > last_sequence
        last_update, last_sequence = data["u"], data["seq"]
        fold(bids, data["b"])
        fold(asks, data["a"])
        event = reference.apply(feed_message(message))
        assert isinstance(event, BookReset | BookChanged)
        count += 1
        assert event.sequence == count
        received = decode(encode(event))
        assert received == event
        assert isinstance(received, BookReset | BookChanged)
        assert reader.apply(received) is not None
        assert reader.bids.top(10_000) == sorted(bids.items(), reverse=True)
        assert reader.asks.top(10_000) == sorted(asks.items())
        assert reference.snapshot() == BookReset(
            "XRP-USDT", count, tuple(sorted(bids.items(), reverse=True)), tuple(sorted(asks.items())), message["ts"]
        )
    assert count == 50


def test_a_snapshot_resets_and_a_delta_changes_with_our_own_sequence() -> None:
    book = led(sequence=7)
    assert book.apply(snapshot(BIDS[::-1], ASKS)) == BookReset("XRP-USDT", 8, BIDS, ASKS, 1)
    changed = book.apply(delta(levels(("98", "0"), ("99", "5")), levels(("100.5", "1"))))
    assert changed == BookChanged("XRP-USDT", 9, levels(("99", "5"), ("98", "0")), levels(("100.5", "1")), 2)


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ((), ()),
        (levels(("99", "1")), ()),  # the same quantity
        (levels(("99", "1.000")), ()),  # written otherwise
        (levels(("50", "0")), ()),  # removing what is not there
        (levels(("99", "4"), ("99", "1")), ()),  # there and back within one message
    ],
)
def test_what_changes_nothing_has_no_event_and_no_sequence(bids: Levels, asks: Levels) -> None:
    book = led()
    book.apply(snapshot(BIDS, ASKS))
    assert book.apply(delta(bids, asks)) is None
    assert book.sequence == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (snapshot(levels(("101", "1")), levels(("101", "1"))), "the best bid 101 is not below the best ask 101"),
        (snapshot(levels(("102", "1")), levels(("101", "1"))), "is not below"),
        (snapshot(levels(("0", "1")), ()), "must be above 0"),
        (snapshot((), levels(("-1", "1"))), "must be above 0"),
        (snapshot(levels(("1", "-1")), ()), "must not be below 0"),
        (delta(levels(("101", "1")), ()), "is not below"),
        (delta((), levels(("99", "1"))), "is not below"),
        (delta(levels(("90", "-2")), ()), "must not be below 0"),
    ],
)
def test_an_impossible_book_is_refused_loudly_until_the_next_snapshot(
    message: FeedBookSnapshot | FeedBookDelta, reason: str
) -> None:
    book = led()
    book.apply(snapshot(BIDS, ASKS))
    lost = book.apply(message)
    assert isinstance(lost, BookLost)
    assert lost.reason.startswith("BINANCE: ")
    assert reason in lost.reason
    assert book.snapshot() is None
    assert book.apply(delta(levels(("99", "9")), ())) is None
    assert book.sequence == 1
    again = book.apply(snapshot(BIDS, ASKS))
    assert isinstance(again, BookReset)
    assert again.sequence == 2


def test_a_delta_that_moves_through_the_other_side_is_fine_when_that_side_moves_too() -> None:
    book = led()
    book.apply(snapshot(BIDS, ASKS))
    assert isinstance(book.apply(delta(levels(("101", "1")), levels(("101", "0")))), BookChanged)


@pytest.mark.parametrize("message", [FeedBookLost(BINANCE, "XRP-USDT", "a gap"), FeedDisconnected(BINANCE, "a gap")])
def test_a_lost_book_says_so_once(message: FeedBookLost | FeedDisconnected) -> None:
    book = led()
    assert book.apply(message) is None, "nothing was shown yet"
    book.apply(snapshot(BIDS, ASKS))
    assert book.apply(message) == BookLost("XRP-USDT", "a gap")
    assert book.apply(message) is None
    assert book.snapshot() is None


def test_failover_shows_the_other_book_at_once_and_continues_the_sequence() -> None:
    book = led()
    others = levels(("98.5", "7"))
    book.apply(snapshot(BIDS, ASKS))
    assert book.apply(snapshot(others, ASKS, source=KRAKEN)) is None
    assert book.apply(delta(levels(("98.5", "8")), (), source=KRAKEN)) is None
    assert book.lead(BINANCE) is None
    assert book.lead(KRAKEN) == BookReset("XRP-USDT", 2, levels(("98.5", "8")), ASKS, 2)
    assert book.apply(delta(levels(("99", "4")), ())) is None, "the old leader goes on unseen"
    assert book.lead(BINANCE) == BookReset("XRP-USDT", 3, levels(("99", "4"), *[("98", "2"), ("97", "3")]), ASKS, 2)


def test_a_leader_without_a_book_and_no_leader_at_all_lose_the_book() -> None:
    book = led()
    book.apply(snapshot(BIDS, ASKS))
    assert book.lead(KRAKEN) == BookLost("XRP-USDT", "KRAKEN has sent no book yet")
    assert book.lead(None) is None, "it was lost already"
    assert book.lead(BINANCE) == BookReset("XRP-USDT", 2, BIDS, ASKS, 1)
    assert book.lead(None) == BookLost("XRP-USDT", "no source is live")


def test_a_broken_book_of_another_source_does_not_touch_the_shown_one() -> None:
    book = led()
    book.apply(snapshot(BIDS, ASKS))
    book.apply(snapshot(BIDS, ASKS, source=KRAKEN))
    assert book.apply(delta(levels(("500", "1")), (), source=KRAKEN)) is None
    assert book.snapshot() == BookReset("XRP-USDT", 1, BIDS, ASKS, 1)
    assert book.lead(KRAKEN) == BookLost("XRP-USDT", "KRAKEN has sent no book yet")


def test_depth_is_bounded_and_readers_are_told_what_fell_off() -> None:
    book, reader = led(max_levels=2), Book("XRP-USDT")
    reset = book.apply(snapshot(BIDS, ASKS))
    assert reset == BookReset("XRP-USDT", 1, BIDS[:2], ASKS[:2], 1)
    reader.apply(BookReset("XRP-USDT", 1, BIDS[:2], ASKS[:2], 1))
    changed = book.apply(delta(levels(("99.5", "1"), ("90", "1")), levels(("110", "5"))))
    assert changed == BookChanged("XRP-USDT", 2, levels(("99.5", "1"), ("98", "0")), (), 2)
    reader.apply(BookChanged("XRP-USDT", 2, levels(("99.5", "1"), ("98", "0")), (), 2))
    assert reader.bids.top(9) == list(levels(("99.5", "1"), ("99", "1")))


def test_a_reader_that_missed_a_change_knows_it_and_waits_for_a_reset() -> None:
    reader = Book("XRP-USDT")
    assert reader.apply(BookChanged("XRP-USDT", 1, BIDS, ASKS, 1)) is None
    reader.apply(BookReset("XRP-USDT", 1, BIDS, ASKS, 1))
    assert reader.lost is None
    assert reader.apply(BookChanged("XRP-USDT", 1, levels(("99", "9")), (), 1)) is None, "old news"
    assert reader.lost is None
    assert reader.apply(BookChanged("XRP-USDT", 4, levels(("99", "9")), (), 1)) is None
    assert reader.lost == "changes 2 to 3 of the book were missed"
    assert reader.apply(BookChanged("XRP-USDT", 5, levels(("99", "9")), (), 1)) is None
    diff = reader.apply(BookReset("XRP-USDT", 5, BIDS, ASKS, 1))
    assert diff is not None
    assert diff.reset
    assert reader.apply(BookReset("XRP-USDT", 5, BIDS, ASKS, 1)) is None, "another reader's resync"
    assert reader.apply(BookReset("XRP-USDT", 5, BIDS[:1], ASKS, 1)) is not None
    assert reader.apply(BookLost("XRP-USDT", "a gap")) is None
    assert reader.lost == "a gap"


PRICES = st.integers(1, 60).map(lambda number: D(number) / 4)
QUANTITIES = st.sampled_from([D(0), D("0.5"), D(1), D(2)])
SIDES = st.lists(st.tuples(PRICES, QUANTITIES), max_size=8).map(tuple)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["snapshot", "delta", "lead"]), st.sampled_from([BINANCE, KRAKEN]), SIDES, SIDES)
    )
)
def test_whatever_comes_a_published_book_is_uncrossed_and_readers_hold_the_same(
    steps: list[tuple[str, PriceSource, Levels, Levels]],
) -> None:
    book, reader = led(max_levels=6), Book("XRP-USDT")
    sequence = 0
    for kind, source, bids, asks in steps:
        event: BookReset | BookChanged | BookLost | None
        if kind == "lead":
            event = book.lead(source)
        else:
            event = book.apply((snapshot if kind == "snapshot" else delta)(bids, asks, source=source))
        if event is None:
            continue
        reader.apply(event)
        if isinstance(event, BookLost):
            continue
        sequence += 1
        assert event.sequence == sequence
        published = book.snapshot()
        assert published is not None
        assert (tuple(reader.bids.top(99)), tuple(reader.asks.top(99))) == (published.bids, published.asks)
        assert len(published.bids) <= 6
        assert not (published.bids and published.asks) or published.bids[0][0] < published.asks[0][0]
        assert all(quantity > 0 for _, quantity in (*published.bids, *published.asks))
