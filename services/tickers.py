"""The ticker: last price, best quotes and rolling 24-hour figures.

The figures are those of the minute candles that opened within the last 24 hours, the running minute included: a window of 1,440
whole minutes and the running one. A provider's own figures, while fresh, win field by field.
"""

from collections import deque
from dataclasses import dataclass
from decimal import Decimal

from sortedcontainers import SortedDict

from core.money import figure
from core.vocabulary import CandleInterval
from events.feed import FeedStats24h
from events.market import TickerChanged
from models.candle import Candle

DAY_MS = CandleInterval.DAY_1.length_ms
STATS_FRESH_MS = 60_000
"""A provider's own figures count this long."""
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a day; None: not known. `vwap` is quote volume / volume, half-even to 12 significant digits."""

    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    volume: Decimal | None = None
    quote_volume: Decimal | None = None
    vwap: Decimal | None = None
    trades: int | None = None


class RollingDay:
    """24-hour figures over minute candles, exact, O(1) amortised while the newest minute grows.

    Sums are kept by adding and subtracting; the extremes stand at the front of two queues whose prices only fall (highs) or rise
    (lows) towards the back. After any other change the queues are rebuilt once, when the figures are next asked for.
    """

    def __init__(self) -> None:
        self._minutes: SortedDict[int, Candle] = SortedDict()
        self._start_ms = 0
        self._extremes_valid = True
        self._highs: deque[Candle] = deque()
        self._lows: deque[Candle] = deque()
        self._volume = Decimal(0)
        self._quote_volume = Decimal(0)
        self._trades = 0
        self._without_quote_volume = 0
        self._without_trades = 0

    def put(self, minute: Candle) -> None:
        """Take over a minute's newest state."""
        if minute.open_time_ms < self._start_ms:
            return
        before = self._minutes.get(minute.open_time_ms)
        if before is not None:
            self._add(before, -1)
        self._add(minute, 1)
        self._minutes[minute.open_time_ms] = minute
        self._extremes_valid &= self._minutes.peekitem(-1)[0] == minute.open_time_ms and _grew(before, minute)
        if self._extremes_valid:
            self._append_extremes(minute)

    def advance(self, now_ms: int) -> None:
        """Let minutes that opened more than 24 hours before the running one fall out."""
        self._start_ms = max(self._start_ms, CandleInterval.MINUTE_1.open_time_ms(now_ms) - DAY_MS)
        while self._minutes and self._minutes.peekitem(0)[0] < self._start_ms:
            self._add(self._minutes.popitem(0)[1], -1)
        for extremes in (self._highs, self._lows):
            while extremes and extremes[0].open_time_ms < self._start_ms:
                extremes.popleft()

    def figures(self) -> Figures:
        """The figures of the window as it stands."""
        if not self._minutes:
            return Figures()
        if not self._extremes_valid:
            self._rebuild_extremes()
        quote_volume = None if self._without_quote_volume else self._quote_volume
        return Figures(
            open=self._minutes.peekitem(0)[1].open,
            high=self._highs[0].high,
            low=self._lows[0].low,
            volume=self._volume,
            quote_volume=quote_volume,
            vwap=vwap(quote_volume=quote_volume, volume=self._volume),
            trades=None if self._without_trades else self._trades,
        )

    def _add(self, minute: Candle, sign: int) -> None:
        self._volume += sign * minute.volume
        self._quote_volume += sign * (minute.quote_volume or Decimal(0))
        self._trades += sign * (minute.trades or 0)
        self._without_quote_volume += sign * (minute.quote_volume is None)
        self._without_trades += sign * (minute.trades is None)

    def _append_extremes(self, minute: Candle) -> None:
        while self._highs and (self._highs[-1].high <= minute.high):
            self._highs.pop()
        while self._lows and (self._lows[-1].low >= minute.low):
            self._lows.pop()
        self._highs.append(minute)
        self._lows.append(minute)

    def _rebuild_extremes(self) -> None:
        self._highs.clear()
        self._lows.clear()
        for minute in self._minutes.values():
            self._append_extremes(minute)
        self._extremes_valid = True


def _grew(before: Candle | None, after: Candle) -> bool:
    return before is None or (after.high >= before.high and after.low <= before.low)


def vwap(*, quote_volume: Decimal | None, volume: Decimal | None) -> Decimal | None:
    """Volume-weighted average price, half-even to 12 significant digits; None where a volume is unknown or 0."""
    return None if quote_volume is None or not volume else figure(quote_volume / volume)


def ticker(
    symbol: str,
    *,
    now_ms: int,
    last: Decimal | None,
    bid: Decimal | None,
    ask: Decimal | None,
    own: Figures,
    provider: FeedStats24h | None,
) -> TickerChanged:
    """The ticker of a market: the leader's own figures where it publishes them and they are fresh, else ours."""
    stats = provider if provider is not None and now_ms - provider.time_ms <= STATS_FRESH_MS else None
    if stats is None:
        figures = own
    else:
        both = stats.volume is not None and stats.quote_volume is not None
        figures = Figures(
            open=_first(stats.open, own.open),
            high=_first(stats.high, own.high),
            low=_first(stats.low, own.low),
            volume=_first(stats.volume, own.volume),
            quote_volume=_first(stats.quote_volume, own.quote_volume),
            vwap=_first(stats.vwap, vwap(quote_volume=stats.quote_volume, volume=stats.volume) if both else own.vwap),
            trades=own.trades if stats.trades is None else stats.trades,
        )
    return TickerChanged(
        symbol=symbol,
        time_ms=now_ms,
        last=last,
        bid=bid,
        ask=ask,
        open24h=figures.open,
        high24h=figures.high,
        low24h=figures.low,
        volume24h=figures.volume,
        quote_volume24h=figures.quote_volume,
        vwap24h=figures.vwap,
        trades24h=figures.trades,
    )


def change_24h(changed: TickerChanged) -> tuple[Decimal, Decimal] | None:
    """Change of the last price against 24 hours ago: in quote (exact) and in percent (half-even to 12 significant digits)."""
    if changed.last is None or not changed.open24h:
        return None
    change = changed.last - changed.open24h
    return change, figure(change * _HUNDRED / changed.open24h)


def _first(preferred: Decimal | None, otherwise: Decimal | None) -> Decimal | None:
    return otherwise if preferred is None else preferred
