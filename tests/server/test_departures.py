"""What is waited for ends when the client leaves."""

import asyncio

import pytest

from server.departures import ClientGone, Departure


async def test_what_is_there_in_time_is_given() -> None:
    departure = Departure()
    assert await departure.while_there(asyncio.sleep(0, "done")) == "done"
    departure.happened()  # later: nobody waits any more
    await asyncio.sleep(0)


async def test_who_leaves_ends_what_is_waited_for() -> None:
    departure, ended = Departure(), asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    asyncio.get_running_loop().call_soon(departure.happened)
    with pytest.raises(ClientGone):
        await departure.while_there(forever())
    assert ended.is_set()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_left_before_is_not_waited_for() -> None:
    departure = Departure()
    departure.happened()
    with pytest.raises(ClientGone):
        await departure.while_there(asyncio.Event().wait())


async def test_another_cancellation_goes_on() -> None:
    departure = Departure()
    waiting = asyncio.create_task(departure.while_there(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    departure.happened()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_errors_go_on() -> None:
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Departure().while_there(fails())
