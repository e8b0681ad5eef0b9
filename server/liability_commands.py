"""`python -m server liabilities report`: a report of what people are owed, made now."""

import sys

from core.clock import SystemClock
from core.ids import random_id
from core.money import canonical
from core.settings import Settings
from events.liability import LiabilityReportState
from server import process
from server.command_database import command_database
from server.encryption_keys import configured_box, development_box
from server.errors import CannotRun
from server.liabilities import open_liabilities
from services import catalogue
from services.leases import Holding, LeaseLost, run_as_only_one
from services.liabilities import NothingToReport, ReportOvertaken
from services.liability_tree import NegativeBalance
from workers.liabilities import NAME


def run(settings: Settings) -> int:
    """Make a report, beside a running server or without one; gives the exit status."""
    return process.run(lambda: _report(settings))


async def _report(settings: Settings) -> None:
    box = development_box(settings) if settings.mongo_url is None else configured_box(settings)
    holder, clock = random_id(), SystemClock()
    async with command_database(settings):
        opened = await open_liabilities(settings, clock, box, catalogue.read_files(), holder)

        async def make(_: Holding) -> None:
            sys.stdout.write(_told(await opened.reporter.make()))

        try:
            await run_as_only_one(NAME, holder, clock, make)
        except (NothingToReport, NegativeBalance, ReportOvertaken, LeaseLost) as error:
            raise CannotRun(f"no report was made: {error}") from None


def _told(report: LiabilityReportState) -> str:
    lines = (
        f"report {report.number}, {report.accounts} accounts, after event {report.sequence} of the journal",
        f"root {report.root}",
        *(f"{asset} {canonical(amount)}" for asset, amount in report.totals.items()),
    )
    return "".join(f"{line}\n" for line in lines)
