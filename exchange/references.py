"""What is known of a market's reference: no durable state, empty after a start, and filled by the feed."""

from dataclasses import dataclass

from core.order_vocabulary import TriggerSource
from core.vocabulary import PriceSource
from exchange.market import Market
from exchange.words import LAST


@dataclass(frozen=True, slots=True)
class Known:
    """A price in ticks, whose it is and when it was (0: that is not known)."""

    price: int
    source: PriceSource
    time_ms: int


class References:
    """The newest price of each source; none while it is stale. `last` is the reference's last trade; of a `market` that has no reference its own
    counts instead."""

    __slots__ = ("_known", "_market", "last")

    def __init__(self, market: Market | None = None) -> None:
        self.last: Known | None = None
        self._known: dict[TriggerSource, Known] = {}
        self._market = market

    def take(self, source: TriggerSource, known: Known) -> Known | None:
        """Let this be the newest; returns the one before."""
        before = self._known.get(source)
        self._known[source] = known
        if source is LAST:
            self.last = known
        return before

    def lose(self) -> None:
        """All are stale."""
        self._known.clear()
        self.last = None

    def newest(self, source: TriggerSource) -> Known | None:
        """None while it is stale."""
        return self._known.get(source) or self._own(source)

    def are_own(self) -> bool:
        """Whether it is the market's own trades that count."""
        return self._market is not None and not self._market.has_reference and self.last is None

    def _own(self, source: TriggerSource) -> Known | None:
        if source is LAST and self._market is not None and self.are_own() and self._market.last:
            return Known(self._market.last, PriceSource.EXCHANGE, 0)
        return None
