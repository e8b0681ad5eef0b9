"""`ledger audit` as an operator calls it."""

from pathlib import Path

from core.clock import SystemClock
from core.database import Database
from core.settings import Settings
from events.commands import ReverseDeposit
from models import DOCUMENTS
from models.journal import JournalDocument
from tests import components
from tests.server.test_account_commands import command
from tests.services.test_journal_audit import busy_floor, store_documents, store_journal


async def test_a_sound_journal_and_one_that_is_not(tmp_path: Path) -> None:
    async with components.secantus(tmp_path / "mongo") as (_, url):
        database = Database(url, Settings(_env_file=None), SystemClock())
        await database.connect(DOCUMENTS)
        floor = busy_floor()
        floor.exchange.execute(ReverseDeposit("ann", "BTC", 10**11 + 5, "house:hot:bitcoin", "§back", ""), floor.now_ms)
        floor.collect()
        await store_journal(floor.events)
        await store_documents(floor.exchange.state)
        status, out, err = await command(url, "ledger", "audit")
        assert (status, err) == (0, "")
        assert out.startswith("0.00000005 BTC is owed\n")
        assert out.endswith(f"{len(floor.events)} events, 2 accounts (0 newer than the audit), 0 problems\n")
        await JournalDocument.get_pymongo_collection().update_one({"_id": 2}, {"$set": {"time_ms": 5}})
        status, out, err = await command(url, "ledger", "audit")
        assert (status, err) == (1, "ledger: batch 2 is not as it was written")
        await database.close()
