"""Names of wallets, as clients see them."""

from core.database import Database
from integrations.chains.evm.ens import namehash
from tests.accounts import world
from tests.evm import FRIEND, calldata, catalogue_with, chains_of, deploy, local_chain, send
from tests.graph.test_wallet_balances import owner_of
from tests.markets import Markets, codes

RESOLVE = "query ($name: String!) { resolveName(name: $name) }"


async def test_names_are_shown_both_ways(database: Database) -> None:
    async with local_chain() as client:
        registry, resolver = await deploy(client, "EnsRegistry"), await deploy(client, "EnsResolver")
        reverse = f"{FRIEND[2:].lower()}.addr.reverse"
        for name in ("anna.eth", reverse):
            await send(client, registry, calldata("setResolver(bytes32,address)", namehash(name), resolver))
        await send(client, resolver, calldata("setAddr(bytes32,address)", namehash("anna.eth"), FRIEND))
        await send(client, resolver, calldata("setName(bytes32,string)", namehash(reverse), "anna.eth"))
        known = catalogue_with(ens_registry=registry)
        async with world(known=known, reached=lambda known, _: chains_of(known, client)) as vault:
            person = await owner_of(vault)
            assert await vault.data(RESOLVE, name="Anna.eth") == {"resolveName": FRIEND}
            assert await vault.data(RESOLVE, name="bela.eth") == {"resolveName": None}
            shown = await vault.data("{ viewer { wallets { ensName } } }", person)
            assert shown == {"viewer": {"wallets": [{"ensName": "anna.eth"}]}}


async def test_what_is_no_name_is_refused_by_its_field() -> None:
    body = await Markets().ask(RESOLVE, name="vit\u0430lik.eth")
    assert codes(body) == [("INVALID_INPUT", ["resolveName"])]
    assert body["errors"][0]["extensions"]["field"] == ["name"]
    assert codes(await Markets().ask(RESOLVE, name="vitalik.eth")) == [("PROVIDER_UNAVAILABLE", ["resolveName"])]
