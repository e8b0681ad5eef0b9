"""API keys: how an integrator's program signs in. Of the secret only a hash is kept."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel, UpdateOne

from core.account_vocabulary import ApiScope
from models.base import stored


class ApiKeyDocument(Document):
    """One key. Times are epoch milliseconds; `ip_allowlist` holds addresses and networks, empty for any.

    `changed_ms` is when what the key may do last changed: when it was made, given another allow-list, or ended.
    """

    id: str  # type: ignore[assignment]
    user_id: str
    name: str
    prefix: str
    secret_hash: str
    scopes: tuple[ApiScope, ...]
    ip_allowlist: tuple[str, ...] = ()
    created_ms: int
    changed_ms: int
    expires_ms: int | None = None
    last_used_ms: int | None = None
    ended_ms: int | None = None

    class Settings:
        """Where it is kept."""

        name = "api_keys"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("prefix", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING)]),
            IndexModel([("changed_ms", ASCENDING)]),
        ]


async def insert(key: ApiKeyDocument) -> None:
    """Store a new key."""
    await ApiKeyDocument.get_pymongo_collection().insert_one(stored(key))


async def by_prefix(prefix: str) -> ApiKeyDocument | None:
    """The key of this prefix, ended or not."""
    return await ApiKeyDocument.find_one({"prefix": prefix})


async def of_user(user_id: str) -> list[ApiKeyDocument]:
    """Every key of a person that has not ended, newest first."""
    found = await ApiKeyDocument.find({"user_id": user_id}).to_list()
    alive = [key for key in found if key.ended_ms is None]
    return sorted(alive, key=lambda key: (key.created_ms, key.id), reverse=True)


async def changed_since(since_ms: int) -> list[ApiKeyDocument]:
    """Keys that were made, changed or ended at or after this moment; the caller keeps the range narrow."""
    return await ApiKeyDocument.find({"changed_ms": {"$gte": since_ms}}).to_list()


async def change(key_id: str, user_id: str, changes: Mapping[str, object]) -> bool:
    """Change a person's key. False when there is none of this id (any more)."""
    result = await ApiKeyDocument.get_pymongo_collection().update_one(
        {"_id": key_id, "user_id": user_id, "ended_ms": {"$exists": False}},
        {"$set": dict(changes)},
    )
    return result.matched_count == 1


async def end(key_ids: Sequence[str], user_id: str, now_ms: int) -> None:
    """End these keys of a person."""
    await ApiKeyDocument.get_pymongo_collection().update_many(
        {"_id": {"$in": list(key_ids)}, "user_id": user_id, "ended_ms": {"$exists": False}},
        {"$set": {"ended_ms": now_ms, "changed_ms": now_ms}},
    )


async def touch(last_used_ms: Mapping[str, int]) -> None:
    """Note when these keys were last used."""
    if last_used_ms:
        await ApiKeyDocument.get_pymongo_collection().bulk_write(
            [UpdateOne({"_id": key}, {"$max": {"last_used_ms": used}}) for key, used in last_used_ms.items()],
            ordered=False,
        )
