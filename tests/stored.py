"""What is stored, for tests that say that nothing changed, or that something stands nowhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from core.account_vocabulary import AuditAction, AuditOutcome
from core.database import Database
from models import audit_event
from tests.models import query_guard

Rows = dict[str, list[dict[str, Any]]]
PASSING = ("audit_events", "audit_heads", "challenges", "wallet_challenges")
"""What a refusal may leave behind: that it happened, and questions that end by themselves."""


async def everything(database: Database, *, but: tuple[str, ...] = ()) -> Rows:
    """All rows of all collections but these."""
    with query_guard.RECORDER.recording(database.handle.name):
        names = sorted(query_guard.RECORDER.may_hold_rows(database.handle.name))
        rows = {name: await database.handle[name].find({}).to_list() for name in names if name not in but}
    return {name: sorted(found, key=lambda row: str(row["_id"])) for name, found in rows.items() if found}


@asynccontextmanager
async def unchanged(database: Database, *, but: tuple[str, ...] = PASSING) -> AsyncIterator[None]:
    """Fails when anything stored is not the same after the block, these collections excepted."""
    before = await everything(database, but=but)
    yield
    assert await everything(database, but=but) == before


async def forget_new(database: Database, before: Rows, names: tuple[str, ...]) -> None:
    """Take out of these collections what was put there since."""
    with query_guard.RECORDER.recording(database.handle.name):
        for name in names:
            kept = [row["_id"] for row in before.get(name, ())]
            await database.handle[name].delete_many({"_id": {"$nin": kept}})


async def audited(user_id: str, action: AuditAction) -> list[tuple[AuditOutcome, dict[str, Any]]]:
    """Outcome and detail of an account's events of this kind, oldest first."""
    rows = await audit_event.between(user_id, 1, 1_000)
    return [(row.outcome, row.detail) for row in rows if row.action is action]
