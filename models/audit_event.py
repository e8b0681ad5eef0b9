"""The audit log: rows that are only ever added, numbered and hash-chained per account.

A row's id is `account:number`, so that two writers cannot both add the next one. `AuditHeadDocument` remembers how far an account's log
reaches; it may lag behind the rows after a crash, never lead them.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.account_vocabulary import AuditAction, AuditActor, AuditOutcome
from models.base import stored


class AuditEventDocument(Document):
    """One row. `hash` covers every field but itself and `seal`; `seal` is a digest of `hash` that only the server can make."""

    id: str  # type: ignore[assignment]
    user_id: str
    sequence: int
    action: AuditAction
    outcome: AuditOutcome
    actor: AuditActor
    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    detail: dict[str, Any]
    time_ms: int
    previous_hash: str
    hash: str
    seal: str

    class Settings:
        """Where it is kept."""

        name = "audit_events"
        indexes: ClassVar = [
            IndexModel([("user_id", ASCENDING), ("sequence", ASCENDING)]),
            IndexModel([("time_ms", ASCENDING)]),
        ]


class AuditHeadDocument(Document):
    """The newest row of an account, as far as it was noted."""

    id: str  # type: ignore[assignment]
    sequence: int
    hash: str
    seal: str

    class Settings:
        """Where it is kept."""

        name = "audit_heads"


def event_id(user_id: str, sequence: int) -> str:
    """The id of an account's row."""
    return f"{user_id}:{sequence}"


async def append(event: AuditEventDocument) -> bool:
    """Add a row. False when its number is taken."""
    try:
        await AuditEventDocument.get_pymongo_collection().insert_one(stored(event))
    except DuplicateKeyError:
        return False
    return True


async def by_number(user_id: str, sequence: int) -> AuditEventDocument | None:
    """One row."""
    return await AuditEventDocument.find_one({"_id": event_id(user_id, sequence)})


async def between(user_id: str, from_sequence: int, to_sequence: int) -> list[AuditEventDocument]:
    """Rows with from <= number < to, oldest first; the caller keeps the range narrow."""
    found = await AuditEventDocument.find(
        {"user_id": user_id, "sequence": {"$gte": from_sequence, "$lt": to_sequence}}
    ).to_list()
    return sorted(found, key=lambda event: event.sequence)


async def any_from(user_id: str, sequence: int) -> bool:
    """Whether there is a row of this number or a higher one."""
    query = {"user_id": user_id, "sequence": {"$gte": sequence}}
    return await AuditEventDocument.get_pymongo_collection().find_one(query, {"_id": 1}) is not None


async def of_everybody_between(from_ms: int, to_ms: int) -> list[AuditEventDocument]:
    """Rows of all accounts with from <= time < to, oldest first; the caller keeps the range narrow."""
    found = await AuditEventDocument.find({"time_ms": {"$gte": from_ms, "$lt": to_ms}}).to_list()
    return sorted(found, key=lambda event: (event.time_ms, event.user_id, event.sequence))


async def head(user_id: str) -> AuditHeadDocument | None:
    """How far the account's log reaches, as far as it was noted."""
    return await AuditHeadDocument.find_one({"_id": user_id})


async def heads() -> list[AuditHeadDocument]:
    """All heads: one for each account, for the audit command alone."""
    return await AuditHeadDocument.find_all().to_list()


async def advance_head(new: AuditHeadDocument) -> None:
    """Note a newer head; an older one changes nothing."""
    collection = AuditHeadDocument.get_pymongo_collection()
    row = stored(new)
    if (await collection.replace_one({"_id": new.id, "sequence": {"$lt": new.sequence}}, row)).matched_count:
        return
    try:
        await collection.insert_one(row)
    except DuplicateKeyError:
        return


async def reseal(events: Sequence[AuditEventDocument], heads: Sequence[AuditHeadDocument]) -> None:
    """Replace the seals of rows and heads, nothing else."""
    for event in events:
        await AuditEventDocument.get_pymongo_collection().update_one({"_id": event.id}, {"$set": {"seal": event.seal}})
    for head_ in heads:
        await AuditHeadDocument.get_pymongo_collection().update_one(
            {"_id": head_.id, "hash": head_.hash}, {"$set": {"seal": head_.seal}}
        )
