"""Nobody reads documents that are older than what they were told: marks, waiting, and giving up."""

import asyncio
from typing import Any

import pytest

from core.bus import MemoryBus
from core.cache import MemoryCache
from core.clock import ManualClock
from events.trading import PROJECTION_TOPIC, ProjectionAdvanced
from models import projection
from models.projection import Watermark
from services.read_marks import Reader, ReadMarks


class Stored:
    """The watermark as the database holds it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mark = Watermark(0, 0, 0)
        self.looks = 0
        monkeypatch.setattr(projection, "read_watermark", self._read)

    async def _read(self) -> Watermark:
        self.looks += 1
        return self.mark


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Stored:
    return Stored(monkeypatch)


class Process:
    def __init__(self, bus: MemoryBus, cache: MemoryCache) -> None:
        self.marks = ReadMarks(bus, cache, ManualClock(5_000))


@pytest.fixture
def parts() -> dict[str, Any]:
    return {"bus": MemoryBus(), "cache": MemoryCache(ManualClock())}


async def test_who_was_told_nothing_does_not_wait(stored: Stored, parts: dict[str, Any]) -> None:
    assert await Process(**parts).marks.wait("ann") is None
    assert stored.looks == 0


async def test_a_read_waits_for_the_projection_and_not_longer(stored: Stored, parts: dict[str, Any]) -> None:
    marks = Process(**parts).marks
    running = asyncio.create_task(marks.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    marks.raise_to("ann", 7)
    waiting = asyncio.create_task(marks.wait("ann"))
    await asyncio.sleep(0)
    parts["bus"].publish(PROJECTION_TOPIC, ProjectionAdvanced(6, 60))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    parts["bus"].publish(PROJECTION_TOPIC, ProjectionAdvanced(7, 70))
    assert await waiting is None
    assert await marks.wait("ann") is None
    assert await marks.wait("bob") is None
    running.cancel()


async def test_the_stored_watermark_does_as_well(stored: Stored, parts: dict[str, Any]) -> None:
    marks = Process(**parts).marks
    stored.mark = Watermark(1, 7, 70)
    assert await marks.wait("ann", 7) is None
    assert stored.looks == 1
    assert await marks.wait("ann", 7) is None
    assert stored.looks == 1


@pytest.mark.usefixtures("documents_stay_behind")
async def test_a_read_gives_up_and_says_how_old_it_is(stored: Stored, parts: dict[str, Any]) -> None:
    marks = Process(**parts).marks
    stored.mark = Watermark(1, 6, 60)
    assert await marks.wait("ann", 7) == 60
    reader = Reader()
    marks.show("ann", 9, reader)
    await marks.ready("ann", reader)
    assert (reader.shown, reader.stale_since_ms) == (9, 60)


async def test_an_operation_waits_once(stored: Stored, parts: dict[str, Any]) -> None:
    marks = Process(**parts).marks
    stored.mark = Watermark(1, 7, 70)
    reader = Reader(shown=7)
    await asyncio.gather(*(marks.ready("ann", reader) for _ in range(20)))
    assert stored.looks == 1
    stored.mark = Watermark(2, 8, 80)
    reader.see(8)
    await marks.ready("ann", reader)
    assert (stored.looks, reader.stale_since_ms) == (2, None)


@pytest.mark.usefixtures("documents_stay_behind")
async def test_marks_reach_other_processes(stored: Stored, parts: dict[str, Any]) -> None:
    here, there = Process(**parts).marks, Process(**parts).marks
    running = asyncio.create_task(here.run())
    here.raise_to("ann", 7)
    async with asyncio.timeout(30):
        while await parts["cache"].get("exchange mark:ann") is None:
            await asyncio.sleep(0)
    assert await there.wait("ann") == 5_000
    here.raise_to("ann", 6)
    assert here._to_share == {}
    running.cancel()
