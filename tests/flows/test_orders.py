"""A day at the desk over real HTTP and a real socket: place, see it, change it, and be told of everything."""

from typing import Any

import httpx

from core.database import Database
from server.ws_messages import CloseCode
from tests.accounts import Person, World, world
from tests.server.serving import Client, Served, served

PLACE = """mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
  order { id status sequence } replayed errors { code field message }
} }"""
TERMS = {"symbol": "BTC-USDT", "side": "BUY", "type": "LIMIT", "quantity": "1.50", "price": "100"}


class Desk:
    """A program at a server."""

    def __init__(self, at: Served, person: Person, http: httpx.AsyncClient) -> None:
        self._url = at.url
        self._headers = {"authorization": f"Bearer {person.access}"}
        self._http = http

    async def ask(self, query: str, headers: dict[str, str] | None = None, **variables: Any) -> httpx.Response:
        body = {"query": query, "variables": variables}
        return await self._http.post(self._url, json=body, headers={**self._headers, **(headers or {})})


async def watch(socket: Client, person: Person) -> None:
    await socket.send({"type": "connection_init", "payload": {"authorization": f"Bearer {person.access}"}})
    assert (await socket.receive())["type"] == "connection_ack"
    await socket.subscribe("orders", "subscription { orderUpdated { id status price reason { code } } }")


async def test_orders_over_the_wire(database: Database) -> None:
    async with world() as here:
        ann = await here.signed_up("ann@example.com")
        async with (
            served(pipeline=here.pipeline, authority=here.accounts.authority, clock=here.clock) as at,
            httpx.AsyncClient(timeout=30) as http,
            at.raw_socket() as raw,
        ):
            desk, socket = Desk(at, ann, http), Client(raw)
            placed = await desk.ask(PLACE, input={"clientOrderId": "a", "order": TERMS})
            order = placed.json()["data"]["placeOrder"]["order"]
            assert placed.headers["x-exchange-sequence"] == str(order["sequence"])
            await watch(socket, ann)
            first = (await socket.until("next"))["payload"]
            assert first["data"]["orderUpdated"]["status"] == "OPEN"
            assert first["extensions"]["exchangeSequence"] == order["sequence"]
            await _change_and_cancel(desk, socket, order["id"], placed.headers["x-exchange-sequence"])
            replay = (await desk.ask(PLACE, input={"clientOrderId": "a", "order": TERMS})).json()
            assert replay["data"]["placeOrder"]["order"]["status"] == "CANCELED"
            assert replay["data"]["placeOrder"]["replayed"]
            await _is_cut_off_when_frozen(here, ann, desk, socket)


async def _change_and_cancel(desk: Desk, socket: Client, order_id: str, shown: str) -> None:
    amend = "mutation($input: AmendOrderInput!) { amendOrder(input: $input) { order { price } errors { code } } }"
    amended = await desk.ask(amend, input={"by": {"id": order_id}, "price": "99.5"})
    assert int(amended.headers["x-exchange-sequence"]) > int(shown)
    told = (await socket.until("next"))["payload"]["data"]["orderUpdated"]
    assert (told["price"], told["reason"]) == ("99.5", None)
    listed = await desk.ask(
        "{ viewer { orders(filter: {open: true}) { nodes { price events { nodes { type } } } } } }",
        {"x-exchange-sequence": amended.headers["x-exchange-sequence"]},
    )
    assert "staleSince" not in listed.json()["extensions"]
    (node,) = listed.json()["data"]["viewer"]["orders"]["nodes"]
    assert node["price"] == "99.5"
    assert [event["type"] for event in node["events"]["nodes"]] == ["ACCEPTED", "AMENDED"]
    cancel = "mutation($input: CancelOrderInput!) { cancelOrder(input: $input) { order { status } errors { code } } }"
    await desk.ask(cancel, input={"by": {"clientOrderId": "a"}})
    told = (await socket.until("next"))["payload"]["data"]["orderUpdated"]
    assert (told["status"], told["reason"]) == ("CANCELED", {"code": "CANCELED_BY_USER"})


async def _is_cut_off_when_frozen(here: World, ann: Person, desk: Desk, socket: Client) -> None:
    frozen = await desk.ask("mutation { freezeAccount(input: {}) { errors { code } } }")
    assert frozen.json()["data"]["freezeAccount"]["errors"] == []
    code, _ = await socket.closed()
    assert code == CloseCode.FORBIDDEN
    assert (await desk.ask("{ viewer { id } }")).status_code == 401
    again = await here.logged_in("ann@example.com")
    found = (await here.data(PLACE, again, input={"clientOrderId": "b", "order": TERMS}))["placeOrder"]
    assert [error["code"] for error in found["errors"]] == ["ACCOUNT_FROZEN"]
