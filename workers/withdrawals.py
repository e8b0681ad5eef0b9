"""The withdrawal worker: does the next step of every withdrawal that is due, those of one chain one after the other, while it holds its lease."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from pymongo.errors import PyMongoError

from core.clock import Clock
from core.database import is_contended
from services.leases import Holding
from services.withdrawal_steps import WithdrawalSteps
from workers.leased import keep_working

log = structlog.get_logger(__name__)
NAME = "withdrawals"
LOOK_SECONDS = 0.5


class Interrupted(Exception):
    """This life of the worker is over: the lease may be held by another process, or the keys cannot be reached."""


@dataclass(frozen=True, slots=True)
class WithdrawalWorker:
    """What the worker needs. `open_steps` makes fresh ones every time the lease is taken, with the keys to sign with."""

    clock: Clock
    holder: str
    open_steps: Callable[[], Awaitable[WithdrawalSteps]]

    async def run(self) -> None:
        """Work while this process holds the lease; wait for it otherwise. Until cancelled."""
        await keep_working(NAME, self.holder, self.clock, self._work, ends_a_life=Interrupted)

    async def _work(self, holding: Holding) -> None:
        steps = await self.open_steps()
        while True:
            by_chain: defaultdict[str, list[str]] = defaultdict(list)
            for withdrawal_id, chain in await steps.due():
                by_chain[chain].append(withdrawal_id)
            async with asyncio.TaskGroup() as tasks:
                for ids in by_chain.values():
                    tasks.create_task(_step_all(steps, ids, holding))
            await asyncio.sleep(LOOK_SECONDS)


async def _step_all(steps: WithdrawalSteps, ids: list[str], holding: Holding) -> None:
    """The next step of each. One whose rows another transaction holds, as that of a process that was killed does for a while, stays due and holds up nobody else."""
    for withdrawal_id in ids:
        if not holding.is_sure():
            raise Interrupted("the lease of the withdrawals could not be renewed in time")
        try:
            await steps.step(withdrawal_id)
        except PyMongoError as error:
            if not is_contended(error):
                raise
            log.warning("withdrawal.contended", withdrawal=withdrawal_id)
