"""Leases: which process may run a worker that must run once. A document per worker name; the token rises with every new holder."""

from beanie import Document
from pymongo.errors import DuplicateKeyError


class LeaseDocument(Document):
    """Who holds a lease until when (epoch milliseconds; nobody: empty), and its fencing token."""

    id: str  # type: ignore[assignment]
    holder: str
    expires_ms: int
    token: int

    class Settings:
        """Where it is kept."""

        name = "leases"


async def take(name: str, holder: str, *, now_ms: int, expires_ms: int) -> bool:
    """Become the holder when the lease is free or over. Returns whether it worked."""
    collection = LeaseDocument.get_pymongo_collection()
    for free in ({"_id": name, "holder": holder}, {"_id": name, "expires_ms": {"$lte": now_ms}}):
        taken = await collection.update_one(
            free, {"$set": {"holder": holder, "expires_ms": expires_ms}, "$inc": {"token": 1}}
        )
        if taken.matched_count:
            return True
    try:
        await collection.insert_one({"_id": name, "holder": holder, "expires_ms": expires_ms, "token": 1})
    except DuplicateKeyError:
        return False
    return True


async def renew(name: str, holder: str, *, expires_ms: int) -> bool:
    """Keep a lease that is still ours. Returns whether it was."""
    kept = await LeaseDocument.get_pymongo_collection().update_one(
        {"_id": name, "holder": holder}, {"$set": {"expires_ms": expires_ms}}
    )
    return kept.matched_count == 1


async def give_back(name: str, holder: str) -> None:
    """Free a lease that is ours; harmless otherwise. Nobody holds it then: a renewal that was on its way keeps it no longer."""
    await LeaseDocument.get_pymongo_collection().update_one(
        {"_id": name, "holder": holder}, {"$set": {"holder": "", "expires_ms": 0}}
    )
