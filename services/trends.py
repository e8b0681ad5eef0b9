"""Where a price has been heading, in numbers and in words; and closes thinned out for a small chart.

The trend is the straight line that fits the closes best (least squares). `strength` is its coefficient of determination R²: 0, the line
explains nothing of the closes, to 1, they lie on it. The direction is SIDEWAYS below a strength of 0.3, else that of the line.
`volatility` is the population standard deviation of the changes from close to close, as a fraction. All half-even to 12 significant digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise

from core.errors import InvalidInput
from core.money import canonical, figure
from core.vocabulary import TrendDirection

TREND_CANDLES = 50
"""Candles a trend is usually taken over."""
LEAST_CANDLES = 3
SIDEWAYS_BELOW = Decimal("0.3")
MAX_SPARKLINE_POINTS = 200

_PERCENT = Decimal("0.01")
_WORDS = {
    TrendDirection.UP: "Rising",
    TrendDirection.DOWN: "Falling",
    TrendDirection.SIDEWAYS: "Moving sideways",
}


@dataclass(frozen=True, slots=True)
class Trend:
    """See the module."""

    direction: TrendDirection
    strength: Decimal
    volatility: Decimal
    summary: str


def trend(closes: Sequence[Decimal]) -> Trend | None:
    """The trend of these closes, oldest first, all above 0; None for fewer than three."""
    count = len(closes)
    if count < LEAST_CANDLES:
        return None
    slope, strength = _fit(closes)
    direction = TrendDirection.SIDEWAYS
    if strength >= SIDEWAYS_BELOW:
        direction = TrendDirection.UP if slope > 0 else TrendDirection.DOWN
    volatility = _volatility(closes)
    change = _percent(closes[-1] / closes[0] - 1)
    summary = (
        f"{_WORDS[direction]}: {change:+f} % over {count} candles, "
        f"volatility {_percent(volatility):f} % a candle, strength {strength.quantize(_PERCENT, ROUND_HALF_EVEN)}."
    )
    return Trend(direction, figure(strength), figure(volatility), summary)


def sparkline(closes: Sequence[Decimal], points: int) -> list[Decimal]:
    """At most `points` of these closes, evenly apart, the first and the last among them. Raises InvalidInput."""
    check_points(points)
    if len(closes) <= points:
        return list(closes)
    return [closes[place * (len(closes) - 1) // (points - 1)] for place in range(points)]


def check_points(points: int) -> None:
    """Raises InvalidInput: not a number of points a sparkline may have."""
    if not 2 <= points <= MAX_SPARKLINE_POINTS:
        raise InvalidInput(
            f"points must be from 2 to {MAX_SPARKLINE_POINTS}",
            field=["points"],
            limit=MAX_SPARKLINE_POINTS,
            actual=points,
        )


def _fit(closes: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """Slope per candle and R² of the least-squares line; R² of a flat row is 0."""
    count = len(closes)
    middle, mean = Decimal(count - 1) / 2, sum(closes, Decimal(0)) / count
    times = [Decimal(place) - middle for place in range(count)]
    offsets = [close - mean for close in closes]
    covariance = sum((t * y for t, y in zip(times, offsets, strict=True)), Decimal(0))
    time_squares = sum((t * t for t in times), Decimal(0))
    close_squares = sum((y * y for y in offsets), Decimal(0))
    if not close_squares:
        return Decimal(0), Decimal(0)
    return covariance / time_squares, covariance * covariance / (time_squares * close_squares)


def _volatility(closes: Sequence[Decimal]) -> Decimal:
    changes = [after / before - 1 for before, after in pairwise(closes)]
    mean = sum(changes, Decimal(0)) / len(changes)
    return (sum(((change - mean) ** 2 for change in changes), Decimal(0)) / len(changes)).sqrt()


def _percent(fraction: Decimal) -> Decimal:
    return Decimal(canonical((fraction * 100).quantize(_PERCENT, ROUND_HALF_EVEN)))
