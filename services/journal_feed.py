"""Reading the exchange's journal in order: from the writer's hand in its own process, from storage everywhere else."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from core.bus import Bus, BusMessage
from core.errors import InvariantBroken
from events.journal import Event
from events.journal_codec import decode
from events.trading import JOURNAL_TOPIC, JournalAppended
from models import journal
from models.journal import NO_HASH, Batch

_RECENT = 512
"""Batches the writer's process remembers for followers in it."""
_LOOK_SECONDS = 1.0
"""A message of the bus may be lost: followers look by themselves this often."""
_WIDEST = 20_000
"""Events that one read from storage may span."""


class JournalDamaged(Exception):
    """A batch of the journal is not what was written, or one is missing. Never mended by the program."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the journal: after this batch, whose last event has this sequence and whose hash is this."""

    batch: int = 0
    sequence: int = 0
    hash: str = NO_HASH
    time_ms: int = 0


def after(batch: Batch) -> Place:
    """The place after a batch."""
    return Place(batch.number, batch.last_seq, batch.hash, batch.time_ms)


Appended = tuple[Batch, Sequence[Event]]


async def stored_after(place: Place) -> AsyncGenerator[Appended, None]:
    """What storage holds after a place, up to its end. Raises JournalDamaged, UnknownFormat, PyMongoError."""
    width = journal.MOST_AT_ONCE
    while batches := await journal.following(place.sequence, width=width):
        events = 0
        for batch in batches:
            _check(batch, place)
            place = after(batch)
            events += batch.last_seq - batch.first_seq + 1
            yield batch, decode(batch.payload, written_in=batch.format)
        width = min(_WIDEST, max(journal.MOST_AT_ONCE, journal.MOST_AT_ONCE * events // len(batches)))


def _check(batch: Batch, place: Place) -> None:
    if batch.number != place.batch + 1 or batch.first_seq != place.sequence + 1:
        raise JournalDamaged(f"batch {place.batch + 1} of the journal is missing")
    if batch.prev_hash != place.hash or not journal.is_sound(batch, place.hash):
        raise JournalDamaged(f"batch {batch.number} of the journal is not what was written")


class JournalFeed:
    """Gives followers every batch once, in order. The writer `put`s what it appended."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._recent: OrderedDict[int, Appended] = OrderedDict()

    def put(self, batch: Batch, events: Sequence[Event]) -> None:
        """Tell followers of a batch that was appended."""
        if self._recent and next(reversed(self._recent)) != batch.number - 1:
            self._recent.clear()
        self._recent[batch.number] = (batch, events)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        self._bus.publish(JOURNAL_TOPIC, JournalAppended(batch.number, batch.last_seq))

    async def follow(self, place: Place) -> AsyncIterator[Appended]:
        """Every batch after a place, for ever. Raises JournalDamaged, UnknownFormat, PyMongoError."""
        async with self._bus.subscribe(JOURNAL_TOPIC) as news:
            told = aiter(news)
            waiting: asyncio.Future[object] | None = None
            try:
                while True:
                    async for appended in stored_after(place):
                        place = after(appended[0])
                        yield appended
                    must_look = False
                    while not must_look:
                        while (recent := self._recent.get(place.batch + 1)) is not None:
                            if recent[0].prev_hash != place.hash:
                                raise InvariantBroken("the writer of this process follows another journal")
                            place = after(recent[0])
                            yield recent
                        waiting = waiting or asyncio.ensure_future(anext(told, None))
                        await asyncio.wait({waiting}, timeout=_LOOK_SECONDS)
                        must_look = place.batch + 1 not in self._recent and not _is_known(waiting, place)
                        if waiting.done():
                            waiting = None
            finally:
                if waiting is not None:
                    waiting.cancel()


def _is_known(heard: "asyncio.Future[object]", place: Place) -> bool:
    """Whether what was heard speaks of a batch that was followed already. A gap, or silence, may hide one that was not."""
    item = heard.result() if heard.done() else None
    return isinstance(item, BusMessage) and isinstance(item.event, JournalAppended) and item.event.batch <= place.batch
