"""Providers repeat their latest trades after every subscription; this keeps those that were not seen before."""

from collections.abc import Iterable, Iterator

from events.feed import FeedTrade


class NewTrades:
    """Remembers the last trade of each symbol, across connections. Trade ids are whole numbers that grow."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def among(self, trades: Iterable[FeedTrade]) -> Iterator[FeedTrade]:
        """Those not seen yet, oldest first."""
        for trade in sorted(trades, key=lambda trade: int(trade.trade_id)):
            number = int(trade.trade_id)
            if number > self._last.get(trade.symbol, -1):
                self._last[trade.symbol] = number
                yield trade
