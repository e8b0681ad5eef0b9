"""Fills: one row for each side of a trade that is a person's, only ever added, by the projection alone.

`number` counts the account's fills; lists are narrow ranges of numbers, or of an order's sequences, each on one index.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel

from models.base import insert_new_rows, packed, unpacked

Row = Mapping[str, Any]


class FillDocument(Document):
    """One fill; its `payload` is the whole row: these fields and those of `events.trading.FillState`."""

    id: int  # type: ignore[assignment]
    account: str
    number: int
    order: int
    order_fill: int
    """Counts the order's fills from 1."""

    class Settings:
        """Where it is kept."""

        name = "fills"
        indexes: ClassVar = [
            IndexModel([("account", ASCENDING), ("number", ASCENDING)]),
            IndexModel([("order", ASCENDING), ("order_fill", ASCENDING)]),
        ]


async def insert_fills(rows: Sequence[dict[str, Any]]) -> None:
    """Store new fills; those that are stored already stay as they are."""
    beside = ("account", "number", "order", "order_fill")
    await insert_new_rows(FillDocument, [packed(row, beside=beside) for row in rows])


async def by_id(fill_id: int) -> Row | None:
    """One fill."""
    row = await FillDocument.get_pymongo_collection().find_one({"_id": fill_id})
    return None if row is None else unpacked(row)


async def by_ids(fill_ids: Collection[int]) -> list[Row]:
    """These fills, in no order; the caller keeps them few."""
    if not fill_ids:
        return []
    rows = FillDocument.get_pymongo_collection().find({"_id": {"$in": list(fill_ids)}})
    return [unpacked(row) async for row in rows]


async def between(account: str, low: int, high: int) -> list[Row]:
    """The account's fills with low <= number < high, lowest first; the caller keeps the range narrow."""
    cursor = FillDocument.get_pymongo_collection().find({"account": account, "number": {"$gte": low, "$lt": high}})
    return sorted([unpacked(row) async for row in cursor], key=lambda row: row["number"])


async def of_order(order_id: int, low: int, high: int) -> list[Row]:
    """The order's fills with low <= order_fill < high, lowest first; the caller keeps the range narrow."""
    cursor = FillDocument.get_pymongo_collection().find({"order": order_id, "order_fill": {"$gte": low, "$lt": high}})
    return sorted([unpacked(row) async for row in cursor], key=lambda row: row["order_fill"])
