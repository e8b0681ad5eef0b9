"""Ethereum for tests: a client on an Anvil of their own, transactions of its funded accounts, and a token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from core.clock import SystemClock
from integrations.chains.evm.client import EvmClient, probe
from integrations.chains.evm.messages import EvmReceipt
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.pool import PoolPolicy, ProviderPool
from tests.chains import ANVIL_ADDRESSES, ANVIL_KEYS, anvil, compiled

CHAIN_ID = 31337
GWEI = 10**9


@dataclass
class Ethereum:
    """A running chain."""

    url: str
    rpc: JsonRpc
    client: EvmClient

    async def mine(self, blocks: int = 1) -> None:
        await self.rpc.call("anvil_mine", hex(blocks))

    async def send(self, to: str | None, value: int = 0, data: bytes = b"", *, who: int = 0, **changes: Any) -> str:
        """A transaction of one of the funded accounts; its hash."""
        terms = {
            "chainId": CHAIN_ID,
            "nonce": await self.client.nonce(ANVIL_ADDRESSES[who], at="pending"),
            "to": to or b"",
            "value": value,
            "data": data,
            "gas": 3_000_000,
            "maxFeePerGas": 20 * GWEI,
            "maxPriorityFeePerGas": GWEI,
            **changes,
        }
        signed = Account.sign_transaction(terms, ANVIL_KEYS[who])
        return await self.client.send_raw(bytes(signed.raw_transaction))

    async def deploy(self, name: str, types: list[str], arguments: list[Any], *, who: int = 0) -> str:
        """A contract of tests/contracts; its address."""
        code = bytes.fromhex(compiled(name)["bytecode"][2:]) + encode(types, arguments)
        receipt = await self.receipt(await self.send(None, data=code, who=who))
        if receipt.contract is None:
            raise RuntimeError(f"{name} was not deployed")
        return receipt.contract

    async def receipt(self, hash_: str) -> EvmReceipt:
        """What became of a transaction, as soon as its block is made."""
        async with asyncio.timeout(10):
            while (receipt := await self.client.receipt(hash_)) is None:
                await asyncio.sleep(0)
        return receipt

    async def token(self, supply: int = 10**15, *, decimals: int = 6) -> str:
        """A token that account 0 owns all of. As its first transaction, it is at the address that the catalogue has for USDC."""
        types = ["string", "string", "uint8", "uint256"]
        return await self.deploy("Token", types, ["USD Coin", "USDC", decimals, supply])

    async def token_balance(self, token: str, owner: str) -> int:
        answer = await self.client.call(token, selector("balanceOf(address)") + encode(["address"], [owner]))
        return int.from_bytes(answer, "big")

    async def transfer(self, token: str, to: str, amount: int, *, who: int = 0) -> str:
        data = selector("transfer(address,uint256)") + encode(["address", "uint256"], [to, amount])
        hash_ = await self.send(token, data=data, who=who)
        await self.receipt(hash_)
        return hash_


def selector(signature: str) -> bytes:
    """The first four bytes of a function's hash."""
    return bytes(keccak(text=signature)[:4])


def client_of(*urls: str, chain_id: int = CHAIN_ID) -> EvmClient:
    """A client over these nodes, in this order."""
    nodes = [(f"node-{number}", JsonRpc(url)) for number, url in enumerate(urls, start=1)]
    pool = ProviderPool(
        "ethereum",
        nodes,
        lambda node: probe(node, chain_id),
        clock=SystemClock(),
        policy=PoolPolicy(breaker_failures=1000),
    )
    return EvmClient("ethereum", chain_id, pool)


@asynccontextmanager
async def ethereum(*options: str) -> AsyncIterator[Ethereum]:
    """An Anvil of its own and a client of it."""
    async with anvil(*options) as url:
        client, rpc = client_of(url), JsonRpc(url)
        try:
            yield Ethereum(url, rpc, client)
        finally:
            await client.close()
            await rpc.close()
