"""Short-lived questions put to a client: a second factor, a passkey's signature, a provider's answer, a step-up proof."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel

from models.base import stored


class ChallengeDocument(Document):
    """A question under the hash of its token. `subject` is whom it is put to, `facts` what its asker must remember, as JSON.

    `tries_left` counts down with every wrong answer.
    """

    id: str  # type: ignore[assignment]
    kind: str
    subject: str
    facts: str
    tries_left: int
    expires_ms: int
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "challenges"
        indexes: ClassVar = [IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0)]


async def insert(challenge: ChallengeDocument) -> None:
    """Store a new question."""
    await ChallengeDocument.get_pymongo_collection().insert_one(stored(challenge))


async def take_try(token_hash: str, kind: str, now_ms: int) -> ChallengeDocument | None:
    """Use up one try of a question and give it; None when it is over, answered, or of another kind."""
    result = await ChallengeDocument.get_pymongo_collection().update_one(
        {"_id": token_hash, "kind": kind, "tries_left": {"$gt": 0}, "expires_ms": {"$gt": now_ms}},
        {"$inc": {"tries_left": -1}},
    )
    return await ChallengeDocument.find_one({"_id": token_hash}) if result.matched_count == 1 else None


async def answer(token_hash: str) -> bool:
    """Close a question for good. False when somebody else was first."""
    result = await ChallengeDocument.get_pymongo_collection().delete_one({"_id": token_hash})
    return result.deleted_count == 1
