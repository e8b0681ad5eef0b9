"""What wallets hold on their chains, and what is said when a chain does not tell."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from solders.keypair import Keypair

from core.clock import ManualClock, SystemClock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from events.token import TokenState
from integrations.chains.bitcoin.addresses import BitcoinAddress
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.bitcoin.messages import Unspent, Utxo
from integrations.chains.bitcoin.transactions import Outpoint
from integrations.chains.evm.client import EvmClient
from integrations.chains.solana.addresses import TOKEN_PROGRAM
from integrations.chains.solana.client import SolanaClient
from services.catalogue import Catalogue
from services.chain_addresses import bitcoin_network
from services.chains import Chains, bitcoin_access, solana_access
from services.tokens import Tokens
from services.wallet_balances import WalletBalances
from tests.chains import anvil
from tests.evm import FRIEND, STRANGER, calldata, catalogue_with, chains_of, client_of, deploy, local_chain, send, token
from tests.integrations.chains.solana.signing import address
from tests.integrations.chains.test_evm import BLOCK, fake
from tests.integrations.chains.test_json_rpc import node
from tests.solana_chain import SolanaChain
from tests.solana_node import solana_node

ETHER = 10**18
EVM = ChainFamily.EVM


def usdt(contract: str) -> TokenState:
    return TokenState("ethereum", contract, "USDT", "Tether USD", 6, "USDT")


def balances(known: Catalogue, chains: Chains, clock: ManualClock | None = None, seconds: float = 30) -> WalletBalances:
    time = clock or SystemClock()
    return WalletBalances(chains, Tokens(known, chains, time), time, answer_seconds=seconds)


@asynccontextmanager
async def reading(
    client: EvmClient, *tokens: TokenState, clock: ManualClock | None = None, seconds: float = 30
) -> AsyncIterator[WalletBalances]:
    known = catalogue_with(*tokens)
    found = balances(known, chains_of(known, client, clock), clock, seconds)
    yield found
    await found.close()


async def test_coin_and_tokens_are_found_as_of_one_block() -> None:
    async with local_chain() as client:
        contract, empty = await token(client), await token(client, "DAI")
        await send(client, contract, calldata("transfer(address,uint256)", FRIEND, 1_500_000))
        async with reading(client, usdt(contract), replace(usdt(empty), symbol="DAI")) as wallets:
            found = await wallets.read(EVM, FRIEND)
        block = await client.block()
    assert block is not None
    assert [(item.token.symbol, item.units) for item in found.items] == [("ETH", 10_000 * ETHER), ("USDT", 1_500_000)]
    assert {(item.block, item.time_ms) for item in found.items} == {(block.number, block.time_ms)}
    assert found.failures == []


async def test_a_token_that_does_not_tell_is_named_and_not_zero() -> None:
    async with local_chain() as client:
        stubborn, fine = await deploy(client, "Stubborn"), await token(client)
        async with reading(client, usdt(fine), replace(usdt(stubborn), symbol="MUTE")) as wallets:
            found = await wallets.read(EVM, STRANGER)
    assert [item.token.symbol for item in found.items] == ["ETH"]
    (trouble,) = found.failures
    assert (trouble.chain, trouble.code) == ("ethereum", WalletErrorCode.SIMULATION_REVERTED)
    assert trouble.text.format_map(trouble.values) == "these tokens do not tell their balance: MUTE"


async def test_a_dead_chain_is_a_failure_beside_what_others_tell() -> None:
    async with anvil() as url:
        client, dead = client_of(url), client_of("http://127.0.0.1:1")
        known = catalogue_with()
        entry = known.chains["ethereum"].model_copy(update={"key": "polygon"})
        coin: dict[str | None, TokenState] = {None: replace(known.tokens["ethereum"][None], chain="polygon")}
        known = replace(known, chains={**known.chains, "polygon": entry}, tokens={**known.tokens, "polygon": coin})
        alive, gone = chains_of(known, client), chains_of(known, dead)
        chains = Chains(known.chains, {**alive._accesses, "polygon": gone._accesses["ethereum"]}, SystemClock())
        found = await balances(known, chains).read(EVM, FRIEND)
        await chains.close()
    assert [(item.token.chain, item.units) for item in found.items] == [("ethereum", 10_000 * ETHER)]
    assert [(each.chain, each.code) for each in found.failures] == [("polygon", WalletErrorCode.PROVIDER_UNAVAILABLE)]


async def test_a_chain_that_stalls_is_given_up_and_the_others_are_told() -> None:
    async with node(fake(), stall=True) as url:
        client = client_of(url)
        async with reading(client, seconds=0.05) as wallets:
            found = await wallets.read(EVM, FRIEND)
        await client.close()
    assert found.items == []
    assert [each.code for each in found.failures] == [WalletErrorCode.PROVIDER_UNAVAILABLE]


async def test_what_a_chain_last_told_is_shown_for_some_minutes_beside_its_failure() -> None:
    clock = ManualClock()
    async with anvil() as url:
        client = client_of(url, clock=clock)
        wallets = balances(known := catalogue_with(), chains_of(known, client, clock), clock)
        first = await wallets.read(EVM, FRIEND)
    clock.advance(299)
    beside = await wallets.read(EVM, FRIEND)
    assert (beside.items, [each.code for each in beside.failures]) == (
        first.items,
        [WalletErrorCode.PROVIDER_UNAVAILABLE],
    )
    clock.advance(1)
    gone = await wallets.read(EVM, FRIEND)
    assert (gone.items, [each.code for each in gone.failures]) == ([], [WalletErrorCode.PROVIDER_UNAVAILABLE])
    await client.close()


async def test_a_node_that_lies_about_its_chain_gives_no_balance() -> None:
    async with anvil(chain_id=5) as url:
        client = client_of(url)
        async with reading(client) as wallets:
            found = await wallets.read(EVM, FRIEND)
        await client.close()
    assert found.items == []
    assert [each.code for each in found.failures] == [WalletErrorCode.PROVIDER_UNAVAILABLE]


async def test_answers_are_kept_for_some_seconds_and_asked_for_once() -> None:
    asked: list[str] = []
    answer = fake(eth_getBalance="0x2a")

    def counted(body: object) -> tuple[int, bytes]:
        if isinstance(body, list):
            return 200, b"[]"
        assert isinstance(body, dict)
        asked.append(body["method"])
        return answer(body)

    clock = ManualClock()
    async with node(counted) as url:
        client = client_of(url, clock=clock)
        async with reading(client, clock=clock) as wallets:
            several = await asyncio.gather(*(wallets.read(EVM, FRIEND) for _ in range(10)))
            assert {item.units for found in several for item in found.items} == {42}
            assert asked.count("eth_getBalance") == 1
            clock.advance(4)
            await wallets.read(EVM, FRIEND)
            assert asked.count("eth_getBalance") == 1
            await wallets.read(EVM, STRANGER)
            assert asked.count("eth_getBalance") == 2
            clock.advance(7)
            await wallets.read(EVM, FRIEND)
            assert asked.count("eth_getBalance") == 3
        await client.close()
    assert several[0].items[0].time_ms == int(str(BLOCK["timestamp"]), 16) * 1000


@pytest.mark.parametrize(
    ("chain", "code"),
    [("dogecoin", WalletErrorCode.UNKNOWN_CHAIN), ("solana", WalletErrorCode.ADDRESS_WRONG_NETWORK)],
)
async def test_a_chain_the_wallet_is_not_on_is_refused(chain: str, code: WalletErrorCode) -> None:
    known = catalogue_with()
    wallets = balances(known, Chains(known.chains, {}, SystemClock()))
    with pytest.raises(WalletRefused) as refused:
        await wallets.read(EVM, FRIEND, ["ethereum", chain])
    assert (refused.value.reason, refused.value.field) == (code, ["chains", "1"])


async def test_without_any_node_every_chain_of_the_family_is_said_to_be_unknown() -> None:
    known = catalogue_with()
    wallets = balances(known, Chains(known.chains, {}, SystemClock()))
    found = await wallets.read(ChainFamily.BITCOIN, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
    assert found.items == []
    assert [(each.chain, each.text) for each in found.failures] == [
        ("bitcoin", "this server has no node of this chain")
    ]


async def test_an_evm_chain_without_nodes_is_a_failure_and_no_error() -> None:
    known = catalogue_with()
    wallets = balances(known, Chains(known.chains, {}, SystemClock()))
    found = await wallets.read(EVM, FRIEND)
    assert (found.items, [each.code for each in found.failures]) == ([], [WalletErrorCode.PROVIDER_UNAVAILABLE])


async def test_what_is_held_on_solana_is_found_whoever_made_the_token() -> None:
    known, chain, sender = catalogue_with(), SolanaChain(), Keypair()
    chain.airdrop(sender.pubkey(), 10**10)
    mints = [chain.make_token(TOKEN_PROGRAM, 6) for _ in range(2)]
    for mint in mints:
        chain.mint_to(sender.pubkey(), mint, 5, TOKEN_PROGRAM)
    chain.advance()
    listed = TokenState("solana", address(mints[0]), "USDC", "USD Coin", 6, "USDC")
    coin = known.tokens["solana"][None]
    known = replace(known, tokens={**known.tokens, "solana": {None: coin, listed.contract: listed}})
    async with solana_node(chain) as node:
        client = SolanaClient("solana", [("first", node.url)], genesis=chain.genesis, clock=SystemClock())
        access = solana_access(known.chains["solana"], client, SystemClock())
        chains = Chains(known.chains, {"solana": access}, SystemClock())
        found = await balances(known, chains).read(ChainFamily.SOLANA, address(sender))
        await chains.close()
    held = {item.token.contract: item for item in found.items}
    assert {contract: item.units for contract, item in held.items()} == {
        None: 10**10,
        address(mints[0]): 5,
        address(mints[1]): 5,
    }
    assert held[address(mints[0])].token == listed
    unknown = held[address(mints[1])].token
    assert (unknown.decimals, unknown.asset) == (6, None)
    assert {item.block for item in found.items} == {chain.blocks[-2].slot}


async def test_what_is_held_on_bitcoin_counts_once_it_is_in_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    known = catalogue_with()
    entry = known.chains["bitcoin"]
    client = BitcoinClient(
        "bitcoin",
        nodes_of([], ["http://127.0.0.1:1"]),
        network=bitcoin_network(entry),
        genesis=None,
        clock=SystemClock(),
    )
    asked: list[str] = []

    async def unspent(owner: BitcoinAddress) -> Unspent:
        asked.append(owner.text)
        heights = (7, 9, None)
        outputs = [Utxo(Outpoint("ab" * 32, n), 10**n, owner.script, at, False) for n, at in enumerate(heights)]
        return Unspent(10, tuple(outputs), complete=True)

    monkeypatch.setattr(client, "unspent", unspent)
    chains = Chains(known.chains, {"bitcoin": bitcoin_access(entry, client, SystemClock())}, SystemClock())
    wallets = balances(known, chains)
    address_ = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    (item,) = (await wallets.read(ChainFamily.BITCOIN, address_, ["bitcoin"])).items
    assert (item.token.symbol, item.units, item.block, asked) == ("BTC", 11, 10, [address_])
    with pytest.raises(WalletRefused) as refused:
        await wallets.read(ChainFamily.BITCOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", ["bitcoin"])
    assert refused.value.reason is WalletErrorCode.ADDRESS_WRONG_NETWORK
    await chains.close()
