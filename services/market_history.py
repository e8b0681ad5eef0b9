"""The market data worker's memory of trades and candles: numbering what the leading sources report, and filling what was missed.

How it is stored and restored stands in services/stored_history.py. What was never stored is missing from `complete_until_ms` on and is
fetched from a provider's history.

`accept` never waits for a flush; storing, repairing and the rare trade that touches a candle beyond memory exclude each other.
"""

from collections.abc import Iterable, Mapping

import structlog
from pymongo.errors import PyMongoError

from core.clock import Clock
from core.vocabulary import CandleInterval, Series
from events.feed import FeedTrade
from events.market import TradeAccepted
from integrations.feeds.base import HistoryFeed
from models.candle import Candle, CandleKey, candles_at, candles_between, delete_candles
from models.market_state import MarketHistoryState, write_states
from models.trade import delete_trades
from services.backfill import Stretch
from services.candles import CHILD, MarketCandles, fold, of_provider
from services.candles import usable as usable_candle
from services.sequences import Sequences, trade_sequence
from services.stored_history import HistoryOfMarket, StoredHistory
from services.trades import usable as usable_trade

log = structlog.get_logger(__name__)


class MarketHistory(StoredHistory):
    """Trades and candles of every market this worker feeds. See the module."""

    def __init__(self, sequences: Sequences, clock: Clock, *, retention_days: int) -> None:
        super().__init__(clock, retention_days=retention_days)
        self._sequences = sequences

    async def load(self, series: Series, symbols: Iterable[str]) -> None:
        """Continue these markets where storage stands. Once per series and market, before their first trade.

        What is needed at once is read here; the minutes of the past day follow with the first flushes.
        """
        wanted = list(symbols)
        await self._sequences.load(trade_sequence(series, symbol) for symbol in wanted)
        await super().load(series, wanted)

    def numbers_end(self, market: HistoryOfMarket) -> int:
        """The first number that was never given out."""
        return self._sequences.peek(market.sequence_name)

    async def _flush(self, *, whole: bool) -> None:
        await super()._flush(whole=whole)
        await self._sequences.top_up()

    async def reset(self, series: Series, symbol: str) -> None:
        """Forget a loaded market's history, for a replay that begins anew. Sequences go on: no number is used twice."""
        async with self._storing:
            await self.queue.flush()
            await delete_trades(series, symbol)
            await delete_candles(series, symbol)
            through = self._sequences.peek(trade_sequence(series, symbol)) - 1
            state = MarketHistoryState(series=series, symbol=symbol, trades_through=through, candles_through=through)
            await write_states([state])
            self._markets[series, symbol] = HistoryOfMarket(state)

    async def accept(self, series: Series, trade: FeedTrade) -> TradeAccepted | None:
        """Take a trade of the leading source: number it, queue it, merge it into its candles. None: known already, or not usable.

        It waits for the database only for a trade older than memory and when a block of sequences is used up. When the database
        is away then, the trade is passed over and its minute fetched from the provider's history later.
        """
        market = self._markets[series, trade.symbol]
        if not usable_trade(trade, now_ms=self._clock.now_ms()):
            log.warning("trades.refused", symbol=trade.symbol, source=trade.source, time_ms=trade.time_ms)
            return None
        if not market.ids.add(trade.source, trade.trade_id):
            return None
        try:
            if not market.candles.beyond_memory(trade.time_ms):
                return self._take(market, trade, await self._sequences.next(market.sequence_name), {})
            async with self._storing:
                stored = await candles_at(market.candles.beyond_memory(trade.time_ms))
                return self._take(market, trade, await self._sequences.next(market.sequence_name), stored)
        except PyMongoError as error:
            log.warning("trades.passed_over", symbol=trade.symbol, reason=type(error).__name__)
            now_ms = self._clock.now_ms()
            market.gaps.lost(now_ms=now_ms, last_trade_ms=trade.time_ms)
            market.gaps.joined(now_ms)
            return None

    def _take(
        self, market: HistoryOfMarket, trade: FeedTrade, sequence: int, stored: Mapping[CandleKey, Candle]
    ) -> TradeAccepted:
        taken = TradeAccepted(
            symbol=trade.symbol,
            series=market.state.series,
            source=trade.source,
            trade_id=trade.trade_id,
            price=trade.price,
            quantity=trade.quantity,
            taker_side=trade.taker_side,
            time_ms=trade.time_ms,
            sequence=sequence,
        )
        self.enter(market, taken, stored)
        return taken

    def feed_joined(self, series: Series, symbol: str, now_ms: int) -> None:
        """A market's trades arrive from now on; what was missed before becomes due for `repair`."""
        self._markets[series, symbol].gaps.joined(now_ms)

    def feed_lost(self, series: Series, symbol: str, now_ms: int) -> None:
        """A market's trades no longer arrive."""
        market = self._markets[series, symbol]
        market.gaps.lost(now_ms=now_ms, last_trade_ms=market.recent[-1].time_ms if market.recent else 0)

    async def repair(self, series: Series, symbol: str, history: HistoryFeed, now_ms: int) -> bool:
        """Fetch the next stretch a market misses, at most 1,000 candles; False when nothing is due. Call it again until then.

        Raises:
            ProviderUnavailable: the history does not answer; the stretch stays due.
        """
        market = self._markets[series, symbol]
        stretch = market.gaps.due(now_ms)
        if stretch is None:
            return False
        fetched = await history.candles(symbol, stretch.interval, from_ms=stretch.from_ms, to_ms=stretch.to_ms)
        sound = [
            candle
            for candle in fetched
            if stretch.from_ms <= candle.open_time_ms < stretch.to_ms and usable_candle(candle, stretch.interval)
        ]
        async with self._storing:
            market.candles.advance(now_ms)
            for candle in sound:
                market.candles.replace_candle(
                    stretch.interval, of_provider(candle, stretch.interval, through_sequence=market.last_sequence)
                )
            if sound:
                await self._refold(market.candles, stretch)
        market.gaps.filled(stretch)
        log.info(
            "history.filled", symbol=symbol, interval=stretch.interval, candles=len(sound), from_ms=stretch.from_ms
        )
        return True

    async def _refold(self, candles: MarketCandles, stretch: Stretch) -> None:
        """Make every longer candle that touches the stretch again from its children."""
        for interval in list(CandleInterval)[list(CandleInterval).index(stretch.interval) + 1 :]:
            from_ms = interval.open_time_ms(stretch.from_ms)
            to_ms = interval.open_time_ms(stretch.to_ms - 1) + interval.length_ms
            child = CHILD[interval]
            stored = await candles_between(candles.series, candles.symbol, child, from_ms=from_ms, to_ms=to_ms)
            for parent in fold(candles.overlay(child, stored, from_ms=from_ms, to_ms=to_ms), interval):
                candles.replace_candle(interval, parent)
