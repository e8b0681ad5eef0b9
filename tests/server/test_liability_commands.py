"""`liabilities report` as an operator calls it."""

from pathlib import Path

from core.clock import SystemClock
from core.database import Database
from core.settings import Settings
from models import DOCUMENTS, journal, liability_report
from models.projection import Watermark
from tests import components
from tests.server.test_account_commands import command
from tests.services.test_journal_audit import busy_floor, store_journal
from tests.trading_rows import write_watermark


async def test_a_report_and_nothing_to_report(tmp_path: Path) -> None:
    async with components.secantus(tmp_path / "mongo") as (_, url):
        database = Database(url, Settings(_env_file=None), SystemClock())
        await database.connect(DOCUMENTS)
        status, out, err = await command(url, "liabilities", "report")
        assert (status, out) == (1, "")
        assert err == "cryptovault: no report was made: nobody has ever had anything here"
        floor = busy_floor()
        await store_journal(floor.events)
        tail = await journal.tail()
        assert tail is not None
        await write_watermark(Watermark(tail.number, tail.last_seq, tail.time_ms))
        status, out, err = await command(url, "liabilities", "report")
        assert (status, err) == (0, "")
        lines = out.splitlines()
        assert lines[0] == f"report 1, 2 accounts, after event {tail.last_seq} of the journal"
        report = await liability_report.by_number(1)
        assert report is not None
        assert lines[1] == f"root {report.root}"
        assert lines[2:] == [f"{asset} {amount}" for asset, amount in report.totals.items()]
        await database.close()
