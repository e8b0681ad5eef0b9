"""The market data worker's memory of trades and candles, and how it reaches the database and comes back.

Order of a flush: trades, then candles, then the state that speaks of them. A restart reads the candles, then merges the stored trades
that came after them; a candle ignores sequences it already holds, so a kill between any two writes changes no figure. What was
never stored is missing from `complete_until_ms` on and is fetched from a provider's history.

`accept` and everything synchronous never wait for a flush; storing, repairing and the rare trade that touches a candle beyond memory
exclude each other.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import structlog
from pymongo.errors import PyMongoError

from core.clock import Clock
from core.vocabulary import CandleInterval, Series
from events.feed import FeedTrade
from events.market import CandleChanged, TradeAccepted
from integrations.feeds.base import HistoryFeed
from models.candle import (
    Candle,
    CandleKey,
    candles_at,
    candles_between,
    delete_candles,
    insert_candles,
    replace_candles,
)
from models.market_state import MarketHistoryState, read_state, write_states
from models.trade import delete_trades, trades_between
from services.backfill import Gaps, Stretch
from services.candles import CHILD, MEMORY_MS, MINUTE, MarketCandles, fold, of_provider
from services.candles import usable as usable_candle
from services.sequences import Sequences, trade_sequence
from services.tickers import Figures
from services.trades import TradeIds, TradeQueue, accepted
from services.trades import usable as usable_trade

log = structlog.get_logger(__name__)

RECENT_TRADES = 200
"""Newest trades kept for a process that joins: more than one flush leaves unstored in a busy second."""
KNOWN_IDS_RANGE = 100
"""Stored sequences read at a restart to know their trade ids again: providers send their last 50 or so to a new subscriber."""
RESTORE_SECONDS = 0.5
"""Time a flush may spend on reading back the past day of markets that were loaded."""
WINDOW = 1_000
HOUR_MS = CandleInterval.HOUR_1.length_ms
CANDLE_BATCH = 100
"""Candles stored at once: making ready more of them would hold up everything else for too long."""


class _Market:
    """One series of one market."""

    def __init__(self, state: MarketHistoryState) -> None:
        self.state = state
        self.candles = MarketCandles(state.series, state.symbol)
        self.ids = TradeIds()
        self.gaps = Gaps(state.complete_until_ms)
        self.recent: deque[TradeAccepted] = deque(maxlen=RECENT_TRADES)
        self.last_sequence = state.trades_through
        self.loaded_sequence = state.trades_through
        self.sequence_name = trade_sequence(state.series, state.symbol)
        self.touched = False

    def merge(self, trade: TradeAccepted, stored: Mapping[CandleKey, Candle]) -> None:
        self.candles.apply(trade, stored)
        self.recent.append(trade)
        self.last_sequence = trade.sequence
        self.touched = True

    def mark_hour(self, *, now_ms: int, retention_ms: int) -> None:
        """Note where this hour's trades begin, and drop notes of hours whose trades have all expired."""
        marks = self.state.trade_marks
        if self.last_sequence > self.state.trades_through:
            marks.setdefault(str(now_ms - now_ms % HOUR_MS), self.state.trades_through + 1)
        for hour, following in zip(sorted(marks), sorted(marks)[1:], strict=False):
            if int(following) + retention_ms < now_ms:
                del marks[hour]

    def is_new(self, key: CandleKey) -> bool:
        """Whether a candle lies outside of what is stored."""
        earliest, latest = self.state.earliest.get(key.interval), self.state.latest.get(key.interval)
        return earliest is None or latest is None or not earliest <= key.open_time_ms <= latest

    def reach(self, keys: Iterable[CandleKey]) -> None:
        """These candles are stored."""
        for key in keys:
            earliest, latest = self.state.earliest, self.state.latest
            earliest[key.interval] = min(key.open_time_ms, earliest.get(key.interval, key.open_time_ms))
            latest[key.interval] = max(key.open_time_ms, latest.get(key.interval, key.open_time_ms))


class MarketHistory:
    """Trades and candles of every market this worker feeds. See the module."""

    def __init__(self, sequences: Sequences, clock: Clock, *, retention_days: int) -> None:
        self.queue = TradeQueue(clock, retention_days=retention_days)
        self._sequences = sequences
        self._clock = clock
        self._retention_ms = retention_days * CandleInterval.DAY_1.length_ms
        self._markets: dict[tuple[Series, str], _Market] = {}
        self._storing = asyncio.Lock()

    async def load(self, series: Series, symbols: Iterable[str]) -> None:
        """Continue these markets where storage stands. Once per series and market, before their first trade.

        What is needed at once is read here; the minutes of the past day follow with the first flushes.
        """
        wanted = [symbol for symbol in symbols if (series, symbol) not in self._markets]
        await self._sequences.load(trade_sequence(series, symbol) for symbol in wanted)
        for symbol in wanted:
            market = _Market(await read_state(series, symbol))
            await self._restore(market)
            self._markets[series, symbol] = market

    async def reset(self, series: Series, symbol: str) -> None:
        """Forget a loaded market's history, for a replay that begins anew. Sequences go on: no number is used twice."""
        async with self._storing:
            await self.queue.flush()
            await delete_trades(series, symbol)
            await delete_candles(series, symbol)
            through = self._sequences.peek(trade_sequence(series, symbol)) - 1
            state = MarketHistoryState(series=series, symbol=symbol, trades_through=through, candles_through=through)
            await write_states([state])
            self._markets[series, symbol] = _Market(state)

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
        self, market: _Market, trade: FeedTrade, sequence: int, stored: Mapping[CandleKey, Candle]
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
        market.merge(taken, stored)
        self.queue.put(taken)
        return taken

    def close_due(self, now_ms: int) -> None:
        """Close the candles that are over. A replay's time moves with its trades alone."""
        for (series, _), market in self._markets.items():
            if series is not Series.REPLAY:
                market.candles.advance(now_ms)

    def changes(self) -> list[CandleChanged]:
        """Candles that changed since the last call, each in its newest state; publish them."""
        return [change for market in self._markets.values() for change in market.candles.changes()]

    def newest_candles(self, series: Series, symbol: str, count: int = 3) -> list[CandleChanged]:
        """The newest candles of every interval, oldest first, for a process that joins."""
        return self._markets[series, symbol].candles.newest(count)

    def recent_trades(self, series: Series, symbol: str) -> Sequence[TradeAccepted]:
        """The newest trades, oldest first, for a process that joins."""
        return tuple(self._markets[series, symbol].recent)

    def figures(self, series: Series, symbol: str) -> Figures:
        """Our own 24-hour figures of a market; `services.tickers.ticker` makes the ticker of them. Unknown until the day is read back."""
        candles = self._markets[series, symbol].candles
        return candles.day.figures() if candles.day_is_known else Figures()

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

    async def flush(self) -> None:
        """Store what changed, and read back what `load` left; call it every second.

        What could not be stored waits for the next flush when this raises PyMongoError.
        """
        async with self._storing:
            await self._flush()
        await self._restore_days()

    async def _flush(self) -> None:
        now_ms = self._clock.now_ms()
        reached = {key: market.last_sequence for key, market in self._markets.items() if market.touched}
        unsaved = {key: market.candles.take_unsaved() for key, market in self._markets.items()}
        try:
            await self.queue.flush()
            await self._store_candles(unsaved)
        except BaseException:
            for key, candles in unsaved.items():
                self._markets[key].candles.put_back(candles)
            raise
        changed = []
        for key, market in self._markets.items():
            if key not in reached and not unsaved[key]:
                continue
            market.mark_hour(now_ms=now_ms, retention_ms=self._retention_ms)
            market.reach(unsaved[key])
            through = reached.get(key, market.state.trades_through)
            market.state.trades_through = market.state.candles_through = through
            if key[0] is not Series.REPLAY:
                market.state.complete_until_ms = market.gaps.complete_until_ms(now_ms)
            changed.append(market)
        await write_states([market.state for market in changed])
        for market in changed:
            market.touched = market.last_sequence > market.state.trades_through
        await self._sequences.top_up()

    async def _store_candles(self, unsaved: Mapping[tuple[Series, str], Mapping[CandleKey, Candle]]) -> None:
        new: list[tuple[CandleKey, Candle]] = []
        known: list[tuple[CandleKey, Candle]] = []
        for market, candles in unsaved.items():
            for key, candle in candles.items():
                (new if self._markets[market].is_new(key) else known).append((key, candle))
        for start in range(0, len(new), CANDLE_BATCH):
            await insert_candles(dict(new[start : start + CANDLE_BATCH]))
        for start in range(0, len(known), CANDLE_BATCH):
            await replace_candles(dict(known[start : start + CANDLE_BATCH]))

    async def _restore(self, market: _Market) -> None:
        state = market.state
        if state.latest:
            reached_ms = state.latest.get(MINUTE, max(state.latest.values()))
            slots = [
                CandleKey(state.series, state.symbol, interval, interval.open_time_ms(reached_ms - age_ms))
                for interval in CandleInterval
                for age_ms in (interval.length_ms, 0)
            ]
            market.candles.restore_newest(await candles_at(slots), reached_ms=reached_ms)
        await self._restore_trades(market)
        market.loaded_sequence = market.last_sequence

    async def _restore_days(self) -> None:
        """Read back the past day of markets that were loaded, those that trade first, within RESTORE_SECONDS."""
        end = self._clock.monotonic() + RESTORE_SECONDS
        waiting = [market for market in self._markets.values() if not market.candles.day_is_known]
        for market in sorted(waiting, key=lambda market: market.last_sequence == market.loaded_sequence):
            if self._clock.monotonic() > end:
                return
            async with self._storing:
                candles = market.candles
                from_ms = candles.time_ms - MEMORY_MS
                candles.restore_day(
                    await candles_between(candles.series, candles.symbol, MINUTE, from_ms=from_ms, to_ms=None)
                )

    async def _restore_trades(self, market: _Market) -> None:
        """Know the newest trade ids again, and merge the trades that were stored after the candles."""
        state = market.state
        start = min(state.candles_through, state.trades_through - KNOWN_IDS_RANGE) + 1
        end = self._sequences.peek(market.sequence_name)
        for low in range(max(start, 1), end, WINDOW):
            for entry in await trades_between(
                state.series, state.symbol, from_sequence=low, to_sequence=min(low + WINDOW, end)
            ):
                if state.series is Series.LIVE:
                    market.ids.add(entry.source, entry.trade_id)
                trade = accepted(entry)
                if entry.sequence > state.candles_through:
                    market.merge(trade, await candles_at(market.candles.beyond_memory(trade.time_ms)))
                else:
                    market.recent.append(trade)
        market.last_sequence = max(market.last_sequence, state.trades_through)
