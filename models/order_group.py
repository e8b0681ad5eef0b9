"""Groups of orders as people read them, written by the projection alone. A row's id is the group's."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from beanie import Document
from pymongo.asynchronous.client_session import AsyncClientSession

from models.base import renew_rows

Row = Mapping[str, Any]


class OrderGroupDocument(Document):
    """One group; beside these it holds the fields of `events.trading.GroupState`."""

    id: int  # type: ignore[assignment]
    account: str
    sequence: int

    class Settings:
        """Where it is kept."""

        name = "order_groups"


async def renew_groups(rows: Sequence[Row], session: AsyncClientSession) -> None:
    """Write the newest states of groups."""
    await renew_rows(OrderGroupDocument, rows, session)


async def by_ids(group_ids: Collection[int]) -> list[Row]:
    """These groups, in no order; the caller keeps them few."""
    if not group_ids:
        return []
    return [row async for row in OrderGroupDocument.get_pymongo_collection().find({"_id": {"$in": list(group_ids)}})]
