"""Deposits: what came in to a deposit address by a transaction, and how far a chain's blocks were read."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel, ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from core.money import StoredDecimal
from core.wallet_vocabulary import DepositStatus
from models.base import stored


class LedgerStage(StrEnum):
    """What the ledger has been asked for a deposit; noted before it is asked, so that whoever finds it asks again."""

    NOTHING = "NOTHING"
    CREDITING = "CREDITING"
    CREDITED = "CREDITED"
    REVERSING = "REVERSING"


class DepositDocument(Document):
    """One deposit under `chain:hash:place`, `place` being where in the transaction it is.

    `block`, `block_hash`: where it is now, None while it is nowhere. `ledger` is what the ledger knows of it, in the `round` that counts how often it was credited
    and taken back. `open` while blocks may still change it. `number` counts an account's deposits from 1. `sequence` is the place in
    the exchange's journal at which the ledger last changed something for it.
    """

    id: str  # type: ignore[assignment]
    user_id: str
    number: int
    asset: str
    chain: str
    address: str
    amount: StoredDecimal
    units: str
    hash: str
    sender: str
    place: str
    block: int | None = None
    block_hash: str | None = None
    confirmations: int = 0
    required: int
    status: DepositStatus
    ledger: LedgerStage = LedgerStage.NOTHING
    round: int = 0
    reason: str | None = None
    version: int = 1
    seen_ms: int
    credited_ms: int | None = None
    sequence: int = 0
    open: bool = True

    class Settings:
        """Where it is kept."""

        name = "deposits"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("user_id", ASCENDING), ("number", ASCENDING)], unique=True),
            IndexModel([("chain", ASCENDING), ("open", ASCENDING), ("ledger", ASCENDING)]),
            IndexModel([("chain", ASCENDING), ("block", ASCENDING)]),
        ]


class ChainCursorDocument(Document):
    """How far a chain was read: its last block, and the hashes of those before it, the newest last; changed only from the version that was read.

    `problem` is why it is not read on, or why nothing is credited; None: all is well. It has no version. `unclear` are ranges of blocks, from low to high,
    that paid to the house what no node told of, or of which no node tells whether; they are looked at again.
    """

    id: str  # type: ignore[assignment]
    number: int
    hash: str
    recent: list[str]
    unclear: list[tuple[int, int]] = []
    problem: str | None = None
    version: int = 1

    class Settings:
        """Where it is kept."""

        name = "chain_cursors"
        keep_nulls = False


async def cursor(chain: str) -> ChainCursorDocument | None:
    """How far a chain was read; None: not at all."""
    return await ChainCursorDocument.find_one({"_id": chain})


async def start(row: ChainCursorDocument) -> bool:
    """Begin to read a chain. False when it was begun."""
    try:
        await ChainCursorDocument.get_pymongo_collection().insert_one(stored(row))
    except DuplicateKeyError:
        return False
    return True


def forward(
    row: ChainCursorDocument, number: int, hash_: str, *, most: int, unclear: list[tuple[int, int]] | None = None
) -> ChainCursorDocument:
    """The cursor at the next block, in its next version, with so many hashes at most. `unclear` None: as it was."""
    recent = [*row.recent, hash_][-most:]
    now_unclear = row.unclear if unclear is None else unclear
    return _moved(row, {"number": number, "hash": hash_, "recent": recent, "unclear": now_unclear})


def cleared(row: ChainCursorDocument, unclear: list[tuple[int, int]]) -> ChainCursorDocument:
    """The cursor where it is, in its next version, with these blocks left unclear."""
    return _moved(row, {"unclear": unclear})


def back(row: ChainCursorDocument) -> ChainCursorDocument:
    """The cursor at the block before, in its next version; one must be known."""
    recent = row.recent[:-1]
    unclear = [(low, min(high, row.number - 1)) for low, high in row.unclear if low < row.number]
    return _moved(row, {"number": row.number - 1, "hash": recent[-1], "recent": recent, "unclear": unclear})


def _moved(row: ChainCursorDocument, changes: Mapping[str, Any]) -> ChainCursorDocument:
    new: ChainCursorDocument = row.model_copy(update={**changes, "version": row.version + 1})
    return new


async def advance(row: ChainCursorDocument, session: AsyncClientSession | None = None) -> bool:
    """Write a cursor over the version before it. False when somebody else was faster."""
    result = await ChainCursorDocument.get_pymongo_collection().replace_one(
        {"_id": row.id, "version": row.version - 1}, stored(row), session=session
    )
    return result.matched_count == 1


async def note_problem(chain: str, problem: str | None) -> None:
    """Note why a chain is not read on; None: it is."""
    change = {"$unset": {"problem": ""}} if problem is None else {"$set": {"problem": problem}}
    await ChainCursorDocument.get_pymongo_collection().update_one({"_id": chain}, change)


async def by_id(deposit_id: str) -> DepositDocument | None:
    """The row of this id."""
    return await DepositDocument.find_one({"_id": deposit_id})


async def by_ids(ids: Sequence[str]) -> dict[str, DepositDocument]:
    """Those of these rows that there are; few ids."""
    if not ids:
        return {}
    return {row.id: row for row in await DepositDocument.find({"_id": {"$in": list(ids)}}).to_list()}


async def insert(row: DepositDocument, session: AsyncClientSession) -> None:
    """Store a new row. Raises DuplicateKeyError when its id, or its number, is taken."""
    await DepositDocument.get_pymongo_collection().insert_one(stored(row), session=session)


async def insert_all(rows: Sequence[DepositDocument], session: AsyncClientSession) -> None:
    """Store new rows. Raises BulkWriteError when the id of one, or its number, is taken."""
    if rows:
        await DepositDocument.get_pymongo_collection().insert_many([stored(row) for row in rows], session=session)


def changed(row: DepositDocument, changes: Mapping[str, Any]) -> DepositDocument:
    """The row as these changes make it, in its next version; None removes."""
    new: DepositDocument = row.model_copy(update={**changes, "version": row.version + 1})
    return new


async def replace(new: DepositDocument, session: AsyncClientSession | None = None) -> bool:
    """Write a row over the version before it. False when somebody else was faster."""
    result = await DepositDocument.get_pymongo_collection().replace_one(
        {"_id": new.id, "version": new.version - 1}, stored(new), session=session
    )
    return result.matched_count == 1


async def replace_all(rows: Sequence[DepositDocument], session: AsyncClientSession) -> bool:
    """Write rows over the versions before them. False when somebody else was faster with one of them: the transaction is to be given up."""
    if not rows:
        return True
    writes = [ReplaceOne({"_id": row.id, "version": row.version - 1}, stored(row)) for row in rows]
    result = await DepositDocument.get_pymongo_collection().bulk_write(writes, ordered=False, session=session)
    return result.matched_count == len(rows)


async def reversing_of(chain: str) -> list[DepositDocument]:
    """A chain's rows that the ledger is still to take back, oldest first."""
    query = {"chain": chain, "open": True, "ledger": LedgerStage.REVERSING.value}
    return sorted(await DepositDocument.find(query).to_list(), key=lambda row: (row.seen_ms, row.id))


async def open_of(chain: str) -> list[DepositDocument]:
    """A chain's rows that blocks may still change, oldest first."""
    found = await DepositDocument.find({"chain": chain, "open": True}).to_list()
    return sorted(found, key=lambda row: (row.seen_ms, row.id))


async def in_block(chain: str, number: int) -> list[DepositDocument]:
    """A chain's rows that stand in this block now, whether they are open or not."""
    found = await DepositDocument.find({"chain": chain, "block": number}).to_list()
    return sorted(found, key=lambda row: (row.seen_ms, row.id))


async def last_number(user_id: str) -> int:
    """The highest number of an account's rows; 0 without any."""
    number, step = 0, 1
    while await DepositDocument.find_one({"user_id": user_id, "number": number + step}) is not None:
        number, step = number + step, step * 2
    while step > 1:
        step //= 2
        if await DepositDocument.find_one({"user_id": user_id, "number": number + step}) is not None:
            number += step
    return number


async def between(user_id: str, low: int, high: int) -> list[DepositDocument]:
    """An account's rows with low <= number < high, lowest first; the caller keeps the range narrow."""
    found = await DepositDocument.find({"user_id": user_id, "number": {"$gte": low, "$lt": high}}).to_list()
    return sorted(found, key=lambda row: row.number)
