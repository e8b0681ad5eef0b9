"""A window of an order book, as readers see it: its best levels, its changes, and figures drawn from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import accumulate

from core.errors import InvalidInput

MAX_CHART_POINTS = 1_000
IMBALANCE_STEP = Decimal("0.00000001")
_ZERO = Decimal(0)

Level = tuple[Decimal, Decimal]
"""Price and quantity."""


def totals(levels: Sequence[Level]) -> list[Decimal]:
    """The quantity down to and including each level."""
    return list(accumulate(quantity for _, quantity in levels))


def depth_chart(levels: Sequence[Level], points: int) -> list[Level]:
    """Price and cumulative quantity at no more than `points` of these levels, evenly spread, first and last among them.

    Raises:
        InvalidInput: points not within 2 to 1,000.
    """
    if not 2 <= points <= MAX_CHART_POINTS:
        raise InvalidInput(f"points must be from 2 to {MAX_CHART_POINTS}, not {points}", field=["points"])
    curve = [(price, total) for (price, _), total in zip(levels, totals(levels), strict=True)]
    if len(curve) <= points:
        return curve
    return [curve[index * (len(curve) - 1) // (points - 1)] for index in range(points)]


@dataclass(frozen=True, slots=True)
class WindowSnapshot:
    """The whole window, best levels first. Figures are those of the window as it is shown (grouped where it is grouped).

    `bid_orders` and `ask_orders`: people's orders at each of the levels; empty where the venue does not say.
    """

    symbol: str
    sequence: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    checksum: str
    time_ms: int
    bid_orders: tuple[int, ...] = ()
    ask_orders: tuple[int, ...] = ()

    @property
    def mid(self) -> Decimal | None:
        """Half way between best bid and ask, exact; None while a side is empty."""
        return (self.bids[0][0] + self.asks[0][0]) / 2 if self.bids and self.asks else None

    @property
    def spread(self) -> Decimal | None:
        """Best ask less best bid; None while a side is empty."""
        return self.asks[0][0] - self.bids[0][0] if self.bids and self.asks else None

    @property
    def imbalance(self) -> Decimal | None:
        """(bids - asks) / (bids + asks) of the quantities, -1 to 1, eight decimals, half-even; None for an empty window."""
        bids, asks = (sum((quantity for _, quantity in side), _ZERO) for side in (self.bids, self.asks))
        if not bids + asks:
            return None
        return ((bids - asks) / (bids + asks)).quantize(IMBALANCE_STEP, ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class WindowDelta:
    """Levels of the window with their new quantity, 0 removes; best first. Orders as in WindowSnapshot."""

    symbol: str
    previous_sequence: int
    sequence: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    checksum: str
    time_ms: int
    bid_orders: tuple[int, ...] = ()
    ask_orders: tuple[int, ...] = ()
