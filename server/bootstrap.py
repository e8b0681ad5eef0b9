"""Every long-lived resource of a process: made here, closed here, passed from here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from core.bus import Bus, MemoryBus
from core.cache import Cache, MemoryCache
from core.clock import Clock, SystemClock
from core.database import Database
from core.errors import ExpectedError
from core.ids import random_id
from core.redis_bus import RedisBus
from core.redis_cache import RedisCache
from core.settings import Settings
from core.vocabulary import FeedStatus, PriceSource
from events import codec
from events.market import FeedChanged
from graph.context import Services
from integrations.feeds.registry import FeedMisconfigured
from models import DOCUMENTS
from server.errors import CannotRun
from server.health import Health, feeds_check
from server.metrics import Metrics
from server.monitoring import MONITORING_PATHS
from services import catalogue, server_status
from services.market_reads import MarketDataReads
from services.market_view import MarketView
from services.markets import MarketReads
from workers import feeds

Loop = Callable[[], Awaitable[None]]
"""Runs until cancelled."""
PATHS = MONITORING_PATHS | {"/graphql", "/schema.graphql"}


@dataclass(frozen=True, slots=True)
class Resources:
    """What the rooms of one process share."""

    settings: Settings
    clock: Clock
    database: Database
    bus: Bus
    cache: Cache
    view: MarketView
    services: Services
    health: Health
    metrics: Metrics
    background: Mapping[str, Loop]
    """What every process runs beside its own work."""
    workers: Mapping[str, Loop]
    """What `worker NAME` may name."""

    def describe(self) -> list[str]:
        """What runs where, one line each, fit for a terminal (no secrets)."""
        settings = self.settings
        database = "embedded" if settings.embedded_database else "as MONGO_URL says"
        return [
            f"database   {database}, {settings.mongo_database}",
            f"bus        {'in memory, this process only' if settings.redis_url is None else 'Redis, as REDIS_URL says'}",
            f"workers    {', '.join(self.workers)}",
            f"prices     {_prices(settings)}",
        ]

    def notice(self) -> str:
        """What is simulated or recorded at this moment, in a sentence for people."""
        statuses = {state.feed.status for state in self.view.states.values() if state.feed is not None}
        if FeedStatus.SIMULATED in statuses:
            return "No price source answers: every price here is SIMULATED and not real."
        if PriceSource.REPLAY in self.settings.price_sources:
            return "Prices are a REPLAY of a recorded file, with its recorded times."
        return "Prices come from live sources; Market.feed says which."


def _prices(settings: Settings) -> str:
    names = ", ".join(source.value for source in settings.price_sources)
    if PriceSource.REPLAY in settings.price_sources:
        return f"REPLAY of {settings.replay_file} into {settings.replay_symbol}, speed {settings.replay_speed}"
    if settings.simulated_fallback:
        return f"{names}; SIMULATED (not real) while none answers within {settings.simulated_after_seconds:g} s"
    return names


@asynccontextmanager
async def open_resources(settings: Settings, mongo_url: str) -> AsyncIterator[Resources]:
    """Connect everything; close it in reverse order.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    clock = SystemClock()
    process = random_id()
    async with AsyncExitStack() as stack:
        database = Database(mongo_url, settings, clock)
        stack.push_async_callback(database.close)
        await database.connect(DOCUMENTS)
        bus = _bus(settings, clock, process)
        await bus.start()
        stack.push_async_callback(bus.close)
        cache = _cache(settings, clock)
        await cache.start()
        stack.push_async_callback(cache.close)
        known = await catalogue.load()
        metrics = Metrics(paths=PATHS)
        view = MarketView(bus, known, process=process, observer=metrics)
        if isinstance(bus, RedisBus):
            metrics.watch_count("bus_lost_messages", "Messages this process gave up", lambda: bus.lost)
            metrics.watch_count(
                "bus_undecodable_messages", "Messages this process could not read", lambda: bus.undecodable
            )
            metrics.watch_count("bus_reconnects", "Reconnections to the bus", lambda: bus.reconnects)
        if isinstance(cache, RedisCache):
            metrics.watch_count("cache_failures", "Calls that did not reach the cache", lambda: cache.failures)
        metrics.watch_feeds(lambda: _feeds(view), clock)
        worker = feeds.MarketDataSetup(
            settings=settings,
            clock=clock,
            bus=bus,
            catalogue=known,
            holder="embedded" if settings.embedded_database else process,
        )
        yield Resources(
            settings=settings,
            clock=clock,
            database=database,
            bus=bus,
            cache=cache,
            view=view,
            services=Services(
                catalogue=known,
                view=view,
                markets=MarketReads(known, view),
                market_data=MarketDataReads(view),
                server_status=lambda: server_status.read(
                    clock=clock, mode=settings.mode, database=database, bus=bus, view=view
                ),
            ),
            health=Health(
                {"database": database.check, "bus": bus.health, "feeds": feeds_check(lambda: _feeds(view))}, clock
            ),
            metrics=metrics,
            background={"database-monitor": database.monitor, "market-view": view.run},
            workers={feeds.NAME: lambda: _run_worker(worker)},
        )


async def _run_worker(worker: feeds.MarketDataSetup) -> None:
    try:
        await worker.run()
    except* (ExpectedError, FeedMisconfigured) as problems:
        raise CannotRun(str(problems.exceptions[0])) from None


def _feeds(view: MarketView) -> list[FeedChanged]:
    return [state.feed for state in view.states.values() if state.feed is not None]


def _bus(settings: Settings, clock: Clock, process: str) -> Bus:
    if settings.redis_url is None:
        return MemoryBus()
    return RedisBus(
        settings.redis_url.get_secret_value(),
        encode=codec.encode,
        decode=codec.decode,
        publisher=process,
        clock=clock,
        namespace=settings.redis_namespace,
    )


def _cache(settings: Settings, clock: Clock) -> Cache:
    if settings.redis_url is None:
        return MemoryCache(clock)
    return RedisCache(settings.redis_url.get_secret_value(), clock=clock, namespace=settings.redis_namespace)
