"""Live values of markets (`services/live.py`).

Ticks, tickers and open candles conflate to the newest of each market when their reader falls behind; trades never skip and end
with READER_TOO_SLOW instead (TRADES_MISSED where this process never heard of some); an order book starts again with a snapshot.
"""

from collections.abc import Hashable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial

from core.errors import InvalidInput
from core.vocabulary import CandleInterval
from events.book import WindowDelta, WindowSnapshot
from events.market import CandleChanged, TickAccepted, TickerChanged, TradeAccepted
from services.live import Live
from services.market_states import ExchangeUnavailable, FeedUnavailable
from services.market_view import MarketView

LATEST_CAPACITY = 64
"""Values a reader may be behind before only the newest of each market is kept."""
BOOK_CAPACITY = 100
"""Book changes a reader may be behind before it starts again with a snapshot."""
LOSSLESS_CAPACITY = 2000
"""Trades a reader may be behind before its stream is ended."""
MAX_SYMBOLS = 100
"""Markets one subscription may watch."""


def _checked(view: MarketView, symbols: Sequence[str]) -> tuple[str, ...]:
    if not symbols or len(symbols) > MAX_SYMBOLS:
        raise InvalidInput(f"expected 1 to {MAX_SYMBOLS} symbols, got {len(symbols)}", field=["symbols"])
    for place, symbol in enumerate(symbols):
        view.catalogue.market(symbol, field=["symbols", str(place)])
    return tuple(dict.fromkeys(symbols))


def ticks(view: MarketView, symbols: Sequence[str]) -> Live[TickAccepted]:
    """Prices of these markets. Raises UnknownMarket, InvalidInput."""
    return Live(
        name="ticks",
        keys=_checked(view, symbols),
        watchers=view.ticks,
        current=lambda symbol: view.states[str(symbol)].tick,
        capacity=LATEST_CAPACITY,
        observer=view.observer,
        place=lambda tick: tick.symbol,
    )


def tickers(view: MarketView, symbols: Sequence[str]) -> Live[TickerChanged]:
    """Last price, quotes and 24-hour figures of these markets. Raises UnknownMarket, InvalidInput."""
    return Live(
        name="tickers",
        keys=_checked(view, symbols),
        watchers=view.tickers,
        current=lambda symbol: view.states[str(symbol)].ticker,
        capacity=LATEST_CAPACITY,
        observer=view.observer,
        place=lambda ticker: ticker.symbol,
    )


def trades(view: MarketView, symbol: str) -> Live[TradeAccepted]:
    """Every trade from now on, the newest one first. Raises UnknownMarket; ends with ReaderTooSlow."""
    recent = view.state(symbol).trades
    return Live(
        name="trades",
        keys=(view.state(symbol).symbol,),
        watchers=view.trades,
        current=lambda _symbol: recent[-1] if recent else None,
        capacity=LOSSLESS_CAPACITY,
        observer=view.observer,
    )


def candles(view: MarketView, symbol: str, interval: CandleInterval) -> Live[CandleChanged]:
    """The open candle and every change, its closing and later corrections included. Raises UnknownMarket."""
    state = view.state(symbol)
    recent = state.candles[interval]
    return Live(
        name="candles",
        keys=((state.symbol, interval),),
        watchers=view.candles,
        current=lambda _key: recent[-1] if recent else None,
        capacity=LATEST_CAPACITY,
        observer=view.observer,
        place=lambda candle: candle.open_time_ms,
    )


def statuses(view: MarketView, symbols: Sequence[str] | None) -> Live[str]:
    """Symbols whose status may have changed, each of the wanted ones once at the start. None: all markets."""
    return Live(
        name="statuses",
        keys=_checked(view, symbols) if symbols is not None else tuple(view.states),
        watchers=view.statuses,
        current=str,
        capacity=LATEST_CAPACITY,
        observer=view.observer,
        place=lambda symbol: symbol,
    )


def order_book(
    view: MarketView, symbol: str, *, depth: int, grouping: Decimal | None
) -> Live[WindowSnapshot | WindowDelta]:
    """The window's snapshot, then deltas that link by `previous_sequence`; a new snapshot whenever one is missing.

    Raises UnknownMarket, InvalidInput.
    """
    symbol = view.state(symbol).symbol
    hold = partial(view.share_window, symbol, depth=depth, grouping=grouping)
    with hold():
        pass  # what is wrong with the window is told now

    def current(_key: Hashable) -> WindowSnapshot | None:
        with suppress(FeedUnavailable, ExchangeUnavailable):
            return view.book_window(symbol, depth=depth, grouping=grouping)
        return None

    return Live(
        name="order_book",
        keys=((symbol, (depth, grouping)),),
        watchers=view.window_updates,
        current=current,
        capacity=BOOK_CAPACITY,
        observer=view.observer,
        restarts=True,
        hold=hold,
    )
