"""What people own, over the surface."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest

from core.clock import to_datetime
from core.database import Database
from core.ids import encode_id
from core.order_vocabulary import OrderErrorCode, TransactionKind
from core.vocabulary import CandleInterval
from events.answers import Answer, HouseLine, HouseState, RefusalState
from events.trading import trading_topic
from graph.request import ALL_OPERATIONS, GraphQLRequest
from models.order import insert_orders
from tests.accounts import Person, World, world
from tests.attacks.people import as_operator, codes_of
from tests.markets import NOW_MS, candle, feed, tick, ticker
from tests.models import query_guard
from tests.trading_rows import (
    account_row,
    balance_logged,
    fill_logged,
    fill_state,
    line,
    order_row,
    order_state,
    put_accounts,
    put_fills,
    put_lines,
    put_logged,
    stored,
)


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        for event in (feed("BTC-USD"), tick(1, "100", "BTC-USD"), ticker("BTC-USD", opened="80")):
            made.view.apply(event)
        yield made


@pytest.fixture
async def anna(here: World) -> Person:
    return await here.signed_up("anna@example.com")


async def put_row(person: Person, **fields: Any) -> None:
    positions = {"BTC": ("1", "2", {"USD": "50"}, {"USD": "5"})}
    await put_accounts([account_row(person.user_id, {"BTC": ("2", "1"), "USD": ("7", "0")}, positions, **fields)])


async def test_balances(here: World, anna: Person) -> None:
    await put_row(anna, debts=stored({"BTC": "0.5", "SOL": "2"}))
    text = """{ viewer {
      balances { id asset { code } available held earning debt total value usdt: value(quote: "USDT") sequence }
      all: balances(nonZero: false) { asset { code } }
      balance(asset: "ETH") { available total value }
    } }"""
    viewer = (await here.data(text, anna))["viewer"]
    assert viewer["balances"][0] == {
        "id": encode_id("Balance", anna.user_id, "BTC"),
        "asset": {"code": "BTC"},
        **{"available": "2", "held": "1", "earning": "0", "debt": "0.5", "total": "3", "value": "300"},
        **{"usdt": None, "sequence": 1},
    }
    owed = {each["asset"]["code"]: each["debt"] for each in viewer["balances"]}
    assert owed == {"BTC": "0.5", "SOL": "2", "USD": "0"}, "also of an asset of which there is nothing"
    assert len(viewer["all"]) > 20
    assert viewer["balance"] == {"available": "0", "total": "0", "value": "0"}
    unknown = await here.ask('{ viewer { balance(asset: "SHELLS") { total } } }', anna)
    assert codes_of(unknown) == ["UNKNOWN_ASSET"]


PORTFOLIO = """{ viewer { portfolio {
  id quote { code } totalValue change24h changePercent24h costBasis unrealizedPnl realizedPnl stale { code }
  holdings { asset { code } quantity value share averageCost unrealizedPnl unrealizedPnlPercent onChain price { price stale } }
  allocation(by: KIND) { key label value share }
} } }"""


async def test_a_portfolio(here: World, anna: Person) -> None:
    await put_row(anna)
    portfolio = (await here.data(PORTFOLIO, anna))["viewer"]["portfolio"]
    assert portfolio["id"] == encode_id("Portfolio", anna.user_id, "USD")
    assert (portfolio["totalValue"], portfolio["change24h"], portfolio["changePercent24h"]) == (
        "307",
        "60",
        "24.2914979757",
    )
    assert (portfolio["costBasis"], portfolio["unrealizedPnl"], portfolio["realizedPnl"]) == ("50", "50", "5")
    assert portfolio["holdings"][0] == {
        **{"asset": {"code": "BTC"}, "quantity": "3", "value": "300", "share": "0.977198697068", "averageCost": "50"},
        **{"unrealizedPnl": "50", "unrealizedPnlPercent": "100", "onChain": "0"},
        "price": {"price": "100", "stale": False},
    }
    assert [part["key"] for part in portfolio["allocation"]] == ["NATIVE", "FIAT"]


async def test_what_is_not_there_yet_is_null_by_name(here: World, anna: Person) -> None:
    await put_row(anna)
    for field in (
        "costBasis(method: FIFO)",
        'realizedPnl(from: "2026-01-01T00:00:00Z")',
    ):
        body = await here.ask(f"{{ viewer {{ portfolio {{ totalValue {field} }} }} }}", anna)
        assert codes_of(body) == ["NOT_AVAILABLE"]
        assert body["data"]["viewer"]["portfolio"]["totalValue"] == "307"


TRANSACTIONS = """query($filter: TransactionFilter) { viewer { transactions(filter: $filter) { nodes {
  id entryId kind asset { code } amount balanceAfter valueAtTime sequence time
  fill { id price } reference { id ... on Order { status } } chainHash explorerUrl
} } } }"""


async def test_a_statement(here: World, anna: Person) -> None:
    user = anna.user_id
    minute = NOW_MS - NOW_MS % 60_000
    here.view.apply(candle(minute, "90", symbol="BTC-USD", interval=CandleInterval.MINUTE_1))
    await insert_orders([order_row(order_state(user, 7))])
    await put_fills(fill_state(user, 1))
    lines = [
        line(1, "2", entry=8, fill=2, order=7, time_ms=minute + 5),
        line(2, "-0.3", asset="USD", kind=TransactionKind.FEE, entry=8, fill=2, order=7, time_ms=minute + 60_000),
    ]
    await put_lines(user, lines)
    nodes = (await here.data(TRANSACTIONS, anna))["viewer"]["transactions"]["nodes"]
    assert [node["sequence"] for node in nodes] == [2, 1]
    fee, trade = nodes
    assert (fee["valueAtTime"], trade["valueAtTime"]) == ("-0.3", "180")
    assert trade["fill"] == {"id": encode_id("Fill", 2), "price": "100"}
    assert trade["reference"] == {"id": encode_id("Order", 7), "status": "OPEN"}
    assert trade["entryId"] == fee["entryId"]
    node = "query($id: ID!) { node(id: $id) { id ... on Transaction { amount } } }"
    assert (await here.data(node, anna, id=trade["id"]))["node"] == {"id": trade["id"], "amount": "2"}
    ben = await here.signed_up("ben@example.com")
    assert (await here.data(node, ben, id=trade["id"]))["node"] is None
    found = await here.data(TRANSACTIONS, anna, filter={"orderId": encode_id("Order", 7), "minAmount": "1"})
    assert [each["sequence"] for each in found["viewer"]["transactions"]["nodes"]] == [1]
    body = await here.ask(TRANSACTIONS, anna, filter={"orderId": "none"})
    assert codes_of(body) == ["BAD_USER_INPUT"]


async def test_a_summary(here: World, anna: Person) -> None:
    await put_lines(anna.user_id, [line(1, "2"), line(2, "-1"), line(3, "-0.5", kind=TransactionKind.FEE)])
    text = "{ viewer { transactionSummary(by: DAY) { key from to count inflow outflow fees } } }"
    (day,) = (await here.data(text, anna))["viewer"]["transactionSummary"]
    assert (day["key"], day["count"], day["inflow"], day["outflow"], day["fees"]) == (
        "2023-11-14",
        3,
        "200",
        "100",
        "50",
    )
    assert (day["from"], day["to"]) == ("2023-11-14T00:00:00.000Z", "2023-11-15T00:00:00.000Z")


async def test_a_fee_tier(here: World, anna: Person) -> None:
    day = here.clock.now_ms() // 86_400_000
    await put_row(anna, volumes={str(day): stored({"USDT": "60000"})})
    text = "{ viewer { feeTier { name maker taker volume30d volumeAsset { code } nextTierAt } } }"
    assert (await here.data(text, anna))["viewer"]["feeTier"] == {
        **{"name": "Tier 1", "maker": "0.0008", "taker": "0.0012", "volume30d": "60000"},
        **{"volumeAsset": {"code": "USD"}, "nextTierAt": "250000"},
    }


WATCH = """subscription($after: String) { accountEvents(after: $after) { __typename cursor
  ... on BalanceChanged { balance { available asset { code } } } ... on FillReceived { fill { id } }
} }"""


async def stream(here: World, person: Person, text: str, count: int, **variables: Any) -> list[dict[str, Any]]:
    request = GraphQLRequest(text, variables=variables)
    async with aclosing(here.pipeline.stream(request, here.caller(person), allowed=ALL_OPERATIONS)) as answers:
        return [(await anext(answers)).body for _ in range(count)]


async def test_an_answer_and_the_stream_join(here: World, anna: Person) -> None:
    user = anna.user_id
    await put_logged(balance_logged(user, 1, 2))
    text = "{ viewer { eventCursor balances { total } events { nodes { __typename cursor } pageInfo { endCursor } } } }"
    viewer = (await here.data(text, anna))["viewer"]
    assert viewer["eventCursor"] == viewer["events"]["pageInfo"]["endCursor"]
    kinds = {node["__typename"] for node in viewer["events"]["nodes"]}
    assert kinds == {"SecurityChanged", "BalanceChanged"}
    await put_logged(fill_logged(user, 3))
    (body,) = await stream(here, anna, WATCH, 1, after=viewer["eventCursor"])
    assert body["data"]["accountEvents"]["fill"] == {"id": encode_id("Fill", 6)}


async def test_watching_balances_and_the_portfolio(here: World, anna: Person) -> None:
    await put_row(anna)
    (first,) = await stream(here, anna, 'subscription { balanceUpdated(assets: ["BTC"]) { available held } }', 1)
    assert first["data"]["balanceUpdated"] == {"available": "2", "held": "1"}
    (first,) = await stream(here, anna, "subscription { portfolioUpdated { totalValue } }", 1)
    assert first["data"]["portfolioUpdated"] == {"totalValue": "307"}
    (refused,) = await stream(here, anna, "subscription { portfolioUpdated(everySeconds: 61) { totalValue } }", 1)
    assert codes_of(refused) == ["BAD_USER_INPUT"]
    assert trading_topic(anna.user_id) not in here.bus._readers.topics()


CLAIM = """mutation($input: ClaimTestFundsInput!) { claimTestFunds(input: $input) {
  balances { asset { code } available } replayed errors { code field message limit actual }
} }"""


async def test_a_claim_of_test_funds(here: World, anna: Person) -> None:
    await put_row(anna)
    given = {"clientClaimId": "c1", "asset": "BTC", "amount": "2"}
    here.exchange.answer = Answer(made=1, replayed=True, sequence=1)
    payload = (await here.data(CLAIM, anna, input=given))["claimTestFunds"]
    assert payload == {"balances": [{"asset": {"code": "BTC"}, "available": "2"}], "replayed": True, "errors": []}
    here.exchange.answer = Answer(refusal=RefusalState(OrderErrorCode.EXCHANGE_UNAVAILABLE))
    payload = (await here.data(CLAIM, anna, input=given))["claimTestFunds"]
    assert (payload["balances"], [error["code"] for error in payload["errors"]]) == ([], ["EXCHANGE_UNAVAILABLE"])
    payload = (await here.data(CLAIM, anna, input={**given, "amount": "1000.5"}))["claimTestFunds"]
    (error,) = payload["errors"]
    assert (error["code"], error["field"], error["limit"], error["actual"]) == (
        "QUANTITY_TOO_LARGE",
        ["amount"],
        "1000",
        "1000.5",
    )


async def test_what_operators_see_of_funds(here: World, anna: Person, database: Database) -> None:
    operator = await as_operator(here, await here.signed_up("op@example.com"))
    await put_lines(anna.user_id, [line(1, "3", balance_after=Decimal(3))], balances={"BTC": ("3", "0")})
    await put_accounts(
        [
            account_row("house:test-funds", {"BTC": ("-3", "0")}),
            account_row("ben", debts=stored({"ETH": "2"})),
            account_row("house:chain-loss", {"ETH": ("-2", "0")}),
            account_row("house:hot:ethereum", {"ETH": ("-5", "0")}),
            account_row("house:network-fees", {"ETH": ("7", "0")}),
        ]
    )
    here.exchange.state = HouseState((HouseLine("BTC", Decimal(-2), Decimal(5), Decimal("0.5")),), 9)
    text = """query($id: ID!) { admin {
      ledgerAudit { time sequence balanced assets {
        asset { code } postings balances holds openOrders withdrawals debts hotReserve coldReserve reserveDifference difference
        reserves { chain { key } hot unswept cold ledgerHot ledgerCold block time age failure { code message } }
      } }
      house { asset { code } inventory limit pnl }
      user(id: $id) { balances { available } }
    } }"""
    with query_guard.RECORDER.recording(database.handle.name):  # an audit reads everybody
        admin = (await here.data(text, operator, id=encode_id("User", anna.user_id)))["admin"]
    assert admin["house"] == [{"asset": {"code": "BTC"}, "inventory": "-2", "limit": "5", "pnl": "-150"}]
    no_wallet = {
        **{"chain": {"key": "ethereum"}, "hot": None, "unswept": None, "cold": None, "block": None, "time": None},
        **{"age": None, "ledgerHot": "5", "ledgerCold": "0"},
        "failure": {
            "code": "NOT_ENABLED",
            "message": "the ledger has a reserve on this chain, and no wallet of it is configured here",
        },
    }
    assert admin["ledgerAudit"] == {
        **{"time": to_datetime(0).strftime("%Y-%m-%dT%H:%M:%S.000Z"), "sequence": 0, "balanced": True},
        "assets": [
            {
                **{"asset": {"code": "BTC"}, "postings": "3", "balances": "3", "holds": "0", "openOrders": "0"},
                **{"withdrawals": "0", "debts": "0", "hotReserve": None, "coldReserve": None, "difference": "0"},
                **{"reserveDifference": None, "reserves": []},
            },
            {
                **{"asset": {"code": "ETH"}, "postings": "0", "balances": "0", "holds": "0", "openOrders": "0"},
                **{"withdrawals": "0", "debts": "2", "hotReserve": None, "coldReserve": None, "difference": "0"},
                **{"reserveDifference": None, "reserves": [no_wallet]},
            },
        ],
    }
    assert admin["user"]["balances"] == [{"available": "3"}]
    here.exchange.state = None
    assert codes_of(await here.ask("{ admin { house { pnl } } }", operator)) == ["EXCHANGE_UNAVAILABLE"]
