"""The swap worker: keeps swaps up with their chains and aggregators, while it holds its lease."""

import asyncio
from dataclasses import dataclass

from core.clock import Clock
from services.leases import Holding
from services.swap_following import SwapFollowing
from workers.leased import keep_working

NAME = "swaps"
LOOK_SECONDS = 1.0


class Interrupted(Exception):
    """The lease may be held by another process."""


@dataclass(frozen=True, slots=True)
class SwapWorker:
    """What the worker needs."""

    clock: Clock
    holder: str
    following: SwapFollowing

    async def run(self) -> None:
        """Work while this process holds the lease; wait for it otherwise. Until cancelled."""
        await keep_working(NAME, self.holder, self.clock, self._work, ends_a_life=Interrupted)

    async def _work(self, holding: Holding) -> None:
        while True:
            if not holding.is_sure():
                raise Interrupted("the lease of the swaps could not be renewed in time")
            await self.following.step()
            await asyncio.sleep(LOOK_SECONDS)
