"""What the exchange's own hot wallets have promised to spend: one row per chain, changed only from the version that was read."""

from beanie import Document
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from models.base import stored


class HotWalletDocument(Document):
    """Of one chain. `next_nonce` is the first that was never promised, on chains that count; `address` is where its key is funded, as the worker that
    signs has noted it."""

    id: str  # type: ignore[assignment]
    address: str | None = None
    next_nonce: int = 0
    version: int = 0

    class Settings:
        """Where it is kept."""

        name = "hot_wallets"
        keep_nulls = False


async def read(chain: str) -> HotWalletDocument:
    """The chain's row; a new one, which is not stored, before anything was promised."""
    return await HotWalletDocument.find_one({"_id": chain}) or HotWalletDocument(id=chain)


async def promise(wallet: HotWalletDocument, next_nonce: int, session: AsyncClientSession) -> bool:
    """Note a promise, from the version that was read. False when another was made since."""
    new = wallet.model_copy(update={"next_nonce": next_nonce, "version": wallet.version + 1})
    collection = HotWalletDocument.get_pymongo_collection()
    if wallet.version == 0:
        try:
            await collection.insert_one(stored(new), session=session)
        except DuplicateKeyError:
            return False
        return True
    result = await collection.replace_one({"_id": wallet.id, "version": wallet.version}, stored(new), session=session)
    return result.matched_count == 1


async def note_address(chain: str, address: str) -> None:
    """Note where the chain's hot wallet is."""
    await HotWalletDocument.get_pymongo_collection().update_one(
        {"_id": chain}, {"$set": {"address": address}, "$setOnInsert": {"next_nonce": 0, "version": 1}}, upsert=True
    )


async def addresses() -> dict[str, str]:
    """Where hot wallets are, by chain, as far as it was noted; a row for each chain."""
    return {row.id: row.address for row in await HotWalletDocument.find_all().to_list() if row.address is not None}
