"""Orders of one market that wait for a price.

A stop fires at its price and beyond it: of each source, those that fire when the price rises stand apart from those that fire when it
falls, sorted by their stop. Adding and removing is O(log stops); a price is judged in O(1), plus O(1) for each order that fires.
"""

from collections.abc import Iterator
from typing import TypeAlias

from sortedcontainers import SortedDict

from core.order_vocabulary import OrderType, TriggerSource
from events.journal import Terms
from exchange.order import Order
from exchange.words import BUY

_LOSS = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT})

Stops: TypeAlias = "SortedDict[int, dict[int, Order]]"
"""By stop price, then by order in the order of arrival."""


class Triggers:
    """What waits."""

    __slots__ = ("_falling", "_rising")

    def __init__(self) -> None:
        self._rising: dict[TriggerSource, Stops] = {source: SortedDict() for source in TriggerSource}
        self._falling: dict[TriggerSource, Stops] = {source: SortedDict() for source in TriggerSource}

    def add(self, order: Order) -> None:
        """Let an order wait for its stop."""
        self._stops(order.terms).setdefault(awaited(order.terms), {})[order.id] = order

    def remove(self, order: Order) -> None:
        """Let it wait no longer."""
        stops = self._stops(order.terms)
        price = awaited(order.terms)
        waiting = stops[price]
        del waiting[order.id]
        if not waiting:
            del stops[price]

    def fired(self, source: TriggerSource, price: int) -> list[Order]:
        """Those that fire at this price: the nearest stops first, at one stop the oldest."""
        found: list[Order] = []
        for stop, waiting in self._rising[source].items():
            if stop > price:
                break
            found += waiting.values()
        for stop, waiting in reversed(self._falling[source].items()):
            if stop < price:
                break
            found += waiting.values()
        return found

    def __len__(self) -> int:
        """How many stop prices are waited for."""
        return sum(map(len, (*self._rising.values(), *self._falling.values())))

    def waiting(self) -> Iterator[int]:
        """The ids of all, in their order."""
        for stops in (*self._rising.values(), *self._falling.values()):
            for orders in stops.values():
                yield from orders

    def _stops(self, terms: Terms) -> Stops:
        return (self._rising if fires_rising(terms) else self._falling)[terms.source]


def awaited(terms: Terms) -> int:
    """The price an order waits for: its stop, or that from which it follows."""
    return terms.stop or terms.activation


def fires_rising(terms: Terms) -> bool:
    """Whether a stop fires when the price comes up to it: a loss of who buys, a profit of who sells. A sale that is to trail waits for a rise."""
    return (terms.type in _LOSS) == (terms.side is BUY)
