"""The deposit worker: reads the blocks of every chain that is watched, each in a loop of its own, and collects debts, while it holds its lease."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from pymongo.errors import ConnectionFailure, PyMongoError

from core.clock import Clock
from core.database import is_contended
from core.errors import InvariantBroken
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
FAILED_SECONDS = 30.0
"""Pause after a step failed in a way that nobody thought of."""


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

    async def note(self, problem: str) -> None:
        """Have the chain's status say what is wrong, where a step could not."""
        ...


@dataclass(frozen=True, slots=True)
class DepositWorker:
    """What the worker needs: by chain, what makes its watch anew every time the lease is taken. `stopped`: chains that this process reads no more."""

    clock: Clock
    holder: str
    watches: Mapping[str, Callable[[], ChainWatch]]
    debts: Debts
    stopped: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Work while this process holds the lease; wait for it otherwise. Until cancelled."""
        await keep_working(NAME, self.holder, self.clock, self._work, ends_a_life=Interrupted)

    async def _work(self, holding: Holding) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_collect(self.debts, holding))
            for chain, make in self.watches.items():
                if chain not in self.stopped:
                    tasks.create_task(self._read(chain, make, holding))

    async def _read(self, chain: str, make: Callable[[], ChainWatch], holding: Holding) -> None:
        """Step by step. What another transaction holds, as that of a process that was killed does for a while, is tried again. Whatever goes wrong with one chain, the others go on; a database that is away, and a lost lease, are everybody's matter."""
        watch = make()
        while True:
            _require(holding)
            try:
                pause = 0.0 if await watch.step() else watch.pause_seconds
            except (ChainError, LedgerSilent) as problem:
                log.warning("deposits.waits", chain=chain, reason=str(problem))
                pause = AGAIN_SECONDS
            except ConnectionFailure:
                raise
            except PyMongoError as error:
                if not is_contended(error):
                    raise
                log.warning("deposits.contended", chain=chain)
                pause = LOOK_SECONDS
            except InvariantBroken:
                self.stopped.add(chain)
                log.critical("deposits.chain_stopped", chain=chain, exc_info=True)
                await watch.note(
                    f"a state of {chain} was found that must not exist: deposits are read again after a restart"
                )
                return
            except Exception as problem:
                name = type(problem).__name__
                log.error("deposits.step_failed", chain=chain, exc_info=True)
                await watch.note(f"the deposits of {chain} cannot be read on ({name}), which is tried again")
                watch, pause = make(), FAILED_SECONDS
            await asyncio.sleep(pause)


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
