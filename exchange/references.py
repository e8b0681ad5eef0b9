"""What is known of a market's reference: no durable state, empty after a start, and filled by the feed."""

from dataclasses import dataclass

from core.order_vocabulary import TriggerSource
from core.vocabulary import PriceSource


@dataclass(frozen=True, slots=True)
class Known:
    """A price in ticks, whose it is and when it was."""

    price: int
    source: PriceSource
    time_ms: int


class References:
    """The newest price of each source; none while it is stale."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[TriggerSource, Known] = {}

    def take(self, source: TriggerSource, known: Known) -> Known | None:
        """Let this be the newest; returns the one before."""
        before = self._known.get(source)
        self._known[source] = known
        return before

    def lose(self) -> None:
        """All are stale."""
        self._known.clear()

    def newest(self, source: TriggerSource) -> Known | None:
        """None while it is stale."""
        return self._known.get(source)
