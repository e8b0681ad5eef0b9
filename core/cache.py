"""A cache of bytes with a time to live per key: the interface, and the one inside a single process.

A cache may forget anything at any time; nobody may rely on it for truth. A read that fails is a miss.
"""

from collections import OrderedDict
from typing import Protocol

from core.clock import Clock

PRICE_TTL_SECONDS = 60.0
"""Prices are kept this long."""


class Cache(Protocol):
    """What every room knows of the cache. No method raises for an absent server."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, *, ttl_seconds: float = PRICE_TTL_SECONDS) -> None: ...

    async def delete(self, key: str) -> None: ...


class MemoryCache:
    """Least recently used keys are forgotten first when `max_entries` is reached."""

    def __init__(self, clock: Clock, max_entries: int = 10_000) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def start(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        self._entries.clear()

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, value = entry
        if self._clock.monotonic() >= expires:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes, *, ttl_seconds: float = PRICE_TTL_SECONDS) -> None:
        self._entries[key] = (self._clock.monotonic() + ttl_seconds, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    async def delete(self, key: str) -> None:
        self._entries.pop(key, None)
