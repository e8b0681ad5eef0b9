"""What a reader sees of a book: the best levels of each side, optionally grouped, as one snapshot and then deltas.

Invariant: whoever holds a window's snapshot and applies every later delta holds exactly the window, checksum included. A level that leaves
the window is sent with quantity 0, one that enters because another left is sent like a change; where nothing changed in the window there
is no delta, so `previous_sequence` names the snapshot or delta before it, not `sequence - 1`.
"""

import zlib
from collections.abc import Sequence
from decimal import Decimal
from itertools import chain

from core.errors import InvalidInput
from core.money import canonical
from events.book import Level, WindowDelta, WindowSnapshot
from services.books import Book, BookDiff, BookSide, LevelChange

MAX_DEPTH = 1_000
CHECKSUM_LEVELS = 10
_ZERO = Decimal(0)


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> str:
    """CRC-32 (ISO-HDLC, unsigned, decimal) over the best ten asks, then the best ten bids, each as ``price:quantity|`` in
    canonical decimals."""
    levels = chain(asks[:CHECKSUM_LEVELS], bids[:CHECKSUM_LEVELS])
    text = "".join(f"{canonical(price)}:{canonical(quantity)}|" for price, quantity in levels)
    return str(zlib.crc32(text.encode()))


class _WindowSide:
    """One side of a window: what is shown, and where it comes from."""

    def __init__(self, side: BookSide, depth: int, grouping: Decimal | None) -> None:
        self._book_side = side
        self._depth = depth
        self._grouping = grouping
        self._side = side if grouping is None else BookSide(descending=side.descending)
        self.shown: tuple[Level, ...] = ()
        self._orders: dict[Decimal, int] | None = None
        self.reset()

    def reset(self) -> None:
        """Take over the book's side as it stands."""
        if self._grouping is not None:
            groups: dict[Decimal, Decimal] = {}
            for price, quantity in self._book_side.top(len(self._book_side)):
                group = self._group(price, self._grouping)
                groups[group] = groups.get(group, _ZERO) + quantity
            self._side.replace(groups.items())
        self.shown = tuple(self._side.top(self._depth))
        self._orders = self._count_orders()

    def follow(self, changes: Sequence[LevelChange]) -> tuple[Level, ...]:
        """Take over these changes of the book; returns what changed in the window."""
        if self._grouping is not None:
            changes = [self._regroup(change, self._grouping) for change in changes]
        if not any(self._reaches(price) for price, _, _ in changes):
            return ()
        before, orders_before = dict(self.shown), self._orders or {}
        self.shown = tuple(self._side.top(self._depth))
        self._orders = self._count_orders()
        orders = self._orders or {}
        after = dict(self.shown)
        changed = [
            level
            for level in self.shown
            if before.get(level[0]) != level[1] or orders_before.get(level[0]) != orders.get(level[0])
        ]
        changed += [(price, _ZERO) for price in before if price not in after]
        return self._side.best_first(changed)

    def orders(self, levels: Sequence[Level]) -> tuple[int, ...]:
        """Orders at each of these levels of the window; empty where the venue does not say."""
        orders = self._orders
        return () if orders is None else tuple(orders.get(price, 0) for price, _ in levels)

    def _count_orders(self) -> dict[Decimal, int] | None:
        """Orders at each level that is shown, O(levels of the book) where it is grouped; None where the venue does not say."""
        known = self._book_side.orders
        if known is None:
            return None
        if self._grouping is None:
            return {price: known[price] for price, _ in self.shown}
        counts = dict.fromkeys((price for price, _ in self.shown), 0)
        for price, count in known.items():
            group = self._group(price, self._grouping)
            if group in counts:
                counts[group] += count
        return counts

    def _reaches(self, price: Decimal) -> bool:
        if len(self.shown) < self._depth:
            return True
        worst = self.shown[-1][0]
        return price >= worst if self._side.descending else price <= worst

    def _regroup(self, change: LevelChange, grouping: Decimal) -> LevelChange:
        price, old, new = change
        group = self._group(price, grouping)
        before = self._side.get(group)
        after = before - old + new
        self._side.put(group, after)
        return group, before, after

    def _group(self, price: Decimal, grouping: Decimal) -> Decimal:
        count = price // grouping
        if not self._side.descending and count * grouping != price:
            count += 1
        return count * grouping


class BookWindow:
    """The best `depth` levels a side of a folded book, optionally summed into multiples of `grouping` (bids down, asks up).

    Apply each event to the book first, then hand the diff to every window of it. A change costs O(log n) of the book a level
    and at most O(depth).
    """

    def __init__(self, book: Book, *, depth: int, grouping: Decimal | None = None) -> None:
        """Raises InvalidInput: depth not within 1 to 1,000, grouping not above 0."""
        if not 1 <= depth <= MAX_DEPTH:
            raise InvalidInput(f"depth must be from 1 to {MAX_DEPTH}, not {depth}", field=["depth"])
        if grouping is not None and not (grouping.is_finite() and grouping > 0):
            raise InvalidInput(f"grouping must be a price step above 0, not {grouping}", field=["grouping"])
        self._book = book
        self._bids = _WindowSide(book.bids, depth, grouping)
        self._asks = _WindowSide(book.asks, depth, grouping)
        self._sequence = book.sequence
        self._time_ms = book.time_ms
        self._checksum = checksum(self._bids.shown, self._asks.shown)

    def snapshot(self) -> WindowSnapshot | None:
        """The window as it stands, under the sequence of its last snapshot or delta; None while the book is lost."""
        if self._book.lost is not None:
            return None
        bids, asks = self._bids.shown, self._asks.shown
        return WindowSnapshot(
            symbol=self._book.symbol,
            sequence=self._sequence,
            bids=bids,
            asks=asks,
            checksum=self._checksum,
            time_ms=self._time_ms,
            bid_orders=self._bids.orders(bids),
            ask_orders=self._asks.orders(asks),
        )

    def follow(self, diff: BookDiff) -> WindowSnapshot | WindowDelta | None:
        """Take over what the book's last event changed: a new snapshot after a reset, else the delta, None where the window
        has not changed."""
        if diff.reset:
            self._bids.reset()
            self._asks.reset()
            self._advance()
            return self.snapshot()
        bids, asks = self._bids.follow(diff.bids), self._asks.follow(diff.asks)
        if not bids and not asks:
            return None
        previous = self._sequence
        self._advance()
        return WindowDelta(
            symbol=self._book.symbol,
            previous_sequence=previous,
            sequence=self._sequence,
            bids=bids,
            asks=asks,
            checksum=self._checksum,
            time_ms=self._time_ms,
            bid_orders=self._bids.orders(bids),
            ask_orders=self._asks.orders(asks),
        )

    def _advance(self) -> None:
        self._sequence, self._time_ms = self._book.sequence, self._book.time_ms
        self._checksum = checksum(self._bids.shown, self._asks.shown)
