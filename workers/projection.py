"""The projection worker: follows the journal into the documents that people read, while this process holds its lease."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from pymongo.errors import PyMongoError

from core.backoff import Backoff
from core.cancellation import raise_if_cancelled
from core.clock import Clock
from services.leases import Holding, LeaseLost, run_as_only_one
from services.projection import Overtaken, Projector

log = structlog.get_logger(__name__)

NAME = "projection"


@dataclass(frozen=True, slots=True)
class OpenedProjector:
    """A projector that knows where it is, and the loops to run: its own and those of what it writes through."""

    projector: Projector
    loops: tuple[Callable[[], Awaitable[None]], ...]


@dataclass(frozen=True, slots=True)
class ProjectionWorker:
    """What the worker needs. `open_projector` makes a fresh one every time the lease is taken."""

    clock: Clock
    holder: str
    open_projector: Callable[[], Awaitable[OpenedProjector]]

    async def run(self) -> None:
        """Follow while this process holds the lease; wait for it otherwise. Until cancelled."""
        backoff = Backoff(first_seconds=0.1, most_seconds=5.0)
        while True:
            delay = backoff.next_delay()
            try:
                await run_as_only_one(NAME, self.holder, self.clock, self._work)
            except* (LeaseLost, Overtaken, PyMongoError) as problems:
                log.warning("projection.again", reason=str(problems.exceptions[0]), delay_seconds=round(delay, 2))
            raise_if_cancelled()
            await asyncio.sleep(delay)

    async def _work(self, _: Holding) -> None:
        opened = await self.open_projector()
        async with asyncio.TaskGroup() as tasks:
            for loop in opened.loops:
                tasks.create_task(_run(loop))


async def _run(loop: Callable[[], Awaitable[None]]) -> None:
    await loop()
