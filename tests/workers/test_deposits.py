"""The deposit worker: what breaks one chain stops that one, is said, and leaves the others alone."""

import asyncio
from dataclasses import dataclass, field
from decimal import Inexact
from typing import Any

import pytest

from core.clock import SystemClock
from core.database import Database
from core.errors import InvariantBroken
from integrations.chains.errors import ChainError
from services.leases import Holding
from workers import deposits
from workers.deposits import DepositWorker


class NoDebts:
    """Owed by nobody."""

    async def collect(self) -> None: ...


@dataclass
class Watch:
    """Raises these one after the other, then has nothing to do; `told`: what was noted."""

    raises: list[Exception] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    steps: int = 0
    made: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    pause_seconds: float = 0.001

    def make(self) -> "Watch":
        self.made += 1
        return self

    async def step(self) -> bool:
        self.steps += 1
        if self.raises:
            raise self.raises.pop(0)
        self.reached.set()
        return False

    async def note(self, problem: str) -> None:
        self.told.append(problem)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deposits, "FAILED_SECONDS", 0.001)
    monkeypatch.setattr(deposits, "AGAIN_SECONDS", 0.001)


def working(**watches: Watch) -> tuple[DepositWorker, asyncio.Task[None]]:
    none: Any = NoDebts()
    clock = SystemClock()
    worker = DepositWorker(clock, "anna", {chain: each.make for chain, each in watches.items()}, none)
    return worker, asyncio.ensure_future(worker._work(Holding(clock)))


async def ended(task: asyncio.Task[None]) -> None:
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("problem", [Inexact(), OverflowError("8 bytes"), KeyError("hash")])
async def test_a_step_that_breaks_is_said_and_tried_again_by_a_new_watch(problem: Exception) -> None:
    broken, well = Watch([problem, problem]), Watch()
    _, task = working(ethereum=broken, bitcoin=well)
    async with asyncio.timeout(10):
        await broken.reached.wait()
        await well.reached.wait()
    await ended(task)
    said = f"the deposits of ethereum cannot be read on ({type(problem).__name__}), which is tried again"
    assert (broken.told, broken.made) == ([said, said], 3)
    assert (well.told, well.made) == ([], 1)


async def test_what_nodes_do_not_say_is_no_breakage() -> None:
    waits = Watch([ChainError("no node answers")])
    _, task = working(ethereum=waits)
    async with asyncio.timeout(10):
        await waits.reached.wait()
    await ended(task)
    assert (waits.told, waits.made) == ([], 1)


async def test_a_chain_with_a_state_that_must_not_exist_stays_stopped(database: Database) -> None:
    broken, well = Watch([InvariantBroken("the ledger refuses")]), Watch()
    worker, task = working(ethereum=broken, bitcoin=well)
    async with asyncio.timeout(10):
        while not broken.told:
            await asyncio.sleep(0)
        await well.reached.wait()
    await ended(task)
    assert "must not exist" in broken.told[0]
    well.reached.clear()
    again = asyncio.ensure_future(worker._work(Holding(SystemClock())))
    async with asyncio.timeout(10):
        await well.reached.wait()
    await ended(again)
    assert broken.steps == 1
