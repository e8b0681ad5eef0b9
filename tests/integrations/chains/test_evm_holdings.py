"""What an address holds, as of one block."""

from collections.abc import AsyncIterator

import orjson
import pytest

from integrations.chains.errors import Failure, ProviderFailed
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.holdings import EvmHoldings, holdings
from integrations.chains.evm.tokens import TokenWords, token_words
from integrations.chains.json_rpc import JsonRpc
from tests.evm import FRIEND, OWNER, STRANGER, calldata, deploy, local_chain, send, token
from tests.integrations.chains.test_evm import BLOCK, fake
from tests.integrations.chains.test_json_rpc import node


@pytest.fixture
async def chain() -> AsyncIterator[EvmClient]:
    async with local_chain() as client:
        yield client


async def read(client: EvmClient, address: str, contracts: list[str], multicall: str | None) -> EvmHoldings:
    return await client.pool.use(lambda node: holdings(node, address, contracts, multicall=multicall))


async def test_with_and_without_multicall_the_same_is_found(chain: EvmClient) -> None:
    first, second = await token(chain, "USDT", 6, 1000), await token(chain, "DAI", 18, 5)
    stubborn, multicall = await deploy(chain, "Stubborn"), await deploy(chain, "Multicall")
    await send(chain, first, calldata("transfer(address,uint256)", FRIEND, 400))
    contracts = [first, second, stubborn, STRANGER]
    found = await read(chain, FRIEND, contracts, multicall)
    assert found.native == 10_000 * 10**18
    assert found.tokens == {first: 400, second: 0, stubborn: None, STRANGER: None}
    block = await chain.block()
    assert block is not None
    assert (found.block.number, found.block.hash) == (block.number, block.hash)
    assert await read(chain, FRIEND, contracts, None) == found
    assert await read(chain, FRIEND, contracts, STRANGER) == found, "a multicall that is not there"


async def test_many_tokens_are_read_in_several_calls(chain: EvmClient) -> None:
    multicall = await deploy(chain, "Multicall")
    contracts = [f"0x{number:040x}" for number in range(1000, 1450)]
    usdt = await token(chain, supply=7)
    found = await read(chain, OWNER, [*contracts, usdt], multicall)
    assert len(found.tokens) == 451
    assert found.tokens[usdt] == 7
    assert set(found.tokens.values()) == {None, 7}


@pytest.mark.parametrize("with_multicall", [True, False])
async def test_a_token_says_what_it_is(chain: EvmClient, with_multicall: bool) -> None:
    multicall = await deploy(chain, "Multicall") if with_multicall else None

    async def words(contract: str) -> TokenWords:
        return await chain.pool.use(lambda node: token_words(node, contract, multicall=multicall))

    assert await words(await token(chain, "USDT", 6)) == TokenWords("USDT", "USDT token", 6)
    assert await words(await deploy(chain, "EarlyToken")) == TokenWords("MKR", "Maker", 18)
    assert await words(await deploy(chain, "Stubborn")) == TokenWords("", "", None)
    assert await words(STRANGER) == TokenWords("", "", None)


LOST = {"error": {"code": -32000, "message": "header not found"}}


@pytest.mark.parametrize("multicall", [OWNER, None])
async def test_a_node_that_lost_its_block_is_passed_over(multicall: str | None) -> None:
    def answer(asked: object) -> tuple[int, bytes]:
        assert isinstance(asked, dict)
        result = {"result": BLOCK} if asked["method"] == "eth_getBlockByNumber" else LOST
        return 200, orjson.dumps({"id": asked["id"], **result})

    async with node(answer) as url:
        rpc = JsonRpc(url)
        with pytest.raises(ProviderFailed) as failed:
            await holdings(rpc, OWNER, [FRIEND], multicall=multicall)
        await rpc.close()
    assert failed.value.failure is Failure.BEHIND


@pytest.mark.parametrize("result", ["0x00", "0x" + "ff" * 64, "0x" + (32).to_bytes(32).hex() + "00" * 32, 5])
async def test_a_multicall_of_nonsense_is_the_nodes_failure(result: object) -> None:
    async with node(fake(eth_call=result)) as url:
        rpc = JsonRpc(url)
        with pytest.raises(ProviderFailed) as failed:
            await holdings(rpc, OWNER, [FRIEND], multicall=OWNER)
        await rpc.close()
    assert failed.value.failure is Failure.MALFORMED
