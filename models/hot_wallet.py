"""What the exchange's own hot wallets have promised to spend: one row per chain, changed only from the version that was read."""

from beanie import Document
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from models.base import stored


class HotWalletDocument(Document):
    """Of one chain. `next_nonce` is the first that was never promised, on chains that count."""

    id: str  # type: ignore[assignment]
    next_nonce: int = 0
    version: int = 0

    class Settings:
        """Where it is kept."""

        name = "hot_wallets"


async def read(chain: str) -> HotWalletDocument:
    """The chain's row; a new one, which is not stored, before anything was promised."""
    return await HotWalletDocument.find_one({"_id": chain}) or HotWalletDocument(id=chain)


async def promise(wallet: HotWalletDocument, next_nonce: int, session: AsyncClientSession) -> bool:
    """Note a promise, from the version that was read. False when another was made since."""
    new = HotWalletDocument(id=wallet.id, next_nonce=next_nonce, version=wallet.version + 1)
    collection = HotWalletDocument.get_pymongo_collection()
    if wallet.version == 0:
        try:
            await collection.insert_one(stored(new), session=session)
        except DuplicateKeyError:
            return False
        return True
    result = await collection.replace_one({"_id": wallet.id, "version": wallet.version}, stored(new), session=session)
    return result.matched_count == 1
