"""Order books: the reference book that is published, and the book a reader folds from what was published.

Layout: one sorted side, the folded book, the reference book.
Invariants: a published book is never crossed, its sequence goes up by one with every BookReset and BookChanged whatever source it comes
from, and a reader that missed one knows it. Bounded: the best 5,000 levels of a side; what lies beyond is unknown, also later.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from sortedcontainers import SortedDict

from core.money import canonical
from core.vocabulary import PriceSource
from events.book import Level
from events.feed import FeedBookDelta, FeedBookLost, FeedBookSnapshot, FeedDisconnected
from events.market import BookChanged, BookLost, BookReset

MAX_LEVELS = 5_000
_ZERO = Decimal(0)

LevelChange = tuple[Decimal, Decimal, Decimal]
"""Price, quantity before, quantity after."""


class BookSide:
    """Levels of one side by price, best first: bids descend, asks ascend. Changing a level is O(log n).

    `orders` are people's orders at each price; None: the venue does not say.
    """

    def __init__(self, *, descending: bool) -> None:
        self.descending = descending
        self.orders: dict[Decimal, int] | None = None
        self._levels: SortedDict = SortedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def replace(self, levels: Iterable[Level]) -> None:
        """Hold exactly these levels; those of quantity 0 are none."""
        self._levels = SortedDict({price: quantity for price, quantity in levels if quantity})
        self.orders = None

    def count_orders(self, levels: Iterable[Level], orders: Iterable[int]) -> None:
        """Take over how many orders stand at each of these levels."""
        if self.orders is None:
            self.orders = {}
        for (price, quantity), count in zip(levels, orders, strict=True):
            if quantity:
                self.orders[price] = count
            else:
                self.orders.pop(price, None)

    def put(self, price: Decimal, quantity: Decimal) -> Decimal:
        """Set a level's quantity, 0 removes it; returns what it was."""
        old: Decimal = self._levels.get(price, _ZERO)
        if quantity:
            self._levels[price] = quantity
        elif old:
            del self._levels[price]
        return old

    def get(self, price: Decimal) -> Decimal:
        """A level's quantity; 0 where there is none."""
        quantity: Decimal = self._levels.get(price, _ZERO)
        return quantity

    def best(self) -> Decimal | None:
        """The best price."""
        return self._levels.peekitem(-1 if self.descending else 0)[0] if self._levels else None

    def pop_worst(self) -> Level:
        """Remove the worst level and return it."""
        price, quantity = self._levels.popitem(0 if self.descending else -1)
        return price, quantity

    def top(self, depth: int) -> list[Level]:
        """The best levels, O(depth)."""
        prices = reversed(self._levels) if self.descending else iter(self._levels)
        return [(price, self._levels[price]) for price in islice(prices, depth)]

    def best_first(self, levels: Iterable[Level]) -> tuple[Level, ...]:
        """These levels in this side's order."""
        return tuple(sorted(levels, key=lambda level: level[0], reverse=self.descending))


@dataclass(frozen=True, slots=True)
class BookDiff:
    """What an event changed in a folded book. After a reset everything may have changed and nothing is listed."""

    reset: bool
    bids: tuple[LevelChange, ...] = ()
    asks: tuple[LevelChange, ...] = ()


class Book:
    """A market's book as a reader folds it from BookReset, BookChanged and BookLost."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.sequence = 0
        self.time_ms = 0
        self.bids = BookSide(descending=True)
        self.asks = BookSide(descending=False)
        self.lost: str | None = "no book has been received yet"
        """Why there is no trustworthy book; None while there is one."""

    def apply(self, event: BookReset | BookChanged | BookLost) -> BookDiff | None:
        """Fold one event. None: nothing changed, or the book is lost (see `lost`) until the next reset.

        A change that does not follow the last one loses the book. A reset that only repeats what is known (the answer to
        another reader's resync) changes nothing.
        """
        if isinstance(event, BookLost):
            self.lost = event.reason
            return None
        if isinstance(event, BookReset):
            return self._reset(event)
        if self.lost is not None or event.sequence <= self.sequence:
            return None
        if event.sequence != self.sequence + 1:
            self.lost = f"changes {self.sequence + 1} to {event.sequence - 1} of the book were missed"
            return None
        self.sequence, self.time_ms = event.sequence, event.time_ms
        self._count_orders(event)
        return BookDiff(
            reset=False,
            bids=tuple((price, self.bids.put(price, quantity), quantity) for price, quantity in event.bids),
            asks=tuple((price, self.asks.put(price, quantity), quantity) for price, quantity in event.asks),
        )

    def _reset(self, event: BookReset) -> BookDiff | None:
        if self.lost is None and event.sequence == self.sequence and self._equals(event):
            return None
        self.lost = None
        self.sequence, self.time_ms = event.sequence, event.time_ms
        self.bids.replace(event.bids)
        self.asks.replace(event.asks)
        self._count_orders(event)
        return BookDiff(reset=True)

    def _count_orders(self, event: BookReset | BookChanged) -> None:
        for side, levels, orders in (
            (self.bids, event.bids, event.bid_orders),
            (self.asks, event.asks, event.ask_orders),
        ):
            if orders:
                side.count_orders(levels, orders)

    def _equals(self, event: BookReset) -> bool:
        return event.bids == tuple(self.bids.top(len(self.bids))) and event.asks == tuple(self.asks.top(len(self.asks)))


class BookRefused(Exception):
    """A source's message would make its book impossible; the text says why."""


class _SourceBook:
    """One source's book, bounded, never crossed."""

    def __init__(self, message: FeedBookSnapshot, max_levels: int) -> None:
        self.bids = BookSide(descending=True)
        self.asks = BookSide(descending=False)
        self.time_ms = message.time_ms
        self._max_levels = max_levels
        for side, levels in ((self.bids, message.bids), (self.asks, message.asks)):
            _check_levels(levels)
            side.replace(levels)
            while len(side) > max_levels:
                side.pop_worst()
        self._check_uncrossed()

    def change(self, message: FeedBookDelta) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Apply a delta; returns the bids and asks whose quantity is another now. Raises BookRefused."""
        self.time_ms = message.time_ms
        bids = self._change_side(self.bids, message.bids)
        asks = self._change_side(self.asks, message.asks)
        self._check_uncrossed()
        return bids, asks

    def _change_side(self, side: BookSide, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        _check_levels(levels)
        before: dict[Decimal, Decimal] = {}
        for price, quantity in levels:
            before.setdefault(price, side.put(price, quantity))
        while len(side) > self._max_levels:
            price, quantity = side.pop_worst()
            before.setdefault(price, quantity)
        return side.best_first((price, side.get(price)) for price, old in before.items() if side.get(price) != old)

    def _check_uncrossed(self) -> None:
        bid, ask = self.bids.best(), self.asks.best()
        if bid is not None and ask is not None and bid >= ask:
            raise BookRefused(f"the best bid {canonical(bid)} is not below the best ask {canonical(ask)}")


class ReferenceBook:
    """The published book of one market: that of the source that leads it.

    Every source's book is kept up to date, so that a change of the leader is answered at once by a BookReset that continues the
    sequence. A book that turns out crossed or malformed is dropped, loudly, until its source sends a new snapshot.
    """

    def __init__(self, symbol: str, *, sequence: int = 0, max_levels: int = MAX_LEVELS) -> None:
        self.symbol = symbol
        self.sequence = sequence
        self.leader: PriceSource | None = None
        self._max_levels = max_levels
        self._books: dict[PriceSource, _SourceBook] = {}
        self._published = False

    def lead(self, source: PriceSource | None) -> BookReset | BookLost | None:
        """Show another source's book from now on; None: no source leads."""
        if source is self.leader:
            return None
        self.leader = source
        if source is None:
            return self._lose("no source is live")
        if source not in self._books:
            return self._lose(f"{source} has sent no book yet")
        return self._reset(self._books[source])

    def apply(
        self, message: FeedBookSnapshot | FeedBookDelta | FeedBookLost | FeedDisconnected
    ) -> BookReset | BookChanged | BookLost | None:
        """Take a source's message; None: nothing changed in the book that is shown."""
        leads = message.source is self.leader
        if isinstance(message, FeedBookLost | FeedDisconnected):
            self._books.pop(message.source, None)
            return self._lose(message.reason) if leads else None
        try:
            if isinstance(message, FeedBookSnapshot):
                book = self._books[message.source] = _SourceBook(message, self._max_levels)
                return self._reset(book) if leads else None
            known = self._books.get(message.source)
            if known is None:
                return None
            bids, asks = known.change(message)
        except BookRefused as error:
            self._books.pop(message.source, None)
            if not leads:
                return None
            self._published = False
            return BookLost(self.symbol, f"{message.source}: {error}")
        if not leads or not (bids or asks):
            return None
        self.sequence += 1
        return BookChanged(self.symbol, self.sequence, bids, asks, message.time_ms)

    def snapshot(self) -> BookReset | None:
        """The book as it stands, under the sequence already published; None while there is none."""
        book = None if self.leader is None else self._books.get(self.leader)
        return None if book is None else self._as_reset(book)

    def _reset(self, book: _SourceBook) -> BookReset:
        self.sequence += 1
        self._published = True
        return self._as_reset(book)

    def _as_reset(self, book: _SourceBook) -> BookReset:
        bids, asks = (tuple(side.top(self._max_levels)) for side in (book.bids, book.asks))
        return BookReset(self.symbol, self.sequence, bids, asks, book.time_ms)

    def _lose(self, reason: str) -> BookLost | None:
        was_published, self._published = self._published, False
        return BookLost(self.symbol, reason) if was_published else None


def _check_levels(levels: tuple[Level, ...]) -> None:
    for price, quantity in levels:
        if price <= 0:
            raise BookRefused(f"a level's price is {canonical(price)}, it must be above 0")
        if quantity < 0:
            raise BookRefused(f"the quantity at {canonical(price)} is {canonical(quantity)}, it must not be below 0")
