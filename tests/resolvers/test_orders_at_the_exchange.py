"""Orders through the schema at the real exchange: its writer, its journal and its projection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from core.database import Database
from graph.request import ALL_OPERATIONS, GraphQLRequest
from tests.accounts import Person, World
from tests.trading_house import FUNDS, TradingHouse

ORDER = "id clientOrderId status filledQuantity remainingQuantity averagePrice fees { asset { code } amount } sequence"
PLACE = f"""mutation($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{
  order {{ {ORDER} fills {{ nodes {{ quantity price liquidity order {{ id }} }} }} events {{ nodes {{ type quantity }} }} }}
  replayed errors {{ code field message limit actual }}
}} }}"""


class Floor:
    """Two people at one exchange."""

    def __init__(self, here: World, house: TradingHouse, ann: Person, bob: Person) -> None:
        self.here = here
        self.house = house
        self.ann = ann
        self.bob = bob

    async def place(self, who: Person, key: str, **terms: Any) -> dict[str, Any]:
        given = {"symbol": "ETH-USDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "2000", **terms}
        body = await self.here.ask(PLACE, who, input={"clientOrderId": key, "order": given})
        assert "errors" not in body, body
        assert "staleSince" not in body["extensions"]
        found: dict[str, Any] = body["data"]["placeOrder"]
        return found

    async def run(self, document: str, who: Person) -> dict[str, Any]:
        return await self.here.data(document, who)


@pytest.fixture
async def floor(database: Database) -> AsyncIterator[Floor]:
    house = TradingHouse()
    here = World(gateway=house.gateway, bus=house.bus)  # type: ignore[arg-type]
    await here.accounts.load()
    async with house.open():
        people = [await here.signed_up(f"{name}@example.com") for name in ("ann", "bob")]
        for person in people:
            for asset, units in FUNDS.items():
                await house.give(person.user_id, asset, units)
        marks = asyncio.create_task(here.trading.marks.run())
        yield Floor(here, house, *people)
        marks.cancel()


async def test_two_orders_meet_and_both_read_what_they_wrote(floor: Floor) -> None:
    resting = await floor.place(floor.ann, "a", quantity="2")
    assert resting["errors"] == []
    assert [event["type"] for event in resting["order"]["events"]["nodes"]] == ["ACCEPTED"]
    taking = (await floor.place(floor.bob, "b", side="SELL"))["order"]
    assert (taking["status"], taking["filledQuantity"], taking["averagePrice"]) == ("FILLED", "1", "2000")
    assert [(fill["liquidity"], fill["order"]["id"]) for fill in taking["fills"]["nodes"]] == [("TAKER", taking["id"])]
    assert [event["type"] for event in taking["events"]["nodes"]] == ["ACCEPTED", "FILLED"]
    again = await floor.place(floor.ann, "a", quantity="2.0")
    assert again["replayed"]
    assert (again["order"]["status"], again["order"]["remainingQuantity"]) == ("PARTIALLY_FILLED", "1")
    viewer = (await floor.run("{ viewer { fills { totalCount nodes { side liquidity } } orders(filter: {open: true}) { totalCount } } }", floor.ann))["viewer"]  # fmt: skip
    assert viewer["fills"] == {"totalCount": 1, "nodes": [{"side": "BUY", "liquidity": "MAKER"}]}
    assert viewer["orders"]["totalCount"] == 1


async def test_refusals_are_named(floor: Floor) -> None:
    for terms, code, field in (
        ({"price": "0.0000001"}, "PRICE_OFF_TICK", ["order", "price"]),
        ({"quantity": "1000000"}, None, None),
        ({"price": "NaN"}, "MALFORMED_NUMBER", ["order", "price"]),
        ({"price": "-1"}, "MALFORMED_NUMBER", ["order", "price"]),
        ({"price": None}, "PRICE_REQUIRED", ["order", "price"]),
        ({"symbol": "NO-SUCH"}, "UNKNOWN_MARKET", ["order", "symbol"]),
        ({"timeInForce": "GTD", "goodTillTime": "2020-01-01T00:00:00Z"}, "EXPIRY_IN_PAST", ["order", "goodTillTime"]),
    ):
        (error,) = (await floor.place(floor.ann, "x", **terms))["errors"]
        if code is not None:
            assert (error["code"], error["field"]) == (code, field)
        assert "{" not in error["message"]


async def test_groups_and_what_ends_them(floor: Floor) -> None:
    group = "group { id kind status orders { type status side } } errors { code field message }"
    oco = 'oco: {symbol: "ETH-USDT", side: SELL, quantity: "1", takeProfitPrice: "3000", stopPrice: "1000"}'
    found = await floor.run(f'mutation {{ placeOco(input: {{clientGroupId: "g", {oco}}}) {{ {group} }} }}', floor.ann)
    assert found["placeOco"]["errors"] == []
    assert [order["status"] for order in found["placeOco"]["group"]["orders"]] == ["OPEN", "TRIGGER_PENDING"]
    replay = await floor.run(
        f'mutation {{ placeOco(input: {{clientGroupId: "g", {oco}}}) {{ replayed {group} }} }}', floor.ann
    )
    assert replay["placeOco"]["replayed"]
    assert replay["placeOco"]["group"] == found["placeOco"]["group"]
    cancel = f'mutation {{ cancelOrderGroup(input: {{by: {{clientGroupId: "g"}}}}) {{ {group} }} }}'
    ended = (await floor.run(cancel, floor.ann))["cancelOrderGroup"]
    assert ended["errors"] == []
    assert {order["status"] for order in ended["group"]["orders"]} == {"CANCELED"}
    assert ended["group"]["status"] == "CANCELED"
    again = (await floor.run(cancel, floor.ann))["cancelOrderGroup"]
    assert [error["code"] for error in again["errors"]] == ["ORDER_NOT_OPEN"]


async def test_a_bracket_and_a_preview(floor: Floor) -> None:
    entry = 'entry: {symbol: "ETH-USDT", side: BUY, type: LIMIT, quantity: "1", price: "2000"}'
    terms = f'bracket: {{{entry}, takeProfitPrice: "2500", stopPrice: "1500"}}'
    preview = await floor.run(f"{{ orderPreview(input: {{{terms}}}) {{ side total errors {{ code }} }} }}", floor.bob)
    assert [each["side"] for each in preview["orderPreview"]] == ["BUY", "SELL", "SELL"]
    assert [each["errors"] for each in preview["orderPreview"]] == [[], [], []]
    group = "group { kind status orders { type side status } } errors { code field message }"
    placed = await floor.run(
        f'mutation {{ placeBracket(input: {{clientGroupId: "b", {terms}}}) {{ {group} }} }}', floor.bob
    )
    assert placed["placeBracket"]["errors"] == []
    assert placed["placeBracket"]["group"]["status"] == "PENDING"
    await floor.place(floor.ann, "s", side="SELL")
    await floor.house.projected()
    found = (
        await floor.run('{ orderGroup(by: {clientGroupId: "b"}) { status orders { type side status } } }', floor.bob)
    )["orderGroup"]
    assert found["status"] == "ACTIVE"
    assert [order["type"] for order in found["orders"]] == ["LIMIT", "LIMIT", "STOP_LOSS"]


async def test_timers_and_streams(floor: Floor) -> None:
    request = GraphQLRequest("subscription { orderUpdated { clientOrderId status reason { code } } }")
    placed = (await floor.place(floor.ann, "a"))["order"]
    async with aclosing(
        floor.here.pipeline.stream(request, floor.here.caller(floor.ann), allowed=ALL_OPERATIONS)
    ) as answers:
        first: Any = (await anext(answers)).body["data"]
        assert first["orderUpdated"]["status"] == "OPEN"
        timer = await floor.run("mutation { cancelAllOrdersAfter(input: {timeoutSeconds: 60}) { timer { id expiresAt } errors { code } } }", floor.ann)  # fmt: skip
        assert timer["cancelAllOrdersAfter"]["errors"] == []
        listed = await floor.run("{ viewer { cancelTimers { id expiresAt symbols } } }", floor.ann)
        assert listed["viewer"]["cancelTimers"] == [{**timer["cancelAllOrdersAfter"]["timer"], "symbols": None}]
        off = await floor.run("mutation { cancelAllOrdersAfter(input: {timeoutSeconds: 0}) { timer { id } errors { code } } }", floor.ann)  # fmt: skip
        assert off["cancelAllOrdersAfter"] == {"timer": None, "errors": []}
        await floor.here.accounts.freezes.by_owner(floor.ann.viewer, floor.here.caller(floor.ann).client)
        async with asyncio.timeout(30):
            told: Any = (await anext(answers)).body["data"]
        assert told["orderUpdated"] == {
            "clientOrderId": "a",
            "status": "CANCELED",
            "reason": {"code": "ACCOUNT_FROZEN"},
        }
    found = await floor.run(f'{{ node(id: "{placed["id"]}") {{ ... on Order {{ status }} }} }}', floor.ann)
    assert found["node"] == {"status": "CANCELED"}
