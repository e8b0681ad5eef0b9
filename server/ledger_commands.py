"""`python -m server ledger audit`: whether the exchange's journal is whole, sums to zero, and is what people read; and what people owe."""

import sys

from core.money import canonical
from core.settings import Settings
from server import process
from server.command_database import command_database
from services import catalogue, journal_audit

EXIT_FAILED = 1


def run(settings: Settings) -> int:
    """Audit the journal; gives the exit status."""
    found = 0

    async def main() -> None:
        nonlocal found
        found = await _audit(settings)

    return process.run(main) or found


async def _audit(settings: Settings) -> int:
    scales = {code: asset.decimals for code, asset in catalogue.read_files().assets.items()}
    async with command_database(settings):
        report = await journal_audit.audit(scales)
    for problem in report.problems:
        sys.stderr.write(f"ledger: {problem}\n")
    sys.stdout.writelines(f"{canonical(units)} {asset} is owed\n" for asset, units in report.debts.items())
    sys.stdout.write(
        f"{report.batches} batches, {report.sequence} events, {report.accounts} accounts "
        f"({report.newer} newer than the audit), {len(report.problems)} problems\n"
    )
    return EXIT_FAILED if report.problems else 0
