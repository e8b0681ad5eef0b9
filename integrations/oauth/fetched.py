"""What is fetched from a provider and kept for a while: fetched by one, waited for by all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from core.clock import Clock
from integrations.oauth.base import ProviderUnavailable

Value = TypeVar("Value")

KEEP_SECONDS = 3600.0
RENEW_SECONDS = 60.0
"""A value younger than this is not renewed, whoever asks."""
REST_SECONDS = 5.0
"""After a failure nothing is asked for so long, and everybody gets the same answer."""


class Fetched(Generic[Value]):
    """One document of one provider."""

    def __init__(self, fetch: Callable[[], Awaitable[Value]], clock: Clock) -> None:
        """`fetch` raises ProviderUnavailable when it fails."""
        self._fetch = fetch
        self._clock = clock
        self._lock = asyncio.Lock()
        self._kept: tuple[Value, float] | None = None
        self._failed: tuple[ProviderUnavailable, float] | None = None

    async def get(self) -> Value:
        """The document, at most KEEP_SECONDS old. Raises ProviderUnavailable."""
        return await self._younger_than(KEEP_SECONDS)

    async def renewed(self) -> Value:
        """The document, at most RENEW_SECONDS old. Raises ProviderUnavailable."""
        return await self._younger_than(RENEW_SECONDS)

    async def _younger_than(self, seconds: float) -> Value:
        async with self._lock:
            now = self._clock.monotonic()
            if self._kept is not None and now - self._kept[1] < seconds:
                return self._kept[0]
            if self._failed is not None and now - self._failed[1] < REST_SECONDS:
                failure = self._failed[0]
                raise ProviderUnavailable(str(failure.values["provider"]), failure.reason)
            try:
                value = await self._fetch()
            except ProviderUnavailable as failure:
                self._failed = (failure, self._clock.monotonic())
                raise
            self._kept = (value, now)
            return value
