"""Asking a Redis server that may be away: nobody waits for it again and again, and nobody is overtaken."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import structlog

from core.clock import Clock
from core.redis_client import REDIS_ERRORS

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 0.25
"""Limit of one question, connecting included: a server slower than that is no use to those who ask here."""
REST_SECONDS = 1.0
"""How long a server that failed is not asked; then one caller tries while the others go on without it."""

Reply = TypeVar("Reply")
Arguments = ParamSpec("Arguments")


class RedisAway(Exception):
    """The server cannot be asked now, or did not answer. Whoever asks goes on without it."""


class RedisGuard:
    """Asks a server that may be away, so that nobody waits for it again and again. `failures` counts, for metrics, what it did not
    answer; `degraded` says whether the last question was one.

    Questions wait here for their turn, first come, first served: redis-py's pool lets newcomers pass those who wait, who under load
    would then run out of time although the server answers.
    """

    def __init__(self, part: str, clock: Clock, *, turns: int) -> None:
        """`part` names the asker in the log; `turns` is how many questions may be under way, the connections of its pool."""
        self._part = part
        self._turns = asyncio.Semaphore(turns)
        self._clock = clock
        self._rests_until = 0.0
        self.degraded = False
        self.failures = 0

    async def ask(
        self, call: Callable[Arguments, Awaitable[Reply]], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Reply:
        """What the call answers.

        Raises:
            RedisAway: it failed, took too long, or was not made because the server is left alone.
        """
        async with self._turns:
            if self.degraded:
                now = self._clock.monotonic()
                if now < self._rests_until:
                    raise RedisAway
                self._rests_until = now + REST_SECONDS
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    reply = await call(*args, **kwargs)
            except REDIS_ERRORS as error:
                self.failures += 1
                self._rests_until = self._clock.monotonic() + REST_SECONDS
                self._became(degraded=True, reason=f"{type(error).__name__}: {error}")
                raise RedisAway from error
            self._became(degraded=False, reason="answers")
            return reply

    def _became(self, *, degraded: bool, reason: str) -> None:
        if degraded != self.degraded:
            self.degraded = degraded
            log.warning(f"{self._part}.availability", available=not degraded, reason=reason)
