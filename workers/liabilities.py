"""The liabilities worker: looks now and then whether a report is due, and makes it while this process holds the lease."""

import asyncio
from dataclasses import dataclass

import structlog
from pymongo.errors import PyMongoError

from core.cancellation import raise_if_cancelled
from core.clock import Clock
from events.journal_codec import UnknownFormat
from services.journal_feed import JournalDamaged
from services.leases import Holding, LeaseLost, run_as_only_one
from services.liabilities import LiabilityReporter, NothingToReport, ReportOvertaken
from services.liability_tree import NegativeBalance

log = structlog.get_logger(__name__)

NAME = "liabilities"
LOOK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LiabilityWorker:
    """What the worker needs."""

    reporter: LiabilityReporter
    clock: Clock
    holder: str

    async def run(self) -> None:
        """Make reports when they are due. Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Make a report if one is due. The lease is held only for this, so that an operator's command gets it, too."""
        try:
            if await self.reporter.is_due():
                await run_as_only_one(NAME, self.holder, self.clock, self._make)
        except (LeaseLost, PyMongoError, ReportOvertaken) as problem:
            log.warning("liabilities.again", reason=str(problem))
        except (JournalDamaged, UnknownFormat, NegativeBalance) as problem:
            log.error("liabilities.not_reported", reason=str(problem))
        except NothingToReport:
            log.debug("liabilities.nothing_yet")
        raise_if_cancelled()

    async def _make(self, _: Holding) -> None:
        if await self.reporter.is_due():
            await self.reporter.make()
