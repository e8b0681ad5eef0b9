"""Browsers that a person has signed in from: known by a cookie of which the hash is stored."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel

from core.clock import to_datetime

FORGOTTEN_AFTER_MS = 365 * 86_400_000


class KnownDeviceDocument(Document):
    """One person on one browser, under `user:hash of the cookie`. Dropped after a year without use."""

    id: str  # type: ignore[assignment]
    user_id: str
    first_ms: int
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "known_devices"
        indexes: ClassVar = [
            IndexModel([("user_id", ASCENDING)]),
            IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0),
        ]


async def is_known(user_id: str, device_hash: str) -> bool:
    """Whether this person has signed in from this browser."""
    return await KnownDeviceDocument.get_pymongo_collection().find_one({"_id": f"{user_id}:{device_hash}"}) is not None


async def any_of(user_id: str) -> bool:
    """Whether any browser of this person is known."""
    return await KnownDeviceDocument.get_pymongo_collection().find_one({"user_id": user_id}) is not None


async def remember(user_id: str, device_hash: str, now_ms: int) -> None:
    """Know this browser from now on."""
    await KnownDeviceDocument.get_pymongo_collection().update_one(
        {"_id": f"{user_id}:{device_hash}"},
        {
            "$set": {"purge_at": to_datetime(now_ms + FORGOTTEN_AFTER_MS), "user_id": user_id},
            "$setOnInsert": {"first_ms": now_ms},
        },
        upsert=True,
    )


async def forget_all(user_id: str) -> None:
    """Know none of this person's browsers any more."""
    await KnownDeviceDocument.get_pymongo_collection().delete_many({"user_id": user_id})
