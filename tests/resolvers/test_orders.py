"""Orders through the schema: what is asked, what the exchange is asked for, and what is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from core.account_vocabulary import ApiScope
from core.database import Database
from core.ids import encode_id, sequence_in
from core.order_vocabulary import OrderErrorCode, OrderStatus, TrailingUnit
from events.answers import Answer, RefusalState
from events.commands import AmendOrder, CancelOrder, Command, PlaceOrder, SetCancelTimer
from graph.request import ALL_OPERATIONS, GraphQLRequest
from models.client_key import UsedKey, insert_keys
from services.api_keys import WantedKey
from services.read_marks import Reader
from tests.accounts import CLIENT, Person, World, world
from tests.trading import ATTO, Asked, fill_state, order_state, refusing, store_account, store_fills, store_orders

PLACE = """mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
  order { id clientOrderId status quantity price sequence } replayed errors { code field message limit actual }
} }"""
PLACE_SEVERAL = """mutation($input: PlaceOrdersInput!) { placeOrders(input: $input) { results {
  order { id } replayed errors { code field }
} } }"""
CANCEL = (
    "mutation($input: CancelOrderInput!) { cancelOrder(input: $input) { order { id status } errors { code field } } }"
)
AMEND = "mutation($input: AmendOrderInput!) { amendOrder(input: $input) { order { id price } errors { code field } } }"
GROUP = "group { id kind status orders { id type status group { id } } } replayed errors { code field }"
TERMS = {"symbol": "BTC-USDT", "side": "BUY", "type": "LIMIT", "quantity": "1.50", "price": "100"}
Code = OrderErrorCode


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def ann(here: World) -> Person:
    return await here.signed_up("ann@example.com")


def placing(key: str = "one", **changes: Any) -> dict[str, Any]:
    return {"clientOrderId": key, "order": {**TERMS, **changes}}


async def place(here: World, ann: Person, given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await here.data(PLACE, ann, input=given))["placeOrder"]
    return found


async def with_gateway(gateway: Asked) -> tuple[World, Person]:
    here = World(gateway=gateway)
    await here.accounts.load()
    return here, await here.signed_up("ann@example.com")


async def test_an_order_is_placed_once(here: World, ann: Person) -> None:
    first = await place(here, ann, placing())
    assert first["errors"] == []
    assert not first["replayed"]
    order = first["order"]
    assert (order["clientOrderId"], order["status"], order["quantity"]) == ("one", "OPEN", "1.5")
    again = await place(here, ann, placing(quantity="1.5"))
    assert (again["replayed"], again["order"]) == (True, order)
    other = await place(here, ann, placing(quantity="1.6"))
    assert other["order"] is None
    assert [(error["code"], error["field"]) for error in other["errors"]] == [
        ("IDEMPOTENCY_MISMATCH", ["clientOrderId"])
    ]
    listed = await here.data("{ viewer { orders { totalCount nodes { id } } } }", ann)
    assert listed["viewer"]["orders"] == {"totalCount": 1, "nodes": [{"id": order["id"]}]}
    bob = await here.signed_up("bob@example.com")
    assert not (await place(here, bob, placing()))["replayed"]


@pytest.mark.parametrize(
    "number", ["NaN", "1e5", "9" * 40, "0.1234567890123456789", "", " 1", "1_000", "Infinity", "١"]
)
async def test_a_malformed_number_is_answered_as_data(here: World, ann: Person, number: str) -> None:
    found = await place(here, ann, placing(price=number))
    assert [(error["code"], error["field"]) for error in found["errors"]] == [("MALFORMED_NUMBER", ["order", "price"])]
    literal = f'{{ symbol: "BTC-USDT", side: BUY, type: LIMIT, quantity: "{number}", price: "1" }}'
    document = (
        f'mutation {{ placeOrder(input: {{clientOrderId: "b", order: {literal}}}) {{ errors {{ code field }} }} }}'
    )
    data = await here.data(document, ann)
    assert data["placeOrder"]["errors"] == [{"code": "MALFORMED_NUMBER", "field": ["order", "quantity"]}]


async def test_elsewhere_a_malformed_number_is_refused_before_anything_runs(here: World) -> None:
    for document, variables, code in (
        ("query($g: Decimal) { market(symbol: \"BTC-USDT\") { orderBook(grouping: $g) { id } } }", {"g": "NaN"}, "BAD_USER_INPUT"),
        ('{ market(symbol: "BTC-USDT") { orderBook(grouping: "NaN") { id } } }', {}, "GRAPHQL_VALIDATION_FAILED"),
        (
            """query($r: [IndicatorInput!]!) { market(symbol: "BTC-USDT") { indicators(interval: HOUR_1, requests: $r) { name } } }""",
            {"r": [{"kind": "BOLLINGER", "deviations": "1e9"}]},
            "BAD_USER_INPUT",
        ),
    ):  # fmt: skip
        body = await here.ask(document, **variables)
        assert "data" not in body
        assert [error["extensions"]["code"] for error in body["errors"]] == [code]
        assert "plain decimal number" in body["errors"][0]["message"]


@pytest.mark.parametrize("key", ["", "x" * 65, "ä", "a\n", "\0"])
async def test_keys_are_printable(here: World, ann: Person, key: str) -> None:
    found = await place(here, ann, placing(key))
    assert [(error["code"], error["field"]) for error in found["errors"]] == [("INVALID_INPUT", ["clientOrderId"])]


async def test_several_orders_each_by_itself_and_in_order(database: Database) -> None:
    gateway = Asked()
    here, ann = await with_gateway(gateway)

    def answer(command: Command) -> Answer:
        assert isinstance(command, PlaceOrder)
        if command.client_id == "2":
            return Answer(RefusalState(Code.INSUFFICIENT_FUNDS, "quantity"))
        made = 100 + int(command.client_id)
        return Answer(made=made, orders=(order_state(made, ann.user_id),), sequence=made)

    gateway.answer = answer
    orders = [placing(str(number)) for number in (1, 2, 3)] + [placing("ä")]
    found = (await here.data(PLACE_SEVERAL, ann, input={"orders": orders}))["placeOrders"]["results"]
    assert [each["order"] and sequence_in(each["order"]["id"], "Order") for each in found] == [101, None, 103, None]
    assert [error for each in found for error in each["errors"]] == [
        {"code": "INSUFFICIENT_FUNDS", "field": ["order", "quantity"]},
        {"code": "INVALID_INPUT", "field": ["clientOrderId"]},
    ]
    assert [command.client_id for command in gateway.commands if isinstance(command, PlaceOrder)] == ["1", "2", "3"]
    body = await here.ask(PLACE_SEVERAL, ann, input={"orders": [placing(str(number)) for number in range(21)]})
    assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert (body["errors"][0]["extensions"]["limit"], body["errors"][0]["extensions"]["actual"]) == (20, 21)


async def test_groups(here: World, ann: Person) -> None:
    oco = {"symbol": "BTC-USDT", "side": "SELL", "quantity": "1", "takeProfitPrice": "110", "stopPrice": "90"}
    document = f"mutation($input: PlaceOcoInput!) {{ placeOco(input: $input) {{ {GROUP} }} }}"
    given = {"clientGroupId": "g", "oco": oco}
    placed = (await here.data(document, ann, input=given))["placeOco"]
    group = placed["group"]
    assert (group["kind"], [order["type"] for order in group["orders"]]) == ("OCO", ["LIMIT", "STOP_LOSS"])
    assert {order["group"]["id"] for order in group["orders"]} == {group["id"]}
    again = (await here.data(document, ann, input=given))["placeOco"]
    assert (again["replayed"], again["group"]) == (True, group)
    by_key = await here.data('{ orderGroup(by: {clientGroupId: "g"}) { id } }', ann)
    assert by_key["orderGroup"]["id"] == group["id"]
    ended = await here.data(
        """mutation { cancelOrderGroup(input: {by: {clientGroupId: "g"}}) { group { status orders { status } } errors { code } } }""",
        ann,
    )
    assert ended["cancelOrderGroup"]["group"] == {"status": "CANCELED", "orders": [{"status": "CANCELED"}] * 2}
    bracket = {"entry": TERMS, "takeProfitPrice": "110", "stopPrice": "x"}
    data = await here.data(
        f"mutation($input: PlaceBracketInput!) {{ placeBracket(input: $input) {{ {GROUP} }} }}",
        ann,
        input={"clientGroupId": "b", "bracket": bracket},
    )
    assert data["placeBracket"]["errors"] == [{"code": "MALFORMED_NUMBER", "field": ["bracket", "stopPrice"]}]


async def test_ended_orders_are_told_from_unknown_ones(here: World, ann: Person) -> None:
    order = (await place(here, ann, placing()))["order"]
    bob = await here.signed_up("bob@example.com")
    unknown = [{"code": "UNKNOWN_ORDER", "field": ["by"]}]
    by_id = {"by": {"id": order["id"]}}
    assert (await here.data(CANCEL, bob, input=by_id))["cancelOrder"]["errors"] == unknown
    assert (await here.data(AMEND, ann, input={**by_id, "price": "99"}))["amendOrder"]["order"]["price"] == "99"
    canceled = (await here.data(CANCEL, ann, input=by_id))["cancelOrder"]
    assert canceled == {"order": {"id": order["id"], "status": "CANCELED"}, "errors": []}
    ended = [{"code": "ORDER_NOT_OPEN", "field": ["by"]}]
    for given in (by_id, {"by": {"clientOrderId": "one"}}):
        assert (await here.data(CANCEL, ann, input=given))["cancelOrder"]["errors"] == ended
        assert (await here.data(AMEND, ann, input={**given, "price": "1"}))["amendOrder"]["errors"] == ended
    assert (await here.data(CANCEL, bob, input=by_id))["cancelOrder"]["errors"] == unknown
    for by in ({"id": encode_id("Order", 4)}, {"id": encode_id("User", "x")}, {"clientOrderId": "two"}):
        assert (await here.data(CANCEL, ann, input={"by": by}))["cancelOrder"]["errors"] == unknown


async def test_a_key_the_exchange_has_forgotten_still_names_its_order(database: Database) -> None:
    gateway = Asked()
    here, ann = await with_gateway(gateway)
    await store_orders([order_state(7, ann.user_id)])
    await insert_keys([UsedKey(ann.user_id, "old", "", 7)])

    def answer(command: Command) -> Answer:
        if isinstance(command, CancelOrder) and command.order == 7:
            return Answer(made=7, orders=(order_state(7, ann.user_id, status=OrderStatus.CANCELED),), sequence=8)
        return Answer(RefusalState(Code.UNKNOWN_ORDER, "by"))

    gateway.answer = answer
    found = await here.data(CANCEL, ann, input={"by": {"clientOrderId": "old"}})
    assert found["cancelOrder"]["order"]["status"] == "CANCELED"


async def test_what_the_exchange_is_told_of_the_viewer(database: Database) -> None:
    gateway = Asked(refusing(Code.EMAIL_NOT_VERIFIED))
    here, _ = await with_gateway(gateway)
    bob = await here.signed_up("bob@example.com", verified=False)
    assert [error["code"] for error in (await place(here, bob, placing()))["errors"]] == ["EMAIL_NOT_VERIFIED"]
    command = gateway.commands[-1]
    assert isinstance(command, PlaceOrder)
    assert (command.account, command.verified, command.wish.quantity) == (bob.user_id, False, 3 * ATTO // 2)


@pytest.mark.usefixtures("documents_stay_behind")
async def test_an_amendment_counts_a_trail_in_the_orders_own_unit(database: Database) -> None:
    gateway = Asked()
    here, ann = await with_gateway(gateway)
    await store_orders([order_state(7, ann.user_id, trailing_unit=TrailingUnit.PERCENT)])
    gateway.answer = lambda command: Answer(made=7, orders=(order_state(7, ann.user_id),), sequence=8)
    given = {"by": {"id": encode_id("Order", 7)}, "trailingDelta": "0.02", "quantity": "3", "expectedSequence": 7}
    assert (await here.data(AMEND, ann, input=given))["amendOrder"]["errors"] == []
    command = gateway.commands[-1]
    assert isinstance(command, AmendOrder)
    assert (command.order, command.trail, command.quantity, command.expected_sequence) == (7, 20_000, 3 * ATTO, 7)
    found = await here.data(AMEND, ann, input={**given, "quantity": "NaN"})
    assert found["amendOrder"]["errors"] == [{"code": "MALFORMED_NUMBER", "field": ["quantity"]}]


TIMER = """mutation($input: CancelAllOrdersAfterInput!) {
  cancelAllOrdersAfter(input: $input) { timer { id symbols expiresAt } errors { code field limit actual } }
}"""


async def test_timers_belong_to_a_session_or_a_key(database: Database) -> None:
    gateway = Asked()
    here, ann = await with_gateway(gateway)
    wanted = WantedKey("a program", [ApiScope.TRADE], [], None)
    row, secret = await here.accounts.api_keys.create(ann.viewer, wanted, CLIENT)
    program = await here.person({"accessToken": secret, "refreshToken": ""})
    for person in (ann, program):
        await here.data(TIMER, person, input={"timeoutSeconds": 60, "symbols": ["BTC-USDT"]})
    owners = [command.owner for command in gateway.commands if isinstance(command, SetCancelTimer)]
    assert owners == [f"session:{ann.viewer.session_id}", f"key:{row.id}"]
    for seconds, limit in ((86_401, "86400"), (-1, "0")):
        errors = (await here.data(TIMER, ann, input={"timeoutSeconds": seconds}))["cancelAllOrdersAfter"]["errors"]
        assert errors == [
            {"code": "INVALID_INPUT", "field": ["timeoutSeconds"], "limit": limit, "actual": str(seconds)}
        ]
    await store_account(ann.user_id, timers=[{"owner": owners[1], "expires_ms": 1_790_000_000_500, "symbols": []}])
    found = await here.data("{ viewer { cancelTimers { symbols expiresAt } } }", ann)
    assert found["viewer"]["cancelTimers"] == [{"symbols": None, "expiresAt": "2026-09-21T14:13:20.500Z"}]


async def test_a_preview_places_nothing(here: World, ann: Person) -> None:
    fields = "{ side quantity averagePrice total feeAsset { code } fills { price total } errors { code field } market { symbol } }"
    document = f"query($input: OrderPreviewInput!) {{ orderPreview(input: $input) {fields} }}"
    found = (await here.data(document, ann, input={"order": TERMS}))["orderPreview"]
    assert found == [
        {
            "side": "BUY",
            "quantity": "1.5",
            "averagePrice": "100.5",
            "total": "201.2",
            "feeAsset": {"code": "USDT"},
            "fills": [{"price": "100", "total": "1"}, {"price": "101", "total": "2"}],
            "errors": [],
            "market": {"symbol": "BTC-USDT"},
        }
    ]
    bracket = {"entry": TERMS, "takeProfitPrice": "110", "stopPrice": "90"}
    found = (await here.data(document, ann, input={"bracket": bracket}))["orderPreview"]
    assert [each["side"] for each in found] == ["BUY", "SELL", "SELL"]
    assert (await here.data("{ viewer { orders { totalCount } } }", ann))["viewer"]["orders"]["totalCount"] == 0
    body = await here.ask(document, ann, input={"order": {**TERMS, "symbol": "NO-SUCH"}})
    assert body["data"] == {"orderPreview": None}
    assert body["errors"][0]["extensions"]["code"] == "UNKNOWN_MARKET"


async def test_a_list_reads_groups_once(here: World, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    await store_orders([order_state(number, ann.user_id, group=500 + number % 3) for number in range(1, 40)])
    await store_account(ann.user_id, orders=39)
    reads = here.trading.reads
    asked: list[int] = []
    groups = reads.groups

    async def counted(account: str, ids: Any, reader: Reader) -> Any:
        asked.append(len(ids))
        return await groups(account, ids, reader)

    monkeypatch.setattr(reads.__class__, "groups", lambda self, *args: counted(*args))
    await here.data("{ viewer { orders(first: 39) { nodes { group { id } } } } }", ann)
    assert asked == [3]


@pytest.mark.usefixtures("documents_stay_behind")
async def test_answers_carry_the_mark_and_say_when_they_are_old(here: World, ann: Person) -> None:
    body = await here.ask(PLACE, ann, input=placing())
    shown = body["extensions"]["exchangeSequence"]
    assert shown == body["data"]["placeOrder"]["order"]["sequence"]
    body = await here.ask("{ viewer { orders { totalCount } } }", ann)
    assert "staleSince" not in body["extensions"]
    request = GraphQLRequest("{ viewer { orders { totalCount } } }", extensions={"exchangeSequence": shown + 1})
    answer = await here.pipeline.execute(request, here.caller(ann), allowed=ALL_OPERATIONS)
    assert answer.body["extensions"]["exchangeSequence"] == shown + 1  # type: ignore[index]
    assert answer.body["extensions"]["staleSince"] == "2026-09-21T14:13:20.000Z"  # type: ignore[index]


async def test_nodes_are_their_owners_alone(here: World, ann: Person) -> None:
    order = (await place(here, ann, placing()))["order"]
    await store_fills([fill_state(20, sequence_in(order["id"], "Order") or 0, 1, ann.user_id)])
    bob = await here.signed_up("bob@example.com")
    document = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Fill { order { id } tradeId feeAsset { code } } } }"
    ids = [order["id"], encode_id("Fill", 20)]
    found = (await here.data(document, ann, ids=ids))["nodes"]
    assert [each["id"] for each in found] == ids
    assert found[1]["order"] == {"id": order["id"]}
    assert (await here.data(document, bob, ids=ids))["nodes"] == [None, None]


async def test_a_stream_gives_what_holds_then_what_changes(here: World, ann: Person) -> None:
    order = (await place(here, ann, placing()))["order"]
    request = GraphQLRequest("subscription { orderUpdated { id status reason { code message } } }")
    async with aclosing(here.pipeline.stream(request, here.caller(ann), allowed=ALL_OPERATIONS)) as answers:
        first = await anext(answers)
        assert first.body["data"] == {"orderUpdated": {"id": order["id"], "status": "OPEN", "reason": None}}
        assert first.body["extensions"]["exchangeSequence"] == order["sequence"]  # type: ignore[index]
        next_ = asyncio.ensure_future(anext(answers))
        await here.data("mutation { cancelAllOrders(input: {}) { orders { id } errors { code } } }", ann)
        data: Any = (await next_).body["data"]
        assert data["orderUpdated"]["reason"] == {"code": "CANCELED_BY_USER", "message": "canceled by its owner"}
