"""Movements between the house's own wallets, and the fees they cost, as blocks tell of them: booked in the ledger once nothing can take them back."""

from collections.abc import Sequence
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from models.base import stored


class HouseTransferDocument(Document):
    """One under `chain:hash:place`. `source` and `target` are accounts of the ledger, `units` the ledger's; `open` until it is booked."""

    id: str  # type: ignore[assignment]
    chain: str
    block: int
    block_hash: str
    hash: str
    key: str
    digest: str
    source: str
    target: str
    asset: str
    units: str
    open: bool = True

    class Settings:
        """Where it is kept."""

        name = "house_transfers"
        indexes: ClassVar = [
            IndexModel([("chain", ASCENDING), ("open", ASCENDING)]),
            IndexModel([("chain", ASCENDING), ("block", ASCENDING)]),
        ]


async def insert(rows: Sequence[HouseTransferDocument], session: AsyncClientSession) -> None:
    """Store what a block tells of, over what another block told of the same transactions."""
    for row in rows:
        await HouseTransferDocument.get_pymongo_collection().replace_one(
            {"_id": row.id}, stored(row), upsert=True, session=session
        )


async def open_of(chain: str) -> list[HouseTransferDocument]:
    """A chain's rows that were not booked yet, oldest first."""
    found = await HouseTransferDocument.find({"chain": chain, "open": True}).to_list()
    return sorted(found, key=lambda row: (row.block, row.id))


async def in_block(chain: str, number: int) -> list[HouseTransferDocument]:
    """A chain's rows of this block."""
    return await HouseTransferDocument.find({"chain": chain, "block": number}).to_list()


async def booked(row: HouseTransferDocument) -> None:
    """The ledger has it."""
    await HouseTransferDocument.get_pymongo_collection().update_one(
        {"_id": row.id, "block_hash": row.block_hash}, {"$set": {"open": False}}
    )


async def forget(row: HouseTransferDocument, session: AsyncClientSession) -> None:
    """Its block was given up before it was booked."""
    await HouseTransferDocument.get_pymongo_collection().delete_one({"_id": row.id, "open": True}, session=session)
