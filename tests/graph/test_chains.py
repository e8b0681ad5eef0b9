"""Chains as clients see them."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from core.clock import Clock, SystemClock
from core.settings import Settings
from core.wallet_vocabulary import ChainNetwork
from server.chains import open_chains
from services import catalogue
from services.catalogue import Catalogue
from services.chains import Chains
from tests.accounts import World
from tests.chains import anvil
from tests.markets import Markets, codes

CHAIN = """query ($key: String!) { chain(key: $key) { id key name network family chainId explorer native { code }
    status { healthy head lagSeconds error providers { name healthy head latencyMs error } }
    gas { baseFee time slow { ...quote } standard { ...quote } fast { ...quote } } } }
    fragment quote on FeeQuote { maxFeePerGas maxPriorityFeePerGas feeRate estimatedSeconds }"""


async def test_every_chain_is_listed_and_one_without_nodes_says_so() -> None:
    data = await Markets().data(
        "{ chains { key chainId status { healthy head error providers { name } } gas { time } } }"
    )
    assert [chain["key"] for chain in data["chains"]] == ["bitcoin", "ethereum", "polygon", "bsc", "solana"]
    assert [chain["chainId"] for chain in data["chains"]] == [None, 1, 137, 56, None]
    missing: dict[str, object] = {"healthy": False, "head": None, "error": "no node is configured", "providers": []}
    assert all(chain["status"] == missing and chain["gas"] is None for chain in data["chains"])


async def test_an_unknown_chain_is_null_with_its_code() -> None:
    body = await Markets().ask('{ chain(key: "dogecoin") { name } }')
    assert body["data"] == {"chain": None}
    assert codes(body) == [("UNKNOWN_CHAIN", ["chain"])]
    assert body["errors"][0]["extensions"]["field"] == ["key"]


LOCAL = catalogue.read_files(ChainNetwork.LOCAL)


def reaching(stack: AsyncExitStack, *urls: str) -> Callable[[Catalogue, Clock], Chains]:
    settings = Settings(_env_file=None, blockchain_network="local", ethereum_rpc_url=", ".join(urls))
    return lambda known, _: open_chains(settings, known, SystemClock(), stack)


@pytest.mark.usefixtures("database")
async def test_a_real_chain_shows_its_nodes_and_fees() -> None:
    async with anvil() as url, AsyncExitStack() as stack:
        world = World(reached=reaching(stack, url), known=LOCAL)
        await world.ask(CHAIN, key="ethereum")
        answer = await world.ask(CHAIN, key="ethereum")
        assert "errors" not in answer
        chain = answer["data"]["chain"]
        assert (chain["chainId"], chain["native"], chain["network"]) == (31337, {"code": "ETH"}, "Anvil")
        assert (chain["status"]["healthy"], chain["status"]["head"], chain["status"]["error"]) == (True, 0, None)
        assert [provider["name"] for provider in chain["status"]["providers"]] == ["node-1"]
        gas = chain["gas"]
        assert gas["baseFee"] == "1"
        assert gas["standard"] == {
            "maxFeePerGas": "1.501",
            "maxPriorityFeePerGas": "0.001",
            "feeRate": None,
            "estimatedSeconds": 3,
        }


@pytest.mark.usefixtures("database")
async def test_nodes_that_do_not_answer_are_named_without_their_urls() -> None:
    async with AsyncExitStack() as stack:
        world = World(reached=reaching(stack, "http://127.0.0.1:1/v3/geheim"), known=LOCAL)
        answer = await world.ask(CHAIN, key="ethereum")
        assert codes(answer) == [("PROVIDER_UNAVAILABLE", ["chain", "gas"])]
        assert answer["data"]["chain"]["gas"] is None
        again = await world.ask(CHAIN, key="ethereum")
        providers = again["data"]["chain"]["status"]["providers"]
        assert [(each["name"], each["healthy"]) for each in providers] == [("node-1", False)]
        assert providers[0]["error"] == "cannot be reached (ConnectError)"
        assert "geheim" not in str(again)
