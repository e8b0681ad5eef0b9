"""The deposit worker: reads the blocks of every chain that is watched, each in a loop of its own, and collects debts, while it holds its lease."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from core.clock import Clock
from integrations.chains.errors import ChainError
from services.debts import Debts
from services.leases import Holding
from services.ledger_commands import LedgerSilent
from workers.leased import keep_working

log = structlog.get_logger(__name__)
NAME = "deposits"
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 5.0
"""Pause after a chain's nodes failed."""


class Interrupted(Exception):
    """The lease may be held by another process."""


class ChainWatch(Protocol):
    """Reads one chain."""

    @property
    def pause_seconds(self) -> float:
        """How long to wait when a step found nothing to do."""
        ...

    async def step(self) -> bool:
        """Do what is next; False: there is nothing to do now."""
        ...


@dataclass(frozen=True, slots=True)
class DepositWorker:
    """What the worker needs: by chain, what makes its watch anew every time the lease is taken."""

    clock: Clock
    holder: str
    watches: Mapping[str, Callable[[], ChainWatch]]
    debts: Debts

    async def run(self) -> None:
        """Work while this process holds the lease; wait for it otherwise. Until cancelled."""
        await keep_working(NAME, self.holder, self.clock, self._work, ends_a_life=Interrupted)

    async def _work(self, holding: Holding) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_collect(self.debts, holding))
            for chain, make in self.watches.items():
                tasks.create_task(_read(chain, make(), holding))


async def _collect(debts: Debts, holding: Holding) -> None:
    while True:
        _require(holding)
        try:
            await debts.collect()
        except LedgerSilent as problem:
            log.warning("debts.waits", reason=str(problem))
        await asyncio.sleep(LOOK_SECONDS)


def _require(holding: Holding) -> None:
    if not holding.is_sure():
        raise Interrupted("the lease of the deposits could not be renewed in time")


async def _read(chain: str, watch: ChainWatch, holding: Holding) -> None:
    while True:
        _require(holding)
        try:
            more = await watch.step()
        except (ChainError, LedgerSilent) as problem:
            log.warning("deposits.waits", chain=chain, reason=str(problem))
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        if not more:
            await asyncio.sleep(watch.pause_seconds)
