"""The projection worker: follows the journal into the documents that people read, while this process holds its lease."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.clock import Clock
from services.leases import Holding
from services.projection import Overtaken
from workers.leased import Loop, keep_working, run_all

NAME = "projection"


@dataclass(frozen=True, slots=True)
class ProjectionWorker:
    """What the worker needs. `open_projector` makes a fresh one every time the lease is taken: its loop, and those of what it writes through."""

    clock: Clock
    holder: str
    open_projector: Callable[[], Awaitable[tuple[Loop, ...]]]

    async def run(self) -> None:
        """Follow while this process holds the lease; wait for it otherwise. Until cancelled."""
        await keep_working(NAME, self.holder, self.clock, self._work, ends_a_life=Overtaken)

    async def _work(self, _: Holding) -> None:
        await run_all(*await self.open_projector())
