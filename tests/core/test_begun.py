import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from core.begun import Begun, Starter


async def at_once(value: int) -> int:
    return value


async def waiting(event: asyncio.Event, seen: list[str]) -> str:
    try:
        async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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


PLACE: ContextVar[str] = ContextVar("place", default="outside")


async def outside_of_tasks(callback: Callable[[], object]) -> None:
    """Call it as a protocol is called."""
    called = asyncio.Event()

    def call() -> None:
        assert asyncio.current_task() is None
        try:
            callback()
        finally:
            assert asyncio.current_task() is None
            called.set()

    asyncio.get_running_loop().call_soon(call)
    async with asyncio.timeout(30):
        await called.wait()


class Work:
    """What is begun, and what it saw."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.tasks: list[asyncio.Task[object] | None] = []
        self.ended: list[str] = []
        self.starter: Starter[str] = Starter(self.take_over)

    async def take_over(self, begun: Begun[str]) -> None:
        try:
            self.ended.append(await begun)
        except TimeoutError:
            self.ended.append("too late")

    async def run(self, *, seconds: float = 30.0, waits: bool = True) -> str:
        token = PLACE.set("inside")
        try:
            self.tasks.append(asyncio.current_task())
            async with asyncio.timeout(seconds), asyncio.TaskGroup():
                if waits:
                    await self.event.wait()
                    self.tasks.append(asyncio.current_task())
            return PLACE.get()
        finally:
            PLACE.reset(token)


async def test_what_never_waits_needs_no_task_of_its_own() -> None:
    work, begun = Work(), list[Begun[str]]()
    for _ in range(3):
        await outside_of_tasks(lambda: begun.append(work.starter.begin(work.run(waits=False))))
    assert [each.value for each in begun] == ["inside"] * 3
    assert len(set(work.tasks)) == 1
    assert work.ended == []
    assert PLACE.get() == "outside"


async def test_what_waits_goes_on_in_the_task_it_began_in() -> None:
    work = Work()
    for _ in range(3):
        await outside_of_tasks(lambda: work.starter.begin(work.run()))
    assert len(set(work.tasks)) == 3
    work.event.set()
    async with asyncio.timeout(30):
        while len(work.ended) < 3:
            await asyncio.sleep(0)
    assert work.ended == ["inside"] * 3
    assert work.tasks[:3] == work.tasks[3:]


async def test_a_timeout_that_began_outside_of_tasks_ends_what_waits() -> None:
    work = Work()
    await outside_of_tasks(lambda: work.starter.begin(work.run(seconds=0.02)))
    async with asyncio.timeout(30):
        while not work.ended:
            await asyncio.sleep(0.005)
    assert work.ended == ["too late"]


async def test_within_a_task_the_task_is_the_current_one_again_afterwards() -> None:
    work, own = Work(), asyncio.current_task()
    with pytest.raises(ValueError, match="a fault"):
        work.starter.begin(failing())  # type: ignore[arg-type]
    assert work.starter.begin(work.run(waits=False)).value == "inside"
    assert asyncio.current_task() is own
    assert own not in work.tasks


async def test_a_task_that_was_cancelled_while_it_stood_ready_is_replaced() -> None:
    work = Work()
    work.starter.begin(work.run(waits=False))
    (spare,) = (each for each in work.tasks if each is not None)
    await asyncio.sleep(0)
    spare.cancel()
    await asyncio.sleep(0)
    work.starter.begin(work.run())
    work.event.set()
    async with asyncio.timeout(30):
        while not work.ended:
            await asyncio.sleep(0)
    assert work.ended == ["inside"]
