"""Withdrawals, from the request to the chain's confirmation; and what was signed for them.

A row changes only from the version that was read, so that of two who change it one wins. `due_ms` is when a worker looks at it next; without it there is
nothing to do.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from beanie import Document
from pydantic import BaseModel
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from core.money import StoredDecimal
from core.wallet_vocabulary import WithdrawalStatus
from models.base import stored


class StepEntry(BaseModel, frozen=True):
    """A status the withdrawal came to, when, and what was said about it."""

    status: WithdrawalStatus
    time_ms: int
    detail: str | None = None


class AttemptEntry(BaseModel, frozen=True):
    """A signed transaction: stored before it is sent, and kept. All attempts of a withdrawal spend the same: `spends` is the nonce, the outpoints, or the
    blockhash with the last height it is valid at. `fee_units` is the most it can cost, in units of the chain's coin."""

    hash: str
    raw: bytes
    spends: str
    fee_units: int
    terms: dict[str, Any]
    signed_ms: int


class WithdrawalDocument(Document):
    """One withdrawal. `amount` leaves the balance, of which `fee` stays here and the rest goes out; `worth` is what it was worth in US dollars when it was asked
    for (None: nobody knew).

    `asked` is false until the exchange holds the funds: such a row is not shown. `hold` is the exchange's number of that hold. `number` counts an account's
    withdrawals from 1. `resume` is the status to go back to after HELD.
    """

    id: str  # type: ignore[assignment]
    user_id: str
    number: int
    client_id: str
    digest: str
    asset: str
    chain: str
    address_id: str
    address: str
    amount: StoredDecimal
    fee: StoredDecimal
    worth: StoredDecimal | None = None
    by_key: str | None = None
    asked: bool = False
    hold: int | None = None
    status: WithdrawalStatus
    resume: WithdrawalStatus | None = None
    reason: str | None = None
    hash: str | None = None
    confirmations: int = 0
    timeline: tuple[StepEntry, ...] = ()
    attempts: tuple[AttemptEntry, ...] = ()
    spends: str | None = None
    terms: dict[str, Any] | None = None
    sent_ms: int | None = None
    settled: bool = False
    version: int = 1
    created_ms: int
    updated_ms: int
    due_ms: int | None = None

    class Settings:
        """Where it is kept."""

        name = "withdrawals"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("user_id", ASCENDING), ("client_id", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING), ("number", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING), ("created_ms", ASCENDING)]),
            IndexModel([("due_ms", ASCENDING)], sparse=True),
            IndexModel([("status", ASCENDING), ("created_ms", ASCENDING)]),
            IndexModel([("chain", ASCENDING), ("status", ASCENDING)]),
            IndexModel([("hash", ASCENDING)], sparse=True),
            IndexModel([("attempts.hash", ASCENDING)], sparse=True),
        ]


class WithdrawalCountDocument(Document):
    """How many withdrawals an account has asked for: a hint, the rows decide."""

    id: str  # type: ignore[assignment]
    last: int

    class Settings:
        """Where it is kept."""

        name = "withdrawal_counts"


async def insert(row: WithdrawalDocument) -> bool:
    """Store a new row. False when the account's key, or its number, is taken."""
    try:
        await WithdrawalDocument.get_pymongo_collection().insert_one(stored(row))
    except DuplicateKeyError:
        return False
    await WithdrawalCountDocument.get_pymongo_collection().update_one(
        {"_id": row.user_id}, {"$max": {"last": row.number}}, upsert=True
    )
    return True


async def last_number(user_id: str) -> int:
    """The highest number of an account's rows; 0 without any. The noted one may be behind."""
    noted = await WithdrawalCountDocument.find_one({"_id": user_id})
    number = 0 if noted is None else noted.last
    while await WithdrawalDocument.find_one({"user_id": user_id, "number": number + 1}) is not None:
        number += 1
    return number


async def by_id(withdrawal_id: str) -> WithdrawalDocument | None:
    """The row of this id."""
    return await WithdrawalDocument.find_one({"_id": withdrawal_id})


async def by_ids(ids: Sequence[str]) -> dict[str, WithdrawalDocument]:
    """Those of these rows that there are; few ids."""
    if not ids:
        return {}
    return {row.id: row for row in await WithdrawalDocument.find({"_id": {"$in": list(ids)}}).to_list()}


async def by_client_id(user_id: str, client_id: str) -> WithdrawalDocument | None:
    """The account's row under this key of its client."""
    return await WithdrawalDocument.find_one({"user_id": user_id, "client_id": client_id})


async def by_hash(hash_: str) -> WithdrawalDocument | None:
    """The row whose newest transaction has this hash."""
    return await WithdrawalDocument.find_one({"hash": hash_})


async def by_attempt(hash_: str) -> WithdrawalDocument | None:
    """The row for which a transaction of this hash was ever signed."""
    return await WithdrawalDocument.find_one({"attempts.hash": hash_})


async def between(user_id: str, low: int, high: int) -> list[WithdrawalDocument]:
    """An account's rows with low <= number < high, lowest first; the caller keeps the range narrow."""
    query = {"user_id": user_id, "number": {"$gte": low, "$lt": high}}
    found = await WithdrawalDocument.find(query).to_list()
    return sorted((row for row in found if row.asked), key=lambda row: row.number)


async def since(user_id: str, since_ms: int) -> list[WithdrawalDocument]:
    """An account's rows that were asked for at or after a time; the caller keeps the span short."""
    return await WithdrawalDocument.find({"user_id": user_id, "created_ms": {"$gte": since_ms}}).to_list()


async def in_status(status: WithdrawalStatus, from_ms: int, to_ms: int) -> list[WithdrawalDocument]:
    """Rows of this status that were asked for in from_ms <= time < to_ms, oldest first."""
    found = await WithdrawalDocument.find({"status": status, "created_ms": {"$gte": from_ms, "$lt": to_ms}}).to_list()
    return sorted(found, key=lambda row: (row.created_ms, row.id))


async def of_chain(chain: str, statuses: Sequence[WithdrawalStatus]) -> list[WithdrawalDocument]:
    """A chain's rows of these statuses: few, since they do not stay in them."""
    wanted = [status.value for status in statuses]
    return await WithdrawalDocument.find({"chain": chain, "status": {"$in": wanted}}).to_list()


async def due(now_ms: int) -> list[WithdrawalDocument]:
    """Rows that a worker should look at now, those that waited longest first."""
    found = await WithdrawalDocument.find({"due_ms": {"$gte": 0, "$lte": now_ms}}).to_list()
    return sorted(found, key=lambda row: (row.due_ms or 0, row.created_ms, row.id))


def changed(row: WithdrawalDocument, changes: Mapping[str, Any]) -> WithdrawalDocument:
    """The row as these changes make it, in its next version; None removes."""
    new: WithdrawalDocument = row.model_copy(update={**changes, "version": row.version + 1})
    return new


async def replace(new: WithdrawalDocument, session: AsyncClientSession | None = None) -> bool:
    """Write a row over the version before it. False when somebody else was faster."""
    result = await WithdrawalDocument.get_pymongo_collection().replace_one(
        {"_id": new.id, "version": new.version - 1}, stored(new), session=session
    )
    return result.matched_count == 1


async def forget(row: WithdrawalDocument) -> None:
    """Take back a row that was never asked for, since the exchange refused it: its key is free again."""
    await WithdrawalDocument.get_pymongo_collection().delete_one(
        {"_id": row.id, "version": row.version, "asked": False}
    )
