"""Where a made-up market was at any moment, and what it did in any past minute: noise, an asset's wander, one market's path and history.

An asset's price is its start times one plus a sum of noise of many wavelengths (15 seconds to 45 days, amplitude growing with the root
of the wavelength, as a random walk's does). It is a pure function of (seed, asset, moment), in integers, so that any past minute can be
computed by itself, history joins the live price without a step, and all markets of one asset move together: a market's price is its
base's wander over its quote's. Assets that are pegged (fiat, stablecoins) do not wander.

All is computed for many moments at once: a year of one market is half a million minutes. Numbers are 64 bits wide and wrap only where noise wants it;
`MOST_UNITS` is how large a market's may be.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from decimal import Decimal
from hashlib import blake2b
from math import gcd

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

MOST_UNITS = 10**14
"""The largest price in ticks times the usual size of a trade in lots, so that no sum of an hour leaves 64 bits."""
MOST_TICKS = 10**9
"""The largest price in ticks, so that no product on the way leaves 64 bits."""
MINUTE_MS = 60_000
TRADES_A_MINUTE = 37
"""As the live steps make them: two steps of 0.8 s a trade."""
_ONE = 1_000_000_000
_LENGTHS_MS = [15_000 * 4**octave for octave in range(10)]
_AMPLITUDES = [320_000 * 2**octave for octave in range(10)]
"""Of one in a billion: 0.03 % over 15 seconds, 2 % over 17 hours, 16 % over 45 days."""
_STEP_MS, _STEPS_AHEAD = 100, 600
_SUMMED = 60
"""So many minutes are summed in 64 bits."""


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """A market to make up, BASE-QUOTE. `start_price` is about what it wanders around, in quote."""

    symbol: str
    start_price: Decimal
    tick_size: Decimal
    lot_size: Decimal

    @property
    def base(self) -> str:
        """The asset that is bought and sold."""
        return self.symbol.partition("-")[0]

    @property
    def quote(self) -> str:
        """The asset it is paid with."""
        return self.symbol.partition("-")[2]

    @property
    def start_ticks(self) -> int:
        """The start price in ticks."""
        return int(self.start_price / self.tick_size)


def _stream(seed: int, name: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "big"))


def _noise(stream: np.uint64, indices: Integers) -> NDArray[np.uint64]:
    """64 well-mixed bits of a stream at each index (SplitMix64, Steele, Lea and Flood 2014)."""
    mixed = indices.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + stream
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


class _Wander:
    """How far an asset is from its start, in billionths, at any moment."""

    def __init__(self, seed: int, asset: str) -> None:
        self._octaves = [
            (_stream(seed, f"{asset}/{length}"), length, amplitude)
            for length, amplitude in zip(_LENGTHS_MS, _AMPLITUDES, strict=True)
        ]

    def at(self, times_ms: Integers) -> Integers:
        """Between -0.33 and 0.33 billion at each of these moments, which ascend."""
        total = np.zeros_like(times_ms)
        for stream, length, amplitude in self._octaves:
            cells, rest = np.divmod(times_ms, length)
            first = cells[0]
            bits = _noise(stream, np.arange(first, cells[-1] + 2))
            heights = ((bits >> np.uint64(32)).astype(np.int64) * 2 - (1 << 32)) * amplitude >> 32
            left, right = heights[cells - first], heights[cells - first + 1]
            total += left + (right - left) * rest // length
        return total


class Path:
    """A market's price in ticks at any moment; `at` tells it as of the last tenth of a second, and asking in order of time is cheap."""

    def __init__(self, market: SimulatedMarket, seed: int, pegged: Collection[str]) -> None:
        self._start_ticks = market.start_ticks
        self._base = None if market.base in pegged else _Wander(seed, market.base)
        self._quote = None if market.quote in pegged else _Wander(seed, market.quote)
        self._ahead: list[int] = []
        self._ahead_from = 0

    def at(self, time_ms: int) -> int:
        """The price at one moment."""
        step = time_ms // _STEP_MS
        if not 0 <= step - self._ahead_from < len(self._ahead):
            self._ahead_from = step
            self._ahead = self.along(np.arange(step, step + _STEPS_AHEAD, dtype=np.int64) * _STEP_MS).tolist()
        return self._ahead[step - self._ahead_from]

    def along(self, times_ms: Integers) -> Integers:
        """The prices at these moments, which ascend."""
        base = np.full_like(times_ms, _ONE) if self._base is None else self._base.at(times_ms) + _ONE
        quote = np.int64(_ONE) if self._quote is None else self._quote.at(times_ms) + _ONE
        return self._start_ticks * base // quote


@dataclass(frozen=True, slots=True)
class Spans:
    """What happened in each of some spans of time, in ticks and lots; `value` is in ticks times lots."""

    open: list[int]
    high: list[int]
    low: list[int]
    close: list[int]
    volume: list[int]
    value: list[int]
    trades: list[int]

    def __add__(self, later: "Spans") -> "Spans":
        return Spans(*(getattr(self, each.name) + getattr(later, each.name) for each in fields(self)))

    def whole(self) -> "Spans":
        """All of them as one."""
        return Spans(
            open=self.open[:1],
            high=[max(self.high)],
            low=[min(self.low)],
            close=self.close[-1:],
            volume=[sum(self.volume)],
            value=[sum(self.value)],
            trades=[sum(self.trades)],
        )


class History:
    """The past of one market, each minute computed from (seed, symbol, minute) alone."""

    def __init__(self, market: SimulatedMarket, seed: int, path: Path, mean_lots: int) -> None:
        self._stream = _stream(seed, market.symbol)
        self._path = path
        self._mean_lots = mean_lots

    def spans(self, first: int, count: int, length: int) -> Spans:
        """So many spans of `length` minutes each, oldest first, from this minute (since the epoch) on."""
        minutes = np.arange(first, first + count * length + 1, dtype=np.int64)
        prices = self._path.along(minutes * MINUTE_MS)
        opened, closed = prices[:-1], prices[1:]
        bits = _noise(self._stream, minutes[:-1])
        wicks = opened // 4_000
        trades = TRADES_A_MINUTE - 8 + _part(bits, 0, 0xF)
        volume = np.maximum(trades, trades * self._mean_lots * (50 + _part(bits, 8, 0x3F)) // 82)
        high = np.maximum(opened, closed) + wicks * _part(bits, 16, 0xFF) // 0xFF
        low = np.minimum(opened, closed) - wicks * _part(bits, 24, 0xFF) // 0xFF
        return Spans(
            open=opened[::length].tolist(),
            high=high.reshape(count, length).max(axis=1).tolist(),
            low=low.reshape(count, length).min(axis=1).tolist(),
            close=closed[length - 1 :: length].tolist(),
            volume=_sums(volume, length),
            value=_sums((opened + closed) * volume // 2, length),
            trades=_sums(trades, length),
        )


def _part(bits: NDArray[np.uint64], shift: int, mask: int) -> Integers:
    return (bits >> np.uint64(shift) & np.uint64(mask)).astype(np.int64)


def _sums(values: Integers, length: int) -> list[int]:
    """The sum of each `length` of them; those of more than an hour do not fit into 64 bits."""
    few = gcd(length, _SUMMED)
    hours: list[int] = values.reshape(-1, few).sum(axis=1).tolist()
    many = length // few
    return [sum(hours[start : start + many]) for start in range(0, len(hours), many)] if many > 1 else hours
