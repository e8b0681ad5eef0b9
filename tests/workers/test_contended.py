"""What a transaction of a killed process still holds waits; nothing else waits for it, and a database that is away ends the worker's life."""

import asyncio
from typing import Any

import pytest
from graphql import GraphQLError
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from core.clock import ManualClock
from graph.errors import ErrorRenderer
from services.leases import Holding
from workers import deposits, withdrawals

LABELED = {"errorLabels": ["TransientTransactionError"]}
HELD = OperationFailure("WriteConflict", 112, {"ok": 0, **LABELED})
AWAY = AutoReconnect("connection closed", LABELED)
FULL = OperationFailure("out of space", 14031)


class Steps:
    """Fails at one."""

    def __init__(self, problem: PyMongoError) -> None:
        self.problem = problem
        self.done: list[str] = []

    async def step(self, withdrawal_id: str) -> None:
        if withdrawal_id == "first":
            raise self.problem
        self.done.append(withdrawal_id)


class Chain:
    """Is held once, and has nothing to do afterwards."""

    pause_seconds = 0.0

    def __init__(self, problem: PyMongoError) -> None:
        self.problem = problem
        self.looks = 0
        self.again = asyncio.Event()

    async def step(self) -> bool:
        self.looks += 1
        if self.looks == 1:
            raise self.problem
        self.again.set()
        return False

    async def note(self, problem: str) -> None:
        """Nothing reads it."""


def reader(chain: Chain) -> deposits.DepositWorker:
    debts: Any = None
    return deposits.DepositWorker(ManualClock(), "me", {"ethereum": lambda: chain}, debts)


async def test_a_withdrawal_that_is_held_holds_up_no_other() -> None:
    steps: Any = Steps(HELD)
    await withdrawals._step_all(steps, ["first", "second"], Holding(ManualClock()))
    assert steps.done == ["second"]


@pytest.mark.parametrize("problem", [AWAY, FULL])
async def test_anything_else_ends_the_life_of_the_withdrawal_worker(problem: PyMongoError) -> None:
    steps: Any = Steps(problem)
    with pytest.raises(type(problem)):
        await withdrawals._step_all(steps, ["first", "second"], Holding(ManualClock()))
    assert steps.done == []


async def test_a_chain_that_is_held_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deposits, "LOOK_SECONDS", 0.0)
    chain = Chain(HELD)
    reading = asyncio.create_task(reader(chain)._read("ethereum", lambda: chain, Holding(ManualClock())))
    async with asyncio.timeout(30):
        await chain.again.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize("problem", [AWAY, FULL])
async def test_anything_else_ends_the_life_of_the_deposit_worker(problem: PyMongoError) -> None:
    with pytest.raises(type(problem)):
        await reader(Chain(problem))._read("ethereum", lambda: Chain(problem), Holding(ManualClock()))


@pytest.mark.parametrize(
    ("problem", "code"), [(HELD, "DATABASE_UNAVAILABLE"), (AWAY, "DATABASE_UNAVAILABLE"), (FULL, "INTERNAL")]
)
def test_people_are_told_to_try_again(problem: PyMongoError, code: str) -> None:
    body: Any = ErrorRenderer("r1").during_execution(GraphQLError("failed", original_error=problem))
    assert body["extensions"]["code"] == code
