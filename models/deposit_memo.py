"""Memos by which deposits are told apart on chains where everybody pays to one address: one for each account and chain, nobody else's ever."""

from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from models.base import stored


class DepositMemoDocument(Document):
    """One memo under `account:chain`."""

    id: str  # type: ignore[assignment]
    user_id: str
    chain: str
    memo: str
    created_ms: int

    class Settings:
        """Where it is kept."""

        name = "deposit_memos"
        indexes: ClassVar = [
            IndexModel([("chain", ASCENDING), ("memo", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING)]),
        ]


def memo_id(user_id: str, chain: str) -> str:
    """The id of an account's memo."""
    return f"{user_id}:{chain}"


async def insert(row: DepositMemoDocument) -> bool:
    """Store a memo. False when it, or the account's place, is taken."""
    try:
        await DepositMemoDocument.get_pymongo_collection().insert_one(stored(row))
    except DuplicateKeyError:
        return False
    return True


async def of_account(user_id: str, chain: str) -> DepositMemoDocument | None:
    """The account's memo; None before it asked for one."""
    return await DepositMemoDocument.find_one({"_id": memo_id(user_id, chain)})


async def owner(chain: str, memo: str) -> str | None:
    """Whose memo this is; None: nobody's."""
    row = await DepositMemoDocument.find_one({"chain": chain, "memo": memo})
    return None if row is None else row.user_id
