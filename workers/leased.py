"""Working while this process holds a lease, life after life."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from pymongo.errors import PyMongoError

from core.backoff import Backoff
from core.cancellation import raise_if_cancelled
from core.clock import Clock
from services.leases import Holding, LeaseLost, run_as_only_one

log = structlog.get_logger(__name__)

Loop = Callable[[], Awaitable[None]]


async def keep_working(
    name: str, holder: str, clock: Clock, work: Callable[[Holding], Awaitable[None]], *, ends_a_life: type[Exception]
) -> None:
    """Run `work` while this process holds the lease, and begin anew after it was lost, the database failed, or this error. Until cancelled."""
    backoff = Backoff(first_seconds=0.1, most_seconds=5.0)
    while True:
        delay = backoff.next_delay()
        try:
            await run_as_only_one(name, holder, clock, work)
        except* (LeaseLost, PyMongoError, ends_a_life) as problems:
            log.warning(f"{name}.again", reason=str(problems.exceptions[0]), delay_seconds=round(delay, 2))
        raise_if_cancelled()
        await asyncio.sleep(delay)


async def run_all(*loops: Loop) -> None:
    """Run these beside each other; the first that fails ends the others."""
    async with asyncio.TaskGroup() as tasks:
        for loop in loops:
            tasks.create_task(_run(loop))


async def _run(loop: Loop) -> None:
    await loop()
