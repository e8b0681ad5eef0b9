"""Failed log-ins by address, whether an account has it or not, and the locks that follow from them."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.clock import to_datetime


class LogInLockDocument(Document):
    """Failures under a key that names the address, and the device where a known one tried. Dropped a while after it has no effect."""

    id: str  # type: ignore[assignment]
    failures: int
    window_ends_ms: int
    locked_until_ms: int
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "log_in_locks"
        indexes: ClassVar = [IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0)]


async def locked_until_ms(key: str) -> int:
    """The end of the lock, 0 without one; it may be past."""
    row = await LogInLockDocument.get_pymongo_collection().find_one({"_id": key})
    return int(row["locked_until_ms"]) if row else 0


async def count_failure(key: str, *, most: int, now_ms: int, window_ms: int) -> bool:
    """Count one failure. Returns whether it was the one that locks: the last of `most` within a window; the lock is as long."""
    collection = LogInLockDocument.get_pymongo_collection()
    fresh = {"failures": 1, "window_ends_ms": now_ms + window_ms, "locked_until_ms": 0}
    purge = {"purge_at": to_datetime(now_ms + 2 * window_ms)}
    over = {"_id": key, "window_ends_ms": {"$lte": now_ms}}
    if not (await collection.update_one(over, {"$set": {**fresh, **purge}})).matched_count:
        counted = await collection.update_one({"_id": key}, {"$inc": {"failures": 1}})
        if not counted.matched_count:
            try:
                await collection.insert_one({"_id": key, **fresh, **purge})
            except DuplicateKeyError:
                await collection.update_one({"_id": key}, {"$inc": {"failures": 1}})
    lock_end = now_ms + window_ms
    locked = await collection.update_one(
        {"_id": key, "failures": {"$gte": most}, "locked_until_ms": 0},
        {
            "$set": {
                "locked_until_ms": lock_end,
                "window_ends_ms": lock_end,
                "purge_at": to_datetime(lock_end + window_ms),
            }
        },
    )
    return locked.matched_count == 1


async def forget_failures(key: str) -> None:
    """Begin to count anew after a success; a lock stays."""
    await LogInLockDocument.get_pymongo_collection().delete_one({"_id": key, "locked_until_ms": 0})


async def unlock(key: str) -> None:
    """Lift a lock: the owner has recovered the account."""
    await LogInLockDocument.get_pymongo_collection().delete_one({"_id": key})
