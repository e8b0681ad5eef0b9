"""Trades and candles of markets in one process's memory, and how they reach the database and come back.

Order of a flush: trades, then candles, then the state that speaks of them. A restart reads the candles, then merges the stored trades
that came after them; a candle ignores sequences it already holds, so a kill between any two writes changes no figure. So candles, of which every trade
changes seven, are stored less often than trades.

Everything synchronous never waits for a flush; storing and the rare trade that touches a candle beyond memory exclude each other.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from core.clock import Clock
from core.vocabulary import CandleInterval, Series
from events.market import CandleChanged, TradeAccepted
from models.candle import Candle, CandleKey, candles_at, candles_between, insert_candles, replace_candles
from models.market_state import MarketHistoryState, read_state, write_states
from models.trade import trades_between
from services.backfill import Gaps
from services.candles import MEMORY_MS, MINUTE, MarketCandles
from services.sequences import trade_sequence
from services.tickers import Figures
from services.trades import TradeIds, TradeQueue, accepted

RECENT_TRADES = 200
"""Newest trades kept for a process that joins: more than one flush leaves unstored in a busy second."""
KNOWN_IDS_RANGE = 100
"""Stored sequences read at a restart to know their trade ids again: providers send their last 50 or so to a new subscriber."""
RESTORE_SECONDS = 0.5
"""Time a flush may spend on reading back the past day of markets that were loaded."""
WINDOW = 1_000
HOUR_MS = CandleInterval.HOUR_1.length_ms
CANDLES_SECONDS = 10.0
"""How long a changed candle may wait for storage while its trades do not."""
CANDLE_BATCH = 100
"""Candles stored at once: making ready more of them would hold up everything else for too long."""


class HistoryOfMarket:
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

    def mark_hour(self, *, now_ms: int, retention_ms: int | None) -> None:
        """Note where this hour's trades begin, and drop notes of hours whose trades have all expired."""
        marks = self.state.trade_marks
        if retention_ms is None:
            return
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


class StoredHistory:
    """Trades and candles of every market that is loaded. `retention_days`: how long a trade stays stored; None: for good."""

    def __init__(self, clock: Clock, *, retention_days: int | None) -> None:
        self.queue = TradeQueue(clock, retention_days=retention_days)
        self._clock = clock
        self._retention_ms = None if retention_days is None else retention_days * CandleInterval.DAY_1.length_ms
        self._markets: dict[tuple[Series, str], HistoryOfMarket] = {}
        self._storing = asyncio.Lock()
        self._candles_due = 0.0

    async def load(self, series: Series, symbols: Iterable[str]) -> None:
        """Continue these markets where storage stands. Once per series and market, before their first trade.

        What is needed at once is read here; the minutes of the past day follow with the first flushes.
        """
        for symbol in symbols:
            if (series, symbol) not in self._markets:
                market = HistoryOfMarket(await read_state(series, symbol))
                await self._restore(market)
                self._markets[series, symbol] = market

    def numbers_end(self, market: HistoryOfMarket) -> int:
        """The first number that no stored trade of the market has."""
        return market.state.trades_through + 1

    async def record(self, trade: TradeAccepted) -> bool:
        """Take a trade that is numbered already, lowest first: queue it, merge it into its candles. False: it is known.

        It waits for the database only for a trade older than memory. Raises PyMongoError then, changing nothing.
        """
        market = self._markets[trade.series, trade.symbol]
        if trade.sequence <= market.last_sequence:
            return False
        if not market.candles.beyond_memory(trade.time_ms):
            self.enter(market, trade, {})
            return True
        async with self._storing:
            self.enter(market, trade, await candles_at(market.candles.beyond_memory(trade.time_ms)))
        return True

    def enter(self, market: HistoryOfMarket, trade: TradeAccepted, stored: Mapping[CandleKey, Candle]) -> None:
        """Merge a trade and queue it; `stored` are the candles beyond memory that it touches."""
        market.merge(trade, stored)
        self.queue.put(trade)

    def last_sequence(self, series: Series, symbol: str) -> int:
        """Number of the newest trade that is known; 0 before the first."""
        return self._markets[series, symbol].last_sequence

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

    async def flush(self) -> None:
        """Store everything that changed, and read back what `load` left.

        What could not be stored waits for the next flush when this raises PyMongoError.
        """
        async with self._storing:
            await self._flush(whole=True)
        await self._restore_days()

    async def flush_due(self) -> None:
        """As `flush`, but leave candles for CANDLES_SECONDS; call it every second."""
        async with self._storing:
            await self._flush(whole=self._clock.monotonic() >= self._candles_due)
        await self._restore_days()

    async def _flush(self, *, whole: bool) -> None:
        now_ms = self._clock.now_ms()
        reached = {key: market.last_sequence for key, market in self._markets.items() if market.touched}
        unsaved: dict[tuple[Series, str], dict[CandleKey, Candle]] = {
            key: market.candles.take_unsaved() if whole else {} for key, market in self._markets.items()
        }
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
            market.state.trades_through = reached.get(key, market.state.trades_through)
            if whole:
                market.state.candles_through = market.state.trades_through
                if key[0] is not Series.REPLAY:
                    market.state.complete_until_ms = market.gaps.complete_until_ms(now_ms)
            changed.append(market)
        await write_states([market.state for market in changed])
        for market in changed:
            market.touched = market.last_sequence > market.state.trades_through
        if whole:
            self._candles_due = self._clock.monotonic() + CANDLES_SECONDS

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

    async def _restore(self, market: HistoryOfMarket) -> None:
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

    async def _restore_trades(self, market: HistoryOfMarket) -> None:
        """Know the newest trade ids again, and merge the trades that were stored after the candles."""
        state = market.state
        start = min(state.candles_through, state.trades_through - KNOWN_IDS_RANGE) + 1
        end = self.numbers_end(market)
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
