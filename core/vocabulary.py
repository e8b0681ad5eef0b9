"""The words that rooms share: enums of the market domain, spelled as clients see them."""

from enum import StrEnum


class PriceSource(StrEnum):
    """Where a price comes from."""

    BINANCE = "BINANCE"
    COINBASE = "COINBASE"
    KRAKEN = "KRAKEN"
    COINGECKO = "COINGECKO"
    COINMARKETCAP = "COINMARKETCAP"
    CHAINLINK = "CHAINLINK"
    EXCHANGE = "EXCHANGE"
    SIMULATED = "SIMULATED"
    REPLAY = "REPLAY"


class Series(StrEnum):
    """Kinds of market data that are never mixed in one history."""

    LIVE = "LIVE"
    SIMULATED = "SIMULATED"
    REPLAY = "REPLAY"
    EXCHANGE = "EXCHANGE"
    """This exchange's own."""


def series_of(source: PriceSource) -> Series:
    """The history a source's data belongs to."""
    if source is PriceSource.EXCHANGE:
        return Series.EXCHANGE
    if source is PriceSource.SIMULATED:
        return Series.SIMULATED
    if source is PriceSource.REPLAY:
        return Series.REPLAY
    return Series.LIVE


class FeedStatus(StrEnum):
    """State of a market's price feed."""

    LIVE = "LIVE"
    DEGRADED = "DEGRADED"
    STALE = "STALE"
    SIMULATED = "SIMULATED"
    REPLAY = "REPLAY"
    DOWN = "DOWN"


class MarketStatus(StrEnum):
    """What a market accepts."""

    TRADING = "TRADING"
    POST_ONLY = "POST_ONLY"
    CANCEL_ONLY = "CANCEL_ONLY"
    HALTED = "HALTED"


class MarketOrderBy(StrEnum):
    """Orders of the market list."""

    SYMBOL = "SYMBOL"
    VOLUME_24H_DESC = "VOLUME_24H_DESC"
    CHANGE_PERCENT_24H_DESC = "CHANGE_PERCENT_24H_DESC"
    CHANGE_PERCENT_24H_ASC = "CHANGE_PERCENT_24H_ASC"
    PRICE_DESC = "PRICE_DESC"


class TimeOrder(StrEnum):
    """Direction of a list in time."""

    NEWEST_FIRST = "NEWEST_FIRST"
    OLDEST_FIRST = "OLDEST_FIRST"


class HistoryRange(StrEnum):
    """A span that ends now."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"
    ALL = "ALL"


class AllocationKey(StrEnum):
    """What a portfolio is divided by."""

    ASSET = "ASSET"
    CHAIN = "CHAIN"
    KIND = "KIND"
    LOCATION = "LOCATION"


class CostBasisMethod(StrEnum):
    """Which units of an asset a sale takes first."""

    FIFO = "FIFO"
    LIFO = "LIFO"
    HIFO = "HIFO"
    AVERAGE = "AVERAGE"


class MarketDataOrigin(StrEnum):
    """Whose book and trades: this exchange's own or the reference venues'."""

    EXCHANGE = "EXCHANGE"
    REFERENCE = "REFERENCE"


def origin_of(series: Series) -> MarketDataOrigin:
    """Whose data a history holds."""
    return MarketDataOrigin.EXCHANGE if series is Series.EXCHANGE else MarketDataOrigin.REFERENCE


class OrderSide(StrEnum):
    """Side of an order or of a trade's taker."""

    BUY = "BUY"
    SELL = "SELL"


class AssetKind(StrEnum):
    """What an asset is."""

    NATIVE = "NATIVE"
    TOKEN = "TOKEN"  # noqa: S105
    STABLECOIN = "STABLECOIN"
    FIAT = "FIAT"


class ChainFamily(StrEnum):
    """Chains that share addresses and signatures."""

    EVM = "EVM"
    BITCOIN = "BITCOIN"
    SOLANA = "SOLANA"


class CandleInterval(StrEnum):
    """Length of a candle."""

    MINUTE_1 = "MINUTE_1"
    MINUTE_5 = "MINUTE_5"
    MINUTE_15 = "MINUTE_15"
    HOUR_1 = "HOUR_1"
    HOUR_4 = "HOUR_4"
    DAY_1 = "DAY_1"
    WEEK_1 = "WEEK_1"

    @property
    def length_ms(self) -> int:
        """Length in milliseconds."""
        return _LENGTH_MS[self]

    def open_time_ms(self, time_ms: int) -> int:
        """Start of the candle that holds this moment; weeks start on Monday, 00:00 UTC."""
        offset = _MONDAY_MS if self is CandleInterval.WEEK_1 else 0
        return time_ms - (time_ms - offset) % self.length_ms


class IndicatorKind(StrEnum):
    """Technical indicators."""

    SMA = "SMA"
    EMA = "EMA"
    WMA = "WMA"
    RSI = "RSI"
    MACD = "MACD"
    BOLLINGER = "BOLLINGER"
    ATR = "ATR"
    STOCHASTIC = "STOCHASTIC"
    ADX = "ADX"
    OBV = "OBV"
    VWAP = "VWAP"


class TrendDirection(StrEnum):
    """Where a price has been heading."""

    UP = "UP"
    DOWN = "DOWN"
    SIDEWAYS = "SIDEWAYS"


class GeneralErrorCode(StrEnum):
    """Why something was refused, in areas without codes of their own."""

    NOT_FOUND = "NOT_FOUND"
    INVALID = "INVALID"
    LIMIT_REACHED = "LIMIT_REACHED"
    URL_REFUSED = "URL_REFUSED"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    PRODUCT_CLOSED = "PRODUCT_CLOSED"
    STILL_LOCKED = "STILL_LOCKED"
    EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED"
    ACCOUNT_FROZEN = "ACCOUNT_FROZEN"
    STEP_UP_REQUIRED = "STEP_UP_REQUIRED"
    STEP_UP_INVALID = "STEP_UP_INVALID"


_MINUTE_MS = 60_000
_MONDAY_MS = 4 * 86_400_000
"""1970-01-05, the first Monday of the epoch."""
_LENGTH_MS = {
    CandleInterval.MINUTE_1: _MINUTE_MS,
    CandleInterval.MINUTE_5: 5 * _MINUTE_MS,
    CandleInterval.MINUTE_15: 15 * _MINUTE_MS,
    CandleInterval.HOUR_1: 60 * _MINUTE_MS,
    CandleInterval.HOUR_4: 240 * _MINUTE_MS,
    CandleInterval.DAY_1: 1440 * _MINUTE_MS,
    CandleInterval.WEEK_1: 10080 * _MINUTE_MS,
}


class MerkleSide(StrEnum):
    """Where the other node stands in a step of a proof."""

    LEFT = "LEFT"
    RIGHT = "RIGHT"
