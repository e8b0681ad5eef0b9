"""Signed transactions that people have sent through this server: their bytes are stored before they are sent."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from models.base import stored

MOST_REMEMBERED = 1000
"""Of an account's recipients, when addresses are compared with them."""


class BroadcastDocument(Document):
    """One under `account:client's key`. `digest` is of all that was given; `counterparties` are who received something or may spend it, and the contracts that were called.
    `sent_ms` is None until a node has taken it."""

    id: str  # type: ignore[assignment]
    user_id: str
    client_id: str
    digest: str
    chain: str
    hash: str
    counterparties: list[str]
    prepared_id: str | None = None
    swap_id: str | None = None
    created_ms: int
    sent_ms: int | None = None
    purge_at: datetime | None = None

    class Settings:
        """Where it is kept."""

        name = "broadcasts"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("user_id", ASCENDING)]),
            IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0),
        ]


def broadcast_id(user_id: str, client_id: str) -> str:
    """The id under an account's key."""
    return f"{user_id}:{client_id}"


async def insert(row: BroadcastDocument) -> bool:
    """Store a new one. False when the account has used the key."""
    try:
        await BroadcastDocument.get_pymongo_collection().insert_one(stored(row))
    except DuplicateKeyError:
        return False
    return True


async def by_client_id(user_id: str, client_id: str) -> BroadcastDocument | None:
    """What an account has sent under this key."""
    return await BroadcastDocument.find_one({"_id": broadcast_id(user_id, client_id)})


async def was_sent(row: BroadcastDocument, now_ms: int) -> None:
    """Remember that a node has taken it."""
    await BroadcastDocument.get_pymongo_collection().update_one({"_id": row.id}, {"$set": {"sent_ms": now_ms}})


async def forget(row: BroadcastDocument) -> None:
    """Take back one that no node has taken."""
    await BroadcastDocument.get_pymongo_collection().delete_one({"_id": row.id})


async def counterparties(user_id: str) -> set[str]:
    """Whom an account has sent something to, or let spend something."""
    rows = await BroadcastDocument.find({"user_id": user_id}).limit(MOST_REMEMBERED).to_list()
    return {address for row in rows for address in row.counterparties}


async def delete_all(user_id: str) -> None:
    """Forget what an account has sent; the transactions themselves are followed all the same."""
    await BroadcastDocument.get_pymongo_collection().delete_many({"user_id": user_id})
