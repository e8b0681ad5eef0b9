"""Tokens that travel by mail: stored as hashes, each for one purpose, one person and one address, used at most once."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel

from models.base import insert_new_rows, stored


class OneTimeTokenDocument(Document):
    """A token under its hash. `email_key` is the address it was sent to, or, for a change of address, the new one;
    `subject` the withdrawal it confirms."""

    id: str  # type: ignore[assignment]
    purpose: str
    user_id: str
    email_key: str
    subject: str | None = None
    expires_ms: int
    used_ms: int | None = None
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "one_time_tokens"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("user_id", ASCENDING), ("purpose", ASCENDING)]),
            IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0),
        ]


async def put(tokens: Sequence[OneTimeTokenDocument]) -> None:
    """Store tokens. One that is stored already stays as it is: a mail that is sent again carries the same."""
    await insert_new_rows(OneTimeTokenDocument, [stored(token) for token in tokens])


async def by_hash(token_hash: str) -> OneTimeTokenDocument | None:
    """The token of this hash, used or not."""
    return await OneTimeTokenDocument.find_one({"_id": token_hash})


async def use(token_hash: str, now_ms: int) -> bool:
    """Use a token up. False when it was used, or is over."""
    result = await OneTimeTokenDocument.get_pymongo_collection().update_one(
        {"_id": token_hash, "used_ms": {"$exists": False}, "expires_ms": {"$gt": now_ms}},
        {"$set": {"used_ms": now_ms}},
    )
    return result.matched_count == 1


async def forget(user_id: str, purpose: str) -> None:
    """Make every token of a person for this purpose worthless."""
    await OneTimeTokenDocument.get_pymongo_collection().delete_many({"user_id": user_id, "purpose": purpose})
