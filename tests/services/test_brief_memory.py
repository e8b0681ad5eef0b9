"""What is kept for a moment, and asked for once."""

import asyncio

import pytest

from core.clock import ManualClock
from services.brief_memory import BriefMemory


class Source:
    """Answers when it is told to, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def ask(self) -> int:
        self.asked += 1
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return self.asked


async def test_many_who_ask_at_once_share_one_answer() -> None:
    memory: BriefMemory[str, int] = BriefMemory(ManualClock(), most=10)
    source = Source()
    waiting = [asyncio.create_task(memory.get("a", source.ask, seconds=5)) for _ in range(20)]
    await asyncio.sleep(0)
    source.go.set()
    assert await asyncio.gather(*waiting) == [1] * 20
    assert source.asked == 1


async def test_an_answer_is_kept_for_its_time() -> None:
    clock = ManualClock()
    memory: BriefMemory[str, int] = BriefMemory(clock, most=10)
    source = Source()
    source.go.set()
    assert await memory.get("a", source.ask, seconds=5) == 1
    clock.advance(4.9)
    assert await memory.get("a", source.ask, seconds=5) == 1
    assert await memory.get("b", source.ask, seconds=5) == 2
    clock.advance(0.2)
    assert await memory.get("a", source.ask, seconds=5) == 3


async def test_a_failure_is_told_to_all_and_not_kept() -> None:
    memory: BriefMemory[str, int] = BriefMemory(ManualClock(), most=10)
    source = Source()
    source.failure = ValueError("no")
    waiting = [asyncio.create_task(memory.get("a", source.ask, seconds=5)) for _ in range(3)]
    await asyncio.sleep(0)
    source.go.set()
    assert [str(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == ["no"] * 3
    source.failure = None
    assert await memory.get("a", source.ask, seconds=5) == 2


async def test_who_goes_away_does_not_take_the_answer_from_the_others() -> None:
    memory: BriefMemory[str, int] = BriefMemory(ManualClock(), most=10)
    source = Source()
    first, second = (asyncio.create_task(memory.get("a", source.ask, seconds=5)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.go.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_longest_unused_goes_first() -> None:
    memory: BriefMemory[str, int] = BriefMemory(ManualClock(), most=2)
    source = Source()
    source.go.set()
    for key in ("a", "b", "a", "c"):
        await memory.get(key, source.ask, seconds=5)
    assert source.asked == 3
    assert await memory.get("a", source.ask, seconds=5) == 1
    assert await memory.get("b", source.ask, seconds=5) == 4


async def test_closing_gives_up_what_is_asked() -> None:
    memory: BriefMemory[str, int] = BriefMemory(ManualClock(), most=2)
    source = Source()
    waiting = asyncio.create_task(memory.get("a", source.ask, seconds=5))
    await asyncio.sleep(0)
    await memory.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_was_found_last_is_there_for_when_asking_fails() -> None:
    clock = ManualClock()
    memory: BriefMemory[str, int] = BriefMemory(clock, most=10)
    source = Source()
    source.go.set()
    assert memory.last("a", seconds=300) is None
    await memory.get("a", source.ask, seconds=5)
    clock.advance(299)
    source.failure = LookupError()
    with pytest.raises(LookupError):
        await memory.get("a", source.ask, seconds=5)
    assert memory.last("a", seconds=300) == 1
    clock.advance(1)
    assert memory.last("a", seconds=300) is None
