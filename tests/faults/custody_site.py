"""A house with a chain, as processes of their own: what is asked of it over HTTP, what its database says, and what the chain has."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pymongo import AsyncMongoClient

from integrations.chains.json_rpc import JsonRpc
from integrations.signers.base import Curve
from integrations.signers.evm import evm_address
from integrations.signers.keystore import create_keystore, open_keystore
from server import local_chain
from tests import components
from tests.accounts import PASSWORD, REAUTHENTICATE
from tests.chains import anvil
from tests.faults.chain_gate import ChainGate, chain_gate
from tests.faults.exchange_cluster import killed
from tests.faults.nursery import Nursery, nursery
from tests.flows.servers import Server, until
from tests.flows.traders import SETTINGS, Json, Trader, traders

TO = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
ADD = """mutation($input: AddWithdrawalAddressInput!) { addWithdrawalAddress(input: $input) {
  address { id } errors { code message }
} }"""
REQUEST = """mutation($input: RequestWithdrawalInput!) { requestWithdrawal(input: $input) {
  withdrawal { id status fee } errors { code message }
} }"""
CONFIRM = """mutation($token: String!) { confirmWithdrawal(input: {token: $token}) { withdrawal { status } errors { code } } }"""
ADDRESS = """mutation { createDepositAddress(input: {chain: "ethereum"}) {
  depositAddress { address uri qrSvg } errors { code message }
} }"""
PAUSE = 0.1
"""Between looks into the database, which take it longer than they take us."""
PASSPHRASE = "a passphrase of tests"
PARTS: Mapping[str, tuple[str, ...]] = {
    "exchange": ("exchange",),
    "prices": ("market-data",),
    "rest": ("mail", "projection"),
    "withdrawals": ("withdrawals",),
    "deposits": ("deposits",),
}
USDC = local_chain.DEMONSTRATION
_BALANCE_OF = "70a08231"
_TRANSFER = "a9059cbb"


async def proven(who: Trader, operation: str, given: Json) -> Json:
    """The input with a proof for it."""
    data = await who.data(REAUTHENTICATE, operation=operation, parameters=given, proof={"password": PASSWORD})
    payload = data["reauthenticate"]
    assert payload["errors"] == [], payload
    return {**given, "stepUpProof": payload["stepUpProof"]}


@dataclass
class CustodySite:
    """The parts that run by name; one of them is killed and started again under the same name."""

    nursery: Nursery
    settings: dict[str, str]
    mongo_url: str
    rows: Any
    gate: ChainGate
    rpc: JsonRpc
    hot: str
    api_port: int
    running: dict[str, Server] = field(default_factory=dict)
    ann: Trader = field(init=False)
    entry: str = field(init=False)

    async def start(self, name: str) -> None:
        """A worker process of this part."""
        self.running[name] = await self.nursery.start("worker", *PARTS[name], settings=self.settings)

    async def kill(self, name: str) -> None:
        """kill -9 of a part."""
        await killed(self.running[name].process)

    async def settle_in(self) -> None:
        """Funds, and an address that may be paid to."""
        await until(lambda: self.ann.ask('{ asset(code: "ETH") { price(quote: "USD") { price } } }'), _is_priced)
        for asset, amount in (("ETH", "10"), ("USDC", "1000")):
            await self.ann.claim(asset, amount)
        book = await proven(self.ann, "addWithdrawalAddress", {"chain": "ethereum", "address": TO, "label": "cold"})
        self.entry = (await self.ann.data(ADD, input=book))["addWithdrawalAddress"]["address"]["id"]

    async def ask(self, key: str, asset: str, amount: str) -> list[Json]:
        """Ask for a withdrawal; what speaks against it."""
        wish = {
            "clientWithdrawalId": key,
            "asset": asset,
            "chain": "ethereum",
            "addressId": self.entry,
            "amount": amount,
        }
        given = await proven(self.ann, "requestWithdrawal", wish)
        body = await self.ann.ask(REQUEST, input=given)
        payload = body if body.get("data") is None else body["data"]["requestWithdrawal"]
        errors: list[Json] = payload["errors"]
        return errors

    async def asked(self, key: str, asset: str, amount: str) -> None:
        """Ask until it is there, as a client does that was not answered."""
        await until(lambda: self.ask(key, asset, amount), lambda errors: errors == [], within=90)

    async def confirm(self, number: int) -> None:
        """Follow the link in the mail of the so-manyth withdrawal that was asked for."""

        async def look() -> list[str]:
            return re.findall(r"/confirm-withdrawal#token=(\S+)", self.running["rest"].log())

        tokens = await until(look, lambda found: len(found) >= number, within=90)
        body = await until(lambda: self.ann.ask(CONFIRM, token=tokens[number - 1]), lambda body: not _is_away(body))
        assert body["data"]["confirmWithdrawal"]["errors"] == [], body

    async def deposit_address(self) -> str:
        """Where deposits go to, once the chain is watched."""
        await until(lambda: self.rows.chain_cursors.find_one({"_id": "ethereum"}), bool)
        made = (await self.ann.data(ADDRESS))["createDepositAddress"]
        assert made["errors"] == [], made
        return str(made["depositAddress"]["address"])

    async def withdrawal(self, key: str) -> Json:
        """The row under this key; empty without one."""
        return await self.rows.withdrawals.find_one({"client_id": key}) or {}

    async def deposit(self, asset: str) -> Json:
        """The row of the deposit of an asset; empty without one."""
        return await self.rows.deposits.find_one({"asset": asset}) or {}

    async def comes_to(self, key: str, status: str) -> None:
        """Wait until a withdrawal is so far."""
        await until(lambda: self.withdrawal(key), lambda row: row.get("status") == status, pause=PAUSE)

    async def settled(self, key: str, *, mining: int = 0) -> Json:
        """The row of a withdrawal once the ledger knows that it is paid; another look at one that waited is half a minute away. `mining`: blocks for each look."""

        async def look() -> Json:
            if mining:
                await self.mine(mining)
            return await self.withdrawal(key)

        return await until(look, lambda row: bool(row.get("settled")), pause=PAUSE, within=90)

    async def deposit_comes_to(self, asset: str, **fields: str) -> None:
        """Wait until the deposit of an asset has these values."""
        await until(lambda: self.deposit(asset), lambda row: fields.items() <= row.items(), pause=PAUSE)

    async def fund_hot(self, units: int) -> None:
        """Let the hot wallet have so many wei."""
        await self.rpc.call("anvil_setBalance", self.hot, hex(units))

    async def mine(self, blocks: int) -> None:
        """So many blocks."""
        await self.rpc.call("anvil_mine", hex(blocks))

    async def pay(self, to: str, *, wei: int = 0, tokens: int = 0) -> None:
        """Coins, or units of the token, of Anvil's richest account, in a block of their own."""
        message = {"from": local_chain.RICHEST, "to": to, "value": hex(wei)}
        if tokens:
            data = f"0x{_TRANSFER}{to[2:].lower():0>64}{tokens:064x}"
            message = {"from": local_chain.RICHEST, "to": USDC, "data": data, "gas": hex(200_000)}
        await self.rpc.call("eth_sendTransaction", message)

    async def paid(self) -> tuple[int, int]:
        """What the recipient has of coins and of tokens, in units."""
        call = {"to": USDC, "data": f"0x{_BALANCE_OF}{TO[2:].lower():0>64}"}
        coins, tokens = (
            await self.rpc.call("eth_getBalance", TO, "latest"),
            await self.rpc.call("eth_call", call, "latest"),
        )
        return int(str(coins), 16), int(str(tokens), 16)

    async def nonces(self) -> tuple[int, int]:
        """How many transactions of the hot wallet the chain has, without and with those that wait."""
        found = [await self.rpc.call("eth_getTransactionCount", self.hot, at) for at in ("latest", "pending")]
        return int(str(found[0]), 16), int(str(found[1]), 16)


def _is_away(body: Json) -> bool:
    """Whether rows were held by a transaction of a process that was killed: people are told to try again."""
    return [each["extensions"]["code"] for each in body.get("errors", ())] == ["DATABASE_UNAVAILABLE"]


def _is_priced(body: Json) -> bool:
    return bool((body["data"]["asset"] or {}).get("price"))


@asynccontextmanager
async def custody_site(folder: Path) -> AsyncIterator[CustodySite]:
    """All of it, with one person who has funds; the hot wallet has tokens, and no coins yet."""
    key_file, passphrase = folder / "hot.pem", SecretStr(PASSPHRASE)
    create_keystore(key_file, passphrase, Curve.SECP256K1)
    hot = evm_address(await open_keystore("hot", key_file, passphrase, Curve.SECP256K1).public_key())
    async with AsyncExitStack() as stack:
        children = await stack.enter_async_context(nursery(folder))
        _, mongo_url = await stack.enter_async_context(components.secantus(folder / "mongo", transaction_seconds=3))
        _, redis_url = await stack.enter_async_context(components.redis(folder))
        node_url = await stack.enter_async_context(anvil())
        gate = await stack.enter_async_context(chain_gate(node_url))
        rpc = JsonRpc(node_url)
        stack.push_async_callback(rpc.close)
        rows: AsyncMongoClient[Json] = AsyncMongoClient(mongo_url)
        stack.push_async_callback(rows.close)
        await local_chain._furnish(rpc, hot)
        await rpc.call("anvil_setBalance", hot, "0x0")
        settings = {
            **SETTINGS,
            "MONGO_URL": mongo_url,
            "REDIS_URL": redis_url,
            "BLOCKCHAIN_NETWORK": "local",
            "ETHEREUM_RPC_URL": gate.url,
            "DEPOSIT_XPUBS": f"evm={local_chain.DEPOSITS}",
            "WITHDRAWAL_KEYS": f"evm=keystore:{key_file}",
            "KEYSTORE_PASSPHRASE": PASSPHRASE,
            "WITHDRAWAL_ADDRESS_DELAY_HOURS": "0",
            "WITHDRAWAL_HOLD_HOURS": "0",
            "WITHDRAWAL_REVIEW_USD": "1000000",
            "WITHDRAWAL_DAILY_LIMIT_USD": "1000000",
        }
        site = CustodySite(children, settings, mongo_url, rows["cryptovault"], gate, rpc, hot, components.free_port())
        for name in PARTS:
            await site.start(name)
        api = await children.start("api", settings=settings, port=site.api_port)
        async with traders(api, "ann", mails=site.running["rest"]) as (site.ann,):
            await site.settle_in()
            yield site


def units(amount: str, decimals: int) -> int:
    """So much, in units."""
    return int(Decimal(amount).scaleb(decimals))
