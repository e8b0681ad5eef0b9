"""What came in to an address that everybody pays to, and does not say whose it is: kept until an operator says so."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from core.money import StoredDecimal
from models.base import stored


class UnclaimedDepositDocument(Document):
    """One under the id that its deposit will have. `open` until it is somebody's: then `user_id`, `operator` and `reason` say whose, by whom and why.

    `memos` are the texts that came along, cut short; `dust`: below the network's minimum.
    """

    id: str  # type: ignore[assignment]
    chain: str
    asset: str
    address: str
    amount: StoredDecimal
    hash: str
    place: str
    sender: str
    memos: tuple[str, ...]
    block: int
    block_hash: str
    dust: bool
    seen_ms: int
    open: bool = True
    user_id: str | None = None
    operator: str | None = None
    reason: str | None = None
    version: int = 1

    class Settings:
        """Where it is kept."""

        name = "unclaimed_deposits"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("open", ASCENDING), ("dust", ASCENDING), ("seen_ms", ASCENDING)]),
            IndexModel([("open", ASCENDING), ("chain", ASCENDING), ("asset", ASCENDING)]),
        ]


async def insert(row: UnclaimedDepositDocument) -> bool:
    """Store a row. False when it is there already, whatever became of it."""
    try:
        await UnclaimedDepositDocument.get_pymongo_collection().insert_one(stored(row))
    except DuplicateKeyError:
        return False
    return True


async def by_id(deposit_id: str) -> UnclaimedDepositDocument | None:
    """The row of this id."""
    return await UnclaimedDepositDocument.find_one({"_id": deposit_id})


async def seen_between(from_ms: int, to_ms: int, *, dust: bool) -> list[UnclaimedDepositDocument]:
    """Rows that are nobody's yet and were seen in from_ms <= time < to_ms, oldest first."""
    query = {"open": True, "dust": dust, "seen_ms": {"$gte": from_ms, "$lt": to_ms}}
    found = await UnclaimedDepositDocument.find(query).to_list()
    return sorted(found, key=lambda row: (row.seen_ms, row.id))


async def amount_open(chain: str, asset: str) -> Decimal:
    """How much of an asset is nobody's yet on a chain, dust included."""
    wanted = {"$match": {"open": True, "chain": chain, "asset": asset}}
    summed = {"$group": {"_id": None, "amount": {"$sum": "$amount"}}}
    found = await UnclaimedDepositDocument.get_pymongo_collection().aggregate([wanted, summed])
    rows = await found.to_list()
    return rows[0]["amount"].to_decimal() if rows else Decimal(0)


def changed(row: UnclaimedDepositDocument, changes: Mapping[str, Any]) -> UnclaimedDepositDocument:
    """The row as these changes make it, in its next version."""
    new: UnclaimedDepositDocument = row.model_copy(update={**changes, "version": row.version + 1})
    return new


async def replace(new: UnclaimedDepositDocument, session: AsyncClientSession) -> bool:
    """Write a row over the version before it. False when somebody else was faster."""
    result = await UnclaimedDepositDocument.get_pymongo_collection().replace_one(
        {"_id": new.id, "version": new.version - 1}, stored(new), session=session
    )
    return result.matched_count == 1
