"""Orders as people read them: rows that the projection writes and nobody else.

A row's id is the order's; `number` counts the account's orders. Lists are narrow ranges of numbers on one index.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from models.base import insert_new_rows, packed, renew_rows, unpacked

Row = Mapping[str, Any]


class OrderDocument(Document):
    """One order; its `payload` is the whole row: these fields and those of `events.trading.OrderState`."""

    id: int  # type: ignore[assignment]
    account: str
    number: int

    class Settings:
        """Where it is kept."""

        name = "orders"
        indexes: ClassVar = [IndexModel([("account", ASCENDING), ("number", ASCENDING)])]


async def insert_orders(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Store new orders; returns those that are stored already, which changed nothing."""
    known = await insert_new_rows(OrderDocument, [_packed(row) for row in rows])
    return [unpacked(row) for row in known]


async def renew_orders(rows: Sequence[Row], session: AsyncClientSession) -> None:
    """Write newer states of stored orders."""
    await renew_rows(OrderDocument, [_packed(row) for row in rows], session)


async def by_ids(order_ids: Collection[int]) -> list[Row]:
    """These orders, in no order; the caller keeps them few."""
    if not order_ids:
        return []
    rows = OrderDocument.get_pymongo_collection().find({"_id": {"$in": list(order_ids)}})
    return [unpacked(row) async for row in rows]


async def by_id(order_id: int) -> Row | None:
    """One order."""
    row = await OrderDocument.get_pymongo_collection().find_one({"_id": order_id})
    return None if row is None else unpacked(row)


async def between(account: str, low: int, high: int) -> list[Row]:
    """The account's orders with low <= number < high, lowest first; the caller keeps the range narrow."""
    cursor = OrderDocument.get_pymongo_collection().find({"account": account, "number": {"$gte": low, "$lt": high}})
    return sorted([unpacked(row) async for row in cursor], key=lambda row: row["number"])


def _packed(row: Row) -> dict[str, Any]:
    return packed(row, beside=("account", "number"))
