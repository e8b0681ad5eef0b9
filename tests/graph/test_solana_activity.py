"""What was sent from here on Solana, in the activity of the wallet that has sent it: before a block has it, after, and when no block will."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from core.vocabulary import ChainFamily
from graph.request import ALL_OPERATIONS, GraphQLRequest
from models import wallet
from models.wallet import WalletDocument
from tests.graph.test_transfers_solana import FRIEND, OWNER, Desk, desk, key, sign

assert desk  # a fixture
ACTIVITY = """query($first: Int, $after: String) { viewer { wallets { activity(chain: "solana", first: $first, after: $after) {
    edges { cursor node { id hash direction quantity counterparty status confirmations time token { contract } } }
    pageInfo { hasNextPage } } } } }"""


@pytest.fixture(autouse=True)
async def linked(desk: Desk) -> None:
    row = WalletDocument(
        id="s1", user_id=desk.person.user_id, slot=0, family=ChainFamily.SOLANA, address=key(OWNER), linked_ms=1
    )
    assert await wallet.insert(row)


async def page(desk: Desk, **variables: Any) -> dict[str, Any]:
    found = await desk.vault.data(ACTIVITY, desk.person, **variables)
    activity: dict[str, Any] = found["viewer"]["wallets"][0]["activity"]
    return activity


async def head(desk: Desk) -> dict[str, Any]:
    return dict((await page(desk, first=1))["edges"][0]["node"])


async def sent(desk: Desk, **changes: Any) -> str:
    """Send something while no block takes it; gives its signature."""
    prepared = await desk.prepare(**changes)
    desk.chain.hold()
    answer = await desk.send(
        sign(prepared), prepared["transaction"]["id"][-60:], preparedId=prepared["transaction"]["id"]
    )
    assert answer["errors"] == []
    return str(answer["transaction"]["hash"])


async def test_a_payment_is_shown_from_pending_to_final(desk: Desk) -> None:
    hash_ = await sent(desk)
    waiting = await head(desk)
    assert (waiting["hash"], waiting["status"], waiting["confirmations"], waiting["time"]) == (
        hash_,
        "PENDING",
        0,
        None,
    )
    assert (waiting["direction"], waiting["quantity"], waiting["counterparty"]) == ("OUT", "1.5", key(FRIEND))
    before = (await page(desk, first=1))["edges"][0]["cursor"]
    desk.chain.release()
    desk.chain.advance()
    confirmed = await head(desk)
    same = ("id", "hash", "direction", "quantity", "counterparty")
    assert [confirmed[each] for each in same] == [waiting[each] for each in same]
    assert confirmed["status"] == "CONFIRMED"
    assert (await page(desk, first=1, after=before))["edges"][0]["node"]["hash"] == hash_
    desk.chain.finalize()
    assert ((await head(desk))["hash"], (await head(desk))["status"]) == (hash_, "FINAL")


async def test_tokens_that_wait_stand_above_what_came_before(desk: Desk) -> None:
    token = key(desk.other)
    hashes = [await sent(desk, token=token, amount=amount) for amount in ("3.25", "1")]
    found = await page(desk)
    waiting = [edge["node"] for edge in found["edges"] if edge["node"]["status"] == "PENDING"]
    assert {(each["hash"], each["quantity"]) for each in waiting} == set(zip(hashes, ("3.25", "1"), strict=True))
    assert {(each["token"]["contract"], each["counterparty"]) for each in waiting} == {(token, key(FRIEND))}
    assert all(edge["node"]["status"] == "FINAL" for edge in found["edges"][2:])
    one_by_one = []
    one = await page(desk, first=1)
    while one["edges"]:
        one_by_one += one["edges"]
        one = await page(desk, first=1, after=one["edges"][0]["cursor"])
    assert [edge["node"]["id"] for edge in one_by_one] == [edge["node"]["id"] for edge in found["edges"]]


async def test_what_can_never_land_any_more_was_dropped_and_that_is_told_live(desk: Desk) -> None:
    """At once, though the chain is looked at every 30 seconds."""
    request = GraphQLRequest("subscription { walletActivity { hash status quantity confirmations } }")
    stream = desk.vault.pipeline.stream(request, desk.vault.caller(desk.person), allowed=ALL_OPERATIONS)
    async with aclosing(stream) as answers, asyncio.timeout(20):
        waiting = asyncio.create_task(anext(answers))
        hash_ = await sent(desk)
        pending = {"hash": hash_, "status": "PENDING", "quantity": "1.5", "confirmations": 0}
        assert (await waiting).body["data"]["walletActivity"] == pending  # type: ignore[index]
        desk.chain.expire_blockhashes()
        desk.chain.finalize()
        desk.vault.clock.advance(600)
        for chain, each in await desk.vault.transfers.tracking.due(10):
            await desk.vault.transfers.tracking.step(chain, each)
        dropped = (await anext(answers)).body["data"]["walletActivity"]  # type: ignore[index]
        assert dropped == {**pending, "status": "DROPPED"}
    shown = await head(desk)
    assert (shown["hash"], shown["status"], shown["quantity"]) == (hash_, "DROPPED", "1.5")
