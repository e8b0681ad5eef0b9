"""The cache shared by processes, in Redis, with the promises of `core/cache.py`.

While the server is away every read is a miss and every write is forgotten (core/redis_guard.py). A delete that did not reach the server
leaves the old value there until its time is over: what must not be read any more (a revoked session) is decided by the database, not here.
"""

from core.cache import PRICE_TTL_SECONDS
from core.clock import Clock
from core.redis_client import connect
from core.redis_guard import RedisAway, RedisGuard


class RedisCache:
    """A `core.cache.Cache` on a Redis server. `failures` counts what did not reach it, for metrics."""

    def __init__(self, url: str, *, clock: Clock, namespace: str = "cryptovault", max_connections: int = 64) -> None:
        self._client = connect(url, max_connections=max_connections)
        self._guard = RedisGuard("cache", clock, turns=max_connections)
        self._prefix = f"{namespace}:cache:"
        self.failures = 0

    async def start(self) -> None:
        """Connects when first used."""

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()

    async def get(self, key: str) -> bytes | None:
        """The value, or None when it is absent, over its time, or cannot be had."""
        return await self._ask("GET", self._prefix + key)

    async def set(self, key: str, value: bytes, *, ttl_seconds: float = PRICE_TTL_SECONDS) -> None:
        """Keep the value for so long, to the millisecond; a time of zero or less forgets it."""
        ttl_ms = round(ttl_seconds * 1000)
        if ttl_ms > 0:
            await self._ask("SET", self._prefix + key, value, "PX", ttl_ms)
        else:
            await self.delete(key)

    async def delete(self, key: str) -> None:
        """Forget the key."""
        await self._ask("DEL", self._prefix + key)

    async def _ask(self, *command: str | bytes | int) -> bytes | None:
        try:
            reply: object = await self._guard.ask(self._client.execute_command, *command)
        except RedisAway:
            self.failures += 1
            return None
        return reply if isinstance(reply, bytes) else None
