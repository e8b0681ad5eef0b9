"""Private streams while orders come without a pause: nothing is skipped, nothing told twice, and what was told last is what can be read."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.order_load import Load, funded
from tests.flows.servers import server
from tests.flows.test_trading_journey import positions
from tests.flows.traders import Json, Trader, steady_prices, traders, until_priced
from tests.graphql_client import Operation, graphql_socket

STATE = "clientOrderId status filledQuantity sequence"
EVENTS = f"""subscription($after: String) {{ accountEvents(after: $after) {{ __typename cursor
  ... on OrderChanged {{ order {{ {STATE} }} }} ... on FillReceived {{ fill {{ id }} }}
}} }}"""
ORDERS = f"subscription {{ orderUpdated {{ {STATE} }} }}"
FILLS = "subscription { fillReceived { id } }"
FUNDS = "subscription { balanceUpdated { asset { code } available held } }"
SNAPSHOT = f"""{{ viewer {{ eventCursor orders(filter: {{open: true}}, first: 500) {{ nodes {{ {STATE} }} }} }} }}"""
ALL_FILLS = """query($after: String) { viewer { fills(orderBy: OLDEST_FIRST, first: 100, after: $after) {
  nodes { id } pageInfo { endCursor hasNextPage }
} } }"""
OPEN = ("OPEN", "PARTIALLY_FILLED", "PENDING", "TRIGGER_PENDING")


class Heard:
    """What a stream has said so far."""

    def __init__(self, operation: Operation, field: str) -> None:
        self.said: list[Json] = []
        self._operation = operation
        self._field = field
        self._more = asyncio.Condition()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while True:
            try:
                said = (await self._operation.next(seconds=100))[self._field]
            except StopAsyncIteration:
                return
            async with self._more:
                self.said.append(said)
                self._more.notify_all()

    async def until(self, true: Callable[[list[Json]], bool]) -> None:
        """Wait until this holds of all that was said."""
        try:
            async with asyncio.timeout(20), self._more:
                await self._more.wait_for(lambda: self._task.done() or true(self.said))
        except TimeoutError as late:
            raise AssertionError(f"{self._field} stays at {self.said[-1:]} after {len(self.said)}") from late
        assert true(self.said), self._task

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def listen(stack: AsyncExitStack, url: str, who: Trader, document: str, field: str, **variables: Any) -> Heard:
    """A stream on a socket of its own."""
    socket = await stack.enter_async_context(graphql_socket(url, credential=who.access))
    heard = Heard(await socket.subscribe(document, **variables), field)
    stack.push_async_callback(heard.end)
    return heard


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rounds", [2, pytest.param(6, marks=pytest.mark.soak)])
async def test_streams_under_load(tmp_path: Path, rounds: int) -> None:
    async with (
        server(tmp_path, "dev", settings=steady_prices(tmp_path / "prices.csv")) as running,
        traders(running, "ann", "ben") as (ann, ben),
        AsyncExitStack() as stack,
    ):
        await until_priced(running)
        await funded([ann, ben])
        load, url = Load([ann, ben], random.Random(11)), running.base_url
        start = (await ann.data(SNAPSHOT))["viewer"]["eventCursor"]
        whole = await listen(stack, url, ann, EVENTS, "accountEvents", after=start)
        orders = await listen(stack, url, ann, ORDERS, "orderUpdated")
        fills = await listen(stack, url, ann, FILLS, "fillReceived")
        funds = await listen(stack, url, ann, FUNDS, "balanceUpdated")
        snapshots: list[tuple[Json, Heard]] = []
        pieces: list[tuple[str, list[Json]]] = []
        async with load.running():
            for _ in range(rounds):
                await load.more(40)
                after = whole.said[-1]["cursor"]
                for _ in range(2):
                    pieces.append((after, await a_piece(ann, url, after)))
                    after = pieces[-1][1][-1]["cursor"]
                snapshot = (await ann.data(SNAPSHOT))["viewer"]
                joined = await listen(stack, url, ann, EVENTS, "accountEvents", after=snapshot["eventCursor"])
                snapshots.append((snapshot, joined))
        last = await settled(ann, ben, whole)
        assert_whole(whole.said, start, last)
        assert_pieces(pieces, whole.said)
        final = {order["clientOrderId"]: state_of(order) for order in await ann.orders()}
        for snapshot, joined in snapshots:
            await joined.until(lambda said: bool(said) and place_of(said[-1]["cursor"]) == last)
            assert_joined(snapshot, joined.said, final)
        await assert_told_last(ann, final, orders, fills, funds)


async def a_piece(ann: Trader, url: str, after: str) -> list[Json]:
    """Some events behind a cursor, on a socket that is dropped without a word."""
    async with graphql_socket(url, credential=ann.access) as socket:
        operation = await socket.subscribe(EVENTS, after=after)
        return [(await operation.next())["accountEvents"] for _ in range(30)]


async def settled(ann: Trader, ben: Trader, whole: Heard) -> int:
    """The place of the last event, once nothing follows it: what Ben's last orders did to Ann may be read later than what her own did."""
    while True:
        await ben.data(SNAPSHOT)
        await whole.until(partial(has_reached, await last_place(ann)))
        told = place_of(whole.said[-1]["cursor"])
        if await last_place(ann) == told:
            return told


def has_reached(place: int, said: list[Json]) -> bool:
    return bool(said) and place_of(said[-1]["cursor"]) >= place


async def last_place(who: Trader) -> int:
    return place_of((await who.data(SNAPSHOT))["viewer"]["eventCursor"])


def place_of(cursor: str) -> int:
    return positions(cursor)[1]


def state_of(order: Json) -> tuple[str, Decimal, int]:
    return order["status"], Decimal(order["filledQuantity"]), order["sequence"]


def assert_whole(said: list[Json], start: str, last: int) -> None:
    assert [place_of(event["cursor"]) for event in said] == list(range(place_of(start) + 1, last + 1))


def assert_pieces(pieces: list[tuple[str, list[Json]]], whole: list[Json]) -> None:
    """Each piece goes on right behind its cursor, also where the one before was dropped."""
    places = {event["cursor"]: place for place, event in enumerate(whole)}
    for after, piece in pieces:
        begin = places[after] + 1
        assert piece == whole[begin : begin + len(piece)]


def assert_joined(snapshot: Json, events: list[Json], final: dict[str, tuple[str, Decimal, int]]) -> None:
    """The snapshot's open orders and the events behind its cursor lead to what is open at the end. Orders are read a moment after the cursor,
    so an order may be newer than the first events about it; its `sequence` says so."""
    states = {order["clientOrderId"]: state_of(order) for order in snapshot["orders"]["nodes"]}
    for event in events:
        if event["__typename"] == "OrderChanged":
            key, state = event["order"]["clientOrderId"], state_of(event["order"])
            if key not in states or state[2] > states[key][2]:
                states[key] = state
    assert {key: state for key, state in states.items() if state[0] in OPEN} == {
        key: state for key, state in final.items() if state[0] in OPEN
    }
    assert all(final[key] == state for key, state in states.items())


async def assert_told_last(
    ann: Trader, final: dict[str, tuple[str, Decimal, int]], orders: Heard, fills: Heard, funds: Heard
) -> None:
    """The newest state that was told of each order and asset is the one that can be read; every fill was told once."""
    await orders.until(lambda said: {order["clientOrderId"]: state_of(order) for order in said} == final)
    changes = [(order["clientOrderId"], order["sequence"]) for order in orders.said]
    assert len(changes) == len(set(changes))
    stored: list[str] = []
    after, more = None, True
    while more:
        page = (await ann.data(ALL_FILLS, after=after))["viewer"]["fills"]
        stored += [fill["id"] for fill in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    await fills.until(lambda said: [fill["id"] for fill in said] == stored)
    has = await ann.balances()
    await funds.until(
        lambda said: (
            {each["asset"]["code"]: (Decimal(each["available"]), Decimal(each["held"])) for each in said} == has
        )
    )
