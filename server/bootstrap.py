"""Every long-lived resource of a process: made here, closed here, passed from here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from core.bus import Bus, MemoryBus
from core.cache import Cache, MemoryCache
from core.clock import Clock, SystemClock
from core.database import Database
from core.settings import Settings
from models import DOCUMENTS
from server.health import Health
from server.metrics import Metrics
from server.monitoring import MONITORING_PATHS

Loop = Callable[[], Awaitable[None]]
"""Runs until cancelled."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What the rooms of one process share."""

    settings: Settings
    clock: Clock
    database: Database
    bus: Bus
    cache: Cache
    health: Health
    metrics: Metrics
    background: Mapping[str, Loop]
    """What every process runs beside its own work."""
    workers: Mapping[str, Loop]
    """What `worker NAME` may name."""

    def describe(self) -> list[str]:
        """What runs where, one line each, fit for a terminal (no secrets)."""
        external = self.settings.mongo_url is not None
        return [
            f"database   {'as MONGO_URL says' if external else 'embedded'}, {self.settings.mongo_database}",
            "bus        in memory, this process only",
            f"workers    {', '.join(self.workers) or 'none'}",
        ]


@asynccontextmanager
async def open_resources(settings: Settings, mongo_url: str) -> AsyncIterator[Resources]:
    """Connect everything; close it in reverse order.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        database = Database(mongo_url, settings, clock)
        stack.push_async_callback(database.close)
        await database.connect(DOCUMENTS)
        bus = MemoryBus()
        await bus.start()
        stack.push_async_callback(bus.close)
        cache = MemoryCache(clock)
        await cache.start()
        stack.push_async_callback(cache.close)
        yield Resources(
            settings=settings,
            clock=clock,
            database=database,
            bus=bus,
            cache=cache,
            health=Health({"database": database.check, "bus": bus.health}, clock),
            metrics=Metrics(paths=MONITORING_PATHS),
            background={"database-monitor": database.monitor},
            workers={},
        )
