"""The house's quotes in one market: the reference's book, mirrored. No durable state; empty after a start and while the reference is stale.

What is taken of a level is used up until the reference reports a change there: a snapshot that repeats a level's quantity is none. How much the house takes is bounded by its inventory: by
`limit` units of the base asset, long or short.
"""

from collections.abc import Iterator

from sortedcontainers import SortedDict

from core.vocabulary import OrderSide
from events.commands import ReferenceBook
from exchange.market import Market
from exchange.words import BUY, SELL


class _Side:
    """Bids (`sign` -1) or asks (1).

    `reported` is what the reference says, by its price, in 10^-18. `left` is by our price (in ticks, times the sign) and by the reference's how
    many lots are left of that; nothing is in it that has none left.
    """

    __slots__ = ("left", "reported", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.reported: dict[int, int] = {}
        self.left: SortedDict[int, dict[int, int]] = SortedDict()

    def report(self, market: Market, price: int, quantity: int) -> None:
        """Mirror a level; what is left of one that did not change stays as it is."""
        if quantity == self.reported.get(price, 0):
            return
        key = -(-self.sign * price // market.tick)
        together = self.left.get(key, {})
        lots = quantity // market.lot
        if quantity:
            self.reported[price] = quantity
        else:
            del self.reported[price]
        if lots:
            together[price] = lots
            self.left[key] = together
        elif together.pop(price, 0) and not together:
            del self.left[key]

    def clear(self) -> None:
        self.reported.clear()
        self.left.clear()


class Quotes:
    """Both sides, in ticks and lots."""

    __slots__ = ("_sides", "limit")

    def __init__(self) -> None:
        self._sides = {BUY: _Side(-1), SELL: _Side(1)}
        self.limit = 0

    def take(self, market: Market, book: ReferenceBook) -> None:
        """Mirror what the reference reports: a bid off the tick counts one tick lower, an ask one higher, parts of lots not at all. Levels that
        come to one tick add up."""
        self.limit = book.inventory_limit
        for side, changes in ((self._sides[BUY], book.bids), (self._sides[SELL], book.asks)):
            if book.is_snapshot:
                there = dict(changes)
                for price in [price for price in side.reported if price not in there]:
                    side.report(market, price, 0)
            for price, quantity in changes:
                side.report(market, price, quantity)

    def clear(self) -> None:
        """Quote nothing."""
        for side in self._sides.values():
            side.clear()

    def best(self, side: OrderSide) -> tuple[int, int] | None:
        """Price and lots of the first level."""
        quoted = self._sides[side]
        if not quoted.left:
            return None
        key, together = quoted.left.peekitem(0)
        return quoted.sign * key, sum(together.values())

    def levels(self, side: OrderSide) -> Iterator[tuple[int, int]]:
        """Price and lots, best first."""
        quoted = self._sides[side]
        return ((quoted.sign * key, sum(together.values())) for key, together in quoted.left.items())

    def use(self, side: OrderSide, price: int, lots: int) -> None:
        """So many lots of a level are gone."""
        quoted = self._sides[side]
        together = quoted.left[quoted.sign * price]
        for source in list(together):
            taken = min(lots, together[source])
            lots -= taken
            together[source] -= taken
            if not together[source]:
                del together[source]
        if not together:
            del quoted.left[quoted.sign * price]

    def room(self, side: OrderSide, market: Market, inventory: int) -> int:
        """Lots the house may still buy (`side` BUY) or sell, given its inventory of the base asset."""
        units = self.limit - inventory if side is BUY else self.limit + inventory
        return max(0, units // market.lot_units)
