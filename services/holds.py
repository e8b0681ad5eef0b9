"""The time without withdrawals after a change of what proves the owner: whoever took an account over cannot empty it at once."""

from core.clock import Clock

_HOUR_MS = 3_600_000


class Holds:
    """Says until when."""

    def __init__(self, clock: Clock, hours: int) -> None:
        self._clock = clock
        self._hours = hours

    def until_ms(self) -> int:
        """The end of a hold that begins now, epoch milliseconds."""
        return self._clock.now_ms() + self._hours * _HOUR_MS
