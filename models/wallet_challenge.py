"""Messages that were given to wallets to sign."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel

from core.vocabulary import ChainFamily
from models.base import stored


class WalletChallengeDocument(Document):
    """A message that was given, under the hash of its nonce; `digest` is its SHA-256, the other facts say what has changed in one that came back.

    `subject` is the account it links to; empty for a log-in, which is of nobody but the address. It stays for a while after its end, so that one that
    was used, and one that is over, can be told from one that never was.
    """

    id: str  # type: ignore[assignment]
    purpose: str
    subject: str
    family: ChainFamily
    chain: str
    address: str
    domain: str
    uri: str
    chain_id: str | None = None
    digest: str
    issued_ms: int
    expires_ms: int
    used_ms: int | None = None
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "wallet_challenges"
        keep_nulls = False
        indexes: ClassVar = [IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0)]


async def insert(challenge: WalletChallengeDocument) -> None:
    """Store a new one."""
    await WalletChallengeDocument.get_pymongo_collection().insert_one(stored(challenge))


async def by_id(nonce_hash: str) -> WalletChallengeDocument | None:
    """The challenge of this nonce."""
    return await WalletChallengeDocument.find_one({"_id": nonce_hash})


async def use(nonce_hash: str, now_ms: int) -> bool:
    """Use it up. False when somebody else was first."""
    result = await WalletChallengeDocument.get_pymongo_collection().update_one(
        {"_id": nonce_hash, "used_ms": {"$exists": False}}, {"$set": {"used_ms": now_ms}}
    )
    return result.matched_count == 1
