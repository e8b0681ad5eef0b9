"""The exchange's journal: batches of events, one document each, that are only ever added.

A batch's id is its number, +1 without a gap: of two writers only one can add a number. `hash` covers the batch and the hash of the one
before. Nothing here sorts or ranges over ids, which the embedded engine would scan for: batches are read by exact ids or by narrow ranges
of `first_seq`, and the tail is found by galloping point reads.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from beanie import Document
from bson import Binary
from pymongo import ASCENDING, IndexModel, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

NO_HASH = "0" * 64
"""Of the batch before the first."""
MOST_AT_ONCE = 100
"""Batches that one read should bring."""
_DURABLE = WriteConcern(w="majority", j=True)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it is stored. `payload` holds the events `first_seq` to `last_seq` in `format`."""

    number: int
    epoch: int
    first_seq: int
    last_seq: int
    time_ms: int
    format: int
    prev_hash: str
    hash: str
    payload: bytes


class JournalDocument(Document):
    """One batch; beside these it holds the fields of `Batch`."""

    id: int  # type: ignore[assignment]
    first_seq: int

    class Settings:
        """Where it is kept."""

        name = "exchange_journal"
        indexes: ClassVar = [IndexModel([("first_seq", ASCENDING)], unique=True)]


def batch_of(
    *,
    number: int,
    epoch: int,
    first_seq: int,
    last_seq: int,
    time_ms: int,
    written_in: int,
    prev_hash: str,
    payload: bytes,
) -> Batch:
    """A batch with its hash."""
    head = f"{number}:{epoch}:{first_seq}:{last_seq}:{time_ms}:{written_in}:{prev_hash}:".encode()
    digest = hashlib.sha256(head + payload).hexdigest()
    return Batch(number, epoch, first_seq, last_seq, time_ms, written_in, prev_hash, digest, payload)


def is_sound(batch: Batch, prev_hash: str) -> bool:
    """Whether the batch is as it was written, after the one of this hash."""
    again = batch_of(
        number=batch.number, epoch=batch.epoch, first_seq=batch.first_seq, last_seq=batch.last_seq, time_ms=batch.time_ms,
        written_in=batch.format, prev_hash=prev_hash, payload=batch.payload,
    )  # fmt: skip
    return again.hash == batch.hash


async def append(batch: Batch) -> bool:
    """Add a batch, durably. False when its number is taken. Any PyMongoError leaves open whether it was added."""
    row = {
        "_id": batch.number,
        "epoch": batch.epoch,
        "first_seq": batch.first_seq,
        "last_seq": batch.last_seq,
        "time_ms": batch.time_ms,
        "format": batch.format,
        "prev_hash": batch.prev_hash,
        "hash": batch.hash,
        "payload": Binary(batch.payload),
    }
    try:
        await _collection().with_options(write_concern=_DURABLE).insert_one(row)
    except DuplicateKeyError:
        return False
    return True


async def read(number: int) -> Batch | None:
    """One batch."""
    row = await _collection().find_one({"_id": number})
    return None if row is None else _batch(row)


async def following(sequence: int, *, width: int = MOST_AT_ONCE) -> list[Batch]:
    """The batches that begin within `width` events after this sequence, in order and without a gap; none: the journal ends here.

    A batch has at least one event, so a width is also the most batches that may come.
    """
    rows = _collection().find({"first_seq": {"$gt": sequence, "$lte": sequence + width}})
    return sorted([_batch(row) async for row in rows], key=lambda batch: batch.number)


async def tail(known: int = 0) -> Batch | None:
    """The newest batch, given one number that exists or 0; O(log distance) point reads. None: the journal is empty."""
    low, step = known, 1
    while await _exists(low + step):
        low += step
        step *= 2
    while step > 1:
        step //= 2
        if await _exists(low + step):
            low += step
    return await read(low) if low else None


async def _exists(number: int) -> bool:
    return await _collection().find_one({"_id": number}, {"_id": 1}) is not None


def _batch(row: Mapping[str, Any]) -> Batch:
    return Batch(
        row["_id"],
        row["epoch"],
        row["first_seq"],
        row["last_seq"],
        row["time_ms"],
        row["format"],
        row["prev_hash"],
        row["hash"],
        bytes(row["payload"]),
    )


def _collection() -> AsyncCollection[dict[str, Any]]:
    return JournalDocument.get_pymongo_collection()
