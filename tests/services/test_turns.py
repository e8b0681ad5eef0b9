"""A few at a time, in their order."""

import asyncio

import pytest

from core.errors import RateLimited
from services.turns import Turns


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """People who enter and stay until they are told to leave."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.inside: list[str] = []
        self._leave = {name: asyncio.Event() for name in "abcdef"}

    async def enter(self, name: str) -> None:
        async with self._turns:
            self.inside.append(name)
            await self._leave[name].wait()
            self.inside.remove(name)

    def leave(self, name: str) -> None:
        self._leave[name].set()


async def test_they_enter_in_their_order_and_no_more_at_once() -> None:
    crowd = Crowd(Turns(2, most_waiting=3))
    tasks = {}
    for name in "abcde":
        tasks[name] = asyncio.create_task(crowd.enter(name))
        await settled()
    assert crowd.inside == ["a", "b"]
    with pytest.raises(RateLimited) as refused:
        await crowd.enter("f")
    assert refused.value.details == {"retryAfter": 5}

    crowd.leave("b")
    await settled()
    assert crowd.inside == ["a", "c"]
    tasks["d"].cancel()
    crowd.leave("a")
    await settled()
    assert crowd.inside == ["c", "e"], "who gave up is passed over"

    for name in "ce":
        crowd.leave(name)
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    crowd.leave("f")
    await crowd.enter("f")
    assert crowd.inside == []


async def test_a_failure_inside_ends_the_turn() -> None:
    turns = Turns(1, most_waiting=0)
    for _ in range(2):
        with pytest.raises(ValueError, match="inside"):
            async with turns:
                raise ValueError("inside")
