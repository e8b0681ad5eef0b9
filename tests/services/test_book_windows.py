"""Windows of a book, compared with brute force after every message."""

import zlib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from events.book import WindowDelta, WindowSnapshot, depth_chart, totals
from events.market import BookChanged, BookLost, BookReset
from services.book_windows import BookWindow
from services.books import Book
from tests.services.test_books import ASKS, BIDS, PRICES, QUANTITIES, feed_message, fold, led, levels, recorded

D = Decimal
Levels = tuple[tuple[Decimal, Decimal], ...]


class Client:
    """Knows a window only by what it was sent."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.sequence = -1

    def take(self, message: WindowSnapshot | WindowDelta) -> None:
        if isinstance(message, WindowSnapshot):
            self.bids, self.asks = dict(message.bids), dict(message.asks)
        else:
            assert message.previous_sequence == self.sequence
            assert message.bids or message.asks
            for known, changes in ((self.bids, message.bids), (self.asks, message.asks)):
                for price, quantity in changes:
                    if quantity:
                        known[price] = quantity
                    else:
                        del known[price]
        self.sequence = message.sequence
        assert message.checksum == self.checksum()

    def checksum(self) -> str:
        best = sorted(self.asks.items())[:10] + sorted(self.bids.items(), reverse=True)[:10]
        text = "".join(f"{plain(price)}:{plain(quantity)}|" for price, quantity in best)
        return str(zlib.crc32(text.encode()))


def plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def brute_force(
    known: dict[Decimal, Decimal], *, descending: bool, depth: int, grouping: Decimal | None
) -> list[tuple[Decimal, Decimal]]:
    groups: dict[Decimal, Decimal] = {}
    for price, quantity in known.items():
        group = price
        if grouping is not None:
            below = price - price % grouping
            group = below if descending or below == price else below + grouping
        groups[group] = groups.get(group, D(0)) + quantity
    return sorted(groups.items(), reverse=descending)[:depth]


WINDOWS = [
    (depth, grouping)
    for depth in (1, 5, 10, 50, 500, 1000)
    for grouping in (None, D("0.0001"), D("0.0005"), D("0.003"), D("0.01"), D(1))
]


def test_windows_of_the_recorded_book_and_their_readers_after_every_message(shared_data: Path) -> None:
    reference, book = led(), Book("XRP-USDT")
    windows = [BookWindow(book, depth=depth, grouping=grouping) for depth, grouping in WINDOWS]
    clients = [Client() for _ in windows]
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}
    for message in recorded(shared_data):
        fold(bids, message["data"]["b"])
        fold(asks, message["data"]["a"])
        event = reference.apply(feed_message(message))
        assert event is not None
        diff = book.apply(event)
        assert diff is not None
        for (depth, grouping), window, client in zip(WINDOWS, windows, clients, strict=True):
            sent = window.follow(diff)
            if sent is not None:
                client.take(sent)
            expected_bids = brute_force(bids, descending=True, depth=depth, grouping=grouping)
            expected_asks = brute_force(asks, descending=False, depth=depth, grouping=grouping)
            assert sorted(client.bids.items(), reverse=True) == expected_bids
            assert sorted(client.asks.items()) == expected_asks
            whole = window.snapshot()
            assert whole is not None
            assert (list(whole.bids), list(whole.asks)) == (expected_bids, expected_asks)
            assert (whole.sequence, whole.checksum) == (client.sequence, client.checksum())


def pair(*, depth: int = 2, grouping: str | None = None) -> tuple[Book, BookWindow]:
    book = Book("XRP-USDT")
    book.apply(BookReset("XRP-USDT", 1, BIDS, ASKS, 1))
    return book, BookWindow(book, depth=depth, grouping=None if grouping is None else D(grouping))


def change(
    book: Book, window: BookWindow, *, bids: Levels = (), asks: Levels = ()
) -> WindowSnapshot | WindowDelta | None:
    diff = book.apply(BookChanged("XRP-USDT", book.sequence + 1, bids, asks, book.sequence))
    assert diff is not None
    return window.follow(diff)


def test_levels_that_leave_and_enter_the_window_are_sent() -> None:
    book, window = pair()
    left = change(book, window, bids=levels(("99", "0")))
    assert isinstance(left, WindowDelta)
    assert left.bids == levels(("99", "0"), ("97", "3")), "97 enters because 99 left"
    entered = change(book, window, bids=levels(("98.5", "4")))
    assert isinstance(entered, WindowDelta)
    assert entered.bids == levels(("98.5", "4"), ("97", "0")), "97 is pushed out"


def test_no_change_in_the_window_is_no_delta_and_the_next_one_names_the_last_sent() -> None:
    book, window = pair()
    assert change(book, window, bids=levels(("97", "9")), asks=levels(("103", "0"))) is None
    joiner = window.snapshot()
    assert joiner is not None
    assert joiner.sequence == 1, "a reader that joins now can follow the next delta"
    sent = change(book, window, asks=levels(("101", "2")))
    assert isinstance(sent, WindowDelta)
    assert (sent.previous_sequence, sent.sequence) == (1, 3)


def test_grouping_rounds_bids_down_and_asks_up_and_sums() -> None:
    book, window = pair(depth=5, grouping="5")
    whole = window.snapshot()
    assert whole is not None
    assert (whole.bids, whole.asks) == (levels(("95", "6")), levels(("105", "6")))
    sent = change(
        book, window, bids=levels(("97", "1"), ("95", "1")), asks=levels(("101", "0"), ("105", "2"), ("105.1", "1"))
    )
    assert isinstance(sent, WindowDelta)
    assert (sent.bids, sent.asks) == (levels(("95", "5")), levels(("105", "7"), ("110", "1")))
    assert change(book, window, bids=levels(("97", "0"), ("96", "1"))) is None, "the sum is the same"


def test_a_reset_is_a_snapshot_and_a_lost_book_has_none() -> None:
    book, window = pair()
    assert book.apply(BookLost("XRP-USDT", "a gap")) is None
    assert window.snapshot() is None
    diff = book.apply(BookReset("XRP-USDT", 2, BIDS[1:], ASKS, 5))
    assert diff is not None
    sent = window.follow(diff)
    assert isinstance(sent, WindowSnapshot)
    assert (sent.sequence, sent.bids, sent.time_ms) == (2, BIDS[1:], 5)


def test_the_checksum_is_the_crc32_of_the_written_text() -> None:
    _, window = pair(depth=1)
    whole = window.snapshot()
    assert whole is not None
    assert whole.checksum == str(zlib.crc32(b"101:1|99:1|"))
    book = Book("XRP-USDT")
    book.apply(BookReset("XRP-USDT", 1, levels(("0.10", "100.00")), levels(("1E+1", "0.5")), 1))
    whole = BookWindow(book, depth=10).snapshot()
    assert whole is not None
    assert whole.checksum == str(zlib.crc32(b"10:0.5|0.1:100|"))


def test_only_ten_levels_a_side_count_for_the_checksum() -> None:
    book = Book("XRP-USDT")
    bids = tuple((D(100 - number), D(1)) for number in range(30))
    book.apply(BookReset("XRP-USDT", 1, bids, (), 1))
    deep, shallow = BookWindow(book, depth=30).snapshot(), BookWindow(book, depth=10).snapshot()
    assert deep is not None
    assert shallow is not None
    assert deep.checksum == shallow.checksum == str(zlib.crc32("".join(f"{100 - n}:1|" for n in range(10)).encode()))


def test_figures_of_the_window() -> None:
    _, window = pair(depth=2)
    whole = window.snapshot()
    assert whole is not None
    assert (whole.mid, whole.spread, whole.imbalance) == (D(100), D(2), D(0))
    book, window = pair(depth=3)
    change(book, window, asks=levels(("102", "0"), ("103", "0")))
    whole = window.snapshot()
    assert whole is not None
    assert whole.imbalance == D("0.71428571"), "(6 - 1) / 7"
    assert totals(whole.bids) == [D(1), D(3), D(6)]


def test_figures_of_an_empty_side_are_unknown() -> None:
    book = Book("XRP-USDT")
    book.apply(BookReset("XRP-USDT", 1, (), (), 1))
    whole = BookWindow(book, depth=5).snapshot()
    assert whole is not None
    assert (whole.mid, whole.spread, whole.imbalance) == (None, None, None)
    book.apply(BookReset("XRP-USDT", 2, BIDS, (), 1))
    whole = BookWindow(book, depth=5).snapshot()
    assert whole is not None
    assert (whole.mid, whole.spread, whole.imbalance) == (None, None, D(1))


@pytest.mark.parametrize(
    ("count", "points", "expected"), [(3, 50, [1, 2, 3]), (9, 3, [1, 5, 9]), (10, 4, [1, 4, 7, 10]), (0, 2, [])]
)
def test_the_depth_chart_is_cumulative_and_keeps_both_ends(count: int, points: int, expected: list[int]) -> None:
    side = [(D(100 + number), D(1)) for number in range(count)]
    assert [int(total) for _, total in depth_chart(side, points)] == expected
    assert [int(price) - 99 for price, _ in depth_chart(side, points)] == expected


@pytest.mark.parametrize(("depth", "grouping"), [(0, None), (-1, None), (1001, None), (5, "0"), (5, "-1"), (5, "NaN")])
def test_a_senseless_window_is_refused_by_name(depth: int, grouping: str | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        BookWindow(Book("XRP-USDT"), depth=depth, grouping=None if grouping is None else D(grouping))
    assert refused.value.details["field"] == [("depth" if grouping is None else "grouping")]


@pytest.mark.parametrize("points", [1, 0, -5, 1001])
def test_a_senseless_number_of_points_is_refused(points: int) -> None:
    with pytest.raises(InvalidInput, match="points"):
        depth_chart(BIDS, points)


def unique(side: list[tuple[Decimal, Decimal]]) -> Levels:
    return tuple(dict(side).items())


SIDES = st.lists(st.tuples(PRICES, QUANTITIES), max_size=6).map(unique)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 6),
    st.sampled_from([None, D("0.5"), D("0.75"), D(4)]),
    st.lists(st.tuples(SIDES, SIDES), max_size=25),
)
def test_a_client_of_deltas_holds_exactly_the_window(
    depth: int, grouping: Decimal | None, steps: list[tuple[Levels, Levels]]
) -> None:
    book, client = Book("XRP-USDT"), Client()
    book.apply(BookReset("XRP-USDT", 1, (), (), 1))
    window = BookWindow(book, depth=depth, grouping=grouping)
    first = window.snapshot()
    assert first is not None
    client.take(first)
    known: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    for sides in steps:
        for side, changes in zip(known, sides, strict=True):
            side.update(changes)
            for price in [price for price, quantity in side.items() if not quantity]:
                del side[price]
        sent = change(book, window, bids=sides[0], asks=sides[1])
        if sent is not None:
            client.take(sent)
        for mine, full, descending in ((client.bids, known[0], True), (client.asks, known[1], False)):
            assert sorted(mine.items(), reverse=descending) == brute_force(
                full, descending=descending, depth=depth, grouping=grouping
            )
