"""Transactions that were sent to their chains from here, each followed until nothing is expected to change any more. Nothing here tells who sent them."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from beanie import Document
from pydantic import BaseModel
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.wallet_vocabulary import ChainTxStatus
from models.base import stored


class TrackEntry(BaseModel, frozen=True):
    """How far it is. `fee` as a text in whole coins; `unknown_since_ms`: since when no node knows it; `resends`: how often it was sent again, `resent_ms` the last
    time; `same`: what replaced it does the same, with another fee; `over`: nothing is expected to change any more."""

    status: ChainTxStatus = ChainTxStatus.PENDING
    confirmations: int = 0
    block: int | None = None
    fee: str | None = None
    error: str | None = None
    error_values: dict[str, str | int] = {}
    replaced_by: str | None = None
    same: bool = False
    unknown_since_ms: int | None = None
    resends: int = 0
    resent_ms: int = 0
    over: bool = False


class ChainTransactionDocument(Document):
    """One under `chain:hash`. `raw` is what nodes get, `spends` what the chain lets be spent once, `terms` the family's own. `sent_ms` is None until a node has
    taken it. `version` rises with every change that people see, `revision` with every write; `due_ms`: when it is looked at next, None when it is over. `swap_id` is of the
    swap that it makes, `untold`: the swap does not know of the newest change."""

    id: str  # type: ignore[assignment]
    chain: str
    hash: str
    raw: bytes
    sender: str
    spends: list[str]
    terms: dict[str, str] = {}
    track: TrackEntry = TrackEntry()
    version: int = 1
    revision: int = 1
    created_ms: int
    sent_ms: int | None = None
    due_ms: int | None = None
    swap_id: str | None = None
    untold: bool | None = None
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "chain_transactions"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("due_ms", ASCENDING)], sparse=True),
            IndexModel([("untold", ASCENDING)], sparse=True),
            IndexModel([("sender", ASCENDING), ("created_ms", ASCENDING)]),
            IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0),
        ]

    @property
    def replaced_by(self) -> str | None:
        """What took its place."""
        return self.track.replaced_by


def chain_transaction_id(chain: str, hash_: str) -> str:
    """The id of a transaction."""
    return f"{chain}:{hash_}"


async def insert(row: ChainTransactionDocument) -> bool:
    """Begin with one. False when it is known already."""
    try:
        await ChainTransactionDocument.get_pymongo_collection().insert_one(stored(row))
    except DuplicateKeyError:
        return False
    return True


async def by_hash(chain: str, hash_: str) -> ChainTransactionDocument | None:
    """The one of this hash, if it was sent from here."""
    return await ChainTransactionDocument.find_one({"_id": chain_transaction_id(chain, hash_)})


async def begin_again(row: ChainTransactionDocument) -> None:
    """Follow one anew that is over without having been in a block for good: it was replaced or given up, and is about to be sent again."""
    query = {
        "_id": row.id,
        "track.over": True,
        "track.status": {"$nin": [ChainTxStatus.FINAL.value, ChainTxStatus.FAILED.value]},
    }
    fresh = {"track": TrackEntry().model_dump(mode="json", exclude_none=True), "created_ms": row.created_ms}
    update = {
        "$set": {**fresh, "due_ms": row.due_ms, "purge_at": row.purge_at},
        "$unset": {"sent_ms": ""},
        "$inc": {"version": 1, "revision": 1},
    }
    await ChainTransactionDocument.get_pymongo_collection().update_one(query, update)


async def due(now_ms: int, limit: int) -> Sequence[ChainTransactionDocument]:
    """Those to be looked at now, those that wait longest first."""
    query = {"due_ms": {"$gte": 0, "$lte": now_ms}}
    return await ChainTransactionDocument.find(query).sort("due_ms").limit(limit).to_list()


async def of_sender(chain: str, sender: str, since_ms: int, limit: int) -> Sequence[ChainTransactionDocument]:
    """The newest of those that an address has sent on a chain since then, the oldest first and those of one millisecond by hash; addresses are few that send much, and
    the caller keeps the time short."""
    query = {"sender": sender, "created_ms": {"$gte": since_ms}}
    found = await ChainTransactionDocument.find(query).to_list()
    own = sorted((row for row in found if row.chain == chain), key=lambda row: (row.created_ms, row.hash))
    return own[-limit:]


async def replace(new: ChainTransactionDocument) -> bool:
    """Write a row over the revision before it. False when somebody else was faster."""
    query = {"_id": new.id, "revision": new.revision - 1}
    result = await ChainTransactionDocument.get_pymongo_collection().replace_one(query, stored(new))
    return result.matched_count == 1


async def was_sent(chain: str, hash_: str, now_ms: int, *, of_swap: bool) -> None:
    """Remember that a node has taken it, and that its swap does not know yet."""
    query = {"_id": chain_transaction_id(chain, hash_), "sent_ms": {"$exists": False}}
    change: dict[str, object] = {"sent_ms": now_ms, "untold": True} if of_swap else {"sent_ms": now_ms}
    update = {"$set": change, "$inc": {"revision": 1}}
    await ChainTransactionDocument.get_pymongo_collection().update_one(query, update)


async def postpone(row: ChainTransactionDocument, due_ms: int) -> None:
    """Look at it later, unless it was changed meanwhile."""
    query = {"_id": row.id, "revision": row.revision}
    await ChainTransactionDocument.get_pymongo_collection().update_one(query, {"$set": {"due_ms": due_ms}})


async def forget_unsent(chain: str, hash_: str) -> bool:
    """Take back one that no node has taken. False when one has."""
    query = {"_id": chain_transaction_id(chain, hash_), "sent_ms": {"$exists": False}}
    result = await ChainTransactionDocument.get_pymongo_collection().delete_one(query)
    return result.deleted_count == 1


async def is_of_swap(chain: str, hash_: str, swap_id: str) -> None:
    """Remember of one that is known already that it makes a swap."""
    rows = ChainTransactionDocument.get_pymongo_collection()
    query = {"_id": chain_transaction_id(chain, hash_), "swap_id": {"$exists": False}}
    known = {"swap_id": swap_id}
    for more, change in (({"sent_ms": {"$exists": True}}, {**known, "untold": True}), ({}, known)):
        await rows.update_one({**query, **more}, {"$set": change, "$inc": {"revision": 1}})


async def untold(limit: int) -> Sequence[ChainTransactionDocument]:
    """Those whose swaps do not know of the newest change."""
    return await ChainTransactionDocument.find({"untold": True}).limit(limit).to_list()


async def was_told(row: ChainTransactionDocument) -> None:
    """The swap knows; nothing happens when it has changed again meanwhile."""
    query = {"_id": row.id, "revision": row.revision}
    await ChainTransactionDocument.get_pymongo_collection().update_one(query, {"$unset": {"untold": ""}})
