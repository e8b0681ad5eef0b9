"""What a provider says, in our words: the messages adapters hand to the market data service.

Prices and quantities are Decimals as the provider wrote them; `symbol` is ours (BASE-QUOTE); times are the provider's,
epoch milliseconds. None of these leaves the worker that received it.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.vocabulary import OrderSide, PriceSource

Level = tuple[Decimal, Decimal]
"""Price and quantity."""


@dataclass(frozen=True, slots=True)
class FeedConnected:
    """The source answers and is subscribed."""

    source: PriceSource


@dataclass(frozen=True, slots=True)
class FeedDisconnected:
    """The source is lost; `reason` is fit to be shown to an operator and to clients (no secrets, no addresses)."""

    source: PriceSource
    reason: str


@dataclass(frozen=True, slots=True)
class FeedRejected:
    """One message could not be used (garbage, wrong checksum, number out of range) and was thrown away."""

    source: PriceSource
    reason: str


@dataclass(frozen=True, slots=True)
class FeedTrade:
    """One trade. `trade_id` is the provider's and unique per source and symbol."""

    source: PriceSource
    symbol: str
    trade_id: str
    price: Decimal
    quantity: Decimal
    taker_side: OrderSide | None
    time_ms: int


@dataclass(frozen=True, slots=True)
class FeedQuote:
    """Best bid and ask."""

    source: PriceSource
    symbol: str
    bid: Decimal
    ask: Decimal
    time_ms: int


@dataclass(frozen=True, slots=True)
class FeedPrice:
    """A last price from a source that publishes no trades (an index, an oracle, a polled ticker)."""

    source: PriceSource
    symbol: str
    price: Decimal
    time_ms: int
    bid: Decimal | None = None
    ask: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FeedStats24h:
    """A provider's own rolling 24-hour figures; what it does not publish is None."""

    source: PriceSource
    symbol: str
    time_ms: int
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    volume: Decimal | None = None
    quote_volume: Decimal | None = None
    vwap: Decimal | None = None
    trades: int | None = None


@dataclass(frozen=True, slots=True)
class FeedBookSnapshot:
    """The whole book as the provider gives it; replaces what was known."""

    source: PriceSource
    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time_ms: int


@dataclass(frozen=True, slots=True)
class FeedBookDelta:
    """Changed levels with their new quantity, 0 removes. The adapter has proven that it follows the last message."""

    source: PriceSource
    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time_ms: int


@dataclass(frozen=True, slots=True)
class FeedBookLost:
    """The book can no longer be trusted (gap, wrong checksum, disconnect); a snapshot will follow when it can."""

    source: PriceSource
    symbol: str
    reason: str


FeedMessage = (
    FeedConnected
    | FeedDisconnected
    | FeedRejected
    | FeedTrade
    | FeedQuote
    | FeedPrice
    | FeedStats24h
    | FeedBookSnapshot
    | FeedBookDelta
    | FeedBookLost
)
