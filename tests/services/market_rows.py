"""Trades and candles for tests, and candles computed in another way than the service does."""

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from core.vocabulary import CandleInterval, OrderSide, PriceSource, Series
from events.feed import FeedTrade
from events.market import CandleChanged, TradeAccepted
from integrations.feeds.base import ProviderCandle, ProviderUnavailable
from models.candle import Candle

SYMBOL = "BTC-USDT"
NOON_MS = 1_610_020_800_000
"""Thursday, 2021-01-07T12:00:00Z."""
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

LENGTHS_MS = {
    CandleInterval.MINUTE_1: MINUTE_MS,
    CandleInterval.MINUTE_5: 5 * MINUTE_MS,
    CandleInterval.MINUTE_15: 15 * MINUTE_MS,
    CandleInterval.HOUR_1: HOUR_MS,
    CandleInterval.HOUR_4: 4 * HOUR_MS,
    CandleInterval.DAY_1: DAY_MS,
    CandleInterval.WEEK_1: 7 * DAY_MS,
}
MONDAY_MS = 1_609_718_400_000
"""Monday, 2021-01-04T00:00:00Z."""

Figures = tuple[Decimal, Decimal, Decimal, Decimal, Decimal, Decimal | None, int | None]


def numbers(*values: int | str) -> tuple[Decimal | int | None, ...]:
    """Expected figures, typed so that they compare with a candle's."""
    return tuple(Decimal(value) for value in values)


def trade(
    number: int,
    *,
    time_ms: int,
    price: str | Decimal = "100",
    quantity: str | Decimal = "1",
    symbol: str = SYMBOL,
    source: PriceSource = PriceSource.BINANCE,
) -> FeedTrade:
    return FeedTrade(source, symbol, f"t{number}", Decimal(price), Decimal(quantity), OrderSide.BUY, time_ms)


def taken(sequence: int, trade: FeedTrade, series: Series = Series.LIVE) -> TradeAccepted:
    return TradeAccepted(
        symbol=trade.symbol,
        series=series,
        source=trade.source,
        trade_id=trade.trade_id,
        price=trade.price,
        quantity=trade.quantity,
        taker_side=trade.taker_side,
        time_ms=trade.time_ms,
        sequence=sequence,
    )


def recorded_trades(folder: Path) -> list[FeedTrade]:
    with (folder / "market" / "binance-btcusdt-trades-2021-01-08.csv").open() as file:
        return [
            FeedTrade(
                PriceSource.BINANCE,
                SYMBOL,
                row["trade_id"],
                Decimal(row["price"]),
                Decimal(row["quantity"]),
                OrderSide.SELL if row["buyer_maker"] == "True" else OrderSide.BUY,
                int(row["time_ms"]),
            )
            for row in csv.DictReader(file)
        ]


def minute_rows(folder: Path) -> list[dict[str, str]]:
    with gzip.open(folder / "market" / "btc-usd-candles-1m-2022-01.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def provider_candle(open_time_ms: int, price: str | Decimal, *, volume: str = "1") -> ProviderCandle:
    value = Decimal(price)
    return ProviderCandle(
        open_time_ms, value, value + 2, value - 2, value + 1, Decimal(volume), Decimal(volume) * value, 3
    )


def expected_candles(trades: Sequence[TradeAccepted]) -> dict[tuple[CandleInterval, int], Figures]:
    """Candles by sorting trades into lists, one list a candle."""
    result: dict[tuple[CandleInterval, int], Figures] = {}
    for interval, length in LENGTHS_MS.items():
        groups: dict[int, list[TradeAccepted]] = {}
        for one in trades:
            groups.setdefault(MONDAY_MS + (one.time_ms - MONDAY_MS) // length * length, []).append(one)
        for open_ms, group in groups.items():
            ordered = sorted(group, key=lambda one: (one.time_ms, one.sequence))
            prices = [one.price for one in ordered]
            result[interval, open_ms] = (
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                sum((one.quantity for one in ordered), Decimal(0)),
                sum((one.quantity * one.price for one in ordered), Decimal(0)),
                len(ordered),
            )
    return result


def figures(candle: Candle | CandleChanged) -> Figures:
    return (
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.quote_volume,
        candle.trades,
    )


class FakeHistory:
    """A provider's history: minutes, hours and days it was given; fails while `down`."""

    def __init__(self, candles: Mapping[CandleInterval, Iterable[ProviderCandle]]) -> None:
        self.known = {interval: list(rows) for interval, rows in candles.items()}
        self.down = False
        self.asked: list[tuple[CandleInterval, int, int]] = []

    async def candles(
        self, symbol: str, interval: CandleInterval, *, from_ms: int, to_ms: int
    ) -> Sequence[ProviderCandle]:
        self.asked.append((interval, from_ms, to_ms))
        if self.down:
            raise ProviderUnavailable("no answer")
        return [row for row in self.known.get(interval, []) if from_ms <= row.open_time_ms < to_ms]
