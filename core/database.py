"""The connection to MongoDB: retries at start, pool and time limits, a health monitor."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from beanie import Document, init_beanie
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, PyMongoError

from core.backoff import Backoff
from core.clock import Clock
from core.settings import Settings

log = structlog.get_logger(__name__)

MONITOR_SECONDS = 60.0


_TRANSIENT = "TransientTransactionError"


def is_contended(error: PyMongoError) -> bool:
    """Whether a transaction came to nothing since another one holds what it would have changed, and not since the database is away."""
    return error.has_error_label(_TRANSIENT) and not isinstance(error, ConnectionFailure)


class DatabaseUnavailable(Exception):
    """The database did not answer within the time allowed at start."""


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """Answer of the last ping; `detail` is fit to be shown."""

    healthy: bool
    detail: str
    latency_ms: float | None
    checked_ms: int


class Database:
    """One client per process. `connect` prepares documents and indexes; `monitor` runs beside the process."""

    def __init__(self, url: str, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._settings = settings
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            url,
            maxPoolSize=settings.mongo_max_pool_size,
            minPoolSize=settings.mongo_min_pool_size,
            timeoutMS=settings.mongo_timeout_ms,
            connectTimeoutMS=settings.mongo_timeout_ms,
            serverSelectionTimeoutMS=settings.mongo_timeout_ms,
            appname="cryptovault",
        )
        self.last_health = DatabaseHealth(healthy=False, detail="not checked yet", latency_ms=None, checked_ms=0)

    @property
    def handle(self) -> AsyncDatabase[dict[str, Any]]:
        """The database itself, for start-up and health only; queries live in models/."""
        return self._client[self._settings.mongo_database]

    async def connect(self, documents: Sequence[type[Document]]) -> None:
        """Wait for the server with backoff, then declare the documents and create their indexes.

        Raises:
            DatabaseUnavailable: when it does not answer within MONGO_CONNECT_TIMEOUT_MS.
        """
        backoff = Backoff(first_seconds=0.1, most_seconds=3.0)
        deadline = self._clock.monotonic() + self._settings.mongo_connect_timeout_ms / 1000
        while not (await self.check()).healthy:
            if self._clock.monotonic() >= deadline:
                raise DatabaseUnavailable(f"the database does not answer: {self.last_health.detail}")
            delay = backoff.next_delay()
            log.warning("database.retry", detail=self.last_health.detail, delay_seconds=round(delay, 2))
            await asyncio.sleep(delay)
        await init_beanie(database=self.handle, document_models=list(documents))

    async def check(self) -> DatabaseHealth:
        """Ping now and remember the answer."""
        start = self._clock.monotonic()
        try:
            await self.handle.command("ping")
        except PyMongoError as error:
            self.last_health = DatabaseHealth(
                healthy=False, detail=type(error).__name__, latency_ms=None, checked_ms=self._clock.now_ms()
            )
        else:
            self.last_health = DatabaseHealth(
                healthy=True,
                detail="answers",
                latency_ms=round((self._clock.monotonic() - start) * 1000, 3),
                checked_ms=self._clock.now_ms(),
            )
        return self.last_health

    async def monitor(self) -> None:
        """Check every minute until cancelled; log every change of state."""
        while True:
            before = self.last_health.healthy
            health = await self.check()
            if health.healthy != before:
                log.warning("database.health", healthy=health.healthy, detail=health.detail)
            await asyncio.sleep(MONITOR_SECONDS)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()
