"""Append-only rows of accounts, packed: many small ones in one document, since a document costs more than its content.

A pack holds an account's rows `first` to `last` of one kind, at most `MOST_IN_PACK`, as bytes that its service can read. Packs may
overlap after a crash; what overlaps is equal.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from beanie import Document
from bson import Binary
from pymongo import ASCENDING, IndexModel

from models.base import insert_new_rows

MOST_IN_PACK = 100


class Pack(NamedTuple):
    """Rows `first` to `last` of an account."""

    account: str
    first: int
    last: int
    payload: bytes


class AccountLogDocument(Document):
    """A piece of an account's log."""

    id: str  # type: ignore[assignment]
    account: str
    last: int

    class Settings:
        """Where it is kept."""

        name = "account_log"
        indexes: ClassVar = [IndexModel([("account", ASCENDING), ("last", ASCENDING)])]


class StatementDocument(Document):
    """A piece of an account's statement."""

    id: str  # type: ignore[assignment]
    account: str
    last: int

    class Settings:
        """Where it is kept."""

        name = "statements"
        indexes: ClassVar = [IndexModel([("account", ASCENDING), ("last", ASCENDING)])]


async def insert_packs(model: type[Document], packs: Sequence[Pack]) -> None:
    """Store packs; one that is stored already changes nothing."""
    rows: list[dict[str, Any]] = [
        {
            "_id": f"{pack.account}:{pack.first}:{pack.last}",
            "account": pack.account,
            "first": pack.first,
            "last": pack.last,
            "payload": Binary(pack.payload),
        }
        for pack in packs
    ]
    await insert_new_rows(model, rows)


async def overlapping(model: type[Document], account: str, low: int, high: int) -> list[Pack]:
    """Packs that hold any of the account's rows low <= number < high, by their first; the caller keeps the range narrow."""
    cursor = model.get_pymongo_collection().find(
        {"account": account, "last": {"$gte": low, "$lt": high + MOST_IN_PACK}}
    )
    packs = [Pack(row["account"], row["first"], row["last"], bytes(row["payload"])) async for row in cursor]
    return sorted(pack for pack in packs if pack.first < high)
