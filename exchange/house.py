"""The house's quotes in one market: the reference's book, mirrored. No durable state; empty after a start and while the reference is stale.

What is taken of a level is used up until the reference reports a change there. How much the house takes is bounded by its inventory: by
`limit` units of the base asset, long or short.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from sortedcontainers import SortedDict

from core.vocabulary import OrderSide
from events.commands import ReferenceBook
from exchange.market import Market
from exchange.words import BUY, SELL

Levels: TypeAlias = "SortedDict[int, int]"
"""By price (bids: minus the price), lots left."""


class Quotes:
    """Both sides, in ticks and lots."""

    __slots__ = ("_sides", "limit")

    def __init__(self) -> None:
        self._sides: dict[OrderSide, Levels] = {side: SortedDict() for side in OrderSide}
        self.limit = 0

    def take(self, market: Market, book: ReferenceBook) -> None:
        """Mirror what the reference reports: a bid off the tick counts one tick lower, an ask one higher, parts of lots not at all."""
        self.limit = book.inventory_limit
        if book.is_snapshot:
            self.clear()
        for side, changes in ((BUY, book.bids), (SELL, book.asks)):
            levels, sign = self._sides[side], _sign(side)
            for price, lots in _in_ticks(market, side, changes):
                if lots:
                    levels[sign * price] = lots
                else:
                    levels.pop(sign * price, None)

    def clear(self) -> None:
        """Quote nothing."""
        for levels in self._sides.values():
            levels.clear()

    def best(self, side: OrderSide) -> tuple[int, int] | None:
        """Price and lots of the first level."""
        levels = self._sides[side]
        if not levels:
            return None
        key, lots = levels.peekitem(0)
        return _sign(side) * key, lots

    def levels(self, side: OrderSide) -> Iterator[tuple[int, int]]:
        """Price and lots, best first."""
        return ((_sign(side) * key, lots) for key, lots in self._sides[side].items())

    def use(self, side: OrderSide, price: int, lots: int) -> None:
        """So many lots of a level are gone."""
        levels, key = self._sides[side], _sign(side) * price
        left = levels[key] - lots
        if left:
            levels[key] = left
        else:
            del levels[key]

    def room(self, side: OrderSide, market: Market, inventory: int) -> int:
        """Lots the house may still buy (`side` BUY) or sell, given its inventory of the base asset."""
        units = self.limit - inventory if side is BUY else self.limit + inventory
        return max(0, units // market.lot_units)


def _sign(side: OrderSide) -> int:
    return -1 if side is BUY else 1


def _in_ticks(market: Market, side: OrderSide, changes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for price, quantity in changes:
        ticks = price // market.tick if side is BUY else -(-price // market.tick)
        yield ticks, quantity // market.lot
