"""`python -m server projections rebuild`: every document that people read, made anew from the exchange's journal."""

import sys
from collections.abc import Iterable

from core.bus import MemoryBus
from core.clock import SystemClock
from core.settings import Settings
from models import lease
from server import process
from server.command_database import command_database
from server.errors import CannotRun
from server.exchange import empty_view
from services import catalogue, projection_rebuild
from services.catalogue import Catalogue
from services.exchange_tape import ExchangeTape
from services.journal_feed import JournalFeed
from services.leases import LEASE_SECONDS
from services.market_statuses import MarketStatuses
from services.projection import ProjectionPorts, Projector
from workers.projection import NAME

HOLD_SECONDS = 24 * 3600.0
"""A rebuild that was killed keeps projectors away for this long at most, or until the next one is done."""
HOLDER = "rebuild"
"""The same for every rebuild, so that the next one may go on where one was killed."""


class NobodyReviews:
    """Fees are reviewed where the projection goes on."""

    def traded(self, accounts: Iterable[str]) -> None:
        """Nothing to do."""


def run(settings: Settings) -> int:
    """Rebuild; gives the exit status."""
    return process.run(lambda: _rebuild(settings))


async def _rebuild(settings: Settings) -> None:
    clock = SystemClock()
    async with command_database(settings):
        now_ms = clock.now_ms()
        if not await lease.take(NAME, HOLDER, now_ms=now_ms, expires_ms=now_ms + round(HOLD_SECONDS * 1000)):
            raise CannotRun(
                f"a projection worker runs, or ran until {LEASE_SECONDS:g} seconds ago: stop it (or `dev`), then try again"
            )
        try:
            known = catalogue.read_files()
            sequence = await projection_rebuild.rebuild(lambda: _open(known, clock), known.markets)
        finally:
            await lease.give_back(NAME, HOLDER)
    sys.stdout.write(f"projected anew up to event {sequence}\n")


async def _open(known: Catalogue, clock: SystemClock) -> Projector:
    bus = MemoryBus()
    tape, statuses = ExchangeTape(bus, clock, known.markets), MarketStatuses(bus)
    await tape.load()
    await statuses.load()
    ports = ProjectionPorts(tape, statuses, NobodyReviews())
    projector = Projector(empty_view(known), JournalFeed(bus), ports, bus=bus, clock=clock)
    await projector.load()
    return projector
