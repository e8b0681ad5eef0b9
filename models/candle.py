"""Candles: open, high, low, close and volumes of one interval, per series and market.

Reads are ranges of open times on one index; callers bound them. Rows go in and out in bulk as `Candle`, without a model each:
a start reads tens of thousands.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, ClassVar, NamedTuple

from beanie import Document
from bson import Decimal128
from pymongo import ASCENDING, IndexModel

from core.money import MAX_DIGITS, to_storage
from core.vocabulary import CandleInterval, Series
from models.base import insert_new_rows, replace_rows

Place = tuple[int, int]
"""Time in milliseconds and sequence of a trade: the order of trades, ties broken."""

_STORED_CONTEXT = Context(prec=MAX_DIGITS, rounding=ROUND_HALF_EVEN)
"""Sums of products may pass the 34 digits a Decimal128 holds; they are then stored half-even."""


class CandleKey(NamedTuple):
    """Whose candle, and which."""

    series: Series
    symbol: str
    interval: CandleInterval
    open_time_ms: int


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle's figures. Prices in quote, `volume` in base, `quote_volume` in quote; None where a provider does not say.

    `first` and `last` are the places of the trades that opened and closed it. `through_sequence`: every trade of this candle up to
    this sequence is in it. `from_provider`: taken whole from a provider's history, so that later trades do not change it.
    """

    open_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    trades: int | None
    first: Place
    last: Place
    through_sequence: int = 0
    closed: bool = False
    from_provider: bool = False


class CandleDocument(Document):
    """One candle under `series:symbol:interval:open time`; beside the key it holds the fields of `Candle`."""

    id: str  # type: ignore[assignment]
    series: Series
    symbol: str
    interval: CandleInterval
    open_time_ms: int

    class Settings:
        """Where it is kept."""

        name = "candles"
        indexes: ClassVar = [
            IndexModel(
                [("series", ASCENDING), ("symbol", ASCENDING), ("interval", ASCENDING), ("open_time_ms", ASCENDING)]
            ),
            IndexModel([("series", ASCENDING), ("interval", ASCENDING), ("open_time_ms", ASCENDING)]),
        ]


async def replace_candles(candles: Mapping[CandleKey, Candle]) -> None:
    """Write these candles over what was stored under their keys."""
    await replace_rows(CandleDocument, [_row(key, candle) for key, candle in candles.items()])


async def insert_candles(candles: Mapping[CandleKey, Candle]) -> None:
    """Write candles that are most likely not stored yet: several times faster than replacing; those that are stored are replaced."""
    known = await insert_new_rows(CandleDocument, [_row(key, candle) for key, candle in candles.items()])
    await replace_rows(CandleDocument, known)


async def candles_between(
    series: Series, symbol: str, interval: CandleInterval, *, from_ms: int, to_ms: int | None
) -> list[Candle]:
    """Candles with from_ms <= open time < to_ms, oldest first. The caller keeps the range narrow; None: up to the newest."""
    times = {"$gte": from_ms} if to_ms is None else {"$gte": from_ms, "$lt": to_ms}
    cursor = CandleDocument.get_pymongo_collection().find(
        {"series": series, "symbol": symbol, "interval": interval, "open_time_ms": times}
    )
    return sorted([_candle(row) async for row in cursor], key=lambda candle: candle.open_time_ms)


async def closes_between(
    series: Series, symbols: Collection[str], interval: CandleInterval, *, from_ms: int
) -> dict[str, dict[int, Decimal]]:
    """Closing prices by open time of several markets in one query, from this open time on. The caller keeps the range narrow.

    More than one market is read as the range of all, and the others left out here: beside an `$in` the embedded engine uses no index.
    """
    wanted = set(symbols)
    whose = {"symbol": next(iter(wanted))} if len(wanted) == 1 else {}
    cursor = CandleDocument.get_pymongo_collection().find(
        {"series": series, **whose, "interval": interval, "open_time_ms": {"$gte": from_ms}},
        {"symbol": 1, "open_time_ms": 1, "close": 1},
    )
    found: dict[str, dict[int, Decimal]] = {}
    async for row in cursor:
        if row["symbol"] in wanted:
            found.setdefault(row["symbol"], {})[row["open_time_ms"]] = row["close"].to_decimal()
    return found


async def candles_at(keys: Collection[CandleKey]) -> dict[CandleKey, Candle]:
    """Those of these candles that are stored. Few keys: the embedded engine reads about 100 in 10 ms."""
    by_id = {_id(key): key for key in keys}
    if not by_id:
        return {}
    cursor = CandleDocument.get_pymongo_collection().find({"_id": {"$in": list(by_id)}})
    return {by_id[row["_id"]]: _candle(row) async for row in cursor}


async def delete_candles(series: Series, symbol: str) -> None:
    """Forget a market's candles of one series."""
    await CandleDocument.get_pymongo_collection().delete_many(
        {"series": series, "symbol": symbol, "interval": {"$in": list(CandleInterval)}}
    )


def _id(key: CandleKey) -> str:
    return f"{key.series}:{key.symbol}:{key.interval}:{key.open_time_ms}"


def _row(key: CandleKey, candle: Candle) -> dict[str, Any]:
    return {
        "_id": _id(key),
        "series": key.series,
        "symbol": key.symbol,
        "interval": key.interval,
        "open_time_ms": key.open_time_ms,
        "open": to_storage(candle.open),
        "high": to_storage(candle.high),
        "low": to_storage(candle.low),
        "close": to_storage(candle.close),
        "volume": _sum_to_storage(candle.volume),
        "quote_volume": None if candle.quote_volume is None else _sum_to_storage(candle.quote_volume),
        "trades": candle.trades,
        "first": candle.first,
        "last": candle.last,
        "through_sequence": candle.through_sequence,
        "closed": candle.closed,
        "from_provider": candle.from_provider,
    }


def _sum_to_storage(value: Decimal) -> Decimal128:
    return to_storage(_STORED_CONTEXT.plus(value))


def _candle(row: Mapping[str, Any]) -> Candle:
    quote_volume = row["quote_volume"]
    return Candle(
        open_time_ms=row["open_time_ms"],
        open=row["open"].to_decimal(),
        high=row["high"].to_decimal(),
        low=row["low"].to_decimal(),
        close=row["close"].to_decimal(),
        volume=row["volume"].to_decimal(),
        quote_volume=None if quote_volume is None else quote_volume.to_decimal(),
        trades=row["trades"],
        first=(row["first"][0], row["first"][1]),
        last=(row["last"][0], row["last"][1]),
        through_sequence=row["through_sequence"],
        closed=row["closed"],
        from_provider=row["from_provider"],
    )
