"""Public trades: what the leading source of a market reported, numbered by us, kept for a while; this exchange's own, kept for good.

Reads are ranges of sequences on one index; callers bound them. Candles outlive their trades.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel

from core.money import to_storage
from core.vocabulary import OrderSide, PriceSource, Series
from models.base import insert_new_rows


@dataclass(frozen=True, slots=True)
class TradeEntry:
    """One trade. `sequence` is ours, per series and market; `trade_id` the provider's; `expires_at` ends its storage; None: never."""

    series: Series
    symbol: str
    sequence: int
    source: PriceSource
    trade_id: str
    price: Decimal
    quantity: Decimal
    taker_side: OrderSide | None
    time_ms: int
    expires_at: datetime | None


class TradeDocument(Document):
    """One trade under `series:symbol:sequence`; beside these it holds the fields of `TradeEntry`."""

    id: str  # type: ignore[assignment]
    series: Series
    symbol: str
    sequence: int
    expires_at: datetime | None

    class Settings:
        """Where it is kept."""

        name = "reference_trades"
        indexes: ClassVar = [
            IndexModel([("series", ASCENDING), ("symbol", ASCENDING), ("sequence", ASCENDING)]),
            IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0),
        ]


async def insert_trades(trades: Sequence[TradeEntry]) -> None:
    """Store these trades; a sequence that is stored already stays as it is."""
    await insert_new_rows(TradeDocument, [_row(trade) for trade in trades])


async def trades_between(series: Series, symbol: str, *, from_sequence: int, to_sequence: int) -> list[TradeEntry]:
    """Trades with from_sequence <= sequence < to_sequence, lowest first. The caller keeps the range narrow."""
    cursor = TradeDocument.get_pymongo_collection().find(
        {"series": series, "symbol": symbol, "sequence": {"$gte": from_sequence, "$lt": to_sequence}}
    )
    return sorted([_entry(row) async for row in cursor], key=lambda trade: trade.sequence)


async def delete_trades(series: Series, symbol: str) -> None:
    """Forget a market's trades of one series."""
    await TradeDocument.get_pymongo_collection().delete_many(
        {"series": series, "symbol": symbol, "sequence": {"$gte": 0}}
    )


def _row(trade: TradeEntry) -> dict[str, Any]:
    return {
        "_id": f"{trade.series}:{trade.symbol}:{trade.sequence}",
        "series": trade.series,
        "symbol": trade.symbol,
        "sequence": trade.sequence,
        "source": trade.source,
        "trade_id": trade.trade_id,
        "price": to_storage(trade.price),
        "quantity": to_storage(trade.quantity),
        "taker_side": trade.taker_side,
        "time_ms": trade.time_ms,
        "expires_at": trade.expires_at,
    }


def _entry(row: Mapping[str, Any]) -> TradeEntry:
    side, expires_at = row["taker_side"], row["expires_at"]
    return TradeEntry(
        series=Series(row["series"]),
        symbol=row["symbol"],
        sequence=row["sequence"],
        source=PriceSource(row["source"]),
        trade_id=row["trade_id"],
        price=row["price"].to_decimal(),
        quantity=row["quantity"].to_decimal(),
        taker_side=None if side is None else OrderSide(side),
        time_ms=row["time_ms"],
        expires_at=None if expires_at is None else expires_at.replace(tzinfo=UTC),
    )
