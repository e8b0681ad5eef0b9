"""The log of an account's deposits and withdrawals: every state that one of them took on, numbered from 1 without a gap.

A row is added in the transaction that changes the transfer, so that the log has every change and nothing else.
"""

from collections.abc import Sequence
from typing import ClassVar

from beanie import Document
from bson import Binary
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from models.base import stored


class TransferEventDocument(Document):
    """One row under `account:number`; `payload` is the state as an event (`events/codec.py`)."""

    id: str  # type: ignore[assignment]
    account: str
    number: int
    time_ms: int
    payload: bytes

    class Settings:
        """Where it is kept."""

        name = "transfer_events"
        indexes: ClassVar = [IndexModel([("account", ASCENDING), ("number", ASCENDING)])]


class TransferHeadDocument(Document):
    """The number of an account's newest row."""

    id: str  # type: ignore[assignment]
    last: int

    class Settings:
        """Where it is kept."""

        name = "transfer_heads"


async def newest(account: str) -> int:
    """The number of an account's newest row; 0 without any."""
    head = await TransferHeadDocument.find_one({"_id": account})
    return 0 if head is None else head.last


async def append(account: str, payloads: Sequence[bytes], time_ms: int, session: AsyncClientSession) -> int:
    """Add rows in a transaction; gives the number of the last. Of two transactions that add to one account, one fails and is to be tried again."""
    heads = TransferHeadDocument.get_pymongo_collection()
    await heads.update_one({"_id": account}, {"$inc": {"last": len(payloads)}}, upsert=True, session=session)
    head = await heads.find_one({"_id": account}, session=session)
    last: int = head["last"] if head is not None else len(payloads)
    first = last - len(payloads) + 1
    rows = [
        TransferEventDocument(
            id=f"{account}:{number}", account=account, number=number, time_ms=time_ms, payload=Binary(each)
        )
        for number, each in enumerate(payloads, first)
    ]
    await TransferEventDocument.get_pymongo_collection().insert_many([stored(row) for row in rows], session=session)
    return last


async def between(account: str, low: int, high: int) -> list[TransferEventDocument]:
    """Rows with low <= number < high, lowest first; the caller keeps the range narrow."""
    query = {"account": account, "number": {"$gte": low, "$lt": high}}
    return sorted(await TransferEventDocument.find(query).to_list(), key=lambda row: row.number)
