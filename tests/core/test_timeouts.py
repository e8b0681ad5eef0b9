"""Limits that share a timer: each ends its own task, at its own time, and only while that waits within it."""

import asyncio

import pytest

from core.timeouts import Timeouts


def since(start: float) -> float:
    """The seconds since then by the loop's clock: it counts whole milliseconds, whose differences as floats may lie a hair below theirs."""
    return round(asyncio.get_running_loop().time() - start, 6)


async def waits(timeouts: Timeouts, seconds: float) -> str:
    try:
        with timeouts.limit():
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "timed out"
    return "done"


async def test_each_is_ended_at_its_own_time() -> None:
    timeouts, loop = Timeouts(0.05), asyncio.get_running_loop()
    took: list[float] = []

    async def late(after: float) -> str:
        await waits(Timeouts(after), 60)
        start = loop.time()
        found = await waits(timeouts, 60)
        took.append(since(start))
        return found

    tasks = [asyncio.create_task(late(after)) for after in (0, 0.02, 0.04)]
    quick = asyncio.create_task(waits(timeouts, 0))
    assert await asyncio.gather(*tasks) == ["timed out"] * 3
    assert await quick == "done"
    assert all(each >= 0.05 for each in took)


async def test_the_time_of_one_that_is_done_is_not_that_of_the_next() -> None:
    timeouts, loop = Timeouts(0.05), asyncio.get_running_loop()
    assert await waits(timeouts, 0) == "done"
    await waits(Timeouts(0.02), 60)
    start = loop.time()
    assert await waits(timeouts, 60) == "timed out", "though the timer was the first one's"
    assert since(start) >= 0.05
    assert await waits(timeouts, 0) == "done"


async def test_who_is_cancelled_from_elsewhere_is_not_timed_out() -> None:
    timeouts = Timeouts(60)
    task = asyncio.create_task(waits(timeouts, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await waits(timeouts, 0) == "done"


async def test_who_is_cancelled_at_the_same_moment_stays_cancelled() -> None:
    limit = Timeouts(60).limit()

    async def waiting() -> None:
        with limit:
            await asyncio.sleep(60)

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    limit.expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_its_own_comes_through() -> None:
    timeouts = Timeouts(60)
    with pytest.raises(ValueError, match="mine"), timeouts.limit():
        raise ValueError("mine")


async def test_one_within_another() -> None:
    outer, inner = Timeouts(60), Timeouts(0.01)
    with outer.limit():
        assert await waits(inner, 60) == "timed out"


async def test_outside_of_a_task_there_is_nothing_to_end() -> None:
    found: list[str] = []

    def outside() -> None:
        with pytest.raises(RuntimeError) as caught, Timeouts(1).limit():
            pass
        found.append(str(caught.value))

    asyncio.get_running_loop().call_soon(outside)
    while not found:
        await asyncio.sleep(0)
    assert found == ["only a task can be timed out"]
