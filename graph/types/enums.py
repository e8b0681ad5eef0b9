"""Enums of the surface: the shared vocabulary with a description on every value."""

from collections.abc import Mapping
from enum import Enum

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from core import vocabulary
from core.settings import Mode
from core.vocabulary import ChainFamily


def describe(enum: type[Enum], description: str, values: Mapping[str, str], *, name: str | None = None) -> None:
    """Give an enum of the vocabulary its place in the schema. Every value must be described."""
    strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = enum.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]


describe(
    vocabulary.TimeOrder,
    "Direction of a list in time; ties are broken by sequence.",
    {
        "NEWEST_FIRST": "From the newest row back.",
        "OLDEST_FIRST": "From the oldest row on; with `after` this reads a growing history incrementally.",
    },
)
describe(
    vocabulary.HistoryRange,
    "A span of time that ends now.",
    {
        "DAY": "The last 24 hours.",
        "WEEK": "The last 7 days.",
        "MONTH": "The last 30 days.",
        "QUARTER": "The last 90 days.",
        "YEAR": "The last 365 days.",
        "ALL": "Everything there is.",
    },
)
describe(
    Mode,
    "What kind of server answers.",
    {
        "EMBEDDED": "One process on an embedded database, for development.",
        "SANDBOX": "A full deployment with test funds.",
        "PRODUCTION": "A full deployment with real funds.",
    },
    name="ServerMode",
)
describe(
    vocabulary.AssetKind,
    "What an asset is.",
    {
        "NATIVE": "The coin of its own chain.",
        "TOKEN": "A token issued on a chain.",
        "STABLECOIN": "A token meant to follow a currency.",
        "FIAT": "A currency of a state, used to quote prices.",
    },
)
describe(
    ChainFamily,
    "Chains that share addresses and signatures.",
    {
        "EVM": "Ethereum and chains that run its virtual machine.",
        "BITCOIN": "Bitcoin.",
        "SOLANA": "Solana.",
    },
)
describe(
    vocabulary.MarketStatus,
    "What a market accepts.",
    {
        "TRADING": "All orders.",
        "POST_ONLY": "Only orders that rest in the book, and cancels.",
        "CANCEL_ONLY": "Only cancels.",
        "HALTED": "Nothing.",
    },
)
describe(
    vocabulary.MarketDataOrigin,
    "Whose market data: this exchange's own or the reference venues'.",
    {
        "EXCHANGE": "This exchange's own book and trades.",
        "REFERENCE": "The reference venues' book, trades and prices.",
    },
)
describe(
    vocabulary.OrderSide,
    "Side of an order, or of the taker in a trade.",
    {"BUY": "Buys base for quote.", "SELL": "Sells base for quote."},
)
describe(
    vocabulary.PriceSource,
    "Where a price comes from.",
    {
        "BINANCE": "Binance spot.",
        "COINBASE": "Coinbase Advanced Trade.",
        "KRAKEN": "Kraken spot.",
        "COINGECKO": "CoinGecko's index, polled.",
        "COINMARKETCAP": "CoinMarketCap's index, polled.",
        "CHAINLINK": "Chainlink's price feeds on Ethereum.",
        "EXCHANGE": "This exchange's own trades.",
        "SIMULATED": "A simulated feed: plausible, seeded, and not real.",
        "REPLAY": "A recorded file, played with its recorded times.",
    },
)
describe(
    vocabulary.FeedStatus,
    "State of a market's price feed.",
    {
        "LIVE": "Every configured source delivers.",
        "DEGRADED": "Some sources are missing or rejected; the price comes from the others.",
        "STALE": "No source delivers; the last price is old.",
        "SIMULATED": "Prices are simulated, because no source answers. Not real.",
        "REPLAY": "Prices are played from a recorded file.",
        "DOWN": "No source has ever delivered.",
    },
)
describe(
    vocabulary.CandleInterval,
    "Length of a candle; all start on whole multiples in UTC.",
    {
        "MINUTE_1": "One minute.",
        "MINUTE_5": "Five minutes.",
        "MINUTE_15": "Fifteen minutes.",
        "HOUR_1": "One hour.",
        "HOUR_4": "Four hours.",
        "DAY_1": "One day from 00:00 UTC.",
        "WEEK_1": "One week from Monday, 00:00 UTC.",
    },
)
describe(
    vocabulary.MarketOrderBy,
    "Order of the market list; markets without the figure come last, ties go by symbol.",
    {
        "SYMBOL": "By symbol.",
        "VOLUME_24H_DESC": "Highest 24-hour volume in quote first.",
        "CHANGE_PERCENT_24H_DESC": "Biggest gain first.",
        "CHANGE_PERCENT_24H_ASC": "Biggest loss first.",
        "PRICE_DESC": "Highest last price first.",
    },
)
describe(
    vocabulary.IndicatorKind,
    "Technical indicators.",
    {
        "SMA": "Simple moving average of closes.",
        "EMA": "Exponential moving average of closes.",
        "WMA": "Weighted moving average of closes.",
        "RSI": "Relative strength index (Wilder).",
        "MACD": "Moving average convergence and divergence: macd, signal, histogram.",
        "BOLLINGER": "Bollinger bands: upper, middle, lower.",
        "ATR": "Average true range (Wilder).",
        "STOCHASTIC": "Stochastic oscillator: k, d.",
        "ADX": "Average directional index (Wilder): adx, plusDi, minusDi.",
        "OBV": "On-balance volume, from the first candle asked for.",
        "VWAP": "Volume-weighted average price, from the first candle asked for.",
    },
)
describe(
    vocabulary.TrendDirection,
    "Where a price has been heading.",
    {"UP": "Rising.", "DOWN": "Falling.", "SIDEWAYS": "Neither."},
)
