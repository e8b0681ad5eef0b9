"""What wallets hold, as their owners see it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from core.database import Database
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import ChainNetwork
from events.token import TokenState
from integrations.chains.evm.client import EvmClient
from models import wallet
from models.wallet import WalletDocument
from services.catalogue import read_files
from tests.accounts import Person, World, world
from tests.custody import SOLANA_HOUSE
from tests.evm import FRIEND, STRANGER, calldata, catalogue_with, chains_of, client_of, deploy, local_chain, send, token
from tests.markets import ETH, codes, feed, tick

BALANCES = """query ($chains: [String!], $spam: Boolean! = false, $quote: String) { viewer { wallets {
    balances(chains: $chains, includeSpam: $spam) {
        items { id quantity blockNumber time value(quote: $quote)
            token { id contract symbol name decimals spam explorerUrl chain { key } asset { code } } }
        failures { code message chain { key } }
        totalValue(quote: $quote) } } } }"""


async def owner_of(vault: World, address: str = FRIEND, family: ChainFamily = ChainFamily.EVM) -> Person:
    """Somebody whose wallet has this address."""
    person = await vault.signed_up("anna@example.com")
    row = WalletDocument(id="w1", user_id=person.user_id, slot=0, family=family, address=address, linked_ms=1)
    assert await wallet.insert(row)
    return person


@pytest.fixture
async def chain() -> AsyncIterator[EvmClient]:
    async with local_chain() as client:
        yield client


def vouched(contract: str, symbol: str = "USDT", asset: str | None = "USDT", *, spam: bool = False) -> TokenState:
    return TokenState("ethereum", contract, symbol, "Tether USD", 6, asset, spam)


async def test_coin_and_tokens_are_shown_with_their_worth(database: Database, chain: EvmClient) -> None:
    contract = await token(chain)
    await send(chain, contract, calldata("transfer(address,uint256)", FRIEND, 1_500_000))
    known = catalogue_with(vouched(contract))
    entry = known.chains["ethereum"].model_copy(update={"explorer": "https://explorer.example"})
    known = replace(known, chains={**known.chains, "ethereum": entry})
    async with world(known=known, reached=lambda known, _: chains_of(known, chain)) as vault:
        person = await owner_of(vault)
        for event in (feed(ETH), tick(1, "2000", ETH)):
            vault.view.apply(event)
        data = await vault.data(BALANCES, person, quote="USDT")
        found = data["viewer"]["wallets"][0]["balances"]
        coin, tether = found["items"]
        assert (coin["quantity"], coin["value"], coin["token"]["contract"]) == ("10000", "20000000", None)
        assert (tether["quantity"], tether["value"], tether["blockNumber"]) == ("1.5", "1.5", 2)
        assert tether["token"] == {
            "id": tether["token"]["id"],
            "contract": contract,
            "symbol": "USDT",
            "name": "Tether USD",
            "decimals": 6,
            "spam": False,
            "explorerUrl": f"https://explorer.example/token/{contract}",
            "chain": {"key": "ethereum"},
            "asset": {"code": "USDT"},
        }
        assert (found["failures"], found["totalValue"]) == ([], "20000001.5")
        unpriced = await vault.data(BALANCES, person, quote="EUR")
        found = unpriced["viewer"]["wallets"][0]["balances"]
        assert ([item["value"] for item in found["items"]], found["totalValue"]) == ([None, None], None)


async def test_spam_is_shown_when_it_is_asked_for(database: Database, chain: EvmClient) -> None:
    contract = await token(chain)
    await send(chain, contract, calldata("transfer(address,uint256)", FRIEND, 1))
    known = catalogue_with(vouched(contract, "claim.com", None, spam=True))
    async with world(known=known, reached=lambda known, _: chains_of(known, chain)) as vault:
        person = await owner_of(vault)
        for spam, count in ((False, 1), (True, 2)):
            data = await vault.data(BALANCES, person, spam=spam)
            assert len(data["viewer"]["wallets"][0]["balances"]["items"]) == count


async def test_what_is_not_known_is_no_zero_and_has_no_total(database: Database, chain: EvmClient) -> None:
    known = catalogue_with(vouched(await deploy(chain, "Stubborn")))
    async with world(known=known, reached=lambda known, _: chains_of(known, chain)) as vault:
        person = await owner_of(vault)
        for event in (feed(ETH), tick(1, "2000", ETH)):
            vault.view.apply(event)
        data = await vault.data(BALANCES, person, quote="USDT")
        found = data["viewer"]["wallets"][0]["balances"]
        assert [item["token"]["symbol"] for item in found["items"]] == ["ETH"]
        assert found["totalValue"] is None
        assert found["failures"] == [
            {
                "code": "SIMULATION_REVERTED",
                "message": "these tokens do not tell their balance: USDT",
                "chain": {"key": "ethereum"},
            }
        ]


async def test_a_dead_chain_is_told_in_the_readers_language(database: Database) -> None:
    client = client_of("http://127.0.0.1:1/geheim")
    async with world(known=catalogue_with(), reached=lambda known, _: chains_of(known, client)) as vault:
        person = await owner_of(vault)
        caller = vault.caller(person)
        german = replace(caller, client=replace(caller.client, locale="de"))
        answer = await vault.ask_as(german, BALANCES)
        assert answer["data"]["viewer"]["wallets"][0]["balances"] == {
            "items": [],
            "failures": [
                {
                    "code": "PROVIDER_UNAVAILABLE",
                    "message": "Kein Knoten dieser Chain antwortet gerade; versuchen Sie es noch einmal",
                    "chain": {"key": "ethereum"},
                }
            ],
            "totalValue": None,
        }
    await client.close()


async def test_a_chain_of_another_family_is_refused_by_name(database: Database) -> None:
    async with world(known=catalogue_with()) as vault:
        person = await owner_of(vault)
        answer = await vault.ask(BALANCES, person, chains=["solana"])
        assert codes(answer) == [("ADDRESS_WRONG_NETWORK", ["viewer", "wallets", 0, "balances"])]
        assert answer["errors"][0]["extensions"]["field"] == ["chains", "0"]
        assert answer["data"]["viewer"]["wallets"] == [{"balances": None}]


WEALTH = """query($with: Boolean! = true) { viewer { portfolio(quote: "USDT") {
  totalValue onChainValue chainFailures { code chain { key } }
  holdings(includeOnChain: $with) { asset { code } quantity onChain value }
  allocation(by: CHAIN, includeOnChain: $with) { key value share }
} } }"""


async def test_wallets_are_part_of_the_portfolio_and_a_dead_node_is_no_zero(
    database: Database, chain: EvmClient
) -> None:
    contract = await token(chain)
    await send(chain, contract, calldata("transfer(address,uint256)", FRIEND, 1_500_000))
    reached = chain
    async with world(
        known=catalogue_with(vouched(contract)), reached=lambda known, _: chains_of(known, reached)
    ) as vault:
        person = await owner_of(vault)
        for event in (feed(ETH), tick(1, "2000", ETH)):
            vault.view.apply(event)
        found = (await vault.data(WEALTH, person))["viewer"]["portfolio"]
        assert found == {
            "totalValue": "0",
            "onChainValue": "20000001.5",
            "chainFailures": [],
            "holdings": [
                {"asset": {"code": "ETH"}, "quantity": "10000", "onChain": "10000", "value": "20000000"},
                {"asset": {"code": "USDT"}, "quantity": "1.5", "onChain": "1.5", "value": "1.5"},
            ],
            "allocation": [{"key": "ethereum", "value": "20000001.5", "share": "1"}],
        }  # fmt: skip
        found = (await vault.data(WEALTH, person, **{"with": False}))["viewer"]["portfolio"]
        assert (found["holdings"], found["allocation"]) == ([], [])
    reached = client_of("http://127.0.0.1:1")
    async with world(
        known=catalogue_with(vouched(contract)), reached=lambda known, _: chains_of(known, reached)
    ) as vault:
        person = await vault.signed_up("bela@example.com")
        assert await wallet.insert(
            WalletDocument(
                id="w2", user_id=person.user_id, slot=0, family=ChainFamily.EVM, address=STRANGER, linked_ms=1
            )
        )
        found = (await vault.data(WEALTH, person))["viewer"]["portfolio"]
        assert (found["totalValue"], found["onChainValue"], found["holdings"]) == ("0", None, [])
        assert found["chainFailures"] == [{"code": "PROVIDER_UNAVAILABLE", "chain": {"key": "ethereum"}}]
        assert found["allocation"] == [{"key": "ethereum", "value": None, "share": None}]
    await reached.close()


EXPLORER = "query ($chain: String) { viewer { wallets { explorerUrl(chain: $chain) } } }"


@pytest.mark.parametrize(
    ("family", "address", "chain", "url"),
    [
        (ChainFamily.EVM, FRIEND, None, f"https://sepolia.etherscan.io/address/{FRIEND}"),
        (ChainFamily.EVM, FRIEND, "polygon", f"https://amoy.polygonscan.com/address/{FRIEND}"),
        (ChainFamily.SOLANA, SOLANA_HOUSE, None, f"https://solscan.io/account/{SOLANA_HOUSE}?cluster=devnet"),
        (ChainFamily.BITCOIN, "tb1qw508d6", "bitcoin", "https://mempool.space/testnet4/address/tb1qw508d6"),
    ],
)
async def test_a_wallet_is_found_in_its_chains_explorers(
    database: Database, family: ChainFamily, address: str, chain: str | None, url: str
) -> None:
    async with world(known=read_files(ChainNetwork.TESTNET)) as vault:
        person = await owner_of(vault, address, family)
        data = await vault.data(EXPLORER, person, chain=chain)
        assert data["viewer"]["wallets"] == [{"explorerUrl": url}]


async def test_no_link_leads_to_a_chain_that_has_no_explorer_or_that_the_wallet_is_not_on(database: Database) -> None:
    known = catalogue_with()
    bare = known.chains["ethereum"].model_copy(update={"explorer": None})
    async with world(known=replace(known, chains={**known.chains, "ethereum": bare})) as vault:
        person = await owner_of(vault)
        assert (await vault.data(EXPLORER, person))["viewer"]["wallets"] == [{"explorerUrl": None}]
        for chain, code in (("solana", "ADDRESS_WRONG_NETWORK"), ("gold", "UNKNOWN_CHAIN")):
            answer = await vault.ask(EXPLORER, person, chain=chain)
            assert codes(answer) == [(code, ["viewer", "wallets", 0, "explorerUrl"])]
            assert answer["errors"][0]["extensions"]["field"] == ["chain"]
