"""The chains of a process, on a real node and on nodes that are not well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from core.clock import Clock, ManualClock, SystemClock
from core.refusals import WalletRefused
from core.settings import Settings
from core.wallet_vocabulary import ChainNetwork, WalletErrorCode
from integrations.chains.errors import (
    ChainError,
    ChainUnavailable,
    Failure,
    NodeRefused,
    NodesContradict,
    ProviderFailed,
)
from integrations.chains.json_rpc import JsonRpc
from server.chains import open_chains
from services import catalogue
from services.chain_failures import failure_of
from services.chains import Chains
from services.contract_calls import ContractCallsOnChains
from tests.chains import anvil
from tests.evm import FRIEND, catalogue_with, chains_of, client_of, deploy
from tests.evm_nodes import TwistedNode, client_of_nodes
from tests.integrations.chains.test_evm import BLOCK, fake
from tests.integrations.chains.test_json_rpc import node


@asynccontextmanager
async def opened(clock: Clock | None = None, **settings: Any) -> AsyncIterator[Chains]:
    """Chains as a server opens them, with local nodes."""
    known = catalogue.read_files(ChainNetwork.LOCAL)
    async with AsyncExitStack() as stack:
        given = Settings(_env_file=None, blockchain_network="local", **settings)
        yield open_chains(given, known, clock or SystemClock(), stack)


async def test_a_chain_whose_node_is_well_is_healthy_and_tells_its_fees() -> None:
    async with anvil() as url, opened(ethereum_rpc_url=url) as chains:
        assert chains.state("ethereum").error == "no node has answered yet"
        async with asyncio.timeout(30):
            probing = asyncio.create_task(chains.run())
            while not chains.state("ethereum").healthy:
                await asyncio.sleep(0.01)
        probing.cancel()
        state = chains.state("ethereum")
        assert (state.head, state.error, state.providers[0].name) == (0, None, "node-1")
        fees = await chains.fees("ethereum")
        assert fees is not None
        assert fees.base_fee is not None
        assert fees.standard.most is not None
        assert fees.standard.most > fees.base_fee
        assert (fees.slow.seconds, fees.fast.seconds) == (6, 1)
        assert list(chains.evm_clients()) == ["ethereum"]


async def test_fees_are_asked_for_once_a_block() -> None:
    asked: list[str] = []

    def answer(body: object) -> tuple[int, bytes]:
        assert isinstance(body, dict)
        asked.append(body["method"])
        return LEGACY(body)

    clock = ManualClock()
    async with node(answer) as url, opened(clock, ethereum_rpc_url=url) as chains:
        first, second = await asyncio.gather(chains.fees("ethereum"), chains.fees("ethereum"))
        assert first is second
        assert first is not None
        assert (first.base_fee, first.standard.most, first.standard.priority) == (None, Decimal("1.1"), None)
        clock.advance(0.9)
        assert await chains.fees("ethereum") is first
        assert asked.count("eth_gasPrice") == 1
        clock.advance(0.2)
        await chains.fees("ethereum")
        assert asked.count("eth_gasPrice") == 2


LEGACY = fake(eth_gasPrice=hex(10**9))


async def test_a_chain_without_nodes_is_there_and_refuses_what_is_asked() -> None:
    async with opened() as chains:
        for key in ("ethereum", "bitcoin", "solana"):
            state = chains.state(key)
            assert (state.healthy, state.head, state.error) == (False, None, "no node is configured")
            assert await chains.fees(key) is None
        assert chains.states() == {}
        with pytest.raises(ChainUnavailable):
            await chains.evm("ethereum").balance("0x" + "00" * 20)
        with pytest.raises(ChainUnavailable):
            await ContractCallsOnChains(chains).code("ethereum", "0x" + "00" * 20)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("solana", WalletErrorCode.NOT_ENABLED),
        ("bitcoin", WalletErrorCode.NOT_ENABLED),
        ("dogecoin", WalletErrorCode.UNKNOWN_CHAIN),
    ],
)
async def test_a_chain_of_another_family_is_refused_and_the_field_named(key: str, code: WalletErrorCode) -> None:
    async with opened() as chains:
        with pytest.raises(WalletRefused) as refused:
            chains.evm(key, field=("from", "chain"))
        assert (refused.value.reason, refused.value.field) == (code, ["from", "chain"])
        with pytest.raises(WalletRefused):
            chains.solana("ethereum")
        assert chains.solana().chain == "solana"


async def test_a_node_of_another_chain_and_one_that_is_away_are_told_apart() -> None:
    async with anvil(chain_id=5) as other, opened(ethereum_rpc_url=f"{other}, http://127.0.0.1:1") as chains:
        with pytest.raises(WalletRefused) as refused:
            await chains.fees("ethereum")
        assert refused.value.reason is WalletErrorCode.PROVIDER_UNAVAILABLE
        state = chains.state("ethereum")
        assert (state.healthy, state.error) == (False, "no node answers")
        assert [each.error for each in state.providers] == [
            "is of chain 5, not of 31337",
            "cannot be reached (ConnectError)",
        ]


async def test_a_chain_that_stands_still_is_said_to() -> None:
    clock = ManualClock(int(str(BLOCK["timestamp"]), 16) * 1000 + 5_000)
    async with node(fake()) as url, opened(clock, ethereum_rpc_url=url) as chains:
        await chains.evm("ethereum").pool.probe()
        assert (chains.state("ethereum").healthy, chains.state("ethereum").lag_seconds) == (True, 5)
        clock.advance(116)
        state = chains.state("ethereum")
        assert (state.healthy, state.lag_seconds, state.error) == (False, 121, "its newest block is 121 s old")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ChainUnavailable("ethereum", {}), WalletErrorCode.PROVIDER_UNAVAILABLE),
        (ChainUnavailable("ethereum", {"node-1": "x"}), WalletErrorCode.PROVIDER_UNAVAILABLE),
        (ChainError("anything"), WalletErrorCode.PROVIDER_UNAVAILABLE),
        (NodesContradict("x"), WalletErrorCode.PROVIDER_LYING),
        (NodeRefused(-32000, "nonce too low"), WalletErrorCode.NONCE_TOO_LOW),
        (NodeRefused(-32000, "already known"), WalletErrorCode.ALREADY_KNOWN),
        (NodeRefused(-32000, "replacement transaction underpriced"), WalletErrorCode.UNDERPRICED),
        (NodeRefused(-32000, "insufficient funds for transfer"), WalletErrorCode.INSUFFICIENT_GAS),
        (NodeRefused(3, "execution reverted: paused"), WalletErrorCode.SIMULATION_REVERTED),
        (NodeRefused(-32000, "exceeds block gas limit"), WalletErrorCode.TRANSACTION_REFUSED),
    ],
)
def test_whatever_a_chain_says_has_a_code_and_words(error: ChainError, code: WalletErrorCode) -> None:
    found = failure_of(error)
    assert found.code is code
    assert found.text.format_map(found.values)


def test_what_a_contract_said_is_repeated() -> None:
    found = failure_of(NodeRefused(3, "execution reverted: paused"))
    assert found.text.format_map(found.values) == "the contract refuses the call: paused"


async def test_a_contract_is_believed_when_all_nodes_tell_the_same_of_it() -> None:
    async with anvil() as url:
        deployer = client_of(url)
        stubborn = await deploy(deployer, "Stubborn")
        liar = TwistedNode(JsonRpc(url))
        client = client_of_nodes(TwistedNode(JsonRpc(url)), liar)
        calls = ContractCallsOnChains(chains_of(catalogue_with(), client))
        code = await calls.code("ethereum", stubborn)
        assert code == await deployer.code(stubborn)
        with pytest.raises(NodeRefused):
            await calls.call("ethereum", stubborn, b"\x01\x02\x03\x04")
        liar.twist = lambda method, _, answer: "0x1626ba7e" if method in {"eth_call", "eth_getCode"} else answer
        with pytest.raises(NodesContradict):
            await calls.code("ethereum", stubborn)

        def yes(method: str, _params: object, answer: object) -> object:
            return "0x01" if method == "eth_call" else answer

        liar.twist = yes
        with pytest.raises(NodesContradict):
            await calls.call("ethereum", FRIEND, b"")
        liar.failure = ProviderFailed(Failure.TIMED_OUT, "did not answer in time")
        with pytest.raises(ChainUnavailable):
            await calls.code("ethereum", stubborn)
        await deployer.close()
        await client.close()
