import asyncio

import pytest

from core.begun import Begun


async def at_once(value: int) -> int:
    return value


async def waiting(event: asyncio.Event, seen: list[str]) -> str:
    try:
        async with asyncio.timeout(5):
            await event.wait()
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise
    finally:
        seen.append("ended")
    return "done"


async def failing(event: asyncio.Event | None = None) -> None:
    if event is not None:
        await event.wait()
    raise ValueError("a fault")


async def test_what_never_waits_is_done_when_it_has_begun() -> None:
    begun = Begun(at_once(7))
    assert begun.done
    assert begun.value == await begun == 7


async def test_what_waits_goes_on_where_it_is_awaited() -> None:
    event, seen = asyncio.Event(), list[str]()
    begun = Begun(waiting(event, seen))
    assert not begun.done
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.timeout(5):
        assert await begun == "done"
    assert seen == ["ended"]


async def test_a_fault_is_raised_where_it_happens() -> None:
    with pytest.raises(ValueError, match="a fault"):
        Begun(failing())
    event = asyncio.Event()
    begun = Begun(failing(event))
    event.set()
    with pytest.raises(ValueError, match="a fault"):
        await begun


async def test_cancellation_and_timeouts_reach_it() -> None:
    seen = list[str]()

    async def outer() -> None:
        await Begun(waiting(asyncio.Event(), seen))

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled", "ended"]
    begun = Begun(waiting(asyncio.Event(), seen))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await begun


async def test_one_that_is_given_up_cleans_up() -> None:
    seen = list[str]()
    Begun(waiting(asyncio.Event(), seen)).close()
    assert seen == ["ended"]
