"""Live values of markets: each stream gives what holds now first, then every change.

Ticks, tickers and open candles conflate to the newest of each market when their reader falls behind; trades never skip and end
with READER_TOO_SLOW instead (TRADES_MISSED where this process never heard of some); an order book starts again with a snapshot.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from decimal import Decimal
from functools import partial

from core.channel import Channel, ConflatingChannel
from core.errors import InvalidInput
from core.vocabulary import CandleInterval
from events.book import WindowDelta, WindowSnapshot
from events.market import CandleChanged, TickAccepted, TickerChanged, TradeAccepted
from services.book_windows import BookWindow
from services.market_view import MarketView

LATEST_CAPACITY = 64
"""Values a reader may be behind before only the newest of each market is kept."""
BOOK_CAPACITY = 100
"""Book changes a reader may be behind before it starts again with a snapshot."""
LOSSLESS_CAPACITY = 2000
"""Trades a reader may be behind before its stream is ended."""
MAX_SYMBOLS = 100
"""Markets one subscription may watch."""


def _checked(view: MarketView, symbols: Sequence[str]) -> list[str]:
    if not symbols or len(symbols) > MAX_SYMBOLS:
        raise InvalidInput(f"expected 1 to {MAX_SYMBOLS} symbols, got {len(symbols)}", field=["symbols"])
    for place, symbol in enumerate(symbols):
        view.catalogue.market(symbol, field=["symbols", str(place)])
    return list(dict.fromkeys(symbols))


async def watch_ticks(view: MarketView, symbols: Sequence[str]) -> AsyncGenerator[TickAccepted, None]:
    """Prices of these markets. Raises UnknownMarket, InvalidInput."""
    wanted = _checked(view, symbols)
    kept: Channel[TickAccepted] = ConflatingChannel(
        LATEST_CAPACITY, lambda tick: tick.symbol, lost=partial(view.observer.conflated, "ticks")
    )
    with view.ticks.open(wanted, kept) as channel:
        for symbol in wanted:
            if (tick := view.states[symbol].tick) is not None:
                channel.put(tick)
        async for tick in channel:
            yield tick


async def watch_tickers(view: MarketView, symbols: Sequence[str]) -> AsyncGenerator[TickerChanged, None]:
    """Last price, quotes and 24-hour figures of these markets. Raises UnknownMarket, InvalidInput."""
    wanted = _checked(view, symbols)
    kept: Channel[TickerChanged] = ConflatingChannel(
        LATEST_CAPACITY, lambda ticker: ticker.symbol, lost=partial(view.observer.conflated, "tickers")
    )
    with view.tickers.open(wanted, kept) as channel:
        for symbol in wanted:
            if (ticker := view.states[symbol].ticker) is not None:
                channel.put(ticker)
        async for ticker in channel:
            yield ticker


async def watch_trades(view: MarketView, symbol: str) -> AsyncGenerator[TradeAccepted, None]:
    """Every trade from now on, the newest one first. Raises UnknownMarket; ends with ReaderTooSlow."""
    state = view.state(symbol)
    kept = Channel[TradeAccepted](LOSSLESS_CAPACITY, lost=partial(view.observer.dropped, "trades"))
    with view.trades.open([state.symbol], kept) as channel:
        if state.trades:
            channel.put(state.trades[-1])
        async for trade in channel:
            yield trade


async def watch_candles(view: MarketView, symbol: str, interval: CandleInterval) -> AsyncGenerator[CandleChanged, None]:
    """The open candle and every change, its closing and later corrections included. Raises UnknownMarket."""
    state = view.state(symbol)
    channel: Channel[CandleChanged] = ConflatingChannel(
        LATEST_CAPACITY, lambda candle: candle.open_time_ms, lost=partial(view.observer.conflated, "candles")
    )
    with view.candles.open([(state.symbol, interval)], channel):
        if state.candles[interval]:
            channel.put(state.candles[interval][-1])
        async for candle in channel:
            yield candle


async def watch_statuses(view: MarketView, symbols: Sequence[str] | None) -> AsyncGenerator[str, None]:
    """Symbols whose status may have changed, each of the wanted ones once at the start. None: all markets."""
    wanted = _checked(view, symbols) if symbols is not None else list(view.states)
    channel: Channel[str] = ConflatingChannel(
        LATEST_CAPACITY, lambda symbol: symbol, lost=partial(view.observer.conflated, "statuses")
    )
    with view.statuses.open(wanted, channel):
        for symbol in wanted:
            channel.put(symbol)
        async for symbol in channel:
            yield symbol


async def watch_order_book(
    view: MarketView, symbol: str, *, depth: int, grouping: Decimal | None
) -> AsyncGenerator[WindowSnapshot | WindowDelta, None]:
    """The window's snapshot, then deltas that link by `previous_sequence`; a new snapshot whenever one is missing.

    Raises UnknownMarket, InvalidInput.
    """
    symbol = view.state(symbol).symbol
    with view.share_window(symbol, depth=depth, grouping=grouping) as window:
        channel = WindowChannel(BOOK_CAPACITY, window, lost=partial(view.observer.conflated, "order_book"))
        with view.window_updates.open([(symbol, (depth, grouping))], channel):
            if (snapshot := window.snapshot()) is not None:
                channel.put(snapshot)
            async for update in channel:
                yield update


class WindowChannel(Channel[WindowSnapshot | WindowDelta]):
    """When its reader is too far behind, what waits is replaced by the window as it stands."""

    def __init__(self, capacity: int, window: BookWindow, *, lost: Callable[[int], None]) -> None:
        super().__init__(capacity, lost=lost)
        self._window = window

    def overflow(self, item: WindowSnapshot | WindowDelta) -> None:
        self.replace(self._window.snapshot() or item)
