"""Candles as they grow: the newest ones of one series and market, in the worker's memory.

A candle is a monoid: one trade makes a candle, `merge` joins two, in any order and grouping, exactly. Every trade is merged into
the candle of each interval; where minutes are replaced from a provider's history, `fold` makes the longer candles again.

Memory holds every minute of the last 25 hours and the newest two candles of the longer intervals; after a start, the newest two
minutes until `restore_day`. What opened from `horizon_ms` on and is not in memory does not exist; older candles are read from
storage by whoever needs them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import reduce

from sortedcontainers import SortedDict

from core.vocabulary import CandleInterval, Series
from events.market import CandleChanged, TradeAccepted
from integrations.feeds.base import ProviderCandle
from models.candle import Candle, CandleKey
from services.tickers import RollingDay

MINUTE = CandleInterval.MINUTE_1
MEMORY_MS = 25 * CandleInterval.HOUR_1.length_ms
ANNOUNCED_MS = CandleInterval.HOUR_1.length_ms
"""Candles replaced from a provider's history are announced when they ended within this time; older ones are read by query."""
CHILD: Mapping[CandleInterval, CandleInterval] = dict(zip(list(CandleInterval)[1:], CandleInterval, strict=False))
"""The interval each longer one is folded from."""

Slot = tuple[CandleInterval, int]
"""An interval and an open time."""


def of_trade(trade: TradeAccepted) -> Candle:
    """The minute candle of a single trade."""
    place = (trade.time_ms, trade.sequence)
    return Candle(
        open_time_ms=MINUTE.open_time_ms(trade.time_ms),
        open=trade.price,
        high=trade.price,
        low=trade.price,
        close=trade.price,
        volume=trade.quantity,
        quote_volume=trade.price * trade.quantity,
        trades=1,
        first=place,
        last=place,
        through_sequence=trade.sequence,
    )


def of_provider(candle: ProviderCandle, interval: CandleInterval, *, through_sequence: int) -> Candle:
    """A provider's finished candle as ours."""
    return Candle(
        open_time_ms=candle.open_time_ms,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        quote_volume=candle.quote_volume,
        trades=candle.trades,
        first=(candle.open_time_ms, 0),
        last=(candle.open_time_ms + interval.length_ms - 1, 0),
        through_sequence=through_sequence,
        closed=True,
        from_provider=True,
    )


def merge(a: Candle, b: Candle) -> Candle:
    """The candle of the trades of both. Associative and commutative; unknown figures stay unknown."""
    opener = a if a.first <= b.first else b
    closer = a if a.last >= b.last else b
    return Candle(
        open_time_ms=min(a.open_time_ms, b.open_time_ms),
        open=opener.open,
        high=max(a.high, b.high),
        low=min(a.low, b.low),
        close=closer.close,
        volume=a.volume + b.volume,
        quote_volume=None if a.quote_volume is None or b.quote_volume is None else a.quote_volume + b.quote_volume,
        trades=None if a.trades is None or b.trades is None else a.trades + b.trades,
        first=opener.first,
        last=closer.last,
        through_sequence=max(a.through_sequence, b.through_sequence),
    )


def fold(children: Iterable[Candle], interval: CandleInterval) -> list[Candle]:
    """Candles of a longer interval from those of a shorter one, oldest first; open ones."""
    parents: dict[int, list[Candle]] = {}
    for child in children:
        parents.setdefault(interval.open_time_ms(child.open_time_ms), []).append(child)
    return [
        replace(reduce(merge, parents[open_ms]), open_time_ms=open_ms, closed=False, from_provider=False)
        for open_ms in sorted(parents)
    ]


class MarketCandles:
    """The growing candles of one series and market. Nothing here waits; what changed is taken by `changes` and `take_unsaved`.

    Time is the series' own: it moves with the trades and with `advance`, never back.
    """

    def __init__(self, series: Series, symbol: str) -> None:
        self.series = series
        self.symbol = symbol
        self.day = RollingDay()
        self.time_ms = 0
        self.horizon_ms = dict.fromkeys(CandleInterval, 0)
        self.day_is_known = True
        self._memory: dict[CandleInterval, SortedDict[int, Candle]] = {i: SortedDict() for i in CandleInterval}
        self._unsaved: dict[Slot, Candle] = {}
        self._changed: dict[Slot, Candle] = {}
        self._next_close_ms = 0

    def restore_newest(self, stored: Mapping[CandleKey, Candle], *, reached_ms: int) -> None:
        """Take over the newest two stored candles of every interval, before the first trade; the newest minute opened at `reached_ms`."""
        self.day_is_known = False
        self.horizon_ms = {i: i.open_time_ms(reached_ms - i.length_ms) for i in CandleInterval}
        for key, candle in stored.items():
            self._remember(key.interval, candle)
        self.advance(max([reached_ms, *(candle.last[0] for candle in stored.values())]))
        for key, candle in stored.items():
            if not candle.closed and candle.open_time_ms + key.interval.length_ms <= self.time_ms:
                self._put(key.interval, candle)

    def restore_day(self, stored: Iterable[Candle]) -> None:
        """Take over the stored minutes of the last 25 hours; what memory knows better stays."""
        self.day_is_known = True
        self.horizon_ms[MINUTE] = MINUTE.open_time_ms(self.time_ms - MEMORY_MS)
        for candle in self.overlay(MINUTE, stored, from_ms=self.horizon_ms[MINUTE], to_ms=self.time_ms + 1):
            self._remember(MINUTE, candle)

    def apply(self, trade: TradeAccepted, stored: Mapping[CandleKey, Candle] | None = None) -> None:
        """Merge a trade into the candle of each interval. `stored`: candles beyond memory that it touches (`beyond_memory`).

        A candle that already holds the trade's sequence stays as it is; a minute taken from a provider's history holds every trade.
        """
        self.advance(trade.time_ms)
        known = {slot: self._known(slot, stored or {}) for slot in self._slots(trade.time_ms)}
        if any(candle is not None and candle.from_provider for candle in known.values()):
            return
        one = of_trade(trade)
        for (interval, open_ms), candle in known.items():
            if candle is None:
                self._put(interval, replace(one, open_time_ms=open_ms))
            elif trade.sequence > candle.through_sequence:
                self._put(interval, merge(candle, one))

    def beyond_memory(self, time_ms: int) -> list[CandleKey]:
        """Candles that a trade of this time touches and that only storage may have; none for a trade of now."""
        return [
            CandleKey(self.series, self.symbol, interval, open_ms)
            for interval, open_ms in self._slots(time_ms)
            if open_ms < self.horizon_ms[interval] and (interval, open_ms) not in self._unsaved
        ]

    def replace_candle(self, interval: CandleInterval, candle: Candle) -> None:
        """Put a candle made from a provider's history, or folded from such, in place of what was there."""
        ended_ms = candle.open_time_ms + interval.length_ms
        self._put(interval, candle, announce=ended_ms > self.time_ms - ANNOUNCED_MS)

    def advance(self, now_ms: int) -> None:
        """Let time pass: close what is over, forget what memory need not hold."""
        if now_ms <= self.time_ms:
            return
        self.time_ms = now_ms
        if now_ms < self._next_close_ms:
            return
        for interval in CandleInterval:
            self._close_due(interval)
            keep_from_ms = now_ms - MEMORY_MS if interval is MINUTE else now_ms - interval.length_ms
            self.horizon_ms[interval] = max(self.horizon_ms[interval], interval.open_time_ms(keep_from_ms))
            candles = self._memory[interval]
            while candles and candles.peekitem(0)[0] < self.horizon_ms[interval]:
                candles.popitem(0)
        self.day.advance(now_ms)
        self._next_close_ms = MINUTE.open_time_ms(now_ms) + MINUTE.length_ms

    def overlay(self, interval: CandleInterval, stored: Iterable[Candle], *, from_ms: int, to_ms: int) -> list[Candle]:
        """Candles of a range: the stored ones with what memory knows better, oldest first."""
        found = {candle.open_time_ms: candle for candle in stored}
        found |= {
            open_ms: c for (i, open_ms), c in self._unsaved.items() if i is interval and from_ms <= open_ms < to_ms
        }
        memory = self._memory[interval]
        found |= {open_ms: memory[open_ms] for open_ms in memory.irange(from_ms, to_ms, inclusive=(True, False))}
        return [found[open_ms] for open_ms in sorted(found)]

    def newest(self, count: int) -> list[CandleChanged]:
        """The newest candles of every interval, oldest first: what a process that just joined must know."""
        return [
            self._event(interval, candle)
            for interval, candles in self._memory.items()
            for candle in candles.values()[-count:]
        ]

    def changes(self) -> list[CandleChanged]:
        """Candles that changed since the last call, each in its newest state."""
        changed, self._changed = self._changed, {}
        return [self._event(interval, candle) for (interval, _), candle in changed.items()]

    def take_unsaved(self) -> dict[CandleKey, Candle]:
        """Candles to be stored; `put_back` what could not be."""
        taken, self._unsaved = self._unsaved, {}
        return {CandleKey(self.series, self.symbol, *slot): candle for slot, candle in taken.items()}

    def put_back(self, candles: Mapping[CandleKey, Candle]) -> None:
        """Return candles that could not be stored; what changed since stays."""
        for key, candle in candles.items():
            self._unsaved.setdefault((key.interval, key.open_time_ms), candle)

    def _slots(self, time_ms: int) -> list[Slot]:
        return [(interval, interval.open_time_ms(time_ms)) for interval in CandleInterval]

    def _known(self, slot: Slot, stored: Mapping[CandleKey, Candle]) -> Candle | None:
        interval, open_ms = slot
        return (
            self._memory[interval].get(open_ms)
            or self._unsaved.get(slot)
            or stored.get(CandleKey(self.series, self.symbol, interval, open_ms))
        )

    def _put(self, interval: CandleInterval, candle: Candle, *, announce: bool = True) -> None:
        closed = candle.open_time_ms + interval.length_ms <= self.time_ms
        if closed is not candle.closed:
            candle = replace(candle, closed=closed)
        self._remember(interval, candle)
        slot = (interval, candle.open_time_ms)
        self._unsaved[slot] = candle
        if announce:
            self._changed[slot] = candle

    def _remember(self, interval: CandleInterval, candle: Candle) -> None:
        if candle.open_time_ms >= self.horizon_ms[interval]:
            self._memory[interval][candle.open_time_ms] = candle
        if interval is MINUTE:
            self.day.put(candle)

    def _close_due(self, interval: CandleInterval) -> None:
        candles = self._memory[interval]
        if candles:
            newest = candles.peekitem(-1)[1]
            if not newest.closed and newest.open_time_ms + interval.length_ms <= self.time_ms:
                self._put(interval, newest)

    def _event(self, interval: CandleInterval, candle: Candle) -> CandleChanged:
        return changed(self.series, self.symbol, interval, candle)


def changed(series: Series, symbol: str, interval: CandleInterval, candle: Candle) -> CandleChanged:
    """A candle as other processes and clients know it."""
    return CandleChanged(
        symbol=symbol,
        series=series,
        interval=interval,
        open_time_ms=candle.open_time_ms,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        quote_volume=candle.quote_volume,
        trades=candle.trades,
        closed=candle.closed,
    )


def usable(candle: ProviderCandle, interval: CandleInterval) -> bool:
    """Whether a provider's candle makes sense: aligned, prices positive and in order, something traded."""
    low, high = min(candle.open, candle.close), max(candle.open, candle.close)
    return (
        interval.open_time_ms(candle.open_time_ms) == candle.open_time_ms
        and Decimal(0) < candle.low <= low
        and high <= candle.high
        and candle.volume > 0
        and (candle.quote_volume is None or candle.quote_volume >= 0)
        and candle.trades != 0
    )
