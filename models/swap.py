"""Swaps that were prepared, and how far they came."""

from datetime import UTC, datetime
from typing import ClassVar

from beanie import Document
from pydantic import BaseModel, field_validator
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.wallet_vocabulary import SwapStatus
from models.base import stored
from models.swap_quote import QuoteEntry


class SwapStepEntry(BaseModel, frozen=True):
    """A status the swap came to, and when."""

    status: SwapStatus
    time_ms: int


class SwapDocument(Document):
    """One swap, with the offer it was made of, which outlives the offer's own row. `source` and `destination` are hashes of its transactions on the first and
    the second chain. `due_ms`: when a worker asks the aggregator next; without it there is nothing to ask. A row changes only from the version that was read.
    """

    id: str  # type: ignore[assignment]
    user_id: str
    quote_id: str
    quote: QuoteEntry
    status: SwapStatus
    source: str | None = None
    destination: str | None = None
    timeline: tuple[SwapStepEntry, ...] = ()
    asked: int = 0
    """How often the aggregator was asked in vain."""
    due_ms: int | None = None
    version: int = 1
    created_ms: int
    purge_at: datetime

    @field_validator("purge_at")
    @classmethod
    def _in_utc(cls, moment: datetime) -> datetime:
        """The database tells no zone."""
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

    class Settings:
        """Where it is kept."""

        name = "swaps"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("user_id", ASCENDING), ("quote_id", ASCENDING)], unique=True),
            IndexModel([("source", ASCENDING)], sparse=True),
            IndexModel([("due_ms", ASCENDING)], sparse=True),
            IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0),
        ]


async def insert(row: SwapDocument) -> bool:
    """Store a new swap. False when there is one of this offer already."""
    try:
        await SwapDocument.get_pymongo_collection().insert_one(stored(row))
    except DuplicateKeyError:
        return False
    return True


async def by_id(swap_id: str) -> SwapDocument | None:
    """The swap of this id."""
    return await SwapDocument.find_one({"_id": swap_id})


async def of_quote(user_id: str, quote_id: str) -> SwapDocument | None:
    """The account's swap of this offer."""
    return await SwapDocument.find_one({"user_id": user_id, "quote_id": quote_id})


async def by_source(hash_: str) -> list[SwapDocument]:
    """Swaps whose first transaction this is."""
    return await SwapDocument.find({"source": hash_}).to_list()


async def due(now_ms: int) -> list[SwapDocument]:
    """Swaps that the aggregator should be asked about now, those that waited longest first."""
    found = await SwapDocument.find({"due_ms": {"$gte": 0, "$lte": now_ms}}).to_list()
    return sorted(found, key=lambda row: (row.due_ms or 0, row.id))


async def replace(new: SwapDocument) -> bool:
    """Write a row over the version before it. False when somebody else was faster."""
    result = await SwapDocument.get_pymongo_collection().replace_one(
        {"_id": new.id, "version": new.version - 1}, stored(new)
    )
    return result.matched_count == 1


async def delete_all(user_id: str) -> None:
    """Forget an account's swaps."""
    await SwapDocument.get_pymongo_collection().delete_many({"user_id": user_id})
