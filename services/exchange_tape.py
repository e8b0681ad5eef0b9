"""The exchange's own public trades, and the tickers and candles that follow from them; it runs where the journal is projected.

A trade's number is a fact of the journal, so that trades which are given again (after a crash, or by a rebuild) are the same ones: those that
are known are passed over, and storage ends up with the same rows. Trades are kept for good.

Old trades, as they come while the journal is caught up with, are stored but not published one by one: once nothing waits any more,
everybody is told the newest.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import NamedTuple

import structlog
from pymongo.errors import PyMongoError

from core.bus import Bus
from core.clock import Clock
from core.vocabulary import CandleInterval, OrderSide, PriceSource, Series
from events.market import EXCHANGE_TOPIC, MarketEvent, TradeAccepted
from models.candle import delete_candles
from models.market_state import MarketHistoryState, write_states
from models.trade import delete_trades
from services import resyncs, tickers
from services.stored_history import StoredHistory

log = structlog.get_logger(__name__)

PUBLISH_SECONDS = 0.1
FLUSH_SECONDS = 1.0
LAST_FLUSH_SECONDS = 2.0
OLD_MS = 30_000
"""A trade that is older when it is taken is not published by itself."""
IDLE_SECONDS = 1.0
"""After this long without a trade the time of the candles moves on by itself."""
YIELD_EVERY = 100
"""Trades merged until others on the event loop get their turn."""
MOST_WAITING = 20_000
"""Trades that may wait for the database before `room` lets nobody in."""


class ExchangeTrade(NamedTuple):
    """A trade of the journal. `number` counts the market's trades from 1, without a hole."""

    symbol: str
    number: int
    price: Decimal
    quantity: Decimal
    taker_side: OrderSide
    time_ms: int


class ExchangeTape:
    """`load` first, then `run` while `take` is called for every batch of the journal.

    Whoever takes the journal further must not note that a batch is done before `flush` has returned after it.
    """

    def __init__(self, bus: Bus, clock: Clock, symbols: Iterable[str]) -> None:
        self._bus = bus
        self._clock = clock
        self._symbols = tuple(symbols)
        self._history = StoredHistory(clock, retention_days=None)
        self._waiting: deque[TradeAccepted] = deque()
        self._arrived = asyncio.Event()
        self._merging = asyncio.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._last: dict[str, Decimal] = {}
        self._due: set[str] = set()
        self._untold = False
        self._taken_at = 0.0
        self._minute = 0

    async def load(self) -> None:
        """Continue where storage stands. Raises PyMongoError."""
        await self._history.load(Series.EXCHANGE, self._symbols)
        await self._history.flush()
        for symbol in self._symbols:
            for trade in self._history.recent_trades(Series.EXCHANGE, symbol)[-1:]:
                self._last[symbol] = trade.price

    def take(self, trades: Sequence[ExchangeTrade]) -> None:
        """Trades of the journal, in its order. Never waits; those that are known already change nothing."""
        if not trades:
            return
        self._taken_at = self._clock.monotonic()
        self._waiting.extend(map(_accepted, trades))
        self._arrived.set()
        if len(self._waiting) + len(self._history.queue) >= MOST_WAITING:
            self._room.clear()

    async def room(self) -> None:
        """Wait until more may be taken: storage is not too far behind."""
        await self._room.wait()

    async def merge(self) -> None:
        """Number by number, let what was taken into the history, and publish the trades that are not old.

        Raises PyMongoError where an old trade needs the database; it waits on.
        """
        async with self._merging:
            done = 0
            while self._waiting:
                await self._merge(self._waiting[0])
                self._waiting.popleft()
                done += 1
                if done % YIELD_EVERY == 0:
                    await asyncio.sleep(0)

    async def publish(self) -> None:
        """Tell everybody of tickers and candles that changed. Raises PyMongoError as `merge` does."""
        await self.merge()
        now_ms = self._clock.now_ms()
        if self._clock.monotonic() - self._taken_at >= IDLE_SECONDS:
            self._history.close_due(now_ms)
            if (minute := CandleInterval.MINUTE_1.open_time_ms(now_ms)) != self._minute:
                self._minute = minute
                self._due.update(self._last)
        candles = self._history.changes()
        if self._untold:
            self._untold = False
            self._tell()
            return
        self._publish_all(candles)
        for symbol in self._due:
            self._publish_ticker(symbol, now_ms)
        self._due.clear()

    async def _merge(self, trade: TradeAccepted) -> None:
        known = self._history.last_sequence(Series.EXCHANGE, trade.symbol)
        if trade.sequence > known + 1:
            log.error("exchange_tape.trades_missing", symbol=trade.symbol, known=known, number=trade.sequence)
        if not await self._history.record(trade):
            return
        self._last[trade.symbol] = trade.price
        if trade.time_ms < self._clock.now_ms() - OLD_MS:
            self._untold = True
            return
        self._due.add(trade.symbol)
        self._bus.publish(EXCHANGE_TOPIC, trade)

    async def flush(self) -> None:
        """Store everything that was taken. Raises PyMongoError; what was not stored waits for the next time."""
        await self._stored(self._history.flush)

    async def _flush_due(self) -> None:
        await self._stored(self._history.flush_due)

    async def _stored(self, flush: Callable[[], Awaitable[None]]) -> None:
        await self.publish()
        await flush()
        self._room.set()

    async def run(self) -> None:
        """Publish, store and answer until cancelled; then store what is left."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(resyncs.answer(self._bus, self._tell))
                tasks.create_task(_every(0, self._merge_arrived))
                tasks.create_task(_every(PUBLISH_SECONDS, self.publish))
                tasks.create_task(_every(FLUSH_SECONDS, self._flush_due))
        finally:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(LAST_FLUSH_SECONDS):
                    await self.flush()

    async def _merge_arrived(self) -> None:
        await self._arrived.wait()
        self._arrived.clear()
        await self.merge()

    def _tell(self) -> None:
        """Everything that a process which joins must know."""
        now_ms = self._clock.now_ms()
        for symbol in self._symbols:
            self._publish_all(self._history.newest_candles(Series.EXCHANGE, symbol))
            self._publish_all(self._history.recent_trades(Series.EXCHANGE, symbol))
            self._publish_ticker(symbol, now_ms)

    def _publish_ticker(self, symbol: str, now_ms: int) -> None:
        """The best quotes are added by who shows the book beside it (services/market_view.py)."""
        figures = self._history.figures(Series.EXCHANGE, symbol)
        last = self._last.get(symbol)
        self._bus.publish(
            EXCHANGE_TOPIC,
            tickers.ticker(symbol, now_ms=now_ms, last=last, bid=None, ask=None, own=figures, provider=None),
        )

    def _publish_all(self, events: Iterable[MarketEvent]) -> None:
        for event in events:
            self._bus.publish(EXCHANGE_TOPIC, event)


async def forget(symbols: Iterable[str]) -> None:
    """Delete what is stored of these markets, before all trades of the journal are taken anew; no tape may run. Raises PyMongoError."""
    for symbol in symbols:
        await delete_trades(Series.EXCHANGE, symbol)
        await delete_candles(Series.EXCHANGE, symbol)
        await write_states([MarketHistoryState(series=Series.EXCHANGE, symbol=symbol)])


def _accepted(trade: ExchangeTrade) -> TradeAccepted:
    return TradeAccepted(
        symbol=trade.symbol,
        series=Series.EXCHANGE,
        source=PriceSource.EXCHANGE,
        trade_id=str(trade.number),
        price=trade.price,
        quantity=trade.quantity,
        taker_side=trade.taker_side,
        time_ms=trade.time_ms,
        sequence=trade.number,
    )


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Again and again; a database that is away is logged and tried again."""
    while True:
        try:
            await work()
        except PyMongoError as error:
            log.warning("exchange_tape.not_stored", reason=type(error).__name__)
        await asyncio.sleep(seconds)
