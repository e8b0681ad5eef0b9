"""One side of an order book: levels by price, orders of a level in a queue.

Layout: a dict from price to level, a sorted list of the prices (best first), and each level's orders as a list linked through themselves.
Invariants: a level is never empty; `best` is the level of the first price; a level's `visible` is the sum over its orders. Putting an order
in or taking it out is O(1) at a price that is there, O(log levels) where a level begins or ends; the best price is O(1).
"""

from collections.abc import Iterator

from sortedcontainers import SortedList

from exchange.order import Order


class Level:
    """The queue of orders at one price, oldest first."""

    __slots__ = ("count", "first", "last", "price", "visible")

    def __init__(self, price: int) -> None:
        self.price = price
        self.first: Order | None = None
        self.last: Order | None = None
        self.visible = 0
        self.count = 0

    def orders(self) -> Iterator[Order]:
        """In their order of priority."""
        order = self.first
        while order is not None:
            yield order
            order = order.following


class Side:
    """Bids (`sign` -1) or asks (1)."""

    __slots__ = ("_keys", "_levels", "_sign", "best")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._levels: dict[int, Level] = {}
        self._keys: SortedList[int] = SortedList()
        self.best: Level | None = None

    def __len__(self) -> int:
        return len(self._levels)

    def add(self, order: Order) -> None:
        """Put an order behind all others of its price."""
        price = order.price
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = Level(price)
            self._keys.add(self._sign * price)
            if self.best is None or self._sign * price < self._sign * self.best.price:
                self.best = level
        before = level.last
        order.previous, order.following, order.level = before, None, level
        if before is None:
            level.first = order
        else:
            before.following = order
        level.last = order
        level.visible += order.visible
        level.count += 1

    def remove(self, order: Order) -> None:
        """Take an order out."""
        level = order.level
        if level is None:
            return
        before, after = order.previous, order.following
        if before is None:
            level.first = after
        else:
            before.following = after
        if after is None:
            level.last = before
        else:
            after.previous = before
        order.level = order.previous = order.following = None
        level.visible -= order.visible
        level.count -= 1
        if level.count == 0:
            self._end(level)

    def levels(self) -> Iterator[Level]:
        """Best first."""
        return (self._levels[self._sign * key] for key in self._keys)

    def _end(self, level: Level) -> None:
        del self._levels[level.price]
        self._keys.remove(self._sign * level.price)
        if level is self.best:
            self.best = self._levels[self._sign * self._keys[0]] if self._keys else None
