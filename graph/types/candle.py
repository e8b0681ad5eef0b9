"""Candles."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.vocabulary import CandleInterval, MarketDataOrigin, origin_of
from events.market import CandleChanged


@strawberry.type(description="Open, high, low and close of one interval. Intervals without a trade have no candle.")
class Candle:
    id: strawberry.ID = strawberry.field(description="Stable per market, feed, interval and open time.")
    symbol: str = strawberry.field(description="The market.")
    origin: MarketDataOrigin = strawberry.field(description="Whose trades made it.")
    interval: CandleInterval = strawberry.field(description="Its length.")
    open_time: datetime = strawberry.field(description="Start of the interval, included.")
    open: Decimal = strawberry.field(description="First price, in quote.")
    high: Decimal = strawberry.field(description="Highest price, in quote.")
    low: Decimal = strawberry.field(description="Lowest price, in quote.")
    close: Decimal = strawberry.field(description="Last price, in quote.")
    volume: Decimal = strawberry.field(description="Volume, in base.")
    quote_volume: Decimal | None = strawberry.field(
        description="Volume, in quote; null when the provider does not say."
    )
    trades: int | None = strawberry.field(description="Trades; null when the provider does not say.")
    closed: bool = strawberry.field(description="Whether the interval is over. A late trade may still correct it.")

    @staticmethod
    def of(candle: CandleChanged) -> "Candle":
        """The candle as clients see it."""
        return Candle(
            id=strawberry.ID(encode_id("Candle", candle.series, candle.symbol, candle.interval, candle.open_time_ms)),
            symbol=candle.symbol,
            origin=origin_of(candle.series),
            interval=candle.interval,
            open_time=to_datetime(candle.open_time_ms),
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            volume=candle.volume,
            quote_volume=candle.quote_volume,
            trades=candle.trades,
            closed=candle.closed,
        )
