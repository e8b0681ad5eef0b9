"""A few at a time, in their order; who would wait too long is told so at once."""

import asyncio
from types import TracebackType

from core.errors import RateLimited

RETRY_AFTER_SECONDS = 5
"""A full queue is through by then, at the default sizes, on one processor."""


class Turns:
    """Entered by `at_once` at a time, first come, first served; one that is cancelled while it waits costs nothing.

    Entering raises RateLimited while `most_waiting` wait already.
    """

    def __init__(self, at_once: int, *, most_waiting: int) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._most = at_once + most_waiting
        self._inside = 0

    async def __aenter__(self) -> None:
        if self._inside >= self._most:
            raise RateLimited(
                "too many passwords are being checked at this moment; try again in {seconds} s",
                {"seconds": RETRY_AFTER_SECONDS},
                retryAfter=RETRY_AFTER_SECONDS,
            )
        self._inside += 1
        try:
            await self._turn.acquire()
        except BaseException:
            self._inside -= 1
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1
        self._turn.release()
