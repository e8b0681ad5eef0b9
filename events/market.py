"""What became true of a market: the messages that travel from the market data worker, and from the exchange, to every API process.

Every event is versioned by the codec (`events/codec.py`). Times are epoch milliseconds, UTC. Sequences are ours, per market
and kind, +1 for every accepted change; they continue over a clean restart. Whose a book, a ticker or a status is, its topic says.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.vocabulary import CandleInterval, FeedStatus, MarketStatus, OrderSide, PriceSource, Series


@dataclass(frozen=True, slots=True)
class TickAccepted:
    """The aggregated price of a market changed or was confirmed by a trade."""

    symbol: str
    price: Decimal
    bid: Decimal | None
    ask: Decimal | None
    source: PriceSource
    time_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class TradeAccepted:
    """A trade of the source that leads this market, or of this exchange. `trade_id` is the provider's, `sequence` ours."""

    symbol: str
    series: Series
    source: PriceSource
    trade_id: str
    price: Decimal
    quantity: Decimal
    taker_side: OrderSide | None
    time_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class TickerChanged:
    """Last price, best quotes and rolling 24-hour figures. None: not known (never an invented 0)."""

    symbol: str
    time_ms: int
    last: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    open24h: Decimal | None
    high24h: Decimal | None
    low24h: Decimal | None
    volume24h: Decimal | None
    quote_volume24h: Decimal | None
    vwap24h: Decimal | None
    trades24h: int | None


@dataclass(frozen=True, slots=True)
class BookReset:
    """The whole book of a market; best levels first. Replaces what was known.

    `bid_orders` and `ask_orders`: people's orders at each of the levels; empty where the venue does not say.
    """

    symbol: str
    sequence: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    time_ms: int
    bid_orders: tuple[int, ...] = ()
    ask_orders: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BookChanged:
    """Changed levels with their new quantity, 0 removes. Follows `sequence - 1`. Orders as in BookReset."""

    symbol: str
    sequence: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    time_ms: int
    bid_orders: tuple[int, ...] = ()
    ask_orders: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BookLost:
    """There is no trustworthy book at the moment; a BookReset will follow when there is."""

    symbol: str
    reason: str


@dataclass(frozen=True, slots=True)
class BooksConfirmed:
    """The exchange's writer works: what it has told of its books so far still holds."""

    time_ms: int


@dataclass(frozen=True, slots=True)
class CandleChanged:
    """A candle's newest state. A closed candle may change again: a late trade or a backfill corrects it."""

    symbol: str
    series: Series
    interval: CandleInterval
    open_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    trades: int | None
    closed: bool


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source's state for one market. `deviation` is its distance from the median as a fraction."""

    source: PriceSource
    healthy: bool
    last_price: Decimal | None = None
    last_update_ms: int | None = None
    deviation: Decimal | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class FeedChanged:
    """State of a market's price feed. `source` leads (its trades, book and figures are shown)."""

    symbol: str
    status: FeedStatus
    source: PriceSource | None
    series: Series | None
    last_update_ms: int | None
    latency_ms: int | None
    sources: tuple[SourceHealth, ...]


@dataclass(frozen=True, slots=True)
class MarketStatusChanged:
    """What a market accepts changed."""

    symbol: str
    status: MarketStatus


@dataclass(frozen=True, slots=True)
class MarketRulesChanged:
    """A market's rules were taken over from a provider. Prices in quote, quantities in base."""

    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal | None
    min_notional: Decimal


@dataclass(frozen=True, slots=True)
class ResyncRequested:
    """A process lost or never had the state of the markets; the worker answers with all of it on the market topic."""

    process: str


@dataclass(frozen=True, slots=True)
class ResyncFinished:
    """Everything asked for has been sent; what a process still lacks does not exist."""

    process: str


@dataclass(frozen=True, slots=True)
class PaceRequested:
    """A replay at full speed asks every process whether its readers have taken all ticks so far."""

    symbol: str
    number: int


@dataclass(frozen=True, slots=True)
class PaceConfirmed:
    """This process's readers of the market's ticks have taken everything before the request."""

    process: str
    symbol: str
    number: int
    readers: int


MarketEvent = (
    TickAccepted
    | TradeAccepted
    | TickerChanged
    | BookReset
    | BookChanged
    | BookLost
    | BooksConfirmed
    | CandleChanged
    | FeedChanged
    | MarketStatusChanged
    | MarketRulesChanged
)
MARKET_TOPIC = "market"
"""All MarketEvents and PaceRequested, in the order they happened."""
CONTROL_TOPIC = "market-control"
"""ResyncRequested and PaceConfirmed, towards the worker."""
EXCHANGE_TOPIC = "exchange-market"
"""MarketEvents of this exchange's own markets, from its writer and its projector."""
EXCHANGE_CONTROL_TOPIC = "exchange-market-control"
"""ResyncRequested, towards both."""
