"""Deposits on a chain of Bitcoin's kind, for tests: a real node under either kind of API, and the keys of the house's wallets."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from embit import bip32

from core.bus import MemoryBus
from core.clock import SystemClock
from core.vocabulary import ChainFamily
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.bitcoin.coins import Coin
from integrations.chains.bitcoin.keys import parse_deposit_account
from integrations.chains.bitcoin.psbt import build
from integrations.chains.bitcoin.signed import read_signed
from integrations.chains.bitcoin.transactions import Outpoint, TxOutput
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.pool import PoolPolicy
from services.deposit_bitcoin import BitcoinDeposits
from services.deposit_chain import DepositChain
from services.deposit_forms import Form
from tests.accounts import World
from tests.chains import LITECOIN
from tests.deposits import Reading
from tests.esplora import Esplora, esplora
from tests.integrations.chains.bitcoin.house import NETWORK, House, Key
from tests.trading_house import TradingHouse

BTC = 10**8
NEVER_RESTS = PoolPolicy(breaker_failures=10**6)
_VPUB = bytes.fromhex("045f1cf6")


@dataclass(kw_only=True)
class BitcoinSite(Reading):
    """With a hot and a cold wallet whose keys are here."""

    nodes: House
    client: BitcoinClient
    api: Esplora
    api_url: str
    url: str
    key: ClassVar[str] = "bitcoin"
    coin: ClassVar[str] = "BTC"
    root: bip32.HDKey = field(default_factory=lambda: bip32.HDKey.from_seed(secrets.token_bytes(32)))
    """What the deposit addresses of this site come from."""
    hot_key: Key = field(default_factory=Key)
    cold_key: Key = field(default_factory=Key)

    def reader(self, client: BitcoinClient | None, forms: Mapping[str | None, Form]) -> DepositChain:
        return BitcoinDeposits(client or self.client, forms.get(None))

    def over(self, rpc_urls: Sequence[str], api_urls: Sequence[str]) -> BitcoinClient:
        """A client of these nodes."""
        return _client(rpc_urls, api_urls)

    def give_addresses(self) -> None:
        """Let accounts get addresses that no other test has."""
        account = self.root.derive("m/84h/1h/7h").to_public().to_base58(version=_VPUB)
        addresses = self.world.custody.deposit_addresses
        addresses._keys = {**addresses._keys, ChainFamily.BITCOIN: parse_deposit_account(account, NETWORK)}
        addresses.watched |= {"bitcoin"}

    def deposit_key(self, index: int = 0) -> Key:
        """What signs for a deposit address."""
        return Key(private=self.root.derive(f"m/84h/1h/7h/0/{index}").key)

    async def coin_of(self, txid: str, key: Key) -> Coin:
        """The output of a transaction that pays a key."""
        outputs = (await self.nodes.call("getrawtransaction", txid, True))["vout"]
        found = next(each for each in outputs if each["scriptPubKey"]["hex"] == key.script.hex())
        return Coin(Outpoint(txid, found["n"]), round(found["value"] * BTC), key.script)

    async def spend(
        self,
        keys: Mapping[Key, str],
        outputs: Sequence[tuple[str, int]],
        *,
        mine: int = 1,
        previous: Mapping[str, bytes] | None = None,
    ) -> str:
        """Send what these keys were paid by these transactions; what the outputs leave is the fee. Gives the txid."""
        coins = [(key, await self.coin_of(txid, key)) for key, txid in keys.items()]
        txid = await self.spend_coins(coins, outputs, previous=previous)
        await self.nodes.mine(mine)
        return txid

    async def spend_coins(
        self,
        coins: Sequence[tuple[Key, Coin]],
        outputs: Sequence[tuple[str, int]],
        *,
        previous: Mapping[str, bytes] | None = None,
    ) -> str:
        """Send these; what the outputs leave is the fee. Gives the txid."""
        paid = [TxOutput(await self.script(address), sats) for address, sats in outputs]
        psbt = build([coin for _, coin in coins], paid, previous=previous).psbt
        for key in dict.fromkeys(key for key, _ in coins):
            psbt = key.sign_own(psbt)
        return str(await self.nodes.call("sendrawtransaction", read_signed(psbt).raw.hex(), 0))

    async def script(self, address: str) -> bytes:
        return bytes.fromhex((await self.nodes.call("getaddressinfo", address))["scriptPubKey"])

    async def without(self, blocks: int) -> None:
        """Blocks with nothing in them."""
        for _ in range(blocks):
            await self.nodes.call("generateblock", await self.nodes.address(), [])

    async def invalidate(self, blocks: int) -> str:
        """Give the last blocks up; what they held waits again. Gives the lowest of them."""
        height = await self.nodes.call("getblockcount")
        lowest = str(await self.nodes.call("getblockhash", height - blocks + 1))
        await self.nodes.call("invalidateblock", lowest)
        return lowest


def _client(rpc_urls: Sequence[str], api_urls: Sequence[str]) -> BitcoinClient:
    nodes = nodes_of(rpc_urls, api_urls)
    return BitcoinClient(
        "bitcoin", nodes, network=NETWORK, genesis=LITECOIN.genesis, clock=SystemClock(), policy=NEVER_RESTS
    )


@asynccontextmanager
async def opened(url: str, kind: str) -> AsyncIterator[BitcoinSite]:
    """Over a node of this kind: `core`, `esplora`, or `both`."""
    bus = MemoryBus()
    trading = TradingHouse(bus=bus)
    world = World(gateway=trading.gateway, bus=bus)
    world.catalogue.chains = {**world.catalogue.chains, "bitcoin": LITECOIN}
    trading.clock = world.clock
    await world.accounts.load()
    rpc = JsonRpc(url)
    async with esplora(url) as (api_url, api), trading.open():
        client = _client([] if kind == "esplora" else [url], [] if kind == "core" else [api_url])
        site = BitcoinSite(
            house=trading, world=world, nodes=House(rpc), client=client, api=api, api_url=api_url, url=url
        )
        site.give_addresses()
        await site.settle_in()
        site.hot, site.cold = site.hot_key.address.text, frozenset({site.cold_key.address.text})
        yield site
        await client.close()
        await rpc.close()
