"""The address book: where an account may withdraw to."""

from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from models.base import stored


class WithdrawalAddressDocument(Document):
    """One entry; `active_ms` is when it may be used first. One that was removed is gone; withdrawals keep the address itself."""

    id: str  # type: ignore[assignment]
    user_id: str
    chain: str
    address: str
    label: str
    created_ms: int
    active_ms: int

    class Settings:
        """Where it is kept."""

        name = "withdrawal_addresses"
        indexes: ClassVar = [
            IndexModel([("user_id", ASCENDING), ("chain", ASCENDING), ("address", ASCENDING)], unique=True),
        ]


async def insert(entry: WithdrawalAddressDocument) -> bool:
    """Add an entry. False when the account has this address already."""
    try:
        await WithdrawalAddressDocument.get_pymongo_collection().insert_one(stored(entry))
    except DuplicateKeyError:
        return False
    return True


async def by_id(entry_id: str) -> WithdrawalAddressDocument | None:
    """The entry of this id."""
    return await WithdrawalAddressDocument.find_one({"_id": entry_id})


async def of_user(user_id: str) -> list[WithdrawalAddressDocument]:
    """An account's entries, newest first."""
    found = await WithdrawalAddressDocument.find({"user_id": user_id}).to_list()
    return sorted(found, key=lambda entry: (entry.created_ms, entry.id), reverse=True)


async def remove(entry_id: str, user_id: str) -> bool:
    """Take an entry out. False when the account has none of this id."""
    result = await WithdrawalAddressDocument.get_pymongo_collection().delete_one({"_id": entry_id, "user_id": user_id})
    return result.deleted_count == 1
