"""What an amount of one asset is worth in another, by the reference prices of this moment or of a minute in the past.

A rate goes through as few markets as possible, forwards or backwards; among ways of one length, through the one whose oldest price is
newest. A price that is stale, or not known, does not count: then there is no rate, and no value.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from core.money import CONTEXT, figure
from core.vocabulary import CandleInterval
from models.candle import CandleKey, candles_at
from services.catalogue import Catalogue
from services.market_states import MarketState
from services.market_view import MarketView

VALUE_DIGITS = 8
"""Values are rounded half-even to so many digits after the point."""
LONGEST_WAY = 4
"""Markets that a rate may go through."""
_MINUTE_MS = CandleInterval.MINUTE_1.length_ms
_KEYS_AT_ONCE = 500
_QUANTUM = Decimal(1).scaleb(-VALUE_DIGITS)


@dataclass(frozen=True, slots=True)
class Quotation:
    """A market's price of the base asset, in quote."""

    base: str
    quote: str
    price: Decimal
    time_ms: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit is worth, by prices of which the oldest is of `time_ms`."""

    price: Decimal
    time_ms: int


@dataclass(frozen=True, slots=True)
class PastValue:
    """Which rate of the past is asked for: of this asset in that quote, in the minute of this time."""

    asset: str
    quote: str
    time_ms: int


Rates = Mapping[str, Rate]


def rates_into(
    quote: str, quotations: Iterable[Quotation], now_ms: int, *, longest: int = LONGEST_WAY
) -> dict[str, Rate]:
    """The rate of every asset from which a way of at most so many markets leads to the quote."""
    neighbours: dict[str, list[tuple[str, Decimal, int]]] = {}
    for each in quotations:
        if each.price > 0:
            neighbours.setdefault(each.quote, []).append((each.base, each.price, each.time_ms))
            neighbours.setdefault(each.base, []).append(
                (each.quote, CONTEXT.divide(Decimal(1), each.price), each.time_ms)
            )
    rates = {quote: Rate(Decimal(1), now_ms)}
    reached = [quote]
    for _ in range(longest):
        found: dict[str, Rate] = {}
        for through in reached:
            known = rates[through]
            for asset, price, time_ms in neighbours.get(through, ()):
                oldest = min(known.time_ms, time_ms)
                if asset not in rates and (asset not in found or oldest > found[asset].time_ms):
                    found[asset] = Rate(CONTEXT.multiply(price, known.price), oldest)
        rates |= found
        reached = list(found)
    return rates


def rounded(value: Decimal) -> Decimal:
    """A value as it is shown."""
    return value.quantize(_QUANTUM, rounding=ROUND_HALF_EVEN, context=CONTEXT)


def value_at(rates: Rates, asset: str, amount: Decimal) -> Decimal | None:
    """What an amount is worth, rounded; nothing is worth nothing whatever the rate."""
    if not amount:
        return Decimal(0)
    rate = rates.get(asset)
    return None if rate is None else rounded(CONTEXT.multiply(amount, rate.price))


def total_at(rates: Rates, amounts: Mapping[str, Decimal]) -> Decimal | None:
    """What these amounts are worth together; None when one of them has no rate."""
    total = Decimal(0)
    for asset, amount in amounts.items():
        value = value_at(rates, asset, amount)
        if value is None:
            return None
        total += value
    return total


def known_sum(values: Sequence[Decimal | None]) -> Decimal | None:
    """Their sum; None where one of them is not known."""
    total = Decimal(0)
    for value in values:
        if value is None:
            return None
        total += value
    return total


def share(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    """As a fraction, to twelve digits; None where it is not known."""
    return None if part is None or not whole else figure(CONTEXT.divide(part, whole))


class Valuation:
    """One per process."""

    def __init__(self, catalogue: Catalogue, view: MarketView) -> None:
        self._catalogue = catalogue
        self._view = view

    def rates(self, quote: str) -> dict[str, Rate]:
        """All rates of this moment into an asset."""
        return self._rates(quote, day_ago=False)

    def rates_day_ago(self, quote: str) -> dict[str, Rate]:
        """All rates of 24 hours ago, by the open prices of the tickers."""
        return self._rates(quote, day_ago=True)

    def value(self, asset: str, amount: Decimal, quote: str) -> Decimal | None:
        """What an amount is worth now; None when that is not known."""
        return value_at(self.rates(quote), asset, amount)

    def total(self, amounts: Mapping[str, Decimal], quote: str) -> Decimal | None:
        """What these amounts are worth now together; None when that of one is not known."""
        return total_at(self.rates(quote), amounts)

    async def values_at(self, wanted: Sequence[PastValue]) -> list[Rate | None]:
        """Rates by the closing prices of the minute of each time; None where that minute has none."""
        found: list[Rate | None] = [None] * len(wanted)
        known: dict[int, dict[str, Quotation]] = {}
        for hops in range(1, LONGEST_WAY + 1):
            open_ = [place for place, rate in enumerate(found) if rate is None]
            await self._load_closes([wanted[place] for place in open_], hops, known)
            for place in open_:
                ask = wanted[place]
                minute_ms = _minute(ask.time_ms)
                rates = rates_into(ask.quote, known.get(minute_ms, {}).values(), minute_ms, longest=hops)
                found[place] = rates.get(ask.asset)
        return found

    async def _load_closes(
        self, wanted: Sequence[PastValue], hops: int, known: dict[int, dict[str, Quotation]]
    ) -> None:
        """Make known the closing prices of all markets on ways of so many steps."""
        keys: dict[CandleKey, None] = {}
        for ask in wanted:
            minute_ms = _minute(ask.time_ms)
            closes = known.setdefault(minute_ms, {})
            for symbol in self._on_ways(ask.asset, ask.quote, hops):
                state = self._view.states[symbol]
                if symbol in closes or state.feed is None or state.feed.series is None:
                    continue
                market = self._catalogue.markets[symbol]
                live = next((c for c in state.candles[CandleInterval.MINUTE_1] if c.open_time_ms == minute_ms), None)
                if live is not None:
                    closes[symbol] = Quotation(market.base, market.quote, live.close, minute_ms)
                else:
                    keys[CandleKey(state.series, symbol, CandleInterval.MINUTE_1, minute_ms)] = None
        missing = list(keys)
        for start in range(0, len(missing), _KEYS_AT_ONCE):
            for key, candle in (await candles_at(missing[start : start + _KEYS_AT_ONCE])).items():
                market = self._catalogue.markets[key.symbol]
                known[key.open_time_ms][key.symbol] = Quotation(
                    market.base, market.quote, candle.close, key.open_time_ms
                )

    def _on_ways(self, asset: str, quote: str, hops: int) -> list[str]:
        """The markets through which a way of at most so many steps leads."""
        ahead, behind = self._distances(asset), self._distances(quote)
        far = LONGEST_WAY + 1
        return [
            symbol
            for symbol, market in self._catalogue.markets.items()
            if min(
                ahead.get(market.base, far) + behind.get(market.quote, far),
                ahead.get(market.quote, far) + behind.get(market.base, far),
            )
            < hops
        ]

    def _distances(self, start: str) -> dict[str, int]:
        found, reached, steps = {start: 0}, {start}, 0
        while reached and steps < LONGEST_WAY:
            steps += 1
            markets = self._catalogue.markets.values()
            ends = {m.base for m in markets if m.quote in reached} | {m.quote for m in markets if m.base in reached}
            reached = ends - set(found)
            found |= dict.fromkeys(reached, steps)
        return found

    def _rates(self, quote: str, *, day_ago: bool) -> dict[str, Rate]:
        quotations = []
        now_ms = 0
        for symbol, market in self._catalogue.markets.items():
            state = self._view.states[symbol]
            if state.stale or state.tick is None:
                continue
            price = _open_price(state) if day_ago else state.tick.price
            now_ms = max(now_ms, state.tick.time_ms)
            if price is not None:
                quotations.append(Quotation(market.base, market.quote, price, state.tick.time_ms))
        return rates_into(quote, quotations, now_ms)


def _open_price(state: MarketState) -> Decimal | None:
    return None if state.ticker is None else state.ticker.open24h


def _minute(time_ms: int) -> int:
    return time_ms - time_ms % _MINUTE_MS


def usd_worth(valuation: Valuation) -> Callable[[str, Decimal], Decimal | None]:
    """What an amount of an asset is worth in US dollars now; None: nobody knows."""
    return lambda asset, amount: valuation.value(asset, amount, "USD")
