"""An Ethereum chain for tests: a client of real nodes, contracts on it, and transactions of Anvil's own accounts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from core.clock import Clock, SystemClock
from core.wallet_vocabulary import ChainNetwork
from events.token import TokenState
from integrations.chains.evm.client import EvmClient, probe
from integrations.chains.evm.messages import EvmReceipt
from integrations.chains.http import NodeLimits
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.pool import PoolPolicy, ProviderPool
from models.chain import EvmContracts
from services.catalogue import Catalogue, read_files
from services.chains import Chains, evm_access
from tests.chains import ANVIL_ADDRESSES, anvil, compiled

OWNER, FRIEND, STRANGER = ANVIL_ADDRESSES
CHAIN_ID = 31337
QUICK = NodeLimits(connect_seconds=10, total_seconds=10)


def client_of(
    *urls: str, clock: Clock | None = None, limits: NodeLimits = QUICK, policy: PoolPolicy | None = None
) -> EvmClient:
    """A client of these nodes: `node-1`, `node-2`, …"""
    nodes = [(f"node-{number}", JsonRpc(url, limits)) for number, url in enumerate(urls, start=1)]
    pool = ProviderPool(
        "ethereum", nodes, lambda node: probe(node, CHAIN_ID), clock=clock or SystemClock(), policy=policy
    )
    return EvmClient("ethereum", CHAIN_ID, pool)


@asynccontextmanager
async def local_chain(*options: str) -> AsyncIterator[EvmClient]:
    """Anvil, and its client."""
    async with anvil(*options) as url:
        client = client_of(url)
        try:
            yield client
        finally:
            await client.close()


def calldata(signature: str, *values: object) -> bytes:
    """A call of a function such as `transfer(address,uint256)`, whose types are plain."""
    types = [each for each in signature.partition("(")[2].rstrip(")").split(",") if each]
    return keccak(text=signature)[:4] + encode(types, values)


async def send(
    client: EvmClient, to: str | None, data: bytes = b"", *, value: int = 0, sender: str = OWNER, gas: int = 3_000_000
) -> EvmReceipt:
    """A transaction of an account of Anvil's, which is in a block when this returns."""
    hash_ = await submit(client, to, data, value=value, sender=sender, gas=gas)
    async with asyncio.timeout(10):
        while (receipt := await client.receipt(hash_)) is None:
            await asyncio.sleep(0.005)
    return receipt


async def submit(
    client: EvmClient, to: str | None, data: bytes = b"", *, value: int = 0, sender: str = OWNER, gas: int = 3_000_000
) -> str:
    """The hash of a transaction that may wait for its block."""
    message: dict[str, Any] = {"from": sender, "data": "0x" + data.hex(), "value": hex(value), "gas": hex(gas)}
    if to is not None:
        message["to"] = to
    return str(await rpc(client, "eth_sendTransaction", message))


async def deploy(client: EvmClient, name: str, types: Sequence[str] = (), values: Sequence[object] = ()) -> str:
    """A contract of tests/contracts with the arguments of its constructor; gives its address."""
    code = bytes.fromhex(compiled(name)["bytecode"][2:]) + encode(types, values)
    receipt = await send(client, None, code)
    if not receipt.success or receipt.contract is None:
        raise LookupError(f"{name} could not be deployed")
    return receipt.contract


async def token(client: EvmClient, symbol: str = "USDT", decimals: int = 6, supply: int = 10**12) -> str:
    """A token, all of it in the hands of OWNER."""
    types = ("string", "string", "uint8", "uint256")
    return await deploy(client, "Token", types, (f"{symbol} token", symbol, decimals, supply))


async def rpc(client: EvmClient, method: str, *params: object) -> object:
    """Whatever a node of tests understands, such as `anvil_mine`."""
    return await client.ask(method, params, lambda result: result)


async def mine(client: EvmClient, blocks: int = 1) -> None:
    """So many blocks."""
    await rpc(client, "anvil_mine", hex(blocks))


async def token_balance(client: EvmClient, contract: str, owner: str) -> int:
    """Units of a token."""
    return int.from_bytes(await client.call(contract, calldata("balanceOf(address)", owner)), "big")


def catalogue_with(*tokens: TokenState, **contracts: str | None) -> Catalogue:
    """The catalogue of local chains, with these tokens on ethereum, and contracts of EvmContracts such as `multicall`."""
    known = read_files(ChainNetwork.LOCAL)
    entry = known.chains["ethereum"].model_copy(
        update={"final_after": 3, "evm": EvmContracts.model_validate(contracts)}
    )
    listed = [known.tokens["ethereum"][None], *tokens]
    return replace(
        known,
        chains={**known.chains, "ethereum": entry},
        tokens={**known.tokens, "ethereum": {each.contract: each for each in listed}},
    )


def chains_of(known: Catalogue, client: EvmClient, clock: Clock | None = None) -> Chains:
    """Chains of which ethereum alone has nodes."""
    time = clock or SystemClock()
    return Chains(known.chains, {"ethereum": evm_access(known.chains["ethereum"], client, time)}, time)
