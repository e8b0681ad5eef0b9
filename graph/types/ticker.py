"""Tickers: last price, quotes and 24-hour figures."""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.vocabulary import MarketDataOrigin
from events.market import TickerChanged
from graph.public_data import public_attributes
from graph.remembered import Remembered

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

    spread: Decimal | None = strawberry.field(description="Ask minus bid, in quote.")
    change24h: Decimal | None = strawberry.field(description="Last price minus the price 24 hours ago, in quote.")
    change_percent24h: Decimal | None = strawberry.field(
        description="Change of 24 hours in percent, rounded half to even at four places."
    )

    @staticmethod
    def of(ticker: TickerChanged, origin: MarketDataOrigin) -> "Ticker":
        """A ticker as clients see it."""
        return _TICKERS.of((ticker.symbol, origin), ticker, lambda: _made(ticker, origin))


_TICKERS: Remembered[TickerChanged, Ticker] = Remembered()


def _made(ticker: TickerChanged, origin: MarketDataOrigin) -> Ticker:
    last, bid, ask, open_ = ticker.last, ticker.bid, ticker.ask, ticker.open24h
    return Ticker(
        id=strawberry.ID(encode_id("Ticker", ticker.symbol, origin)),
        symbol=ticker.symbol,
        origin=origin,
        last=last,
        bid=bid,
        ask=ask,
        open24h=open_,
        high24h=ticker.high24h,
        low24h=ticker.low24h,
        volume24h=ticker.volume24h,
        quote_volume24h=ticker.quote_volume24h,
        vwap24h=ticker.vwap24h,
        trades24h=ticker.trades24h,
        time=to_datetime(ticker.time_ms),
        spread=None if bid is None or ask is None else ask - bid,
        change24h=None if last is None or open_ is None else last - open_,
        change_percent24h=None if last is None or not open_ else _percent(last, open_),
    )


def _percent(last: Decimal, opened: Decimal) -> Decimal | None:
    """None for a change that is no figure any more: beyond 28 digits."""
    try:
        return ((last - opened) * 100 / opened).quantize(_PERCENT_STEP, rounding=ROUND_HALF_EVEN)
    except InvalidOperation:
        return None
