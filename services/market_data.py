"""The market data worker's truth: one desk a market, fed by every source, told to everybody by the bus.

Life of a message: the desk's aggregator judges it, what is believed is numbered, merged into candles and queued for storage, and
what became true is published. Ticks and trades go out at once; tickers and candles with `check`, every CHECK_SECONDS, in
their newest state. Only one process may run this (services/leases.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from pymongo.errors import PyMongoError

from core.bus import Bus
from core.clock import Clock
from core.vocabulary import CandleInterval, PriceSource, Series
from events.feed import (
    FeedBookDelta,
    FeedBookLost,
    FeedBookSnapshot,
    FeedConnected,
    FeedDisconnected,
    FeedMessage,
    FeedRejected,
    FeedStats24h,
)
from events.market import (
    MARKET_TOPIC,
    BookChanged,
    BookLost,
    BookReset,
    FeedChanged,
    MarketEvent,
    ResyncFinished,
    TickAccepted,
    TickerChanged,
)
from integrations.feeds.base import ProviderRules
from services import tickers
from services.books import ReferenceBook
from services.catalogue import Catalogue, refresh_rules
from services.market_history import MarketHistory
from services.price_sources import PriceLimits
from services.prices import Outcome, PriceAggregator
from services.sequences import Sequences, book_sequence, tick_sequence

log = structlog.get_logger(__name__)

CHECK_SECONDS = 0.1
FLUSH_SECONDS = 1.0
LAST_FLUSH_SECONDS = 2.0
LAST_NUMBERS_SECONDS = 1.0
"""Limits of the two steps at the end. What is not stored by then is fetched again from a provider's history at the next start."""


class Desk:
    """Everything known of one market while the worker runs."""

    def __init__(self, prices: PriceAggregator, book: ReferenceBook) -> None:
        self.prices = prices
        self.book = book
        self.stats: dict[PriceSource, FeedStats24h] = {}
        self.ticker: TickerChanged | None = None
        self.ticker_due = False
        self.turn = asyncio.Lock()
        """Messages of a market are finished one after the other."""
        self.trading: PriceSource | None = None
        """The source whose trades are taken now; None while nobody leads."""


class MarketData:
    """See the module. `load` before the first message; `close` after the last."""

    def __init__(
        self,
        *,
        bus: Bus,
        clock: Clock,
        catalogue: Catalogue,
        history: MarketHistory,
        sequences: Sequences,
        sources: Mapping[str, Sequence[PriceSource]],
        limits: PriceLimits,
    ) -> None:
        self.history = history
        self._bus = bus
        self._clock = clock
        self._catalogue = catalogue
        self._sequences = sequences
        self._sources = sources
        self._limits = limits
        self._desks: dict[str, Desk] = {}

    async def load(self) -> None:
        """Continue where storage stands. Raises PyMongoError."""
        symbols = list(self._catalogue.markets)
        await self._sequences.load([*map(tick_sequence, symbols), *map(book_sequence, symbols)])
        for series in self._possible_series():
            await self.history.load(series, symbols)
            if series is Series.REPLAY:
                for symbol in self._sources:
                    await self.history.reset(series, symbol)
        for symbol in symbols:
            self._desks[symbol] = Desk(
                PriceAggregator(
                    symbol,
                    self._sources.get(symbol, ()),
                    self._limits,
                    sequence=self._sequences.peek(tick_sequence(symbol)) - 1,
                    resume=self._last_known(symbol),
                ),
                ReferenceBook(symbol, sequence=self._sequences.peek(book_sequence(symbol)) - 1),
            )

    def _last_known(self, symbol: str) -> TickAccepted | None:
        """The tick an earlier run ended with, as far as it is known: the next one is counted from it and judged by it."""
        sequence = self._sequences.peek(tick_sequence(symbol)) - 1
        series = self._possible_series()[0]
        candles = self.history.newest_candles(series, symbol, 1)
        sources = self._sources.get(symbol, ())
        minute = next((candle for candle in candles if candle.interval is CandleInterval.MINUTE_1), None)
        if minute is None or not sources:
            return None
        return TickAccepted(
            symbol=symbol,
            price=minute.close,
            bid=None,
            ask=None,
            source=sources[0],
            time_ms=minute.open_time_ms,
            sequence=sequence,
        )

    def _possible_series(self) -> list[Series]:
        configured = {source for sources in self._sources.values() for source in sources}
        return [Series.REPLAY] if PriceSource.REPLAY in configured else [Series.LIVE, Series.SIMULATED]

    async def handle(self, message: FeedMessage) -> None:
        """Take one message of any source."""
        if isinstance(message, FeedConnected | FeedDisconnected | FeedRejected):
            for desk in self._desks.values():
                await self._take(desk, message)
        elif (known := self._desks.get(message.symbol)) is not None:
            await self._take(known, message)

    async def _take(self, desk: Desk, message: FeedMessage) -> None:
        async with desk.turn:
            await self._apply(desk, desk.prices.apply(message, self._clock.now_ms()))
            if isinstance(message, FeedStats24h):
                desk.stats[message.source] = message
                desk.ticker_due = desk.ticker_due or message.source is desk.prices.leader
            if isinstance(message, FeedBookSnapshot | FeedBookDelta | FeedBookLost | FeedDisconnected):
                self._publish_book(desk.book.apply(message))

    async def _apply(self, desk: Desk, outcome: Outcome) -> None:
        for event in outcome.events:
            if isinstance(event, FeedChanged):
                self._publish(event)
                self._follow_leader(desk)
        for trade in outcome.trades:
            series = desk.prices.series
            accepted = None if series is None else await self.history.accept(series, trade)
            if accepted is not None:
                self._publish(accepted)
        for event in outcome.events:
            if isinstance(event, TickAccepted):
                self._sequences.used(tick_sequence(event.symbol), event.sequence)
                self._publish(event)
                desk.ticker_due = True

    def _follow_leader(self, desk: Desk) -> None:
        """Another source leads: its trades arrive from now on, and its book is shown."""
        leader, series = desk.prices.leader, desk.prices.series
        self._publish_book(desk.book.lead(leader))
        if leader is desk.trading:
            return
        now_ms = self._clock.now_ms()
        if series is not None and series is not Series.REPLAY:
            if desk.trading is not None:
                self.history.feed_lost(series, desk.prices.symbol, now_ms)
            if leader is not None:
                self.history.feed_joined(series, desk.prices.symbol, now_ms)
        desk.trading = leader
        desk.ticker_due = True

    async def check(self) -> None:
        """Let time pass, and publish tickers and candles that changed. Call it every CHECK_SECONDS."""
        now_ms = self._clock.now_ms()
        for desk in self._desks.values():
            async with desk.turn:
                await self._apply(desk, desk.prices.check(now_ms))
        self.history.close_due(now_ms)
        self._publish_all(self.history.changes())
        for desk in self._desks.values():
            self._publish_ticker(desk, now_ms)

    def _publish_ticker(self, desk: Desk, now_ms: int) -> None:
        tick, series = desk.prices.last_tick, desk.prices.series
        if not desk.ticker_due or tick is None or series is None:
            return
        desk.ticker_due = False
        leader = desk.prices.leader
        desk.ticker = tickers.ticker(
            tick.symbol,
            now_ms=tick.time_ms if series is Series.REPLAY else now_ms,
            last=tick.price,
            bid=tick.bid,
            ask=tick.ask,
            own=self.history.figures(series, tick.symbol),
            provider=None if leader is None else desk.stats.get(leader),
        )
        self._publish(desk.ticker)

    async def flush_due(self) -> None:
        """Store what is due. Call it every FLUSH_SECONDS; a database that is away is logged and tried again."""
        await self._stored(self.history.flush_due)

    async def flush(self) -> None:
        """Store everything that changed; a database that is away is logged, and tried again the next time."""
        await self._stored(self.history.flush)

    async def _stored(self, flush: Callable[[], Awaitable[None]]) -> None:
        try:
            await flush()
        except PyMongoError as error:
            log.warning("market_data.not_stored", reason=type(error).__name__)

    def leaders(self) -> dict[str, PriceSource]:
        """The leading source of every market that has one."""
        return {symbol: desk.prices.leader for symbol, desk in self._desks.items() if desk.prices.leader is not None}

    async def refresh_rules(self, published: Sequence[ProviderRules]) -> None:
        """Take over market rules as a provider publishes them. Raises PyMongoError, changing nothing."""
        changed = await refresh_rules(self._catalogue, published)
        if changed:
            log.info("market_data.rules_changed", symbols=[event.symbol for event in changed])
        self._publish_all(changed)

    def resync(self, process: str) -> None:
        """Tell a process that joined, or missed something, everything there is."""
        now_ms = self._clock.now_ms()
        for symbol, desk in self._desks.items():
            self._publish(desk.prices.feed(now_ms))
            if (series := desk.prices.series) is not None:
                self._publish_all(self.history.newest_candles(series, symbol))
                self._publish_all(self.history.recent_trades(series, symbol))
            for event in (desk.prices.last_tick, desk.ticker, desk.book.snapshot()):
                if event is not None:
                    self._publish(event)
        self._bus.publish(MARKET_TOPIC, ResyncFinished(process))

    async def close(self) -> None:
        """Store everything and give back unused numbers, within LAST_FLUSH_SECONDS and LAST_NUMBERS_SECONDS. Raises PyMongoError, TimeoutError."""
        try:
            async with asyncio.timeout(LAST_FLUSH_SECONDS):
                await self.history.flush()
        finally:
            async with asyncio.timeout(LAST_NUMBERS_SECONDS):
                await self._sequences.close()

    def _publish_book(self, event: BookReset | BookChanged | BookLost | None) -> None:
        if event is None:
            return
        if not isinstance(event, BookLost):
            self._sequences.used(book_sequence(event.symbol), event.sequence)
        self._publish(event)

    def _publish(self, event: MarketEvent) -> None:
        self._bus.publish(MARKET_TOPIC, event)

    def _publish_all(self, events: Sequence[MarketEvent]) -> None:
        for event in events:
            self._bus.publish(MARKET_TOPIC, event)
