"""The liabilities worker: one report when it is due, one maker over all processes, and patient with what fails."""

import asyncio

import pytest
from pymongo.errors import AutoReconnect

from core.clock import SystemClock
from core.database import Database
from events.liability import LiabilityReportState
from models import lease, liability_report
from services.journal_feed import JournalDamaged
from services.liabilities import LiabilityReporter, NothingToReport, ReportOvertaken, ReportRules
from services.liability_key import LiabilityKey
from services.liability_tree import NegativeBalance
from tests.accounts import BOX
from tests.trading_house import SCALES, TradingHouse
from workers.liabilities import NAME, LiabilityWorker


class Reporter(LiabilityReporter):
    """Notes who made reports; the tries that are in `fails` fail first."""

    def __init__(self, key: LiabilityKey, *fails: Exception, hours: int = 24) -> None:
        super().__init__(key, SystemClock(), SCALES, ReportRules(hours, kept=2))
        self.fails = list(fails)
        self.made = 0

    async def make(self) -> LiabilityReportState:
        if self.fails:
            raise self.fails.pop(0)
        self.made += 1
        return await super().make()


async def reporter(*fails: Exception, hours: int = 24) -> Reporter:
    key = LiabilityKey(BOX)
    await key.load()
    return Reporter(key, *fails, hours=hours)


async def test_two_processes_make_one_report(database: Database) -> None:
    house = TradingHouse()
    async with house.open("anna"):
        await house.projected()
        reporters = [await reporter(), await reporter()]
        workers = [LiabilityWorker(each, SystemClock(), f"process {place}") for place, each in enumerate(reporters)]
        await asyncio.gather(*(worker.look() for worker in workers))
        await asyncio.gather(*(worker.look() for worker in workers))
    assert sum(each.made for each in reporters) == 1
    assert await liability_report.newest_number() == 1
    assert await lease.take(NAME, "an operator", now_ms=1, expires_ms=2), "the lease is free between reports"


@pytest.mark.parametrize(
    "failure",
    [
        AutoReconnect("away"),
        JournalDamaged("broken"),
        NegativeBalance("less"),
        NothingToReport("nobody"),
        ReportOvertaken("late"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_what_fails_is_tried_again(database: Database, failure: Exception) -> None:
    house = TradingHouse()
    async with house.open("anna"):
        await house.projected()
        trying = await reporter(failure)
        worker = LiabilityWorker(trying, SystemClock(), "a process")
        await worker.look()
        assert await liability_report.newest_number() == 0
        await worker.look()
        assert await liability_report.newest_number() == 1


async def test_it_never_looks_further_when_it_is_told_so(database: Database) -> None:
    idle = await reporter(hours=0)
    await LiabilityWorker(idle, SystemClock(), "a process").look()
    assert (idle.made, await liability_report.newest_number()) == (0, 0)
