"""Batched reads, per operation: many fields of one kind become one query."""

from collections.abc import Sequence
from decimal import Decimal

from strawberry.dataloader import DataLoader

from core.vocabulary import HistoryRange
from services.market_reads import MarketDataReads

SparklineKey = tuple[str, HistoryRange, int]


class Loaders:
    """The loaders of one operation."""

    def __init__(self, market_data: MarketDataReads) -> None:
        self._market_data = market_data
        self._sparklines: DataLoader[SparklineKey, list[Decimal]] = DataLoader(
            load_fn=self._load_sparklines,
            cache=False,  # the operation may be a subscription, whose every event reads anew
        )

    async def sparkline(self, symbol: str, span: HistoryRange, points: int) -> list[Decimal]:
        """Closing prices of one market, read together with all others this operation asks for."""
        return await self._sparklines.load((symbol, span, points))

    async def _load_sparklines(self, keys: Sequence[SparklineKey]) -> list[list[Decimal] | BaseException]:
        return await self._market_data.sparklines(keys)
