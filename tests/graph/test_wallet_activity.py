"""What moved from and to wallets, as their owners see it."""

from dataclasses import replace

from core.database import Database
from tests.accounts import world
from tests.evm import FRIEND, OWNER, catalogue_with, chains_of, local_chain, send
from tests.graph.test_wallet_balances import owner_of
from tests.markets import codes

ACTIVITY = """query ($chain: String! = "ethereum", $first: Int, $after: String) { viewer { wallets {
    activity(chain: $chain, first: $first, after: $after) {
        edges { cursor node { id hash direction quantity counterparty status confirmations time explorerUrl
            chain { key } token { symbol } wallet { address } } }
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
                "chain": {"key": "ethereum"},
                "token": {"symbol": "ETH"},
                "wallet": {"address": FRIEND},
            }
            assert codes(await vault.ask(ACTIVITY, person, after="here")) == [
                ("BAD_USER_INPUT", ["viewer", "wallets", 0, "activity"])
            ]
            assert codes(await vault.ask(ACTIVITY, person, chain="solana")) == [
                ("ADDRESS_WRONG_NETWORK", ["viewer", "wallets", 0, "activity"])
            ]
