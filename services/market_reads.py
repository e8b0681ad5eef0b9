"""Questions about one market's data: the newest from this process's memory, history from the database.

Every answer is of the series that leads the market now, or of this exchange; real, simulated and replayed data are never mixed.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from core.clock import to_ms
from core.errors import InvalidInput
from core.paging import Page, PageRequest
from core.vocabulary import CandleInterval, HistoryRange, IndicatorKind, MarketDataOrigin, Series, TimeOrder, origin_of
from events.book import WindowSnapshot
from events.market import CandleChanged, FeedChanged, TickerChanged, TradeAccepted
from models.candle import closes_between
from services import candle_history
from services.indicators import Indicator, IndicatorRequest, indicators
from services.market_states import FeedUnavailable
from services.market_view import MarketView
from services.trade_history import TradeHistory
from services.trends import TREND_CANDLES, Trend, check_points, sparkline, trend

_DAY_MS = CandleInterval.DAY_1.length_ms
ALL_WEEKS = 1_000
"""Candles of a span without a beginning, at most: nineteen years of weeks."""

SPANS: dict[HistoryRange, tuple[CandleInterval, int | None]] = {
    HistoryRange.DAY: (CandleInterval.MINUTE_15, _DAY_MS),
    HistoryRange.WEEK: (CandleInterval.HOUR_1, 7 * _DAY_MS),
    HistoryRange.MONTH: (CandleInterval.HOUR_4, 30 * _DAY_MS),
    HistoryRange.QUARTER: (CandleInterval.DAY_1, 90 * _DAY_MS),
    HistoryRange.YEAR: (CandleInterval.DAY_1, 365 * _DAY_MS),
    HistoryRange.ALL: (CandleInterval.WEEK_1, None),
}
"""Which candles a span's closing prices are taken from, and how far back; None: all."""

SparklineKey = tuple[str, HistoryRange, int]
"""Symbol, span and number of points."""


class IndicatorTerms(Protocol):
    """One wanted indicator, as a client writes it."""

    kind: IndicatorKind
    period: int | None
    fast: int | None
    slow: int | None
    signal: int | None
    deviations: Decimal | None


class MarketDataReads:
    """One per process."""

    def __init__(self, view: MarketView, exchange_view: MarketView) -> None:
        self._view = view
        self._exchange_view = exchange_view
        self._trade_history = TradeHistory()

    def _view_of(self, origin: MarketDataOrigin) -> MarketView:
        return self._exchange_view if origin is MarketDataOrigin.EXCHANGE else self._view

    def feed(self, symbol: str) -> FeedChanged:
        """State of a market's price feed. Raises FeedUnavailable."""
        feed = self._view.state(symbol).feed
        if feed is None:
            raise FeedUnavailable(f"no price source has reported on {symbol} yet")
        return feed

    def ticker(self, symbol: str, origin: MarketDataOrigin) -> TickerChanged:
        """Newest ticker. Raises FeedUnavailable, ExchangeUnavailable."""
        state = self._view_of(origin).state(symbol)
        if state.ticker is None:
            raise state.unknown("the ticker")
        return state.ticker

    def order_book(self, symbol: str, origin: MarketDataOrigin, depth: int, grouping: Decimal | None) -> WindowSnapshot:
        """The window of the book now. Raises FeedUnavailable, ExchangeUnavailable, InvalidInput."""
        return self._view_of(origin).book_window(symbol, depth=depth, grouping=grouping)

    async def trades(
        self, symbol: str, origin: MarketDataOrigin, order: TimeOrder, page: PageRequest
    ) -> Page[TradeAccepted]:
        """A page of public trades. Raises FeedUnavailable, InvalidInput."""
        state = self._view_of(origin).state(symbol)
        return await self._trade_history.page(state.series, state.symbol, order, page, tuple(state.trades))

    async def trade(self, series: Series, symbol: str, sequence: int) -> TradeAccepted | None:
        """One trade by its key; None when it is not (any more) stored."""
        state = self._view_of(origin_of(series)).states.get(symbol)
        if state is None:
            return None
        request = PageRequest(first=1, after=str(sequence - 1))
        recent = [trade for trade in state.trades if trade.series is series]
        page = await self._trade_history.page(series, symbol, TimeOrder.OLDEST_FIRST, request, recent)
        return next((trade for trade in page.items if trade.sequence == sequence), None)

    async def candles(
        self,
        symbol: str,
        origin: MarketDataOrigin,
        interval: CandleInterval,
        page: PageRequest,
        *,
        from_: datetime | None,
        to: datetime | None,
    ) -> Page[CandleChanged]:
        """A page of candles, oldest first. Raises FeedUnavailable, InvalidInput."""
        state = self._view_of(origin).state(symbol)
        return await candle_history.page(
            state.series,
            state.symbol,
            interval,
            page,
            live=tuple(state.candles[interval]),
            from_ms=None if from_ is None else to_ms(from_),
            to_ms=None if to is None else to_ms(to),
        )

    async def indicators(
        self,
        symbol: str,
        interval: CandleInterval,
        wanted: Sequence[IndicatorTerms],
        *,
        from_: datetime | None,
        to: datetime | None,
    ) -> list[Indicator]:
        """Indicators over candles. Raises FeedUnavailable, InvalidInput."""
        state = self._view.state(symbol)
        requests = [
            IndicatorRequest(
                kind=terms.kind,
                period=terms.period,
                fast=terms.fast,
                slow=terms.slow,
                signal=terms.signal,
                deviations=terms.deviations,
            )
            for terms in wanted
        ]
        return await indicators(
            state.series,
            state.symbol,
            interval,
            requests,
            live=tuple(state.candles[interval]),
            from_ms=None if from_ is None else to_ms(from_),
            to_ms=None if to is None else to_ms(to),
        )

    async def trend(self, symbol: str, interval: CandleInterval) -> Trend | None:
        """Where the price has been heading; None while there are too few candles. Raises FeedUnavailable."""
        state = self._view.state(symbol)
        newest = await candle_history.newest(
            state.series, state.symbol, interval, TREND_CANDLES, live=tuple(state.candles[interval])
        )
        return trend([candle.close for candle in newest])

    async def sparklines(self, keys: Sequence[SparklineKey]) -> list[list[Decimal] | BaseException]:
        """Closing prices for each key, or why there are none: one query for all markets of a span and series."""
        found: dict[SparklineKey, list[Decimal] | BaseException] = {}
        for span in dict.fromkeys(key[1] for key in keys):
            found |= await self._sparklines_of(span, [key for key in keys if key[1] is span])
        return [found[key] for key in keys]

    async def _sparklines_of(
        self, span: HistoryRange, keys: Sequence[SparklineKey]
    ) -> dict[SparklineKey, list[Decimal] | BaseException]:
        interval, back_ms = SPANS[span]
        length_ms = ALL_WEEKS * interval.length_ms if back_ms is None else back_ms
        found: dict[SparklineKey, list[Decimal] | BaseException] = {}
        wanted: dict[Series, list[SparklineKey]] = {}
        for key in keys:
            state = self._view.states[key[0]]
            try:
                check_points(key[2])
                if not state.candles[interval]:
                    raise FeedUnavailable(f"no price source has delivered {state.symbol} yet; see Market.feed")
                wanted.setdefault(state.series, []).append(key)
            except (FeedUnavailable, InvalidInput) as error:
                found[key] = error
        for series, group in wanted.items():
            symbols = {key[0] for key in group}
            now_ms = max(self._view.states[symbol].candles[interval][-1].open_time_ms for symbol in symbols)
            closes = await closes_between(series, symbols, interval, from_ms=now_ms - length_ms)
            for key in group:
                rows = self._with_live(closes.get(key[0], {}), key[0], interval, from_ms=now_ms - length_ms)
                found[key] = sparkline(rows, key[2])
        return found

    def _with_live(
        self, stored: dict[int, Decimal], symbol: str, interval: CandleInterval, *, from_ms: int
    ) -> list[Decimal]:
        closes = stored | {candle.open_time_ms: candle.close for candle in self._view.states[symbol].candles[interval]}
        return [closes[open_ms] for open_ms in sorted(closes) if open_ms >= from_ms]
