"""Tickers: last price, quotes and 24-hour figures."""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.vocabulary import MarketDataOrigin
from events.market import TickerChanged
from graph.public_data import public, public_attributes

_PERCENT_STEP = Decimal("0.0001")


@public_attributes
@strawberry.type(description="Last price, best quotes and rolling 24-hour figures of a market. Null: not known.")
class Ticker:
    id: strawberry.ID = strawberry.field(description="Stable per market and origin.")
    symbol: str = strawberry.field(description="The market.")
    origin: MarketDataOrigin = strawberry.field(description="Whose figures these are.")
    last: Decimal | None = strawberry.field(description="Last price, in quote.")
    bid: Decimal | None = strawberry.field(description="Best bid, in quote.")
    ask: Decimal | None = strawberry.field(description="Best ask, in quote.")
    open24h: Decimal | None = strawberry.field(description="Price 24 hours ago, in quote.")
    high24h: Decimal | None = strawberry.field(description="Highest price of 24 hours, in quote.")
    low24h: Decimal | None = strawberry.field(description="Lowest price of 24 hours, in quote.")
    volume24h: Decimal | None = strawberry.field(description="Volume of 24 hours, in base.")
    quote_volume24h: Decimal | None = strawberry.field(description="Volume of 24 hours, in quote.")
    vwap24h: Decimal | None = strawberry.field(description="Volume-weighted average price of 24 hours, in quote.")
    trades24h: int | None = strawberry.field(description="Trades of 24 hours.")
    time: datetime | None = strawberry.field(description="When the newest of these figures was true.")

    @strawberry.field(description="Ask minus bid, in quote.", metadata=public())
    def spread(self) -> Decimal | None:
        return None if self.bid is None or self.ask is None else self.ask - self.bid

    @strawberry.field(description="Last price minus the price 24 hours ago, in quote.", metadata=public())
    def change24h(self) -> Decimal | None:
        return None if self.last is None or self.open24h is None else self.last - self.open24h

    @strawberry.field(
        description="Change of 24 hours in percent, rounded half to even at four places.", metadata=public()
    )
    def change_percent24h(self) -> Decimal | None:
        if self.last is None or not self.open24h:
            return None
        percent = (self.last - self.open24h) * 100 / self.open24h
        return percent.quantize(_PERCENT_STEP, rounding=ROUND_HALF_EVEN)

    @staticmethod
    def of(ticker: TickerChanged, origin: MarketDataOrigin) -> "Ticker":
        """A ticker as clients see it."""
        return Ticker(
            id=strawberry.ID(encode_id("Ticker", ticker.symbol, origin)),
            symbol=ticker.symbol,
            origin=origin,
            last=ticker.last,
            bid=ticker.bid,
            ask=ticker.ask,
            open24h=ticker.open24h,
            high24h=ticker.high24h,
            low24h=ticker.low24h,
            volume24h=ticker.volume24h,
            quote_volume24h=ticker.quote_volume24h,
            vwap24h=ticker.vwap24h,
            trades24h=ticker.trades24h,
            time=to_datetime(ticker.time_ms),
        )
