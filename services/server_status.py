"""The server's own state in one answer."""

from dataclasses import dataclass

from core.bus import Bus, BusHealth
from core.clock import Clock
from core.database import Database, DatabaseHealth
from core.settings import Mode
from core.vocabulary import PriceSource
from events.market import SourceHealth
from services.exchange_health import ExchangeHealth, ExchangeState
from services.market_view import MarketView

VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class ServerState:
    """What `status` answers. `sources` are over all markets: healthy when used for any of them."""

    version: str
    time_ms: int
    mode: Mode
    database: DatabaseHealth
    bus: BusHealth
    sources: list[SourceHealth]
    exchange: ExchangeState


async def read(
    *, clock: Clock, mode: Mode, database: Database, bus: Bus, view: MarketView, exchange: ExchangeHealth
) -> ServerState:
    """Ask every part now."""
    return ServerState(
        version=VERSION,
        time_ms=clock.now_ms(),
        mode=mode,
        database=await database.check(),
        bus=await bus.health(),
        sources=sources(view),
        exchange=await exchange.read(),
    )


def sources(view: MarketView) -> list[SourceHealth]:
    """Health of every source over all markets, by name."""
    found: dict[PriceSource, list[SourceHealth]] = {}
    for state in view.states.values():
        for health in state.feed.sources if state.feed is not None else ():
            found.setdefault(health.source, []).append(health)
    return [_combined(source, found[source]) for source in sorted(found)]


def _combined(source: PriceSource, markets: list[SourceHealth]) -> SourceHealth:
    healthy = any(health.healthy for health in markets)
    updates = [health.last_update_ms for health in markets if health.last_update_ms is not None]
    errors = [health.error for health in markets if health.error is not None]
    return SourceHealth(
        source=source,
        healthy=healthy,
        last_update_ms=max(updates, default=None),
        error=None if healthy or not errors else errors[0],
    )
