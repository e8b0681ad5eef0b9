"""External identities: an account elsewhere that signs a person in here."""

from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from models.base import stored


class IdentityDocument(Document):
    """One account at a provider; a provider's subject belongs to one person at most."""

    id: str  # type: ignore[assignment]
    user_id: str
    provider: str
    subject: str
    email: str | None = None
    linked_ms: int

    class Settings:
        """Where it is kept."""

        name = "identities"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("provider", ASCENDING), ("subject", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING)]),
        ]


async def insert(identity: IdentityDocument) -> bool:
    """Store a new one. False when it is linked already, to whomever."""
    try:
        await IdentityDocument.get_pymongo_collection().insert_one(stored(identity))
    except DuplicateKeyError:
        return False
    return True


async def by_subject(provider: str, subject: str) -> IdentityDocument | None:
    """The identity of this subject at this provider."""
    return await IdentityDocument.find_one({"provider": provider, "subject": subject})


async def of_user(user_id: str) -> list[IdentityDocument]:
    """A person's identities, oldest first."""
    found = await IdentityDocument.find({"user_id": user_id}).to_list()
    return sorted(found, key=lambda identity: (identity.linked_ms, identity.id))


async def delete(identity_id: str, user_id: str) -> bool:
    """Forget a person's identity. False when there is none of this id."""
    result = await IdentityDocument.get_pymongo_collection().delete_one({"_id": identity_id, "user_id": user_id})
    return result.deleted_count == 1


async def delete_all(user_id: str) -> None:
    """Forget all of a person's identities."""
    await IdentityDocument.get_pymongo_collection().delete_many({"user_id": user_id})
