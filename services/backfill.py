"""Which stretches of a market's history are missing, and which part of them can be asked for now.

A stretch is missing from the minute in which the feed was lost (or the worker stopped) through the minute in which it was joined
again: that minute is fetched too, once it is over. A market seen for the first time misses the last 25 hours by minutes, the hours
before them back to midnight, and a year of days.
"""

from dataclasses import dataclass

from core.vocabulary import CandleInterval

MINUTE, HOUR, DAY, WEEK = (
    CandleInterval.MINUTE_1,
    CandleInterval.HOUR_1,
    CandleInterval.DAY_1,
    CandleInterval.WEEK_1,
)
SETTLE_MS = 3_000
"""Providers finish a candle a moment after its time."""
SILENCE_MS = 120_000
"""A lost feed may have been silent this long before anybody noticed."""
FIRST_MINUTES_MS = 25 * HOUR.length_ms
FIRST_DAYS_MS = 365 * DAY.length_ms
MOST_MISSED_MS = 7 * DAY.length_ms
"""A longer absence is filled by minutes only from this long ago, the time before it by days."""
REQUEST_CANDLES = 1000
"""Candles asked for at once."""
MOST_STRETCHES = 50
"""More than these are joined, so that a feed that flaps while no history answers costs no memory."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Candles of this interval with from_ms <= open time < to_ms."""

    interval: CandleInterval
    from_ms: int
    to_ms: int


class Gaps:
    """What is missing of one market. `complete_until_ms` as it was stored; None: nothing is known yet."""

    def __init__(self, complete_until_ms: int | None) -> None:
        self._missing: list[Stretch] = []
        self._joined = False
        self._lost_ms = complete_until_ms
        self._first_fill = False
        """The history from before the first sight is being fetched; cut short, it begins again."""

    def lost(self, *, now_ms: int, last_trade_ms: int) -> None:
        """The feed is lost; trades since the last one may be missing."""
        if self._joined:
            silent_since_ms = max(last_trade_ms, now_ms - SILENCE_MS)
            self._lost_ms = MINUTE.open_time_ms(min(silent_since_ms, now_ms))
            self._joined = False

    def joined(self, now_ms: int) -> None:
        """The feed delivers from now on."""
        if self._joined:
            return
        self._joined = True
        end_ms = MINUTE.open_time_ms(now_ms) + MINUTE.length_ms
        if self._lost_ms is None:
            self._first_fill = True
            self._add_coarse(
                WEEK.open_time_ms(now_ms - FIRST_DAYS_MS), HOUR.open_time_ms(now_ms - FIRST_MINUTES_MS), end_ms
            )
        elif self._lost_ms < now_ms - MOST_MISSED_MS:
            self._add_coarse(DAY.open_time_ms(self._lost_ms), DAY.open_time_ms(now_ms - MOST_MISSED_MS), end_ms)
        else:
            self._add(MINUTE, self._lost_ms, end_ms)

    def due(self, now_ms: int) -> Stretch | None:
        """The next stretch to ask a provider for, at most 1,000 candles, all of them over."""
        for missing in self._missing:
            over_ms = missing.interval.open_time_ms(now_ms - SETTLE_MS)
            to_ms = min(missing.to_ms, over_ms, missing.from_ms + REQUEST_CANDLES * missing.interval.length_ms)
            if to_ms > missing.from_ms:
                return Stretch(missing.interval, missing.from_ms, to_ms)
        return None

    def filled(self, stretch: Stretch) -> None:
        """This stretch, given by `due`, has been fetched."""
        for place, missing in enumerate(self._missing):
            if (missing.interval, missing.from_ms) == (stretch.interval, stretch.from_ms):
                rest = Stretch(missing.interval, stretch.to_ms, missing.to_ms)
                self._missing[place : place + 1] = [rest] if rest.from_ms < rest.to_ms else []
                self._first_fill = self._first_fill and bool(self._missing)
                return

    def complete_until_ms(self, now_ms: int) -> int | None:
        """Every trade before this was seen or fetched; None: the feed was never joined, or its first fill is not over."""
        if self._first_fill:
            return None
        reached_ms = MINUTE.open_time_ms(now_ms) if self._joined else self._lost_ms
        return None if reached_ms is None else min([reached_ms, *(missing.from_ms for missing in self._missing)])

    def _add_coarse(self, from_ms: int, minutes_from_ms: int, to_ms: int) -> None:
        """The newest first: they are looked at most."""
        hours_from_ms = DAY.open_time_ms(minutes_from_ms)
        self._add(MINUTE, minutes_from_ms, to_ms)
        self._add(HOUR, hours_from_ms, minutes_from_ms)
        self._add(DAY, from_ms, hours_from_ms)

    def _add(self, interval: CandleInterval, from_ms: int, to_ms: int) -> None:
        """Remember a stretch; one that touches the last of its interval extends it, so that the list stays short."""
        for place, missing in enumerate(self._missing):
            touches = from_ms <= missing.to_ms and missing.from_ms <= to_ms
            if missing.interval is interval and (touches or len(self._missing) >= MOST_STRETCHES):
                self._missing[place] = Stretch(interval, min(from_ms, missing.from_ms), max(to_ms, missing.to_ms))
                return
        if from_ms < to_ms:
            self._missing.append(Stretch(interval, from_ms, to_ms))
