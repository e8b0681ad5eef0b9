"""Snapshots of what a follower of the journal knows, so that a start need not fold all of it.

A follower writes one between two batches, a chunk at a time; it is visible only when complete. A reader takes the newest whose chunks are
all there, whose digest is right and whose place is in the journal; otherwise an older one, or none.
"""

import asyncio
from collections.abc import Iterator

import structlog

from exchange import snapshot as core
from exchange.state import State
from models import journal, projection
from models.projection import Snapshot
from services import projection_snapshot
from services.journal_feed import Place
from services.projection_view import ProjectionView

log = structlog.get_logger(__name__)

FORMAT = 1
"""Rises when what readers need beside the core's state changes."""
KEPT = 2


async def write(view: ProjectionView, place: Place) -> Snapshot:
    """Store what the follower knows at this place; it must not go on meanwhile. Raises PyMongoError."""
    digests, count = [], 0
    for chunk in _chunks(view):
        await projection.write_chunk(place.batch, count, chunk)
        digests.append(core.digest_of([chunk]))
        count += 1
        await asyncio.sleep(0)
    snapshot = Snapshot(
        place.batch, place.sequence, place.hash, FORMAT, count, core.digest_of(map(str.encode, digests)), place.time_ms
    )
    await projection.complete_snapshot(snapshot)
    await projection.delete_snapshots([old.batch for old in (await projection.snapshots())[KEPT:]])
    log.info("exchange.snapshot", batch=place.batch, sequence=place.sequence, chunks=count)
    return snapshot


def _chunks(view: ProjectionView) -> Iterator[bytes]:
    yield projection_snapshot.dump(view)
    yield from core.chunks(view.state)


async def read_state(*, at_most: int | None = None) -> tuple[State, Place]:
    """The core's state of the newest good snapshot, and where it is; an empty one where there is none. Raises PyMongoError."""
    found = await _newest(at_most)
    if found is None:
        return State(), Place()
    chunks, place = found
    return await asyncio.to_thread(core.restore, chunks[1:]), place


async def read_view(view: ProjectionView, *, at_most: int) -> Place:
    """Fill an empty view with the newest good snapshot of a batch up to this one; where it is. Raises PyMongoError."""
    found = await _newest(at_most)
    if found is None:
        return Place()
    chunks, place = found
    view.state = await asyncio.to_thread(core.restore, chunks[1:])
    projection_snapshot.restore(view, chunks[0])
    return place


async def _newest(at_most: int | None) -> tuple[list[bytes], Place] | None:
    for snapshot in await projection.snapshots():
        if at_most is not None and snapshot.batch > at_most:
            continue
        chunks = [chunk async for chunk in projection.read_chunks(snapshot)]
        if reason := await _problem(snapshot, chunks):
            log.warning("exchange.snapshot_rejected", batch=snapshot.batch, reason=reason)
            continue
        return chunks, Place(snapshot.batch, snapshot.sequence, snapshot.prev_hash, snapshot.time_ms)
    return None


async def _problem(snapshot: Snapshot, chunks: list[bytes]) -> str:
    """What is wrong with a snapshot; empty: nothing."""
    if snapshot.format != FORMAT:
        return "its format is not this version's"
    digests = [core.digest_of([chunk]).encode() for chunk in chunks]
    if len(chunks) != snapshot.chunks or core.digest_of(digests) != snapshot.digest:
        return "its digest differs"
    batch = await journal.read(snapshot.batch)
    if batch is None or batch.hash != snapshot.prev_hash:
        return "its place is not in the journal"
    return ""
