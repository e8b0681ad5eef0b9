"""Technical indicators and the trend."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.vocabulary import IndicatorKind, TrendDirection


@strawberry.input(
    description="A wanted indicator. What is left out takes the kind's usual value; what the kind does not use is refused."
)
class IndicatorInput:
    kind: IndicatorKind = strawberry.field(description="Which.")
    period: int | None = strawberry.field(
        default=None, description="Candles, 1 to 500: SMA, EMA, WMA, BOLLINGER 20; RSI, ATR, STOCHASTIC, ADX 14."
    )
    fast: int | None = strawberry.field(default=None, description="MACD: candles of the fast average, 12.")
    slow: int | None = strawberry.field(default=None, description="MACD: candles of the slow average, 26.")
    signal: int | None = strawberry.field(
        default=None, description="MACD: candles of the signal line, 9. STOCHASTIC: candles of %D, 3."
    )
    deviations: Decimal | None = strawberry.field(
        default=None, description="BOLLINGER: width of the bands in standard deviations, 2."
    )


@strawberry.type(description="An indicator's value at a candle.")
class IndicatorPoint:
    time: datetime = strawberry.field(description="Open time of the candle.")
    value: Decimal | None = strawberry.field(
        description="The value, rounded half to even at 12 significant digits; null while the indicator warms up."
    )


@strawberry.type(description="One curve of an indicator.")
class IndicatorLine:
    name: str = strawberry.field(description="Such as `value`, or `macd`, `signal`, `histogram`.")
    points: list[IndicatorPoint] = strawberry.field(description="Oldest first, one for every candle.")


@strawberry.type(description="An indicator over the candles asked for.")
class IndicatorSeries:
    kind: IndicatorKind = strawberry.field(description="Which.")
    name: str = strawberry.field(description="Kind and parameters, such as `SMA(20)`.")
    lines: list[IndicatorLine] = strawberry.field(description="Its curves.")


@strawberry.type(
    description="Where a price has been heading over the newest candles: the straight line that fits them best."
)
class MarketTrend:
    direction: TrendDirection = strawberry.field(description="SIDEWAYS when the line explains little.")
    strength: Decimal | None = strawberry.field(description="How much the line explains (R squared), 0 to 1.")
    volatility: Decimal | None = strawberry.field(
        description="Standard deviation of the change from candle to candle, as a fraction."
    )
    summary: str = strawberry.field(description="The same in a sentence.")
