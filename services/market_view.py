"""The newest state of every market in this process, and who watches it.

`MarketView.run` folds the bus into one `MarketState` a market. After a start or a gap it asks for everything again; until that
arrives the last known values stay and `synced` is False. Readers come through `watch_*`: each gets a bounded channel that starts
with the current value. Nothing here waits for a reader.

A process has two of them: of the reference, told by the market data worker, and of this exchange's own, told by its writer (books) and its
projector (everything else). The exchange's best quotes are those of its book.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import structlog

from core.bus import Bus, BusGap, BusItem
from core.vocabulary import FeedStatus, MarketDataOrigin, series_of
from events.book import WindowDelta, WindowSnapshot
from events.market import (
    CONTROL_TOPIC,
    EXCHANGE_CONTROL_TOPIC,
    EXCHANGE_TOPIC,
    MARKET_TOPIC,
    BookChanged,
    BookLost,
    BookReset,
    BooksConfirmed,
    CandleChanged,
    FeedChanged,
    MarketRulesChanged,
    MarketStatusChanged,
    PaceConfirmed,
    PaceRequested,
    ResyncFinished,
    ResyncRequested,
    TickAccepted,
    TickerChanged,
    TradeAccepted,
)
from services.book_windows import BookWindow
from services.books import Book
from services.catalogue import Catalogue
from services.market_changes import MarketChanges
from services.market_states import ExchangeUnavailable, FeedUnavailable, MarketState, Observer, TradesMissed, Watchers

log = structlog.get_logger(__name__)

RESYNC_SECONDS = 2.0
"""How long to wait for the worker's answer before asking again."""
SILENT_SECONDS = 10.0
"""After this long without any message the worker is asked whether it is there; a busy one is never silent for a second."""
PACE_PATIENCE_SECONDS = 5.0
"""How long a reader that takes nothing may hold up a replay at full speed."""

REFERENCE, EXCHANGE = MarketDataOrigin.REFERENCE, MarketDataOrigin.EXCHANGE
_TOPICS = {REFERENCE: (MARKET_TOPIC, CONTROL_TOPIC), EXCHANGE: (EXCHANGE_TOPIC, EXCHANGE_CONTROL_TOPIC)}
"""Where a view is told, and where it asks."""
WindowKey = tuple[int, Decimal | None]
"""Depth and grouping."""


class MarketView:
    """See the module. One per process and origin; `run` belongs into its task group."""

    def __init__(
        self,
        bus: Bus,
        catalogue: Catalogue,
        *,
        process: str,
        observer: Observer,
        origin: MarketDataOrigin = REFERENCE,
    ) -> None:
        self.origin = origin
        self.catalogue = catalogue
        self.observer = observer
        self.synced = asyncio.Event()
        self.changes = MarketChanges()
        self.states = {
            symbol: MarketState(symbol, origin, market.status, changes=self.changes)
            for symbol, market in catalogue.markets.items()
        }
        self.books = {symbol: Book(symbol) for symbol in catalogue.markets}
        self.ticks: Watchers[TickAccepted] = Watchers()
        self.tickers: Watchers[TickerChanged] = Watchers()
        self.trades: Watchers[TradeAccepted] = Watchers()
        self.candles: Watchers[CandleChanged] = Watchers()
        self.statuses: Watchers[str] = Watchers()
        self.feeds: Watchers[FeedChanged] = Watchers()
        self.window_updates: Watchers[WindowSnapshot | WindowDelta] = Watchers()
        self._windows: dict[str, dict[WindowKey, BookWindow]] = {}
        self._window_readers: Counter[tuple[str, WindowKey]] = Counter()
        self._bus = bus
        self._topic, self._control_topic = _TOPICS[origin]
        self._process = process
        self._missed = asyncio.Event()
        """Something was missed since the last time everything was asked for."""
        self._missed.set()
        self._answered = asyncio.Event()
        self._heard_at = 0.0
        self._pace_tasks: set[asyncio.Task[None]] = set()

    def state(self, symbol: str) -> MarketState:
        """State of a market. Raises UnknownMarket."""
        return self.states[self.catalogue.market(symbol).symbol]

    async def run(self) -> None:
        """Follow the bus until cancelled."""
        self._heard_at = asyncio.get_running_loop().time()
        async with self._bus.subscribe(self._topic) as subscription, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_until_synced())
            await subscription.each(self._hear)

    def _hear(self, item: BusItem) -> None:
        if isinstance(item, BusGap):
            log.warning("market_view.gap", origin=self.origin, reason=item.reason)
            self.observer.bus_gap()
            self._ask_again()
        else:
            if self.origin is REFERENCE or isinstance(item.event, BookReset | BookChanged | BooksConfirmed):
                self._heard_at = asyncio.get_running_loop().time()
            self.apply(item.event)

    def _ask_again(self) -> None:
        """Something was missed: everything is asked for once more."""
        self.synced.clear()
        self._missed.set()

    async def _ask_until_synced(self) -> None:
        """Ask after a start, a gap or a long silence; ask again without an answer, or when more was missed while it came."""
        while True:
            if not await _within(SILENT_SECONDS, self._missed) and not self._silent:
                continue
            self._missed.clear()
            self._answered.clear()
            self._bus.publish(self._control_topic, ResyncRequested(self._process))
            if not await _within(RESYNC_SECONDS, self._answered):
                self._ask_again()
            if self._silent:
                self._mark_stale()

    @property
    def _silent(self) -> bool:
        return asyncio.get_running_loop().time() - self._heard_at >= SILENT_SECONDS

    def _mark_stale(self) -> None:
        """Who tells is away: the last known values stay, and are no longer passed off as current; books are lost."""
        if self.origin is EXCHANGE:
            for symbol, book in self.books.items():
                if book.lost is None:
                    self._apply_book(BookLost(symbol, "the exchange is silent"))
        for state in self.states.values():
            if state.feed is not None and not state.stale:
                log.warning("market_view.worker_silent", symbol=state.symbol)
                self._apply_feed(replace(state.feed, status=FeedStatus.STALE))
                self._apply_book(BookLost(state.symbol, "the market data worker is silent"))

    def _resynced(self, process: str) -> None:
        if process != self._process:
            return
        self._answered.set()
        if not self._missed.is_set():
            self.synced.set()

    def apply(self, event: object) -> None:
        """Take over one event and hand it to its readers. Events of markets this process does not know are passed over."""
        if getattr(event, "symbol", None) not in self.states and not isinstance(event, ResyncFinished | BooksConfirmed):
            log.warning("market_view.unknown_event", event_type=type(event).__name__)
            return
        match event:
            case TickAccepted():
                self._apply_tick(event)
            case TradeAccepted():
                self._apply_trade(event)
            case TickerChanged():
                self._apply_ticker(event)
            case BookReset() | BookChanged() | BookLost():
                self._apply_book(event)
            case CandleChanged():
                self._apply_candle(event)
            case FeedChanged():
                self._apply_feed(event)
            case MarketStatusChanged():
                self._apply_status(event)
            case MarketRulesChanged():
                self.catalogue.set_rules(event)
            case PaceRequested():
                self._confirm_pace(event)
            case ResyncFinished():
                self._resynced(event.process)
            case BooksConfirmed():
                pass
            case _:
                log.warning("market_view.unknown_event", event_type=type(event).__name__)

    def _apply_tick(self, tick: TickAccepted) -> None:
        state = self.states[tick.symbol]
        if not state.holds(series_of(tick.source)):
            return
        if state.tick is not None and tick.sequence == state.tick.sequence:
            return
        state.tick = tick
        self.ticks.publish(tick.symbol, tick)

    def _apply_trade(self, trade: TradeAccepted) -> None:
        state = self.states[trade.symbol]
        recent = state.trades
        if not state.holds(trade.series):
            return
        if recent and trade.sequence <= recent[-1].sequence:
            return
        if recent and trade.sequence > recent[-1].sequence + 1:
            missed = TradesMissed("trades were missed inside the server; read them by query and subscribe again")
            self.trades.fail(trade.symbol, missed)
        recent.append(trade)
        self.trades.publish(trade.symbol, trade)

    def _apply_ticker(self, ticker: TickerChanged) -> None:
        if self.origin is EXCHANGE:
            bid, ask = self._best(ticker.symbol)
            ticker = replace(ticker, bid=bid, ask=ask)
        self.states[ticker.symbol].ticker = ticker
        self.tickers.publish(ticker.symbol, ticker)

    def _best(self, symbol: str) -> tuple[Decimal | None, Decimal | None]:
        book = self.books[symbol]
        return (None, None) if book.lost is not None else (book.bids.best(), book.asks.best())

    def _apply_quotes(self, symbol: str) -> None:
        """The exchange's ticker follows the best quotes of its book."""
        ticker, book = self.states[symbol].ticker, self.books[symbol]
        if ticker is not None and (ticker.bid, ticker.ask) != self._best(symbol):
            self._apply_ticker(replace(ticker, time_ms=max(ticker.time_ms, book.time_ms)))

    def _apply_book(self, event: BookReset | BookChanged | BookLost) -> None:
        book = self.books[event.symbol]
        diff = book.apply(event)
        if self.origin is EXCHANGE:
            self._apply_quotes(event.symbol)
        if book.lost is not None:
            if isinstance(event, BookChanged):
                self._ask_again()
            return
        if diff is None:
            return
        for key, window in self._windows.get(event.symbol, {}).items():
            update = window.follow(diff)
            if update is not None:
                self.window_updates.publish((event.symbol, key), update)

    def book_window(self, symbol: str, *, depth: int, grouping: Decimal | None) -> WindowSnapshot:
        """The best levels of a market's book now. Raises UnknownMarket, InvalidInput, FeedUnavailable, ExchangeUnavailable."""
        symbol = self.state(symbol).symbol
        window = self._windows.get(symbol, {}).get((depth, grouping))
        if window is None:
            window = BookWindow(self.books[symbol], depth=depth, grouping=grouping)
        snapshot = window.snapshot()
        if snapshot is None:
            unavailable = FeedUnavailable if self.origin is REFERENCE else ExchangeUnavailable
            raise unavailable(f"there is no trustworthy order book of {symbol}: {self.books[symbol].lost}")
        return snapshot

    @contextmanager
    def share_window(self, symbol: str, *, depth: int, grouping: Decimal | None) -> Iterator[BookWindow]:
        """One window per market, depth and grouping, kept up to date while anybody shares it. Raises as `book_window`."""
        symbol = self.state(symbol).symbol
        windows = self._windows.setdefault(symbol, {})
        key = (depth, grouping)
        if key not in windows:
            windows[key] = BookWindow(self.books[symbol], depth=depth, grouping=grouping)
        self._window_readers[symbol, key] += 1
        try:
            yield windows[key]
        finally:
            self._window_readers[symbol, key] -= 1
            if not self._window_readers[symbol, key]:
                del self._window_readers[symbol, key]
                del windows[key]

    def _apply_candle(self, candle: CandleChanged) -> None:
        state = self.states[candle.symbol]
        if not state.holds(candle.series):
            return
        recent = state.candles[candle.interval]
        place = next((i for i, known in enumerate(recent) if known.open_time_ms >= candle.open_time_ms), len(recent))
        if place < len(recent) and recent[place].open_time_ms == candle.open_time_ms:
            if recent[place] == candle:
                return
            recent[place] = candle
        elif place == len(recent):
            recent.append(candle)
        self.candles.publish((candle.symbol, candle.interval), candle)

    def _apply_feed(self, feed: FeedChanged) -> None:
        state = self.states[feed.symbol]
        if state.feed is not None and feed.series is not None and state.feed.series is not feed.series:
            self._forget_series(state)
        state.feed = feed
        self.feeds.publish(feed.symbol, feed)

    def _apply_status(self, change: MarketStatusChanged) -> None:
        state = self.states[change.symbol]
        if state.status is not change.status:
            state.status = change.status
            self.catalogue.set_status(change.symbol, change.status)
            self.statuses.publish(change.symbol, change.symbol)

    def _forget_series(self, state: MarketState) -> None:
        """Another kind of data begins: nothing of the old kind may be shown beside it."""
        state.tick = None
        state.ticker = None
        state.trades.clear()
        self.books[state.symbol].apply(BookLost(state.symbol, "another feed leads, its book has not arrived yet"))
        for candles in state.candles.values():
            candles.clear()

    def _confirm_pace(self, request: PaceRequested) -> None:
        task = asyncio.get_running_loop().create_task(self._confirm_when_taken(request))
        self._pace_tasks.add(task)
        task.add_done_callback(self._pace_tasks.discard)

    async def _confirm_when_taken(self, request: PaceRequested) -> None:
        """Answer once this process's readers of the market's ticks have taken what they were given."""
        deadline = asyncio.get_running_loop().time() + PACE_PATIENCE_SECONDS
        while self.ticks.waiting(request.symbol) or self.trades.waiting(request.symbol):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.001)
        self._bus.publish(
            CONTROL_TOPIC,
            PaceConfirmed(self._process, request.symbol, request.number, self.ticks.readers(request.symbol)),
        )


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether the event was set within this time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
