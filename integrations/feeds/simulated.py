"""A made-up market for machines without a network: seeded, plausible, and always labelled SIMULATED.

Layout: noise, an asset's wander, one market's history, one market's live book, the feed.

An asset's price is its start times one plus a sum of noise of many wavelengths (15 seconds to 45 days, amplitude growing with the root
of the wavelength, as a random walk's does). It is a pure function of (seed, asset, moment), in integers, so that any past minute can be
computed by itself, history joins the live price without a step, and all markets of one asset move together: a market's price is its
base's wander over its quote's. Assets that are pegged (fiat, stablecoins) do not wander.
Prices are counted in ticks and quantities in lots; both become Decimals only on the way out.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from itertools import islice

from core.clock import Clock
from core.vocabulary import CandleInterval, OrderSide, PriceSource
from events.feed import FeedBookDelta, FeedBookSnapshot, FeedConnected, FeedMessage, FeedQuote, FeedTrade, Level
from integrations.feeds.base import Emit, ProviderCandle, ProviderUnavailable

MIN_PRICE_TICKS = 200
"""A price of fewer ticks could not move plausibly."""
_ONE = 1_000_000_000
_MINUTE_MS = 60_000
_LENGTHS_MS = [15_000 * 4**octave for octave in range(10)]
_AMPLITUDES = [320_000 * 2**octave for octave in range(10)]
"""Of one in a billion: 0.03 % over 15 seconds, 2 % over 17 hours, 16 % over 45 days."""
_MASK = (1 << 64) - 1
_LEVELS = 25
_STEP_SECONDS = (0.4, 1.2)
_TRADES_A_MINUTE = 37
"""As the live steps make them: two steps of 0.8 s a trade."""
_MEAN_TRADE_VALUE = 900
"""In the pegged currency."""
_YIELD_EVERY = 100
"""Minutes computed before others on the event loop get their turn."""

Sleep = Callable[[float], Awaitable[None]]


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


def _stream(seed: int, name: str) -> int:
    return int.from_bytes(blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "big")


def _noise(stream: int, index: int) -> int:
    """64 well-mixed bits of a stream at an index (SplitMix64, Steele, Lea and Flood 2014)."""
    mixed = (stream + index * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


class _Wander:
    """How far an asset is from its start, in billionths, at any moment. Remembers one cell per wavelength: asking in order of
    time is cheap."""

    def __init__(self, seed: int, asset: str) -> None:
        self._octaves = [
            [_stream(seed, f"{asset}/{length}"), length, amplitude, -1, 0, 0]
            for length, amplitude in zip(_LENGTHS_MS, _AMPLITUDES, strict=True)
        ]

    def at(self, time_ms: int) -> int:
        """Between -0.33 and 0.33 billion."""
        total = 0
        for octave in self._octaves:
            stream, length, amplitude, cell, left, right = octave
            index, rest = divmod(time_ms, length)
            if index != cell:
                left = right if index == cell + 1 and cell >= 0 else _signed(_noise(stream, index), amplitude)
                right = _signed(_noise(stream, index + 1), amplitude)
                octave[3:] = (index, left, right)
            total += left + (right - left) * rest // length
        return total


def _signed(bits: int, amplitude: int) -> int:
    return ((bits >> 32) * 2 - (1 << 32)) * amplitude >> 32


class _Path:
    """A market's price in ticks at any moment."""

    def __init__(self, market: SimulatedMarket, seed: int, pegged: Collection[str]) -> None:
        self._start_ticks = int(market.start_price / market.tick_size)
        self._base = None if market.base in pegged else _Wander(seed, market.base)
        self._quote = None if market.quote in pegged else _Wander(seed, market.quote)

    def at(self, time_ms: int) -> int:
        base = _ONE if self._base is None else _ONE + self._base.at(time_ms)
        quote = _ONE if self._quote is None else _ONE + self._quote.at(time_ms)
        return self._start_ticks * base // quote


@dataclass(frozen=True, slots=True)
class _Minute:
    """A past minute in ticks and lots; `value` is in ticks times lots."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    value: int
    trades: int


class _History:
    """Past minutes of one market, each computed from (seed, symbol, minute) alone."""

    def __init__(self, market: SimulatedMarket, seed: int, path: _Path, mean_lots: int) -> None:
        self._stream = _stream(seed, market.symbol)
        self._path = path
        self._mean_lots = mean_lots

    def minutes(self, first: int, end: int) -> Iterator[_Minute]:
        """The minutes first to end (minutes since the epoch, end not included), oldest first."""
        close = self._path.at(first * _MINUTE_MS)
        for minute in range(first, end):
            opened, close = close, self._path.at((minute + 1) * _MINUTE_MS)
            bits = _noise(self._stream, minute)
            wick = opened // 4_000
            trades = _TRADES_A_MINUTE - 8 + (bits & 0xF)
            volume = max(trades, trades * self._mean_lots * (50 + (bits >> 8 & 0x3F)) // 82)
            yield _Minute(
                open=opened,
                high=max(opened, close) + wick * (bits >> 16 & 0xFF) // 0xFF,
                low=min(opened, close) - wick * (bits >> 24 & 0xFF) // 0xFF,
                close=close,
                volume=volume,
                value=(opened + close) * volume // 2,
                trades=trades,
            )


def _roll_up(minutes: Sequence[_Minute]) -> _Minute:
    return _Minute(
        open=minutes[0].open,
        high=max(minute.high for minute in minutes),
        low=min(minute.low for minute in minutes),
        close=minutes[-1].close,
        volume=sum(minute.volume for minute in minutes),
        value=sum(minute.value for minute in minutes),
        trades=sum(minute.trades for minute in minutes),
    )


class _LiveMarket:
    """One market's book and trades. Steps alternate: the book is quoted anew around the price, then somebody trades against it."""

    def __init__(self, market: SimulatedMarket, seed: int, path: _Path, mean_lots: int) -> None:
        self.market = market
        self.random = random.Random(f"{seed}:{market.symbol}")
        self._path = path
        self._mean_lots = mean_lots
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._trades_next = False
        self._middle = 0
        self._spacing = 10 ** (len(str(int(market.start_price / market.tick_size) // 10_000)) - 1)

    def open(self, time_ms: int) -> list[FeedMessage]:
        """The whole book and its best prices."""
        bids, asks = map(self._levels, self._requote(time_ms))
        snapshot = FeedBookSnapshot(PriceSource.SIMULATED, self.market.symbol, bids, asks, time_ms)
        return [snapshot, self._quote(time_ms)]

    def step(self, time_ms: int) -> list[FeedMessage]:
        """What happens next."""
        self._trades_next = not self._trades_next
        if self._trades_next:
            return self._trade(time_ms)
        bids, asks = self._requote(time_ms)
        return [self._delta(bids, asks, time_ms), self._quote(time_ms)]

    def _trade(self, time_ms: int) -> list[FeedMessage]:
        drift = self._path.at(time_ms) - self._middle
        buys = drift > 0 or (drift == 0 and self.random.random() < 0.5)
        side = self._asks if buys else self._bids
        price = min(side) if buys else max(side)
        lots = min(side[price], self.random.randint(1, 2 * self._mean_lots))
        side[price] -= lots
        changed = {price: side[price]}
        if not side[price]:
            del side[price]
        trade = FeedTrade(
            PriceSource.SIMULATED,
            self.market.symbol,
            str(time_ms),
            price * self.market.tick_size,
            lots * self.market.lot_size,
            OrderSide.BUY if buys else OrderSide.SELL,
            time_ms,
        )
        return [trade, self._delta({} if buys else changed, changed if buys else {}, time_ms), self._quote(time_ms)]

    def _requote(self, time_ms: int) -> tuple[dict[int, int], dict[int, int]]:
        self._middle = self._path.at(time_ms)
        spacing = self._spacing
        changed = []
        for side, sign in ((self._bids, -1), (self._asks, 1)):
            wanted = [(self._middle // spacing + sign * (number + 1)) * spacing for number in range(_LEVELS)]
            change = {price: 0 for price in side if price not in wanted}
            for price in wanted:
                if price not in side or self.random.random() < 0.1:
                    change[price] = self.random.randint(self._mean_lots, 8 * self._mean_lots)
            side.update(change)
            for price in [price for price, lots in side.items() if not lots]:
                del side[price]
            changed.append(change)
        return changed[0], changed[1]

    def _quote(self, time_ms: int) -> FeedQuote:
        tick = self.market.tick_size
        bid, ask = max(self._bids) * tick, min(self._asks) * tick
        return FeedQuote(PriceSource.SIMULATED, self.market.symbol, bid, ask, time_ms)

    def _delta(self, bids: dict[int, int], asks: dict[int, int], time_ms: int) -> FeedBookDelta:
        symbol = self.market.symbol
        return FeedBookDelta(PriceSource.SIMULATED, symbol, self._levels(bids), self._levels(asks), time_ms)

    def _levels(self, side: dict[int, int]) -> tuple[Level, ...]:
        return tuple((price * self.market.tick_size, lots * self.market.lot_size) for price, lots in side.items())


class SimulatedFeed:
    """Made-up trades, quotes, books and history for every market, two to five messages a second each.

    `pegged` are the codes of assets that do not wander (fiat and stablecoins). Time comes from `clock` and passes through `sleep`.
    """

    source = PriceSource.SIMULATED

    def __init__(
        self,
        markets: Sequence[SimulatedMarket],
        *,
        seed: int,
        pegged: Collection[str],
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        history_days: int = 400,
    ) -> None:
        """Raises ValueError for a market whose price is too few ticks."""
        for market in markets:
            if market.start_price < MIN_PRICE_TICKS * market.tick_size:
                raise ValueError(f"{market.symbol}: the simulated price must be at least {MIN_PRICE_TICKS} ticks")
        self._markets = {market.symbol: market for market in markets}
        self._seed = seed
        self._pegged = frozenset(pegged)
        self._clock = clock
        self._sleep = sleep
        self._history_ms = history_days * 86_400_000

    async def run(self, emit: Emit) -> None:
        """Stream every market until cancelled."""
        await emit(FeedConnected(self.source))
        now = self._clock.now_ms()
        live = [
            _LiveMarket(market, self._seed, self._path(market), self._mean_lots(market))
            for market in self._markets.values()
        ]
        due: list[tuple[int, int]] = []
        for index, market in enumerate(live):
            for message in market.open(now):
                await emit(message)
            heapq.heappush(due, (now + _pause_ms(market.random), index))
        while due:
            due_ms, index = due[0]
            now = self._clock.now_ms()
            if now < due_ms:
                await self._sleep((due_ms - now) / 1000)
                continue
            heapq.heapreplace(due, (now + _pause_ms(live[index].random), index))
            for message in live[index].step(now):
                await emit(message)

    async def candles(
        self, symbol: str, interval: CandleInterval, *, from_ms: int, to_ms: int
    ) -> Sequence[ProviderCandle]:
        """Closed candles with from_ms <= open time < to_ms, oldest first, of the last `history_days` at most; every interval is the sum of
        its minutes. Raises ProviderUnavailable for a market that is not simulated."""
        market = self._markets.get(symbol)
        if market is None:
            raise ProviderUnavailable(f"{symbol} is not simulated")
        now = self._clock.now_ms()
        length = interval.length_ms
        first = interval.open_time_ms(max(from_ms, now - self._history_ms) + length - 1)
        end = min(interval.open_time_ms(to_ms + length - 1), interval.open_time_ms(now))
        history = _History(market, self._seed, self._path(market), self._mean_lots(market))
        minutes = history.minutes(first // _MINUTE_MS, end // _MINUTE_MS)
        count = length // _MINUTE_MS
        candles, since_yield = [], 0
        for open_time_ms in range(first, end, length):
            inside: list[_Minute] = []
            while len(inside) < count:
                chunk = min(_YIELD_EVERY, count - len(inside))
                inside += islice(minutes, chunk)
                since_yield += chunk
                if since_yield >= _YIELD_EVERY:
                    since_yield = 0
                    await asyncio.sleep(0)
            candles.append(_candle(market, open_time_ms, _roll_up(inside)))
        return candles

    def _path(self, market: SimulatedMarket) -> _Path:
        return _Path(market, self._seed, self._pegged)

    def _mean_lots(self, market: SimulatedMarket) -> int:
        worth = market.start_price * self._worth(market.quote)
        return max(1, int(_MEAN_TRADE_VALUE / worth / market.lot_size))

    def _worth(self, asset: str) -> Decimal:
        prices = (
            market.start_price
            for market in self._markets.values()
            if market.base == asset and market.quote in self._pegged and asset not in self._pegged
        )
        return next(prices, Decimal(1))


def _pause_ms(source: random.Random) -> int:
    low, high = _STEP_SECONDS
    return round(source.uniform(low, high) * 1000)


def _candle(market: SimulatedMarket, open_time_ms: int, minute: _Minute) -> ProviderCandle:
    tick, lot = market.tick_size, market.lot_size
    return ProviderCandle(
        open_time_ms=open_time_ms,
        open=minute.open * tick,
        high=minute.high * tick,
        low=minute.low * tick,
        close=minute.close * tick,
        volume=minute.volume * lot,
        quote_volume=minute.value * tick * lot,
        trades=minute.trades,
    )
