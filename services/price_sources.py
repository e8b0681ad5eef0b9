"""What one source says about one market, and whether it may be believed.

Layout: numbers (median, distance), agreement between sources, a memory of trades, one source's state.

A single source is believed as long as its price moves by no more than the limit between two observations. A farther jump is *held*: it
changes nothing until a second, different observation of the same source lies near it, or until the other sources are already there.
Time alone is no confirmation: a wrong price that nobody repeats never becomes a tick, however long it stands. A price near the last
good one drops what was held. The very first price of a market has nothing to be compared with and is taken.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from enum import Enum, auto

from core.money import MAX_SCALE, canonical
from core.vocabulary import PriceSource, Series, series_of
from events.feed import FeedPrice, FeedQuote, FeedTrade

PRICE_STEP = Decimal(1).scaleb(-MAX_SCALE)
DEVIATION_STEP = Decimal("0.000001")
MAX_AHEAD_MS = 300_000
"""A message dated farther in the future than this is refused: it would make every later one look late."""
NOTE_SHOWN_MS = 60_000
"""How long a refused message stays visible as the source's error."""
TRADES_REMEMBERED = 1_000

Observation = FeedTrade | FeedQuote | FeedPrice


@dataclass(frozen=True, slots=True)
class PriceLimits:
    """When a price is not believed. `max_deviation` is a fraction; `stale_ms_of` replaces `stale_ms` for sources that are
    polled more slowly than that."""

    max_deviation: Decimal
    stale_ms: int
    stale_ms_of: Mapping[PriceSource, int] = field(default_factory=dict)


def mid(bid: Decimal, ask: Decimal) -> Decimal:
    """Half of the sum; exact up to 18 decimals, half-even there."""
    return _to_scale((bid + ask) / 2)


def median(prices: Iterable[Decimal]) -> Decimal:
    """The middle price, or the mean of the middle two: exact up to 18 decimals, half-even there. At least one price."""
    ordered = sorted(prices)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else mid(ordered[middle - 1], ordered[middle])


def beyond(price: Decimal, reference: Decimal, limit: Decimal) -> bool:
    """Whether the price is farther from the reference than this fraction of it."""
    return abs(price - reference) > limit * reference


def deviation(price: Decimal, reference: Decimal) -> Decimal:
    """Distance from the reference as a fraction of it, six decimals, half-even; for people and ranking, not for limits."""
    return (abs(price - reference) / reference).quantize(DEVIATION_STEP, ROUND_HALF_EVEN)


def agreeing(prices: Mapping[PriceSource, Decimal], limit: Decimal) -> dict[PriceSource, Decimal]:
    """The sources that may be believed together; `prices` in order of priority, and so is the answer.

    Believed is the largest group whose highest price is not beyond the limit from its lowest (of equal ones that with the source of
    highest priority), and whoever is not beyond the limit from that group's median. So one wild price, a thousand times too
    high or too low, never counts against those that agree.
    """
    names = list(prices)
    groups = [
        [name for name in names if low <= prices[name] and not beyond(prices[name], low, limit)]
        for low in prices.values()
    ]
    if not groups:
        return {}
    core = max(groups, key=lambda group: (len(group), -names.index(group[0])))
    middle = median(prices[name] for name in core)
    return {name: price for name, price in prices.items() if not beyond(price, middle, limit)}


def value_of(message: Observation) -> Decimal:
    """The price an observation stands for: a quote's is its middle."""
    return mid(message.bid, message.ask) if isinstance(message, FeedQuote) else message.price


class Seen(Enum):
    """How a trade relates to those before it."""

    NEW = auto()
    LATE = auto()
    DUPLICATE = auto()


class TradeMemory:
    """Tells new trades of one source from late and repeated ones. Bounded: a late trade from before the oldest one remembered
    counts as repeated."""

    def __init__(self) -> None:
        self._trades: deque[tuple[str, int]] = deque()
        self._ids: set[str] = set()
        self._newest_ms: int | None = None

    def see(self, trade: FeedTrade) -> Seen:
        """Classify the trade and remember it."""
        full = len(self._trades) == TRADES_REMEMBERED
        if trade.trade_id in self._ids or (full and trade.time_ms < self._trades[0][1]):
            return Seen.DUPLICATE
        if full:
            self._ids.discard(self._trades.popleft()[0])
        self._trades.append((trade.trade_id, trade.time_ms))
        self._ids.add(trade.trade_id)
        if self._newest_ms is not None and trade.time_ms < self._newest_ms:
            return Seen.LATE
        self._newest_ms = trade.time_ms
        return Seen.NEW


class SourceState:
    """One source's view of one market. Its price is its last trade or polled price; the middle of its quote where there has been
    none, or where the quote has left the last one by more than the limit."""

    def __init__(self, source: PriceSource, limits: PriceLimits) -> None:
        self.source = source
        self.series = series_of(source)
        self.price: Decimal | None = None
        self.bid: Decimal | None = None
        self.ask: Decimal | None = None
        self.update_ms: int | None = None
        """When the last believed observation was received."""
        self.time_ms = 0
        """The newest time the provider gave."""
        self.held_deviation: Decimal | None = None
        self._trades = TradeMemory()
        self._limit = limits.max_deviation
        self._stale_ms = limits.stale_ms_of.get(source, limits.stale_ms)
        self._connected = False
        self._answered = False
        self._alive_ms = 0
        self._lost_reason = "not connected yet"
        self._has_last = False
        self._held: Observation | None = None
        self._held_reason = ""
        self._note: str | None = None
        self._note_ms = 0

    @property
    def latency_ms(self) -> int | None:
        """From the provider's time to ours; None where that means nothing (a recording, no price yet)."""
        if self.update_ms is None or self.series is Series.REPLAY:
            return None
        return max(0, self.update_ms - self.time_ms)

    def connect(self) -> None:
        """The source answers; it counts again from its next price on."""
        self._connected = True

    def disconnect(self, reason: str) -> None:
        """The source is lost: its quote is gone, its last price only serves to judge the next one."""
        self._connected = self._answered = False
        self._lost_reason = reason
        self.bid = self.ask = None
        self._release()

    def touch(self, now_ms: int) -> None:
        """The source still follows this market, though the message holds no price (book, 24-hour figures)."""
        self._alive_ms = now_ms

    def note(self, reason: str, now_ms: int) -> None:
        """A message was refused; say so for a while."""
        self._note, self._note_ms = reason, now_ms

    def is_fresh(self, now_ms: int) -> bool:
        """Whether its price may be used. A recording is never stale while it plays: its gaps are its own."""
        if not self._answered:
            return False
        return self.series is Series.REPLAY or now_ms - self._alive_ms <= self._stale_ms

    def error(self, now_ms: int) -> str | None:
        """What is wrong with it by itself, fit for clients."""
        if self._held is not None:
            return self._held_reason
        if not self._connected:
            return self._lost_reason
        if not self._answered:
            return "no price yet"
        if not self.is_fresh(now_ms):
            return f"no update for {self._stale_ms // 1000} s"
        if self._note is not None and now_ms - self._note_ms < NOTE_SHOWN_MS:
            return self._note
        return None

    def is_near(self, price: Decimal) -> bool:
        """Whether this price is within the limit of its own last one."""
        return self.price is not None and not beyond(price, self.price, self._limit)

    def screen(self, message: Observation, now_ms: int) -> Seen | None:
        """Whether the message says something new; None: it can never be true and was refused."""
        refusal = self._refusal(message, now_ms)
        if refusal is not None:
            self.note(refusal, now_ms)
            return None
        return self._trades.see(message) if isinstance(message, FeedTrade) else Seen.NEW

    def admit(
        self, message: Observation, now_ms: int, *, last: Decimal | None, others: Decimal | None
    ) -> tuple[Observation, ...]:
        """What may be believed now: nothing (it is held), the message, or the held message and this one, in that order.

        `last` is the market's last price, used while the source has none of its own; `others` the median of the other
        live sources. A recording is played as it was recorded.
        """
        value = value_of(message)
        reference = last if self.price is None else self.price
        if self.series is Series.REPLAY or reference is None or not beyond(value, reference, self._limit):
            if self._held is not None:
                self.note(f"{self._held_reason}; the next one did not confirm it", now_ms)
            self._release()
            return (message,)
        if others is not None and not beyond(value, others, self._limit):
            self._release()
            return (message,)
        held = self._held
        if held is not None and held != message and not beyond(value, value_of(held), self._limit):
            self._release()
            return (held, message)
        self._held = message
        self.held_deviation = deviation(value, reference)
        self._held_reason = (
            f"a price of {canonical(value)}, {percent(self.held_deviation)} % from the last one, is held"
        )
        return ()

    def take(self, message: Observation, now_ms: int) -> None:
        """Believe an admitted observation."""
        self._connected = self._answered = True
        self.update_ms = self._alive_ms = now_ms
        self.time_ms = max(self.time_ms, message.time_ms)
        if not isinstance(message, FeedQuote):
            self.price, self._has_last = message.price, True
        elif not self._has_last or not self.is_near(value_of(message)):
            self.price, self._has_last = value_of(message), False
        if not isinstance(message, FeedTrade) and message.bid is not None and message.ask is not None:
            self.bid, self.ask = message.bid, message.ask
        if self.bid is not None and self.ask is not None and not self.is_near(mid(self.bid, self.ask)):
            self.bid = self.ask = None

    def _refusal(self, message: Observation, now_ms: int) -> str | None:
        if self.series is not Series.REPLAY and message.time_ms > now_ms + MAX_AHEAD_MS:
            return "a message dated in the future was refused"
        if not isinstance(message, FeedQuote) and message.price <= 0:
            return "a price that is not above 0 was refused"
        if isinstance(message, FeedTrade):
            return None
        if message.bid is not None and message.ask is not None and not 0 < message.bid <= message.ask:
            return "a quote whose bid is above its ask, or not above 0, was refused"
        return None

    def _release(self) -> None:
        self._held = None
        self.held_deviation = None


def percent(fraction: Decimal) -> str:
    """A fraction as a percentage with at most two decimals, half-even."""
    return canonical((fraction * 100).quantize(Decimal("0.01"), ROUND_HALF_EVEN))


def _to_scale(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    return value.quantize(PRICE_STEP, ROUND_HALF_EVEN) if isinstance(exponent, int) and exponent < -MAX_SCALE else value
