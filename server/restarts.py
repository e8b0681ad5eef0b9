"""When a child process that died is started again: after a pause that grows, and not for ever."""

import signal
from collections import deque

from core.backoff import Backoff
from core.clock import Clock
from server.errors import CannotRun

MOST_RESTARTS = 3
"""Restarts within RESTART_WINDOW_SECONDS; one death more and the process gives up."""
RESTART_WINDOW_SECONDS = 60.0


class Restarts:
    """Of one child. Its first pause is half a second at most, its longest 8."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deaths: deque[float] = deque(maxlen=MOST_RESTARTS + 1)
        self._backoff = Backoff(first_seconds=0.5, most_seconds=8.0)

    def delay_after(self, death: str) -> float:
        """Seconds to wait before the child is started again, after this death (one line: what died, and why).

        Raises:
            CannotRun: it died more than MOST_RESTARTS times within RESTART_WINDOW_SECONDS.
        """
        now = self._clock.monotonic()
        self._deaths.append(now)
        if len(self._deaths) > MOST_RESTARTS and now - self._deaths[0] < RESTART_WINDOW_SECONDS:
            raise CannotRun(f"giving up after {MOST_RESTARTS} restarts in a minute: {death}")
        if len(self._deaths) == 1 or now - self._deaths[-2] > RESTART_WINDOW_SECONDS:
            self._backoff.reset()
        return self._backoff.next_delay()


def how_it_ended(status: int) -> str:
    """A return code of `subprocess` in words."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
