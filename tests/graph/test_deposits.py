"""Deposits over GraphQL: addresses as wallets and cameras read them, what is refused, lists, and the stream of every state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.database import Database
from core.ids import encode_id
from graph.request import ALL_OPERATIONS, GraphQLRequest
from models import deposit
from services.deposit_addresses import qr_svg
from tests.bitcoin_deposits import BTC, opened
from tests.chains import litecoind
from tests.deposits import ETH, REQUIRED, USDC, Site, scripted
from tests.evm_nodes import OUTSIDER, Moved, ScriptedNode, Transaction
from tests.stored import unchanged

CREATE = """mutation($chain: String!) { createDepositAddress(input: {chain: $chain}) {
  depositAddress { id address explorerUrl memo uri qrSvg chain { key } } errors { code field message }
} }"""
LIST = """query($filter: TransferFilter, $first: Int, $after: String, $orderBy: TimeOrder! = NEWEST_FIRST) { viewer {
  deposits(filter: $filter, first: $first, after: $after, orderBy: $orderBy) {
    nodes { id amount status asset { code } hash explorerUrl } pageInfo { hasNextPage endCursor }
  }
} }"""


@pytest.fixture
def node() -> ScriptedNode:
    return ScriptedNode()


@pytest.fixture
async def site(database: Database, node: ScriptedNode) -> AsyncIterator[Site]:
    async with scripted(node) as made:
        yield made


async def listed(site: Site, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await site.world.data(LIST, site.person, **variables))["viewer"]["deposits"]
    return found


async def test_an_address_is_the_same_for_ever_and_can_be_scanned(site: Site, database: Database) -> None:
    first = (await site.world.data(CREATE, site.person, chain="ethereum"))["createDepositAddress"]
    assert first["errors"] == []
    made = first["depositAddress"]
    assert made["uri"] == f"ethereum:{made['address']}@31337"
    assert (made["memo"], made["explorerUrl"], made["chain"]) == (None, None, {"key": "ethereum"})
    assert made["qrSvg"].startswith("<svg")
    async with unchanged(database):
        again = (await site.world.data(CREATE, site.person, chain="ethereum"))["createDepositAddress"]
    assert again == first
    found = await site.world.data("query($id: ID!) { node(id: $id) { id } }", site.person, id=made["id"])
    assert found["node"] == {"id": made["id"]}
    for asked, expected in (("ETH", [made["address"]]), ("USDC", [made["address"]]), ("BTC", [])):
        text = "query($asset: String) { viewer { depositAddresses(asset: $asset) { address } } }"
        shown = (await site.world.data(text, site.person, asset=asked))["viewer"]["depositAddresses"]
        assert [each["address"] for each in shown] == expected


@pytest.mark.parametrize(("chain", "code"), [("nochain", "UNKNOWN_CHAIN"), ("bitcoin", "NOT_ENABLED")])
async def test_where_nothing_is_taken_no_address_is_made(site: Site, database: Database, chain: str, code: str) -> None:
    async with unchanged(database):
        payload = (await site.world.data(CREATE, site.person, chain=chain))["createDepositAddress"]
    assert payload["depositAddress"] is None
    assert [(each["code"], each["field"]) for each in payload["errors"]] == [(code, ["chain"])]


async def test_whoever_has_not_proven_an_address_gets_none(site: Site, database: Database) -> None:
    nobody = await site.world.signed_up("bob@example.org", verified=False)
    async with unchanged(database):
        body = await site.world.ask(CREATE, nobody, chain="ethereum")
    assert [error["code"] for error in body["data"]["createDepositAddress"]["errors"]] == ["EMAIL_NOT_VERIFIED"]


async def test_a_list_is_filtered_and_paged_and_is_nobody_elses(site: Site, node: ScriptedNode) -> None:
    node.mine(Transaction("coins", site.address, 2 * ETH), Transaction("dust", site.address, 1))
    node.mine(Transaction("tokens", USDC, logs=(Moved(USDC, OUTSIDER, site.address, 25 * 10**6),)), blocks=REQUIRED)
    await site.run()
    everything = (await listed(site))["nodes"]
    assert [(each["asset"]["code"], each["amount"], each["status"]) for each in everything] == [
        ("USDC", "25", "CREDITED"),
        ("ETH", "0.000000000000000001", "BELOW_MINIMUM"),
        ("ETH", "2", "CREDITED"),
    ]
    dust = await listed(site, filter={"assets": ["ETH"], "statuses": ["BELOW_MINIMUM"]})
    assert [each["id"] for each in dust["nodes"]] == [everything[1]["id"]]
    page = await listed(site, first=2, orderBy="OLDEST_FIRST")
    assert ([each["id"] for each in page["nodes"]], page["pageInfo"]["hasNextPage"]) == (
        [everything[2]["id"], everything[1]["id"]],
        True,
    )
    bob, _ = await site.newcomer("bob@example.org")
    for person, found in ((site.person, {"id": everything[0]["id"]}), (bob, None)):
        asked = await site.world.data("query($id: ID!) { node(id: $id) { id } }", person, id=everything[0]["id"])
        assert asked["node"] == found
    assert (await site.world.data(LIST, bob))["viewer"]["deposits"]["nodes"] == []
    wrong = await site.world.ask(LIST, site.person, filter={"statuses": ["PAID"]})
    assert wrong["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_seen_counted_and_credited_is_told_live(site: Site, node: ScriptedNode) -> None:
    request = GraphQLRequest("subscription { depositUpdated { status confirmations required creditedAt } }")
    node.mine(Transaction("coins", site.address, 2 * ETH))
    await site.run()
    stream = site.world.pipeline.stream(request, site.world.caller(site.person), allowed=ALL_OPERATIONS)
    seen: list[Any] = []
    async with aclosing(stream) as answers:
        seen.append((await anext(answers)).body["data"]["depositUpdated"])  # type: ignore[index]
        node.mine(blocks=REQUIRED)
        await site.run()
        while seen[-1]["status"] != "CREDITED":
            seen.append((await anext(answers)).body["data"]["depositUpdated"])  # type: ignore[index]
    told = [(each["status"], each["confirmations"]) for each in seen]
    assert told == [("SEEN", 1), ("CONFIRMING", 2), ("CONFIRMING", 3), ("CONFIRMING", 4), ("CREDITED", 4)]
    assert seen[-1]["creditedAt"] is not None


class Projecting:
    """Marks of a process that is not the one that credits: whoever waits lets the projection go on that far, and nobody else does."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.waited: list[tuple[str, int]] = []

    def raise_to(self, account: str, sequence: int) -> None:
        """The balance is asked for right afterwards, over another connection."""

    async def wait(self, account: str, shown: int = 0) -> int | None:
        self.waited.append((account, shown))
        await self._site.house.projected()
        return None


@pytest.mark.parametrize(
    "stream", ["depositUpdated { status }", "accountEvents { ... on DepositChanged { deposit { status } } }"]
)
async def test_who_is_told_that_a_deposit_is_credited_finds_it_in_the_balance(
    site: Site, node: ScriptedNode, stream: str
) -> None:
    marks = Projecting(site)
    site.world.custody.deposit_reads._marks = marks
    site.world.funds.events._marks = marks
    request = GraphQLRequest(f"subscription {{ {stream} }}")
    node.mine(Transaction("coins", site.address, 2 * ETH))
    await site.run()
    told = site.world.pipeline.stream(request, site.world.caller(site.person), allowed=ALL_OPERATIONS)
    async with aclosing(told) as answers:
        begun = asyncio.create_task(anext(answers))
        node.mine(blocks=REQUIRED)
        watch = site.watch()
        while await watch.step():
            pass
        body = orjson.dumps((await begun).body)
        while b"CREDITED" not in body:
            body = orjson.dumps((await anext(answers)).body)
        sequence = (await site.row()).sequence
        assert sequence
        assert (site.person.user_id, sequence) in marks.waited
        shown = await site.world.data("{ viewer { balances { asset { code } available } } }", site.person)
    assert shown["viewer"]["balances"] == [{"asset": {"code": "ETH"}, "available": "2"}]


STATEMENT = """{ viewer { transactions { nodes { kind amount chainHash explorerUrl
  reference { id ... on Deposit { status } } } } } }"""


async def test_a_statement_names_the_transaction_that_brought_it_and_the_one_that_was_taken_back(
    site: Site, node: ScriptedNode
) -> None:
    node.mine(Transaction("stays", site.address, 2 * ETH), blocks=REQUIRED)
    node.mine(Transaction("goes", site.address, ETH), blocks=REQUIRED)
    await site.run()
    node.drop(REQUIRED)
    node.mine(salt="another", blocks=REQUIRED)
    await site.run()
    nodes = (await site.world.data(STATEMENT, site.person))["viewer"]["transactions"]["nodes"]
    deposits = {each["hash"]: each for each in (await listed(site))["nodes"]}
    rows = {int(row.amount): row.hash for row in await site.rows()}
    assert [(each["kind"], each["amount"], each["chainHash"]) for each in nodes] == [
        ("REVERSAL", "-1", rows[1]),
        ("DEPOSIT", "1", rows[1]),
        ("DEPOSIT", "2", rows[2]),
    ]
    for each in nodes:
        named = deposits[each["chainHash"]]
        assert each["reference"] == {"id": named["id"], "status": named["status"]}
        assert each["explorerUrl"] == named["explorerUrl"]


async def test_an_id_of_something_else_is_none(site: Site) -> None:
    await site.run()
    for id_ in (encode_id("Deposit", "nothing"), encode_id("DepositAddress", site.person.user_id, "nochain")):
        found = await site.world.data("query($id: ID!) { node(id: $id) { id } }", site.person, id=id_)
        assert found["node"] is None
    assert await deposit.last_number(site.person.user_id) == 0


async def test_on_bitcoin_an_address_pays_by_bip_21_and_a_deposit_is_told(database: Database, tmp_path: Path) -> None:
    async with litecoind(tmp_path) as url, opened(url, "core") as bitcoin:
        made = (await bitcoin.world.data(CREATE, bitcoin.person, chain="bitcoin"))["createDepositAddress"]
        assert made["errors"] == []
        address = made["depositAddress"]["address"]
        assert address.startswith("rltc1q")
        assert made["depositAddress"]["uri"] == f"bitcoin:{address}"
        assert made["depositAddress"]["explorerUrl"] == f"https://explorer.example/address/{address}"
        assert made["depositAddress"]["qrSvg"] == qr_svg(f"bitcoin:{address}")
        txid = await bitcoin.nodes.pay(address, BTC, mine=REQUIRED)
        await bitcoin.run()
        (found,) = (await bitcoin.world.data(LIST, bitcoin.person))["viewer"]["deposits"]["nodes"]
        assert (found["amount"], found["status"], found["asset"]) == ("1", "CREDITED", {"code": "BTC"})
        assert (found["hash"], found["explorerUrl"]) == (txid, f"https://explorer.example/tx/{txid}")
        node = await bitcoin.world.data("query($id: ID!) { node(id: $id) { id } }", bitcoin.person, id=found["id"])
        assert node["node"] == {"id": found["id"]}
