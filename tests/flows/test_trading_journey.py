"""From signing up to a stop-loss that fires on recorded real prices, over HTTP and sockets, with a restart in the middle."""

import base64
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import components
from tests.components import free_port
from tests.flows.recorded import RecordedTrade, moment, read_trades
from tests.flows.servers import server
from tests.flows.traders import Json, Trader, ledger_is_sound, replay_of, traders, until_priced
from tests.graphql_client import Operation, graphql_socket

ORDERS = """subscription { orderUpdated {
  id clientOrderId status filledQuantity averagePrice
  trigger { source stopPrice price previousPrice priceSource time }
} }"""
FILLS = "subscription { fillReceived { id price quantity liquidity fee feeAsset { code } order { clientOrderId } } }"
FUNDS = "subscription { balanceUpdated { asset { code } available held total } }"
WORTH = 'subscription { portfolioUpdated(quote: "USDT") { totalValue stale { code } } }'
EVENTS = """subscription($after: String) { accountEvents(after: $after) { __typename cursor
  ... on OrderChanged { order { clientOrderId status } }
} }"""
SNAPSHOT = "{ viewer { eventCursor orders(filter: {open: true}) { nodes { clientOrderId } } } }"
LOG = """query($after: String) { viewer { events(after: $after, first: 500) {
  nodes { __typename cursor } pageInfo { hasNextPage }
} } }"""
STATEMENT = """{ viewer {
  transactions(orderBy: OLDEST_FIRST, first: 100) {
    nodes { kind amount balanceAfter asset { code } fill { id } } pageInfo { hasNextPage }
  }
  balances { asset { code } total }
} }"""
CANCEL = "mutation($key: String!) { cancelOrder(input: {by: {clientOrderId: $key}}) { errors { code } } }"
STOP = Decimal(39470)
PART_MS = 1_610_064_000_278 + 36_000
"""Prices before are played first, slowly; those from then on, which fall through the stop, after the restart."""


def recording() -> list[RecordedTrade]:
    """The recorded trades of 8 January 2021, or a few like them where they are absent."""
    file = components.SHARED_DATA / "market" / "binance-btcusdt-trades-2021-01-08.csv"
    if file.is_file():
        return [trade for trade in read_trades(file) if trade.time_ms >= PART_MS - 16_000]
    rising = [(place * 500 - 16_000, 39_500 + place) for place in range(32)]
    falling = [(place * 250, 39_540 - 5 * place) for place in range(40)]
    return [
        RecordedTrade(PART_MS + after, Decimal(price), Decimal("0.01"), "BUY" if after % 1_000 else "SELL")
        for after, price in rising + falling
    ]


def rows_of(trades: list[RecordedTrade]) -> list[tuple[object, ...]]:
    return [
        (trade.time_ms, place, trade.price, trade.quantity, trade.taker_side == "SELL")
        for place, trade in enumerate(trades, 1)
    ]


async def until_told(operation: Operation, field: str, true: Callable[[Json], bool]) -> Json:
    """The first message of which this holds."""
    while True:
        told: Json = (await operation.next())[field]
        if true(told):
            return told


def is_order(key: str, status: str) -> Callable[[Json], bool]:
    return lambda told: (told["clientOrderId"], told["status"]) == (key, status)


def positions(cursor: str) -> tuple[int, int]:
    """The places in the audit log and in the exchange's log that a cursor of this server stands for."""
    held = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return held["s"], held["x"]


@pytest.mark.timeout(240)
async def test_from_signing_up_to_a_stop_that_fires(tmp_path: Path) -> None:
    trades = recording()
    before, after = ([each for each in trades if (each.time_ms < PART_MS) is first] for first in (True, False))
    first, then = tmp_path / "first.csv", tmp_path / "then.csv"
    port = free_port()
    settings = replay_of(first, rows_of(before), speed="0.2")
    async with (
        server(tmp_path, "dev", settings=settings, port=port) as running,
        traders(running, "ann", "ben") as (ann, ben),
    ):
        await until_priced(running)
        await ann.claim("USDT", "50000")
        await ben.claim("USDT", "50000")
        await ben.claim("BTC", "1")
        events = await trade(ann, ben, running.base_url)
        cursor = await join_again(ann, running.base_url, events)
        running.process.terminate()
        assert await running.process.wait() == 0
        settings = replay_of(then, rows_of(after), speed="1")
        async with server(tmp_path, "dev", settings=settings, port=port) as again:
            events += await the_stop_fires(ann, again.base_url, cursor, after)
            await nothing_is_missing(ann, events)
            await the_statement_adds_up(ann)
            await the_statement_adds_up(ben)
            assert " 0 problems" in await ledger_is_sound(tmp_path)


async def trade(ann: Trader, ben: Trader, url: str) -> list[Json]:
    """A market order, a limit order and a stop; the account's events of it."""
    async with graphql_socket(url, credential=ann.access) as socket:
        orders, fills, funds, worth = [await socket.subscribe(text) for text in (ORDERS, FILLS, FUNDS, WORTH)]
        log = await socket.subscribe(EVENTS, after=None)
        await until_told(funds, "balanceUpdated", lambda told: Decimal(told["total"]) == 50_000)
        await ben.placed("ask", side="SELL", quantity="0.05", price="39590")
        await ben.placed("low bid", side="BUY", quantity="0.05", price="39400")
        bought = await ann.placed("market", type="MARKET", quantity="0.05", price=None)
        assert bought["status"] == "FILLED"
        told = await until_told(orders, "orderUpdated", is_order("market", "FILLED"))
        assert Decimal(told["averagePrice"]) == 39_590
        fill = (await fills.next())["fillReceived"]
        assert (fill["liquidity"], fill["order"]["clientOrderId"]) == ("TAKER", "market")
        paid = Decimal("39590") * Decimal("0.05")
        left = 50_000 - paid - (Decimal(fill["fee"]) if fill["feeAsset"]["code"] == "USDT" else 0)
        await until_told(funds, "balanceUpdated", lambda told: Decimal(told["total"]) == left)

        await ann.placed("limit", quantity="0.02", price="39410")
        await until_told(orders, "orderUpdated", is_order("limit", "OPEN"))
        await until_told(funds, "balanceUpdated", lambda told: Decimal(told["held"]) >= Decimal("788.2"))
        await ben.placed("sale", side="SELL", type="MARKET", quantity="0.01", price=None)
        await until_told(orders, "orderUpdated", is_order("limit", "PARTIALLY_FILLED"))
        assert (await fills.next())["fillReceived"]["liquidity"] == "MAKER"
        await ben.placed("second sale", side="SELL", type="MARKET", quantity="0.01", price=None)
        await until_told(orders, "orderUpdated", is_order("limit", "FILLED"))

        stop = {"side": "SELL", "type": "STOP_LOSS", "quantity": "0.05", "price": None, "stopPrice": str(STOP)}
        assert (await ann.placed("stop", **stop))["status"] == "TRIGGER_PENDING"
        await until_told(orders, "orderUpdated", is_order("stop", "TRIGGER_PENDING"))
        seen = (await until_told(worth, "portfolioUpdated", lambda told: told["totalValue"] is not None))["totalValue"]
        await until_told(worth, "portfolioUpdated", lambda told: told["totalValue"] not in (None, seen))
        return await events_until(log, "stop", "TRIGGER_PENDING")


async def events_until(log: Operation, key: str, status: str) -> list[Json]:
    """Events as they come, up to the one in which an order takes on a status."""
    seen: list[Json] = []
    while not (seen and "order" in seen[-1] and is_order(key, status)(seen[-1]["order"])):
        seen.append((await log.next())["accountEvents"])
    return seen


async def join_again(ann: Trader, url: str, events: list[Json]) -> str:
    """Without a socket something happens; a snapshot's cursor then joins the stream behind it. Gives the last cursor, and adds to the events."""
    await ann.placed("alone", quantity="0.01", price="39000")
    snapshot = (await ann.data(SNAPSHOT))["viewer"]
    assert {order["clientOrderId"] for order in snapshot["orders"]["nodes"]} == {"stop", "alone"}
    assert (await ann.data(CANCEL, key="alone"))["cancelOrder"]["errors"] == []
    async with graphql_socket(url, credential=ann.access) as socket:
        joined = await events_until(await socket.subscribe(EVENTS, after=snapshot["eventCursor"]), "alone", "CANCELED")
        assert all(event.get("order", {}).get("status") != "OPEN" for event in joined), "the snapshot has that already"
        resumed = await events_until(await socket.subscribe(EVENTS, after=events[-1]["cursor"]), "alone", "CANCELED")
    assert resumed[-len(joined) :] == joined
    events += resumed
    return str(events[-1]["cursor"])


async def the_stop_fires(ann: Trader, url: str, cursor: str, trades: list[RecordedTrade]) -> list[Json]:
    """After the restart, on the very trade that falls through it. Gives the events behind the cursor."""
    async with graphql_socket(url, credential=ann.access) as socket:
        orders = await socket.subscribe(ORDERS)
        log = await socket.subscribe(EVENTS, after=cursor)
        told = await until_told(orders, "orderUpdated", is_order("stop", "FILLED"))
        events = await events_until(log, "stop", "FILLED")
    trace = told["trigger"]
    assert (trace["source"], trace["priceSource"], Decimal(trace["stopPrice"])) == ("LAST", "REPLAY", STOP)
    assert Decimal(trace["price"]) <= STOP < Decimal(trace["previousPrice"])
    assert Decimal(told["averagePrice"]) == 39_400, "what was bid for it"
    through = next(place for place, trade in enumerate(trades) if trade.price <= STOP)
    fall = [trades[through]]
    for trade_ in trades[through + 1 :]:
        if trade_.price > fall[-1].price:
            break
        fall.append(trade_)
    assert (Decimal(trace["price"]), trace["time"]) in [(each.price, moment(each.time_ms)) for each in fall]
    return events


async def nothing_is_missing(ann: Trader, events: list[Json]) -> None:
    """What was streamed over three sockets and a restart is what is stored, without a gap or a double."""
    places = [positions(event["cursor"])[1] for event in events if event["__typename"] != "SecurityChanged"]
    assert places == list(range(places[0], places[0] + len(places)))
    page = (await ann.data(LOG, after=None))["viewer"]["events"]
    assert not page["pageInfo"]["hasNextPage"]
    stored = {positions(event["cursor"])[1]: event["__typename"] for event in page["nodes"] if not _is_security(event)}
    streamed = {positions(event["cursor"])[1]: event["__typename"] for event in events if not _is_security(event)}
    assert {place: kind for place, kind in stored.items() if places[0] <= place <= places[-1]} == streamed
    assert list(stored) == list(range(1, len(stored) + 1))


def _is_security(event: Json) -> bool:
    return bool(event["__typename"] == "SecurityChanged")


async def the_statement_adds_up(person: Trader) -> None:
    """Every line's balance is the one before plus its amount, and the last is what the account has."""
    viewer: Any = (await person.data(STATEMENT))["viewer"]
    assert not viewer["transactions"]["pageInfo"]["hasNextPage"]
    running: dict[str, Decimal] = {}
    for line in viewer["transactions"]["nodes"]:
        code = line["asset"]["code"]
        running[code] = running.get(code, Decimal(0)) + Decimal(line["amount"])
        assert Decimal(line["balanceAfter"]) == running[code], line
        assert (line["fill"] is not None) == (line["kind"] in ("TRADE", "FEE")), line
    assert {code: amount for code, amount in running.items() if amount} == {
        balance["asset"]["code"]: Decimal(balance["total"]) for balance in viewer["balances"]
    }
    assert {line["kind"] for line in viewer["transactions"]["nodes"]} == {"TEST_FUNDS", "TRADE", "FEE"}
