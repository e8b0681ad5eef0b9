"""Stops that follow a price: for each source and side of a market, orders by the best price since they began to follow.

A stop to sell follows the highest price, one to buy the lowest. Everything here is written for a stop to sell; of one to buy the prices
are counted negatively, so that its lowest is a highest as well.

Layout: orders that share a peak share a `_Crowd`, sorted by how far they trail. A new high joins all crowds below it into one, the smaller
into the larger, so that an order is moved O(log orders) times however long a price rises. `_nearest` keeps the crowds by their nearest stop:
a price is judged in O(1), plus O(log crowds) for each order that fires.
"""

from collections.abc import Iterator
from typing import TypeAlias

from sortedcontainers import SortedDict

from core.order_vocabulary import TrailingUnit, TriggerSource
from core.vocabulary import OrderSide
from exchange.market import PPM
from exchange.order import Order
from exchange.words import ABSOLUTE, SELL

Trails: TypeAlias = "SortedDict[int, dict[int, Order]]"
"""By distance, then by order."""


def stop_of(peak: int, trail: int, unit: TrailingUnit) -> int:
    """Where a stop to sell stands that trails a peak: rounded up, so that it fires rather a tick too early than too late. Of a stop to buy peak
    and result are negative."""
    if unit is ABSOLUTE:
        return peak - trail
    share = PPM - trail if peak > 0 else PPM + trail
    return -(-peak * share // PPM)


class _Crowd:
    """Orders with one peak."""

    __slots__ = ("by_unit", "peak", "size")

    def __init__(self, peak: int) -> None:
        self.peak = peak
        self.size = 0
        self.by_unit: dict[TrailingUnit, Trails] = {unit: SortedDict() for unit in TrailingUnit}

    def add(self, order: Order) -> None:
        self.by_unit[order.terms.trail_unit].setdefault(order.terms.trail, {})[order.id] = order
        self.size += 1

    def remove(self, order: Order) -> None:
        trails = self.by_unit[order.terms.trail_unit]
        together = trails[order.terms.trail]
        del together[order.id]
        if not together:
            del trails[order.terms.trail]
        self.size -= 1

    def nearest(self) -> int:
        """The highest stop."""
        return max(stop_of(self.peak, trails.keys()[0], unit) for unit, trails in self.by_unit.items() if trails)

    def orders(self) -> Iterator[Order]:
        for trails in self.by_unit.values():
            for together in trails.values():
                yield from together.values()


class Followers:
    """The stops of one source and side. `sign` is 1 of stops to sell, -1 of stops to buy."""

    __slots__ = ("_crowds", "_nearest", "_of", "_sign")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._crowds: SortedDict[int, _Crowd] = SortedDict()
        self._nearest: SortedDict[tuple[int, int], _Crowd] = SortedDict()
        self._of: dict[int, _Crowd] = {}

    def __len__(self) -> int:
        return len(self._of)

    def add(self, order: Order, price: int) -> None:
        """Let an order follow from this price on."""
        peak = self._sign * price
        crowd = self._crowds.get(peak)
        if crowd is None:
            crowd = self._crowds[peak] = _Crowd(peak)
        else:
            del self._nearest[crowd.nearest(), crowd.peak]
        crowd.add(order)
        self._of[order.id] = crowd
        self._nearest[crowd.nearest(), crowd.peak] = crowd

    def remove(self, order: Order) -> None:
        """Let it follow no longer."""
        crowd = self._of.pop(order.id)
        del self._nearest[crowd.nearest(), crowd.peak]
        crowd.remove(order)
        if crowd.size:
            self._nearest[crowd.nearest(), crowd.peak] = crowd
        else:
            del self._crowds[crowd.peak]

    def is_high(self, price: int) -> bool:
        """Whether this price moves any stop."""
        return bool(self._crowds) and self._crowds.keys()[0] < self._sign * price

    def rise(self, price: int) -> None:
        """Let this be the peak of all that have seen no higher one."""
        peak = self._sign * price
        below = [self._crowds[lower] for lower in self._crowds.irange(maximum=peak)]
        for crowd in below:
            del self._crowds[crowd.peak], self._nearest[crowd.nearest(), crowd.peak]
        largest = max(below, key=lambda crowd: crowd.size)
        for crowd in below:
            if crowd is not largest:
                for order in crowd.orders():
                    largest.add(order)
                    self._of[order.id] = largest
        largest.peak = peak
        self._crowds[peak] = largest
        self._nearest[largest.nearest(), peak] = largest

    def fired(self, price: int) -> list[tuple[Order, int]]:
        """Those whose stop the price has fallen to, with their peaks: the nearest stop first, at one stop the oldest."""
        level = self._sign * price
        found: list[tuple[int, int, Order, int]] = []
        for (nearest, peak), crowd in reversed(self._nearest.items()):
            if nearest < level:
                break
            for unit, trails in crowd.by_unit.items():
                for trail, together in trails.items():
                    stop = stop_of(peak, trail, unit)
                    if stop < level:
                        break
                    found += [(-stop, order.id, order, self._sign * peak) for order in together.values()]
        return [(order, peak) for _, _, order, peak in sorted(found, key=lambda entry: entry[:2])]

    def peak(self, order: Order) -> int:
        """The best price since this order follows."""
        return self._sign * self._of[order.id].peak

    def peaks(self) -> dict[int, int]:
        """Order to peak."""
        return {order_id: self._sign * self._of[order_id].peak for order_id in sorted(self._of)}


class Trailing:
    """All stops of a market that follow a price."""

    __slots__ = ("_followers",)

    def __init__(self) -> None:
        self._followers = {
            (source, side): Followers(1 if side is SELL else -1) for source in TriggerSource for side in OrderSide
        }

    def of(self, source: TriggerSource, side: OrderSide) -> Followers:
        """Those of one source and side."""
        return self._followers[source, side]

    def beside(self, order: Order) -> Followers:
        """Those of an order's source and side."""
        return self._followers[order.terms.source, order.terms.side]

    def __len__(self) -> int:
        return sum(map(len, self._followers.values()))

    def peaks(self) -> dict[int, int]:
        """Order to peak, of all."""
        return {
            order_id: peak for followers in self._followers.values() for order_id, peak in followers.peaks().items()
        }
