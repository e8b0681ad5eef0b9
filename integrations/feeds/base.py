"""The protocol every price provider's adapter follows.

An adapter turns one provider's messages into `events.feed` messages and nothing else: no aggregation, no storage. `run` goes on until it
is cancelled: it connects, subscribes, notices a silent stall, and reconnects with jittered backoff by itself, saying FeedConnected and
FeedDisconnected as it goes. One garbage message is a FeedRejected, never an exception.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

from core.vocabulary import CandleInterval, PriceSource
from events.feed import FeedMessage

Emit = Callable[[FeedMessage], Awaitable[None]]
"""Takes one message; may make the adapter wait (back-pressure), never raises for a bad price."""

Sleep = Callable[[float], Awaitable[None]]
"""Waits some seconds; asyncio.sleep, or a test's."""


@dataclass(frozen=True, slots=True)
class FeedMarket:
    """A market as an adapter needs to know it: our symbol and the name this provider uses."""

    symbol: str
    provider_symbol: str


def by_provider_symbol(markets: Sequence[FeedMarket]) -> dict[str, str]:
    """Our symbol of each provider symbol. Raises ValueError when two markets claim the same one."""
    symbols: dict[str, str] = {}
    for market in markets:
        other = symbols.setdefault(market.provider_symbol, market.symbol)
        if other != market.symbol:
            raise ValueError(f"{other} and {market.symbol} both name {market.provider_symbol}; one of them must go")
    return symbols


def split_pair(provider_symbol: str) -> tuple[str, str]:
    """Name and currency of NAME/CURRENCY. Raises ValueError."""
    name, slash, currency = provider_symbol.partition("/")
    if not (name and slash and currency) or "," in provider_symbol:
        raise ValueError(f"{provider_symbol!r}: expected NAME/CURRENCY such as bitcoin/usd")
    return name, currency


@dataclass(frozen=True, slots=True)
class ProviderCandle:
    """A finished candle of a provider's history."""

    open_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    trades: int | None


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """A market's rules as the provider publishes them; None: not published."""

    symbol: str
    tick_size: Decimal | None
    lot_size: Decimal | None
    min_quantity: Decimal | None
    max_quantity: Decimal | None
    min_notional: Decimal | None
    trading: bool


class ProviderUnavailable(Exception):
    """A one-off request (history, rules) could not be answered; the caller goes on without it."""

    retry_after_seconds: float = 0.0
    """How long the provider asked to be left alone."""


class Feed(Protocol):
    """One provider."""

    @property
    def source(self) -> PriceSource: ...

    async def run(self, emit: Emit) -> None:
        """Stream every configured market until cancelled."""
        ...


@runtime_checkable
class HistoryFeed(Protocol):
    """A provider that can also be asked for past candles."""

    async def candles(
        self, symbol: str, interval: CandleInterval, *, from_ms: int, to_ms: int
    ) -> Sequence[ProviderCandle]:
        """Closed candles with from_ms <= open time < to_ms, oldest first. Raises ProviderUnavailable."""
        ...


@runtime_checkable
class RulesFeed(Protocol):
    """A provider that publishes its markets' rules."""

    async def rules(self) -> Sequence[ProviderRules]:
        """Rules of the configured markets. Raises ProviderUnavailable."""
        ...
