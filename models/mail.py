"""The outbox: mails that were accepted and those that were sent. A row that is stored is sent, however often anything dies.

`next_ms` is there only while a mail is queued, so the index holds the queue and nothing else. Every write of a try is conditional: of two
workers that believe they are the only one, one gets the mail.
"""

from datetime import datetime
from typing import Any, ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from core.mail_vocabulary import MailKind, MailState
from models.base import stored


class MailDocument(Document):
    """One mail. Its id has 128 random bits, from which the tokens of its links are derived; the tokens are stored nowhere.

    `to` is an explicit address, a former or a new one; without it the mail goes to the account's own when it is sent.
    """

    id: str  # type: ignore[assignment]
    kind: MailKind
    user_id: str | None = None
    email_key: str | None = None
    to: str | None = None
    facts: dict[str, str] = {}
    state: MailState = MailState.QUEUED
    attempts: int = 0
    next_ms: int | None = None
    created_ms: int
    last_error: str | None = None
    purge_at: datetime | None = None

    class Settings:
        """Where it is kept."""

        name = "mails"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("next_ms", ASCENDING)], sparse=True),
            IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0),
        ]


async def insert(mail: MailDocument, session: AsyncClientSession | None = None) -> None:
    """Accept a mail: once this returns, or the session's transaction is committed, it is not lost."""
    await MailDocument.get_pymongo_collection().insert_one(stored(mail), session=session)


async def due_ids(now_ms: int, most: int) -> list[str]:
    """Ids of mails whose time has come, at most so many; they leave the range as they are claimed."""
    found = MailDocument.get_pymongo_collection().find({"next_ms": {"$lte": now_ms}}, {"_id": 1}).limit(most)
    return [str(row["_id"]) async for row in found]


async def by_id(mail_id: str) -> MailDocument | None:
    """The mail of this id."""
    return await MailDocument.find_one({"_id": mail_id})


async def claim(mail: MailDocument, *, until_ms: int) -> bool:
    """Take a mail for its next try; nobody else takes it before `until_ms`. False when somebody else did."""
    return await _update(_at(mail.id, mail.attempts), {"$set": {"next_ms": until_ms}, "$inc": {"attempts": 1}})


async def retry(mail_id: str, *, attempts: int, next_ms: int, error: str) -> bool:
    """After try number `attempts` failed: try again at this moment. False when another try has begun, or ended it."""
    return await _update(_at(mail_id, attempts), {"$set": {"next_ms": next_ms, "last_error": error}})


async def put_off(mail_id: str, *, next_ms: int, error: str) -> None:
    """Look at a mail that could not even be tried again at this moment."""
    await _update({"_id": mail_id, "state": MailState.QUEUED}, {"$set": {"next_ms": next_ms, "last_error": error}})


async def finish(mail_id: str, state: MailState, *, purge_at: datetime, error: str | None = None) -> None:
    """End a mail. What identifies somebody goes with it, but for a failed one, which somebody may want to look into."""
    gone = ("next_ms",) if state is MailState.FAILED else ("next_ms", "to", "email_key", "facts")
    await _update(
        {"_id": mail_id, "state": MailState.QUEUED},
        {
            "$set": {"state": state, "purge_at": purge_at, **({} if error is None else {"last_error": error})},
            "$unset": dict.fromkeys(gone, ""),
        },
    )


def _at(mail_id: str, attempts: int) -> dict[str, object]:
    return {"_id": mail_id, "attempts": attempts, "state": MailState.QUEUED}


async def _update(query: dict[str, Any], update: dict[str, Any]) -> bool:
    result = await MailDocument.get_pymongo_collection().update_one(query, update)
    return result.matched_count == 1
