"""Sessions: one for each signing in, until it ends. A session is the family of its refresh tokens."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel, UpdateOne

from core.account_vocabulary import AuthFactor, SessionMethod
from core.clock import to_datetime
from models.base import stored

KEPT_AFTER_END_MS = 86_400_000
"""An ended session stays readable this long, then the database drops it."""


class SessionDocument(Document):
    """One session. Times are epoch milliseconds; of tokens only hashes are kept.

    `open_of` is the person's id as long as the session has not ended, so that ended ones are not read again and again.

    A refresh token is `id.family.secret`. `family_hash` is of the part that all tokens of the session share, `refresh_hash` of the
    current token. `successor` is the current token, sealed under the one before it, so that tabs which refresh together get the same.
    """

    id: str  # type: ignore[assignment]
    user_id: str
    open_of: str | None = None
    method: SessionMethod
    factors: tuple[AuthFactor, ...]
    created_ms: int
    authenticated_ms: int
    last_seen_ms: int
    expires_ms: int
    latest_ms: int
    """`expires_ms` moves with every refresh, up to this moment."""
    ip: str
    user_agent: str | None = None
    device_name: str | None = None
    device_hash: str | None = None
    family_hash: str
    refresh_hash: str
    previous_hash: str | None = None
    successor: str | None = None
    rotated_ms: int | None = None
    ended_ms: int | None = None
    end_reason: str | None = None
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "sessions"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("open_of", ASCENDING)], sparse=True),
            IndexModel([("ended_ms", ASCENDING)], sparse=True),
            IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0),
        ]


async def insert(session: SessionDocument) -> None:
    """Store a new session."""
    await SessionDocument.get_pymongo_collection().insert_one(stored(session))


async def by_id(session_id: str) -> SessionDocument | None:
    """The session of this id, ended or not."""
    return await SessionDocument.find_one({"_id": session_id})


async def open_of(user_id: str) -> list[SessionDocument]:
    """A person's sessions that were not ended, newest first; some may be over their time."""
    found = await SessionDocument.find({"open_of": user_id}).to_list()
    return sorted(found, key=lambda session: (session.created_ms, session.id), reverse=True)


async def ended_since(since_ms: int) -> list[SessionDocument]:
    """Sessions that ended at or after this moment; the caller keeps the range narrow."""
    return await SessionDocument.find({"ended_ms": {"$gte": since_ms}}).to_list()


async def rotate(
    session_id: str, *, old_hash: str, new_hash: str, successor: str, now_ms: int, expires_ms: int, ip: str
) -> bool:
    """Put a new refresh token in the place of the current one. False when it is not the current one, or the session has ended."""
    result = await SessionDocument.get_pymongo_collection().update_one(
        {"_id": session_id, "refresh_hash": old_hash, "ended_ms": {"$exists": False}},
        {
            "$set": {
                "refresh_hash": new_hash,
                "previous_hash": old_hash,
                "successor": successor,
                "rotated_ms": now_ms,
                "last_seen_ms": now_ms,
                "expires_ms": expires_ms,
                "ip": ip,
                "purge_at": to_datetime(expires_ms + KEPT_AFTER_END_MS),
            }
        },
    )
    return result.matched_count == 1


async def end(session_ids: Sequence[str], reason: str, now_ms: int) -> int:
    """End these sessions; those that have ended stay as they are. Returns how many it ended."""
    result = await SessionDocument.get_pymongo_collection().update_many(
        {"_id": {"$in": list(session_ids)}, "ended_ms": {"$exists": False}},
        {
            "$set": {
                "ended_ms": now_ms,
                "end_reason": reason,
                "purge_at": to_datetime(now_ms + KEPT_AFTER_END_MS),
            },
            "$unset": {"successor": "", "open_of": ""},
        },
    )
    return result.modified_count


async def set_authenticated(session_id: str, factors: Sequence[AuthFactor], now_ms: int) -> None:
    """Note that the owner has proven again to be there."""
    await SessionDocument.get_pymongo_collection().update_one(
        {"_id": session_id}, {"$set": {"authenticated_ms": now_ms}, "$addToSet": {"factors": {"$each": list(factors)}}}
    )


async def touch(last_seen_ms: Mapping[str, int]) -> None:
    """Note when these sessions were last used."""
    if last_seen_ms:
        await SessionDocument.get_pymongo_collection().bulk_write(
            [UpdateOne({"_id": key}, {"$max": {"last_seen_ms": seen}}) for key, seen in last_seen_ms.items()],
            ordered=False,
        )
