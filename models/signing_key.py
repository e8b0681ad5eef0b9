"""Keys that sign: access tokens, one for each period, and reports of liabilities, one for good. Each is made by whoever needs it first."""

from beanie import Document
from pymongo.errors import DuplicateKeyError

from models.base import stored


class SigningKeyDocument(Document):
    """An Ed25519 key under its `kid`. `public_key` is raw, in base64url; `sealed_private_key` is encrypted at rest."""

    id: str  # type: ignore[assignment]
    public_key: str
    sealed_private_key: str

    class Settings:
        """Where it is kept."""

        name = "signing_keys"


async def by_ids(kids: list[str]) -> list[SigningKeyDocument]:
    """Those of these keys that there are."""
    return await SigningKeyDocument.find({"_id": {"$in": kids}}).to_list()


async def insert_first(key: SigningKeyDocument) -> None:
    """Store a key unless there is one of this kid."""
    try:
        await SigningKeyDocument.get_pymongo_collection().insert_one(stored(key))
    except DuplicateKeyError:
        return


async def every() -> list[SigningKeyDocument]:
    """All keys, old ones included: a few a year."""
    return await SigningKeyDocument.find_all().to_list()


async def reseal(kid: str, *, old: str, new: str) -> None:
    """Put the same private key under another master key."""
    await SigningKeyDocument.get_pymongo_collection().update_one(
        {"_id": kid, "sealed_private_key": old}, {"$set": {"sealed_private_key": new}}
    )
