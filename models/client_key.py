"""The keys clients chose for what moves money: permanent, one space per account. Written by the projection, read by the writer."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from beanie import Document

from models.base import insert_new_rows


class UsedKey(NamedTuple):
    """A key, the digest of what it was used for, and the sequence it led to."""

    account: str
    key: str
    digest: str
    made: int


class ClientKeyDocument(Document):
    """One key under `account:key`."""

    id: str  # type: ignore[assignment]
    digest: str
    made: int

    class Settings:
        """Where it is kept."""

        name = "client_keys"


async def insert_keys(keys: Sequence[UsedKey]) -> None:
    """Store used keys; one that is stored already stays as it is."""
    await insert_new_rows(
        ClientKeyDocument, [{"_id": f"{key.account}:{key.key}", "digest": key.digest, "made": key.made} for key in keys]
    )


async def find_keys(keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, int]]:
    """Digest and sequence of those of these accounts' keys that were used; the caller keeps them few."""
    wanted = {f"{account}:{key}": (account, key) for account, key in keys}
    if not wanted:
        return {}
    cursor = ClientKeyDocument.get_pymongo_collection().find({"_id": {"$in": list(wanted)}})
    return {wanted[row["_id"]]: (row["digest"], row["made"]) async for row in cursor}
