"""The broadcast worker: follows every transaction that was sent to a chain from here, those of one chain a few at a time, while it holds its lease."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from core.clock import Clock
from services.chain_tracking import ChainTracking
from services.leases import Holding
from workers.leased import keep_working

NAME = "broadcasts"
LOOK_SECONDS = 0.5
AT_ONCE = 500
"""Rows that are read in one round."""
BESIDE = 8
"""Transactions of one chain that are looked at beside each other."""


class Interrupted(Exception):
    """The lease may be held by another process."""


@dataclass(frozen=True, slots=True)
class BroadcastWorker:
    """What the worker needs."""

    clock: Clock
    holder: str
    tracking: ChainTracking

    async def run(self) -> None:
        """Work while this process holds the lease; wait for it otherwise. Until cancelled."""
        await keep_working(NAME, self.holder, self.clock, self._work, ends_a_life=Interrupted)

    async def _work(self, holding: Holding) -> None:
        while True:
            by_chain: defaultdict[str, list[str]] = defaultdict(list)
            for chain, hash_ in await self.tracking.due(AT_ONCE):
                by_chain[chain].append(hash_)
            async with asyncio.TaskGroup() as tasks:
                for chain, hashes in by_chain.items():
                    for start in range(BESIDE):
                        tasks.create_task(self._step_all(chain, hashes[start::BESIDE], holding))
            await asyncio.sleep(LOOK_SECONDS)

    async def _step_all(self, chain: str, hashes: Sequence[str], holding: Holding) -> None:
        for hash_ in hashes:
            if not holding.is_sure():
                raise Interrupted("the lease of the broadcasts could not be renewed in time")
            await self.tracking.step(chain, hash_)
