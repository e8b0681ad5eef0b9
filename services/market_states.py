"""What a process knows of one market, and who watches it: the parts that services/market_view.py is made of."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from core.channel import Channel
from core.errors import ExpectedError
from core.vocabulary import CandleInterval, FeedStatus, MarketDataOrigin, MarketStatus, Series
from events.market import CandleChanged, FeedChanged, TickAccepted, TickerChanged, TradeAccepted
from services.market_changes import MarketChanges

RECENT_TRADES = 1000
RECENT_CANDLES = 3
_COUNTED = frozenset({"tick", "ticker", "feed"})

Item = TypeVar("Item")
Received_contra = TypeVar("Received_contra", contravariant=True)


class FeedUnavailable(ExpectedError):
    """No price feed has delivered this value; the rest of the market stays readable."""

    code = "FEED_UNAVAILABLE"


class ExchangeUnavailable(ExpectedError):
    """The exchange has not told this process of the value, or is away; the rest of the market stays readable."""

    code = "EXCHANGE_UNAVAILABLE"


class TradesMissed(ExpectedError):
    """Trades happened that this process never heard of, so a stream that must not skip was ended."""

    code = "TRADES_MISSED"


class Observer(Protocol):
    """Who counts what slow readers and the bus cost; `stream` is a name of ours."""

    def conflated(self, stream: str, messages: int = 1) -> None: ...

    def dropped(self, stream: str, messages: int = 1) -> None: ...

    def bus_gap(self) -> None: ...


@dataclass(slots=True)
class MarketState:
    """What is known of one market now. None: not known.

    Whatever sets `tick`, `ticker` or `feed` is counted, here and in `changes`.
    """

    symbol: str
    origin: MarketDataOrigin = MarketDataOrigin.REFERENCE
    status: MarketStatus | None = None
    """As last told; the catalogue may be shared with whoever changes it."""
    tick: TickAccepted | None = None
    ticker: TickerChanged | None = None
    feed: FeedChanged | None = None
    trades: deque[TradeAccepted] = field(default_factory=lambda: deque(maxlen=RECENT_TRADES))
    candles: dict[CandleInterval, deque[CandleChanged]] = field(
        default_factory=lambda: {interval: deque(maxlen=RECENT_CANDLES) for interval in CandleInterval}
    )
    changes: MarketChanges = field(default_factory=MarketChanges)
    """Of all markets of the view together."""
    own_changes: MarketChanges = field(default_factory=MarketChanges)
    """Of this market."""

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name in _COUNTED and hasattr(self, "own_changes"):
            for counters in (self.changes, self.own_changes):
                setattr(counters, name, getattr(counters, name) + 1)

    @property
    def series(self) -> Series:
        """The history that belongs here now: the exchange's own, or that of the feed that leads. Raises FeedUnavailable."""
        if self.origin is MarketDataOrigin.EXCHANGE:
            return Series.EXCHANGE
        if self.feed is None or self.feed.series is None:
            raise FeedUnavailable(f"no price source has delivered {self.symbol} yet; see Market.feed")
        return self.feed.series

    def holds(self, series: Series) -> bool:
        """Whether data of this series belongs here now: what another feed left behind may still arrive."""
        if self.origin is MarketDataOrigin.EXCHANGE:
            return series is Series.EXCHANGE
        return self.feed is not None and self.feed.series is series

    @property
    def stale(self) -> bool:
        """Whether the newest price must not be taken for current."""
        return self.feed is None or self.feed.status in (FeedStatus.STALE, FeedStatus.DOWN)

    def unknown(self, what: str) -> ExpectedError:
        """The error that says why a value is not known."""
        if self.origin is MarketDataOrigin.EXCHANGE:
            return ExchangeUnavailable(f"the exchange has not told {what} of {self.symbol} to this server yet")
        return FeedUnavailable(f"no price source has delivered {self.symbol} yet; see Market.feed")


class Receiver(Protocol[Received_contra]):
    """What watches a value: a channel, or something that hands on at once."""

    def put(self, item: Received_contra) -> None: ...

    def fail(self, error: Exception) -> None: ...

    def __len__(self) -> int:
        """Items that are not taken yet."""
        ...

    @property
    def readers(self) -> int:
        """How many get what is put in."""
        ...


class Watchers(Generic[Item]):
    """Open channels of one kind of value, by what they watch. `followers` are told of every item of every key, at once; they are no readers."""

    def __init__(self) -> None:
        self.followers: list[Callable[[Item], None]] = []
        self._channels: dict[Hashable, list[Receiver[Item]]] = {}

    def publish(self, key: Hashable, item: Item) -> None:
        """Hand an item to everybody who watches this key."""
        for channel in tuple(self._channels.get(key, ())):
            channel.put(item)
        for follow in self.followers:
            follow(item)

    def fail(self, key: Hashable, error: Exception) -> None:
        """End the streams of everybody who watches this key."""
        for channel in tuple(self._channels.get(key, ())):
            channel.fail(error)

    @contextmanager
    def open(self, keys: Iterable[Hashable], channel: Channel[Item]) -> Iterator[Channel[Item]]:
        """Let a channel watch these keys until the block ends."""
        watched = list(dict.fromkeys(keys))
        for key in watched:
            self.add(key, channel)
        try:
            yield channel
        finally:
            for key in watched:
                self.remove(key, channel)
            channel.close()

    def add(self, key: Hashable, receiver: Receiver[Item]) -> None:
        """Let it watch this key until it is removed."""
        self._channels.setdefault(key, []).append(receiver)

    def remove(self, key: Hashable, receiver: Receiver[Item]) -> None:
        """It watches this key no more."""
        self._channels[key].remove(receiver)
        if not self._channels[key]:
            del self._channels[key]

    def waiting(self, key: Hashable) -> int:
        """Items of this key's readers that are not taken yet."""
        return sum(len(channel) for channel in self._channels.get(key, ()))

    def readers(self, key: Hashable) -> int:
        """How many watch this key."""
        return sum(channel.readers for channel in self._channels.get(key, ()))

    def __len__(self) -> int:
        return sum(len(channels) for channels in self._channels.values())
