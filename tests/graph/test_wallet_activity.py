"""What moved from and to wallets, as their owners see it."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from core.clock import ManualClock
from core.database import Database
from core.ids import encode_id
from core.rate_limits import MemoryRateLimits
from graph.request import ALL_OPERATIONS, GraphQLRequest
from tests.accounts import world
from tests.evm import FRIEND, OWNER, catalogue_with, chains_of, local_chain, send
from tests.graph.test_wallet_balances import owner_of
from tests.markets import codes

ACTIVITY = """query ($chain: String! = "ethereum", $first: Int, $after: String) { viewer { wallets {
    activity(chain: $chain, first: $first, after: $after) {
        edges { cursor node { id hash direction quantity counterparty status confirmations time explorerUrl counterpartyUrl
            chain { key } token { symbol explorerUrl } wallet { address explorerUrl } } }
        pageInfo { hasNextPage endCursor } totalCount } } } }"""


async def test_a_movement_is_shown_with_where_it_can_be_looked_up(database: Database) -> None:
    async with local_chain() as client:
        receipt = await send(client, FRIEND, value=10**18)
        await send(client, OWNER, value=5 * 10**17, sender=FRIEND)
        known = catalogue_with()
        entry = known.chains["ethereum"].model_copy(update={"explorer": "https://explorer.example"})
        known = replace(known, chains={**known.chains, "ethereum": entry})
        async with world(known=known, reached=lambda known, _: chains_of(known, client)) as vault:
            person = await owner_of(vault)
            data = await vault.data(ACTIVITY, person, first=1)
            page = data["viewer"]["wallets"][0]["activity"]
            assert [edge["node"]["quantity"] for edge in page["edges"]] == ["0.5"]
            assert (page["pageInfo"]["hasNextPage"], page["totalCount"]) == (True, None)
            data = await vault.data(ACTIVITY, person, after=page["pageInfo"]["endCursor"])
            (edge,) = data["viewer"]["wallets"][0]["activity"]["edges"]
            assert edge["node"] == {
                "id": edge["node"]["id"],
                "hash": receipt.hash,
                "direction": "IN",
                "quantity": "1",
                "counterparty": OWNER,
                "status": "CONFIRMED",
                "confirmations": 2,
                "time": edge["node"]["time"],
                "explorerUrl": f"https://explorer.example/tx/{receipt.hash}",
                "counterpartyUrl": f"https://explorer.example/address/{OWNER}",
                "chain": {"key": "ethereum"},
                "token": {"symbol": "ETH", "explorerUrl": None},
                "wallet": {"address": FRIEND, "explorerUrl": f"https://explorer.example/address/{FRIEND}"},
            }
            assert codes(await vault.ask(ACTIVITY, person, after="here")) == [
                ("BAD_USER_INPUT", ["viewer", "wallets", 0, "activity"])
            ]
            assert codes(await vault.ask(ACTIVITY, person, chain="solana")) == [
                ("ADDRESS_WRONG_NETWORK", ["viewer", "wallets", 0, "activity"])
            ]


async def test_what_moves_is_told_live_under_the_id_it_has_in_the_list(database: Database) -> None:
    fields = "id direction quantity status confirmations wallet { id } token { symbol }"
    live = f"subscription($wallet: ID) {{ walletActivity(walletId: $wallet) {{ {fields} }} }}"
    async with (
        local_chain() as client,
        world(known=catalogue_with(), reached=lambda known, _: chains_of(known, client)) as vault,
    ):
        person = await owner_of(vault)
        wallet_id = encode_id("Wallet", "w1")
        request = GraphQLRequest(live, variables={"wallet": wallet_id})
        stream = vault.pipeline.stream(request, vault.caller(person), allowed=ALL_OPERATIONS)
        async with aclosing(stream) as answers:
            await send(client, FRIEND, value=10**18)
            body = (await anext(answers)).body
        told = body["data"]["walletActivity"]  # type: ignore[index]
        data = await vault.data(ACTIVITY, person)
        (edge,) = data["viewer"]["wallets"][0]["activity"]["edges"]
        assert told == {
            "id": edge["node"]["id"],
            "direction": "IN",
            "quantity": "1",
            "status": "CONFIRMED",
            "confirmations": 1,
            "wallet": {"id": wallet_id},
            "token": {"symbol": "ETH"},
        }
        other = await vault.signed_up("bela@example.com")
        stream = vault.pipeline.stream(request, vault.caller(other), allowed=ALL_OPERATIONS)
        async with aclosing(stream) as answers:
            assert codes((await anext(answers)).body) == [("UNKNOWN_WALLET", ())]


async def test_whoever_asks_for_the_stream_too_often_has_to_wait(database: Database) -> None:
    """It asks nodes, also where it ends at once."""
    request = GraphQLRequest('subscription { walletActivity(walletId: "none") { id } }')

    async def first() -> Sequence[str]:
        async with aclosing(vault.pipeline.stream(request, vault.caller(person), allowed=ALL_OPERATIONS)) as answers:
            return [code for code, _ in codes((await anext(answers)).body)]

    async with local_chain() as client:
        options: dict[str, Any] = {"known": catalogue_with(), "reached": lambda known, _: chains_of(known, client)}
        async with world(limits=MemoryRateLimits(ManualClock()), **options) as vault:
            person = await owner_of(vault)
            told = [await first() for _ in range(301)]
    assert told[299:] == [["UNKNOWN_WALLET"], ["RATE_LIMITED"]]
