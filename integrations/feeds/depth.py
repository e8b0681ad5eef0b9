"""When a Binance depth diff may be applied to a local book: the documented rules, pure, for spot and USD-M futures.

Spot (binance-spot-api-docs, web-socket-streams.md, "How to manage a local order book correctly"): diffs that end at or before the
snapshot's id are dropped, the first one kept holds the id after the snapshot's (U <= id + 1 <= u), every later one starts where the
one before ended (U = previous u + 1).
USD-M futures (developers.binance.com, same title): diffs that end before the snapshot's id are dropped, the first one kept holds
the id itself (U <= id <= u), every later one names the one before (pu = previous u).
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from events.feed import Level


class DepthFlavour(Enum):
    """Whose sequence rule holds."""

    SPOT = "SPOT"
    USD_M_FUTURES = "USD_M_FUTURES"


@dataclass(frozen=True, slots=True)
class DepthDiff:
    """One diff: ids U, u and, for futures, pu; changed levels with their new quantity; epoch milliseconds."""

    first_id: int
    last_id: int
    previous_id: int | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time_ms: int


class DepthGap(Exception):
    """The diffs do not follow; a new snapshot is needed. The text is fit to be shown."""


class DepthSync:
    """The sequence of one book. It starts without a snapshot and holds diffs back until one is given."""

    def __init__(self, flavour: DepthFlavour, *, capacity: int = 1000) -> None:
        """Holds back at most `capacity` diffs, 100 s at Binance's rate; the oldest go first, a newer snapshot covers them."""
        self._flavour = flavour
        self._waiting: deque[DepthDiff] = deque(maxlen=capacity)
        self._last_id: int | None = None
        self._followed = False

    @property
    def needs_snapshot(self) -> bool:
        """Whether diffs are held back for want of a snapshot."""
        return self._last_id is None

    def offer(self, diff: DepthDiff) -> list[DepthDiff]:
        """A diff as it arrives; returns what may be applied now, in order. Raises DepthGap and waits for a snapshot."""
        self._waiting.append(diff)
        return [] if self.needs_snapshot else self._drain()

    def start(self, last_update_id: int) -> list[DepthDiff]:
        """Take up a snapshot; returns the held-back diffs to apply after it. Raises DepthGap when it does not meet them."""
        self._last_id = last_update_id
        self._followed = False
        return self._drain()

    def _drain(self) -> list[DepthDiff]:
        ready: list[DepthDiff] = []
        while self._waiting and self._last_id is not None:
            diff = self._waiting[0]
            if not self._is_covered(diff, self._last_id):
                if not self._follows(diff, self._last_id):
                    expected, self._last_id = self._last_id, None
                    raise DepthGap(f"the diff from {diff.first_id} to {diff.last_id} does not follow {expected}")
                self._last_id = diff.last_id
                self._followed = True
                ready.append(diff)
            self._waiting.popleft()
        return ready

    def _is_covered(self, diff: DepthDiff, last_id: int) -> bool:
        if self._followed:
            return False
        return diff.last_id <= last_id if self._flavour is DepthFlavour.SPOT else diff.last_id < last_id

    def _follows(self, diff: DepthDiff, last_id: int) -> bool:
        if self._flavour is DepthFlavour.SPOT:
            if self._followed:
                return diff.first_id == last_id + 1
            return diff.first_id <= last_id + 1 <= diff.last_id
        if self._followed:
            return diff.previous_id == last_id
        return diff.first_id <= last_id <= diff.last_id
