"""Passkeys: public keys of authenticators (Web Authentication, W3C)."""

from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from models.base import stored


class PasskeyDocument(Document):
    """One credential. `credential_id` and `public_key` (COSE) are base64url; `sign_count` is the authenticator's last one."""

    id: str  # type: ignore[assignment]
    user_id: str
    name: str
    credential_id: str
    public_key: str
    sign_count: int
    transports: tuple[str, ...] = ()
    created_ms: int
    last_used_ms: int | None = None

    class Settings:
        """Where it is kept."""

        name = "passkeys"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("credential_id", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING)]),
        ]


async def insert(passkey: PasskeyDocument) -> bool:
    """Store a new one. False when the credential is registered already, by whomever."""
    try:
        await PasskeyDocument.get_pymongo_collection().insert_one(stored(passkey))
    except DuplicateKeyError:
        return False
    return True


async def by_credential_id(credential_id: str) -> PasskeyDocument | None:
    """The passkey of this credential."""
    return await PasskeyDocument.find_one({"credential_id": credential_id})


async def of_user(user_id: str) -> list[PasskeyDocument]:
    """A person's passkeys, oldest first."""
    found = await PasskeyDocument.find({"user_id": user_id}).to_list()
    return sorted(found, key=lambda passkey: (passkey.created_ms, passkey.id))


async def count_use(passkey_id: str, *, was: int, sign_count: int, now_ms: int) -> bool:
    """Note a use. False when the count is no longer `was`: another use came between."""
    result = await PasskeyDocument.get_pymongo_collection().update_one(
        {"_id": passkey_id, "sign_count": was}, {"$set": {"sign_count": sign_count, "last_used_ms": now_ms}}
    )
    return result.matched_count == 1


async def rename(passkey_id: str, user_id: str, name: str) -> bool:
    """Give a person's passkey another name. False when there is none of this id."""
    result = await PasskeyDocument.get_pymongo_collection().update_one(
        {"_id": passkey_id, "user_id": user_id}, {"$set": {"name": name}}
    )
    return result.matched_count == 1


async def delete(passkey_id: str, user_id: str) -> bool:
    """Forget a person's passkey. False when there is none of this id."""
    result = await PasskeyDocument.get_pymongo_collection().delete_one({"_id": passkey_id, "user_id": user_id})
    return result.deleted_count == 1


async def delete_all(user_id: str) -> None:
    """Forget all of a person's passkeys."""
    await PasskeyDocument.get_pymongo_collection().delete_many({"user_id": user_id})
