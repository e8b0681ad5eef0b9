"""A cancellation that comes when the answer is already there still counts."""

import asyncio
import subprocess
import sys

import pytest

from core.cancellation import raise_if_cancelled, wait_for
from tests.components import ROOT


async def cancelled_when_done(seconds: float | None) -> asyncio.Task[str]:
    """A task whose `wait_for` was cancelled after its future was done and before it ran on."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask() -> str:
        await wait_for(answer, seconds)
        return "went on"

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    answer.set_result("answer")
    task.cancel()
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("seconds", [None, 10.0])
async def test_a_cancellation_beside_the_answer_is_not_lost(seconds: float | None) -> None:
    assert (await cancelled_when_done(seconds)).cancelled()


async def test_it_gives_the_answer_and_passes_failures_on() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise LookupError("no such thing")

    assert await wait_for(answer(), 10) == 42
    with pytest.raises(LookupError):
        await wait_for(fail(), 10)


@pytest.mark.parametrize("seconds", [0.01, 0.0, -1.0])
async def test_time_ends_it_and_what_was_awaited(seconds: float) -> None:
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        await wait_for(never, seconds)
    assert never.cancelled()


async def test_what_is_done_needs_no_time() -> None:
    done = asyncio.get_running_loop().create_future()
    done.set_result("there")
    assert await wait_for(done, 0) == "there"


def test_the_database_driver_of_a_server_process_uses_it() -> None:
    """The driver takes the name when it is loaded, so it must be loaded afterwards."""
    probe = (
        "import sys, contextlib, io, server.commands\n"
        "with contextlib.redirect_stdout(io.StringIO()): server.commands.main(['settings'])\n"
        "import asyncio, pymongo.lock, pymongo.network_layer\n"
        "print(pymongo.lock.wait_for is asyncio.wait_for, asyncio.wait_for.__module__)"
    )
    out = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    expected = "core.cancellation" if sys.version_info < (3, 12) else "asyncio.tasks"
    assert out.split() == ["True", expected]


async def test_a_failure_in_the_moment_of_cancellation_does_not_keep_a_loop_alive() -> None:
    tries: list[int] = []
    begun = asyncio.Event()

    async def fails_when_cancelled() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            raise ValueError from cancelled

    async def for_ever() -> None:
        while True:
            tries.append(1)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fails_when_cancelled())
            except* ValueError:
                pass
            raise_if_cancelled()

    task = asyncio.create_task(for_ever())
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait([task])
    assert task.cancelled()
    assert len(tries) == 1
