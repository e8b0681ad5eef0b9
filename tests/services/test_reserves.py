"""What the house's wallets hold by their chains: all of it, agreed on by all nodes; and what is not known is never told as nothing."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from solders.keypair import Keypair

from core.clock import Clock, ManualClock, SystemClock
from core.database import Database
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import ChainNetwork, WalletErrorCode
from events.reserve import ReserveState, sums_of
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.evm.client import EvmClient, probe
from integrations.chains.http import NodeLimits
from integrations.chains.json_rpc import Call, JsonRpc
from integrations.chains.pool import ProviderPool
from integrations.chains.solana.client import SolanaClient
from models import deposit_address, hot_wallet
from models.asset import AssetNetworkEntry
from models.deposit_address import DepositAddressDocument, address_id
from services.catalogue import Catalogue, read_files
from services.chains import ChainAccess, Chains, bitcoin_access, evm_access, solana_access
from services.reserves import Reserves
from tests.chains import LITECOIN, anvil, litecoind
from tests.esplora import esplora
from tests.evm import CHAIN_ID, FRIEND, QUICK, calldata, client_of, deploy, mine, rpc, send, token
from tests.integrations.chains.bitcoin.house import NETWORK, House, Key
from tests.solana_chain import SolanaChain
from tests.solana_node import SolanaNode, solana_node

D = Decimal
C = WalletErrorCode
COLD = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
GIVEN = ("0x1111111111111111111111111111111111111111", "0x2222222222222222222222222222222222222222")
NOWHERE = "http://127.0.0.1:1"


async def give(family: ChainFamily, *addresses: str) -> None:
    """Deposit addresses of as many people."""
    for index, address in enumerate(addresses):
        row = DepositAddressDocument(
            id=address_id(f"user-{index}", family),
            user_id=f"user-{index}",
            family=family,
            index=index,
            address=address,
            path=f"m/{index}",
            created_ms=1,
        )
        assert await deposit_address.insert(row)


def reserves(
    known: Catalogue, access: Mapping[str, ChainAccess], cold: Sequence[str] = (), clock: Clock | None = None
) -> Reserves:
    time = clock or SystemClock()
    found = dict.fromkeys(access, cold)
    return Reserves(Chains(known.chains, access, time), known, found, time, answer_seconds=60)


def on_ethereum(client: EvmClient, *, clock: Clock | None = None, **contracts: str) -> Reserves:
    """Where Tether, of all assets, has a contract."""
    known = read_files(ChainNetwork.LOCAL)
    chain = known.chains["ethereum"].model_copy(
        update={"evm": known.chains["ethereum"].evm.model_copy(update={"multicall": contracts.get("multicall")})}
    )
    known.chains = {**known.chains, "ethereum": chain}
    listed = {
        code: asset.model_copy(update={"networks": _coins(asset.networks)}) for code, asset in known.assets.items()
    }
    if "usdt" in contracts:
        form = AssetNetworkEntry(
            chain="ethereum",
            contract=contracts["usdt"],
            decimals=6,
            confirmations_required=1,
            deposit_enabled=True,
            withdrawal_enabled=True,
        )
        listed["USDT"] = listed["USDT"].model_copy(update={"networks": (form,)})
    known.assets = listed
    return reserves(known, {"ethereum": evm_access(chain, client, clock or SystemClock())}, [COLD], clock)


def _coins(networks: Sequence[AssetNetworkEntry]) -> tuple[AssetNetworkEntry, ...]:
    return tuple(form for form in networks if form.contract is None)


@pytest.mark.parametrize("aggregated", [False, True])
async def test_coins_and_tokens_of_all_wallets_are_counted_as_of_one_block(
    database: Database, aggregated: bool
) -> None:
    await give(ChainFamily.EVM, *GIVEN)
    await hot_wallet.note_address("ethereum", FRIEND)
    async with anvil() as url:
        client = client_of(url, url)
        usdt = await token(client)
        contracts = {"usdt": usdt} | ({"multicall": await deploy(client, "Multicall")} if aggregated else {})
        for to, amount in ((FRIEND, 7), (GIVEN[0], 1), (GIVEN[1], 2), (COLD, 30)):
            await send(client, usdt, calldata("transfer(address,uint256)", to, amount * 10**6))
            await send(client, to, value=amount * 10**15)
        book = on_ethereum(client, clock=None, **contracts)
        (coins,), (tokens,) = await book.of_asset("ETH"), await book.of_asset("USDT")
        block = await client.block()
        await client.close()
    assert block is not None
    assert (coins.hot, coins.unswept, coins.cold) == (D("10000.007"), D("0.003"), D("0.03"))
    assert (tokens.hot, tokens.unswept, tokens.cold) == (D(7), D(3), D(30))
    assert {(each.block, each.time_ms) for each in (coins, tokens)} == {(block.number, block.time_ms)}
    sums = sums_of([tokens], [D(8), D(33)])
    assert (sums.hot, sums.cold, sums.beyond) == (D(7), D(33), D(-1))


async def test_an_address_that_is_listed_twice_is_counted_once(database: Database) -> None:
    await give(ChainFamily.EVM, GIVEN[0], COLD)
    await hot_wallet.note_address("ethereum", GIVEN[0])
    async with anvil() as url:
        client = client_of(url)
        await send(client, GIVEN[0], value=10**18)
        await send(client, COLD, value=2 * 10**18)
        (coins,) = await on_ethereum(client).of_asset("ETH")
        await client.close()
    assert (coins.hot, coins.unswept, coins.cold) == (D(1), None, D(2))


async def test_how_old_the_block_is_is_told(database: Database) -> None:
    await hot_wallet.note_address("ethereum", FRIEND)
    async with anvil() as url:
        client = client_of(url)
        block = await client.block()
        assert block is not None
        (coins,) = await on_ethereum(client, clock=ManualClock(block.time_ms + 95_900)).of_asset("ETH")
        await client.close()
    assert coins.age_seconds == 95


class Liar(JsonRpc):
    """Adds a wei to what others tell."""

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        told = await super().batch(calls)
        return [
            hex(int(str(each), 16) + 1) if call.method == "eth_getBalance" else each
            for call, each in zip(calls, told, strict=True)
        ]


def _nodes(*nodes: JsonRpc) -> EvmClient:
    named = [(f"node-{number}", node) for number, node in enumerate(nodes, start=1)]
    pool = ProviderPool("ethereum", named, lambda node: probe(node, CHAIN_ID), clock=SystemClock())
    return EvmClient("ethereum", CHAIN_ID, pool)


async def _refused(client: EvmClient) -> ReserveState:
    await hot_wallet.note_address("ethereum", FRIEND)
    (found,) = await on_ethereum(client).of_asset("ETH")
    await client.close()
    assert (found.hot, found.unswept, found.cold) == (None, None, None)
    sums = sums_of([found], [D(1)])
    assert (sums.hot, sums.cold, sums.beyond) == (None, None, None)
    return found


async def test_a_dead_node_gives_nothing_and_the_reason(database: Database) -> None:
    found = await _refused(client_of(NOWHERE))
    assert found.trouble is not None
    assert found.trouble.code is C.PROVIDER_UNAVAILABLE


async def test_where_there_are_two_nodes_one_alone_is_not_believed(database: Database) -> None:
    async with anvil() as url:
        found = await _refused(client_of(url, NOWHERE))
    assert found.trouble is not None
    assert found.trouble.code is C.PROVIDER_UNAVAILABLE


async def test_nodes_that_contradict_each_other_give_nothing(database: Database) -> None:
    async with anvil() as url:
        found = await _refused(_nodes(JsonRpc(url, QUICK), Liar(url, QUICK)))
    assert found.trouble is not None
    assert found.trouble.code is C.PROVIDER_LYING


async def test_nodes_on_different_forks_give_nothing(database: Database) -> None:
    async with anvil() as url, anvil() as other:
        first, second = client_of(url), client_of(other)
        await mine(first, 2)
        await rpc(second, "evm_increaseTime", 1000)
        await mine(second, 2)
        for each in (first, second):
            await each.close()
        found = await _refused(client_of(url, other))
    assert found.trouble is not None
    assert found.trouble.code is C.PROVIDER_LYING


async def test_of_nodes_at_different_heights_the_lower_decides(database: Database) -> None:
    await hot_wallet.note_address("ethereum", FRIEND)
    async with anvil() as url:
        client = client_of(url)
        block = await client.block()
        assert block is not None
        behind = Behind(url, block.number)
        await mine(client, 3)
        pair = _nodes(JsonRpc(url, QUICK), behind)
        (found,) = await on_ethereum(pair).of_asset("ETH")
        await pair.close()
        await client.close()
    assert (found.block, found.trouble) == (block.number, None)


class Behind(JsonRpc):
    """Has no block above this one."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(url, QUICK)
        self._number = number

    async def call(self, method: str, *params: object) -> object:
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            params = (hex(self._number), *params[1:])
        return await super().call(method, *params)


async def test_a_token_that_does_not_tell_is_not_known_and_the_coin_is(database: Database) -> None:
    await hot_wallet.note_address("ethereum", FRIEND)
    async with anvil() as url:
        client = client_of(url)
        book = on_ethereum(client, usdt=await deploy(client, "Stubborn"))
        (coins,), (tokens,) = await book.of_asset("ETH"), await book.of_asset("USDT")
        await client.close()
    assert (coins.hot, coins.trouble) == (D(10_000), None)
    assert tokens.trouble is not None
    assert (tokens.hot, tokens.trouble.code) == (None, C.SIMULATION_REVERTED)


async def test_without_wallets_there_is_no_reserve_unless_the_ledger_has_one(database: Database) -> None:
    known = read_files(ChainNetwork.LOCAL)
    book = reserves(known, {})
    assert await book.of_asset("ETH") == []
    (found,) = await book.of_asset("ETH", {"ethereum"})
    assert found.trouble is not None
    assert (found.chain, found.hot, found.trouble.code) == ("ethereum", None, C.NOT_ENABLED)
    await give(ChainFamily.EVM, GIVEN[0])
    unread = await reserves(known, {}).of_asset("ETH")
    assert {each.trouble.code for each in unread if each.trouble} == {C.PROVIDER_UNAVAILABLE}


@asynccontextmanager
async def litecoin(folder: Path, *kinds: str) -> AsyncIterator[tuple[House, BitcoinClient]]:
    async with litecoind(folder) as url, esplora(url) as (api, _):
        own = [url] if "core" in kinds else []
        nodes = nodes_of(own, [api] if "esplora" in kinds else [])
        client = BitcoinClient("bitcoin", nodes, network=NETWORK, genesis=LITECOIN.genesis, clock=SystemClock())
        node = JsonRpc(url)
        yield House(node), client
        await client.close()
        await node.close()


@pytest.mark.parametrize("kinds", [("core",), ("esplora",), ("core", "esplora")])
async def test_bitcoin_is_counted_by_blocks_alone(database: Database, tmp_path: Path, kinds: Sequence[str]) -> None:
    hot, cold, given = Key(), Key(), [Key(), Key()]
    known = read_files(ChainNetwork.LOCAL)
    known.chains = {**known.chains, "bitcoin": LITECOIN}
    await hot_wallet.note_address("bitcoin", hot.address.text)
    await give(ChainFamily.BITCOIN, *(each.address.text for each in given))
    async with litecoin(tmp_path, *kinds) as (house, client):
        for to, sats in ((hot, 700_000), (hot, 50_000), (given[0], 30_000), (cold, 2_000_000)):
            await house.pay(to.address.text, sats, mine=0)
        (block,) = await house.mine()
        await house.pay(given[1].address.text, 999_000, mine=0)
        access = {"bitcoin": bitcoin_access(LITECOIN, client, SystemClock())}
        (found,) = await reserves(known, access, [cold.address.text]).of_asset("BTC")
        summary = await client.summary(block)
    assert summary is not None
    assert (found.hot, found.unswept, found.cold) == (D("0.0075"), D("0.0003"), D("0.02")), found.trouble
    assert (found.block, found.time_ms) == (summary.height, summary.time_ms)


async def test_an_api_that_tells_another_balance_than_the_own_node_is_not_believed(
    database: Database, tmp_path: Path
) -> None:
    hot = Key()
    known = read_files(ChainNetwork.LOCAL)
    known.chains = {**known.chains, "bitcoin": LITECOIN}
    await hot_wallet.note_address("bitcoin", hot.address.text)
    async with litecoind(tmp_path) as url, esplora(url) as (api, served):
        nodes = nodes_of([url], [api])
        client = BitcoinClient("bitcoin", nodes, network=NETWORK, genesis=LITECOIN.genesis, clock=SystemClock())
        made_up = b'{"chain_stats": {"funded_txo_sum": 5000, "spent_txo_sum": 0}}'
        served.change = lambda path, reply: (200, made_up) if path.startswith("/address/") else reply
        access = {"bitcoin": bitcoin_access(LITECOIN, client, SystemClock())}
        (found,) = await reserves(known, access).of_asset("BTC")
        await client.close()
    assert found.trouble is not None
    assert (found.hot, found.trouble.code) == (None, C.PROVIDER_LYING)


async def test_solana_is_counted_in_all_token_accounts_once_it_is_final(database: Database) -> None:
    chain = SolanaChain()
    hot, cold = Keypair(), Keypair()
    mint = chain.make_token()
    await hot_wallet.note_address("solana", str(hot.pubkey()))
    chain.airdrop(hot.pubkey(), 3 * 10**9)
    chain.airdrop(cold.pubkey(), 9 * 10**9)
    chain.mint_to(hot.pubkey(), mint, 5_000_000)
    chain.finalize()
    chain.airdrop(hot.pubkey(), 10**9)
    known = read_files(ChainNetwork.LOCAL)
    form = AssetNetworkEntry(
        chain="solana",
        contract=str(mint.pubkey()),
        decimals=6,
        confirmations_required=1,
        deposit_enabled=True,
        withdrawal_enabled=True,
    )
    known.assets = {**known.assets, "USDT": known.assets["USDT"].model_copy(update={"networks": (form,)})}
    async with solana_node(chain) as first, solana_node(chain) as second:
        client = _solana(chain, first, second)
        access = {"solana": solana_access(known.chains["solana"], client, SystemClock())}
        book = reserves(known, access, [str(cold.pubkey())])
        (coins,), (tokens,) = await book.of_asset("SOL"), await book.of_asset("USDT")
        second.twist = lambda method, params, told: {**told, "value": 1} if method == "getBalance" else told
        (lied,) = await reserves(known, access, [str(cold.pubkey())]).of_asset("SOL")
        await client.close()
    assert (coins.hot, coins.unswept, coins.cold) == (D(3), None, D(9))
    assert (tokens.hot, tokens.cold) == (D(5), D(0))
    assert lied.trouble is not None
    assert (lied.hot, lied.trouble.code) == (None, C.PROVIDER_LYING)


def _solana(chain: SolanaChain, *nodes: SolanaNode) -> SolanaClient:
    named = [(f"node-{number}", node.url) for number, node in enumerate(nodes, start=1)]
    limits = NodeLimits(total_seconds=10)
    return SolanaClient("solana", named, genesis=chain.genesis, clock=SystemClock(), limits=limits)
