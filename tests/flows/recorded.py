"""What a replay of the recorded trades must show, computed without any code of the server."""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class RecordedTrade:
    time_ms: int
    price: Decimal
    quantity: Decimal
    taker_side: str


def read_trades(path: Path) -> list[RecordedTrade]:
    with path.open(newline="") as file:
        return [
            RecordedTrade(
                time_ms=int(row["time_ms"]),
                price=Decimal(row["price"]),
                quantity=Decimal(row["quantity"]),
                taker_side="SELL" if row["buyer_maker"] == "True" else "BUY",
            )
            for row in csv.DictReader(file)
        ]


def moment(time_ms: int) -> str:
    seconds, millis = divmod(time_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{millis:03d}Z"


def candles(trades: list[RecordedTrade], length_ms: int) -> list[dict[str, object]]:
    """Candles of intervals that divide a day, oldest first, as GraphQL values with Decimals for numbers."""
    by_open: dict[int, list[RecordedTrade]] = {}
    for trade in trades:
        by_open.setdefault(trade.time_ms // length_ms * length_ms, []).append(trade)
    return [
        {
            "openTime": moment(open_ms),
            "open": inside[0].price,
            "high": max(trade.price for trade in inside),
            "low": min(trade.price for trade in inside),
            "close": inside[-1].price,
            "volume": exact_sum([Fraction(trade.quantity) for trade in inside]),
            "quoteVolume": exact_sum([Fraction(trade.price) * Fraction(trade.quantity) for trade in inside]),
            "trades": len(inside),
        }
        for open_ms, inside in sorted(by_open.items())
    ]


def exact_sum(parts: list[Fraction]) -> Decimal:
    """Sum of decimal fractions without any rounding."""
    total = sum(parts, Fraction(0))
    scaled = total * 10**40
    if scaled.denominator != 1:
        raise ValueError("more than 40 digits after the point")
    return Decimal(scaled.numerator).scaleb(-40)
