"""The audit log: rows that are only ever added, numbered and hash-chained per account.

A row's id is `account:number`, so that two writers cannot both add the next one. `AuditHeadDocument` remembers how far an account's log
reaches; it may lag behind the rows after a crash, never lead them.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, ClassVar

import orjson
from beanie import Document
from pydantic import ValidationError
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.account_vocabulary import AuditAction, AuditActor, AuditOutcome
from models.base import D, stored

_HASHED = (
    *("user_id", "sequence", "action", "outcome", "actor", "ip", "user_agent", "request_id"),
    *("detail", "time_ms", "previous_hash"),
)
"""What a hash covers for good: a field that is added to the rows needs a new format."""


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
            IndexModel([("action", ASCENDING), ("time_ms", ASCENDING)]),
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


def hashed_text(event: AuditEventDocument) -> bytes:
    """What a row's hash is made of: the JSON of these fields, sorted by name, without spaces."""
    row = event.model_dump(mode="json", include=set(_HASHED))
    return orjson.dumps({"format": 1, **row}, option=orjson.OPT_SORT_KEYS)


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


async def accounts() -> list[str]:
    """Every account that has rows, for the audit command alone."""
    found = await AuditEventDocument.get_pymongo_collection().aggregate([{"$group": {"_id": "$user_id"}}])
    return [str(row["_id"]) async for row in found]


async def as_stored(user_id: str) -> AsyncIterator[tuple[object, AuditEventDocument | None]]:
    """Numbers and rows of a whole log, lowest first; None for what can no longer be read. For the audit command alone."""
    rows = AuditEventDocument.get_pymongo_collection().find({"user_id": user_id}).sort("sequence", ASCENDING)
    async for row in rows:
        yield row.get("sequence"), _read(AuditEventDocument, row)


async def of_everybody_between(
    from_ms: int, to_ms: int, actions: Collection[AuditAction] | None
) -> list[AuditEventDocument]:
    """Rows of all accounts, or those of these actions, with from <= time < to, oldest first; the caller keeps the range narrow.

    Each action is asked for by itself: beside a range, the embedded engine would walk everything for `$in`.
    """
    times = {"time_ms": {"$gte": from_ms, "$lt": to_ms}}
    queries = [times] if actions is None else [{"action": action.value, **times} for action in set(actions)]
    found = [row for query in queries for row in await AuditEventDocument.find(query).to_list()]
    return sorted(found, key=lambda event: (event.time_ms, event.user_id, event.sequence))


async def head(user_id: str) -> AuditHeadDocument | None:
    """How far the account's log reaches, as far as it was noted."""
    return await AuditHeadDocument.find_one({"_id": user_id})


async def heads() -> list[AuditHeadDocument]:
    """All heads: one for each account, for the audit command alone."""
    return await AuditHeadDocument.find_all().to_list()


async def heads_as_stored() -> dict[str, AuditHeadDocument | None]:
    """All heads by account; None for one that can no longer be read. For the audit command alone."""
    rows = AuditHeadDocument.get_pymongo_collection().find({})
    return {str(row["_id"]): _read(AuditHeadDocument, row) async for row in rows}


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


def _read(model: type[D], row: Mapping[str, Any]) -> D | None:
    try:
        found: D = model.model_validate(row)
    except ValidationError:
        return None
    return found
