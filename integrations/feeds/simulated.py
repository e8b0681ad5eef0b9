"""A made-up market for machines without a network: seeded, plausible, and always labelled SIMULATED.

Where its prices come from: `simulated_path`. Prices are counted in ticks and quantities in lots; both become Decimals only on the way out.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from decimal import Decimal

from core.clock import Clock
from core.vocabulary import CandleInterval, OrderSide, PriceSource
from events.feed import FeedBookDelta, FeedBookSnapshot, FeedConnected, FeedMessage, FeedQuote, FeedTrade, Level
from integrations.feeds.base import Emit, ProviderCandle, ProviderUnavailable
from integrations.feeds.simulated_path import (
    MINUTE_MS,
    MOST_TICKS,
    MOST_UNITS,
    History,
    Path,
    SimulatedMarket,
    Spans,
)

__all__ = ["SimulatedFeed", "SimulatedMarket"]

MIN_PRICE_TICKS = 200
"""A price of fewer ticks could not move plausibly."""
_LEVELS = 25
_STEP_SECONDS = (0.4, 1.2)
_MEAN_TRADE_VALUE = 900
"""In the pegged currency."""
_YIELD_EVERY = 1_440
"""Minutes computed before others on the event loop get their turn."""

Sleep = Callable[[float], Awaitable[None]]


class _LiveMarket:
    """One market's book and trades. Steps alternate: the book is quoted anew around the price, then somebody trades against it."""

    def __init__(self, market: SimulatedMarket, seed: int, path: Path, mean_lots: int) -> None:
        self.market = market
        self.random = random.Random(f"{seed}:{market.symbol}")
        self._path = path
        self._mean_lots = mean_lots
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._trades_next = False
        self._middle = 0
        self._spacing = 10 ** (len(str(market.start_ticks // 10_000)) - 1)

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
        """Raises ValueError for a market whose price is too few ticks, or whose ticks and lots are too small to be counted."""
        self._markets = {market.symbol: market for market in markets}
        self._seed = seed
        self._pegged = frozenset(pegged)
        self._clock = clock
        self._sleep = sleep
        self._history_ms = history_days * 86_400_000
        for market in markets:
            if market.start_price < MIN_PRICE_TICKS * market.tick_size:
                raise ValueError(f"{market.symbol}: the simulated price must be at least {MIN_PRICE_TICKS} ticks")
            if market.start_ticks > MOST_TICKS or market.start_ticks * self._mean_lots(market) > MOST_UNITS:
                raise ValueError(
                    f"{market.symbol}: the simulated price has too small a tick, or the market too small a lot"
                )

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
        history = History(market, self._seed, self._path(market), self._mean_lots(market))
        candles: list[ProviderCandle] = []
        while first < end:
            count = min((end - first) // length, max(1, _YIELD_EVERY * MINUTE_MS // length))
            spans = await _computed(history, first // MINUTE_MS, count, length // MINUTE_MS)
            candles += _candles(market, first, length, spans)
            first += count * length
        return candles

    def _path(self, market: SimulatedMarket) -> Path:
        return Path(market, self._seed, self._pegged)

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


async def _computed(history: History, first: int, count: int, length: int) -> Spans:
    """Some spans of so many minutes each, or one of many; others get their turn meanwhile."""
    await asyncio.sleep(0)
    if length <= _YIELD_EVERY:
        return history.spans(first, count, length)
    spans = history.spans(first, 1, _YIELD_EVERY)
    for start in range(_YIELD_EVERY, length, _YIELD_EVERY):
        await asyncio.sleep(0)
        spans += history.spans(first + start, 1, min(_YIELD_EVERY, length - start))
    return spans.whole()


def _candles(market: SimulatedMarket, open_time_ms: int, length_ms: int, spans: Spans) -> list[ProviderCandle]:
    tick, lot = market.tick_size, market.lot_size
    return [
        ProviderCandle(
            open_time_ms=open_time_ms + number * length_ms,
            open=spans.open[number] * tick,
            high=spans.high[number] * tick,
            low=spans.low[number] * tick,
            close=spans.close[number] * tick,
            volume=spans.volume[number] * lot,
            quote_volume=spans.value[number] * tick * lot,
            trades=spans.trades[number],
        )
        for number in range(len(spans.open))
    ]
