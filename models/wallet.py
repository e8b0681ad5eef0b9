"""Wallets that people have proven to control."""

from typing import ClassVar

from beanie import Document
from pydantic import BaseModel
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.vocabulary import ChainFamily
from models.base import stored


class ContractProof(BaseModel, frozen=True):
    """What a contract wallet's contract accepted, on which chain: it may change its mind, so it is asked again."""

    chain: str
    message: str
    signature: str


class WalletDocument(Document):
    """One linked wallet; an address of a family belongs to one person at most.

    `address` is in its normal form. `slot` numbers a person's wallets from 0, so that there can never be more than there are numbers.
    `contract` is of wallets whose contract signs; None: the address's own key does.
    """

    id: str  # type: ignore[assignment]
    user_id: str
    slot: int
    family: ChainFamily
    address: str
    name: str | None = None
    linked_ms: int
    contract: ContractProof | None = None

    class Settings:
        """Where it is kept."""

        name = "wallets"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("family", ASCENDING), ("address", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING), ("slot", ASCENDING)], unique=True),
        ]


async def insert(wallet: WalletDocument) -> bool:
    """Store a new one. False when its address is linked already, to whomever, or its slot is taken."""
    try:
        await WalletDocument.get_pymongo_collection().insert_one(stored(wallet))
    except DuplicateKeyError:
        return False
    return True


async def by_address(family: ChainFamily, address: str) -> WalletDocument | None:
    """The wallet of this address in its normal form."""
    return await WalletDocument.find_one({"family": family.value, "address": address})


async def of_user(user_id: str) -> list[WalletDocument]:
    """A person's wallets, oldest first."""
    found = await WalletDocument.find({"user_id": user_id}).to_list()
    return sorted(found, key=lambda wallet: (wallet.linked_ms, wallet.id))


async def rename(wallet_id: str, user_id: str, name: str) -> bool:
    """Give a person's wallet another name. False when there is none of this id."""
    result = await WalletDocument.get_pymongo_collection().update_one(
        {"_id": wallet_id, "user_id": user_id}, {"$set": {"name": name}}
    )
    return result.matched_count == 1


async def delete(wallet_id: str, user_id: str) -> bool:
    """Forget a person's wallet. False when there is none of this id."""
    result = await WalletDocument.get_pymongo_collection().delete_one({"_id": wallet_id, "user_id": user_id})
    return result.deleted_count == 1


async def delete_all(user_id: str) -> None:
    """Forget all of a person's wallets."""
    await WalletDocument.get_pymongo_collection().delete_many({"user_id": user_id})
