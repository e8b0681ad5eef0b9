"""How far the documents that people read follow the journal, and snapshots of what the follower knows there.

A snapshot is complete when its row stands in `snapshots`; its chunks are written before it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from beanie import Document
from bson import Binary
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from models.base import replace_rows

_WATERMARK = "exchange"


@dataclass(frozen=True, slots=True)
class Watermark:
    """The documents hold everything up to this batch."""

    batch: int
    sequence: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the follower knew after a batch: so many chunks, whose SHA-256 together is `digest`. `prev_hash` is that batch's hash."""

    batch: int
    sequence: int
    prev_hash: str
    format: int
    chunks: int
    digest: str
    time_ms: int


class ProjectionDocument(Document):
    """The watermark, under the name of what is projected."""

    id: str  # type: ignore[assignment]
    batch: int

    class Settings:
        """Where it is kept."""

        name = "projections"


class SnapshotDocument(Document):
    """One complete snapshot under its batch number."""

    id: int  # type: ignore[assignment]
    chunks: int

    class Settings:
        """Where it is kept."""

        name = "exchange_snapshots"


class SnapshotChunkDocument(Document):
    """A piece of a snapshot."""

    id: str  # type: ignore[assignment]
    batch: int

    class Settings:
        """Where it is kept."""

        name = "exchange_snapshot_chunks"
        indexes: ClassVar = [IndexModel([("batch", ASCENDING)])]


async def read_watermark() -> Watermark:
    """How far the documents reach; batch 0 at first."""
    row = await ProjectionDocument.get_pymongo_collection().find_one({"_id": _WATERMARK})
    return Watermark(0, 0, 0) if row is None else Watermark(row["batch"], row["sequence"], row["time_ms"])


async def advance_watermark(before: Watermark, mark: Watermark, session: AsyncClientSession) -> bool:
    """Note how far they reach. False: somebody else has noted something meanwhile."""
    collection = ProjectionDocument.get_pymongo_collection()
    if before.batch == 0:
        try:
            await collection.insert_one({"_id": _WATERMARK, **asdict(mark)}, session=session)
        except DuplicateKeyError:
            return False
        return True
    advanced = await collection.update_one(
        {"_id": _WATERMARK, "batch": before.batch}, {"$set": asdict(mark)}, session=session
    )
    return advanced.matched_count == 1


async def snapshots() -> list[Snapshot]:
    """All complete ones, newest first."""
    rows = SnapshotDocument.get_pymongo_collection().find({})
    found = [Snapshot(row.pop("_id"), **{name: row[name] for name in row if name != "_id"}) async for row in rows]
    return sorted(found, key=lambda snapshot: -snapshot.batch)


async def write_chunk(batch: int, place: int, payload: bytes) -> None:
    """Write one chunk of a snapshot that is not complete yet."""
    await replace_rows(
        SnapshotChunkDocument,
        [{"_id": f"{batch}:{place}", "batch": batch, "place": place, "payload": Binary(payload)}],
    )


async def complete_snapshot(snapshot: Snapshot) -> None:
    """Make a snapshot visible whose chunks are written."""
    row = asdict(snapshot)
    row["_id"] = row.pop("batch")
    await replace_rows(SnapshotDocument, [row])


async def read_chunks(snapshot: Snapshot) -> AsyncIterator[bytes]:
    """Its chunks in their order; fewer than it says where some are missing."""
    for place in range(snapshot.chunks):
        row = await SnapshotChunkDocument.get_pymongo_collection().find_one({"_id": f"{snapshot.batch}:{place}"})
        if row is None:
            return
        yield bytes(row["payload"])


async def delete_snapshots(batches: Sequence[int]) -> None:
    """Forget these snapshots, or what is left of incomplete ones."""
    for batch in batches:
        await SnapshotDocument.get_pymongo_collection().delete_one({"_id": batch})
        await SnapshotChunkDocument.get_pymongo_collection().delete_many({"batch": batch})


async def delete_watermark() -> None:
    """Let a rebuild begin from nothing."""
    await ProjectionDocument.get_pymongo_collection().delete_one({"_id": _WATERMARK})
