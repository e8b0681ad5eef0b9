"""Swaps as clients ask for them, with servers that speak both aggregators' protocols and a real chain that knows 0x's contracts."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from core.clock import SystemClock
from core.database import Database
from core.settings import Settings
from core.wallet_vocabulary import SwapProvider
from integrations.chains.http import NodeLimits
from integrations.chains.json_rpc import JsonRpc
from integrations.swaps.lifi import Lifi
from integrations.swaps.zerox import ZeroEx
from integrations.swaps.zerox_calls import REGISTRY
from server.chains import open_chains
from services import catalogue
from tests.accounts import Person, World, world
from tests.chains import ANVIL_ADDRESSES, anvil
from tests.markets import codes
from tests.stored import unchanged
from tests.swap_servers import MALLORY, SETTLER, USDC, USDT, Reply, SwapServer, settler_call, swap_call

ALICE = ANVIL_ADDRESSES[0]
QUOTES = """query ($input: SwapQuoteInput!) { swapQuotes(input: $input) {
  id provider amountIn amountOut minimumOut priceImpact expiresAt
  from { symbol contract chain { key } asset { code } } to { symbol contract spam }
  fees { asset { code } amount }
  steps { tool estimatedSeconds fromChain { key } toChain { key } from { symbol } to { symbol } } } }"""
NODE = "query ($id: ID!) { node(id: $id) { id ... on SwapQuote { provider amountOut from { symbol } } } }"
WISH: dict[str, Any] = {
    **{"fromChain": "ethereum", "toChain": "ethereum", "from": "USDC", "to": USDT.lower()},
    **{"amount": "1000", "address": ALICE},
}
PATIENT, QUICK = NodeLimits(total_seconds=20), NodeLimits(total_seconds=0.3)


class Market:
    """Both aggregators behind one server each, and somebody who is signed in."""

    def __init__(self, home: World, lifi: SwapServer, zerox: SwapServer, alice: Person) -> None:
        self.home = home
        self.lifi = lifi
        self.zerox = zerox
        self.alice = alice

    async def ask(self, **changes: Any) -> dict[str, Any]:
        return await self.home.ask(QUOTES, self.alice, input={**WISH, **changes})

    async def found(self, **changes: Any) -> list[dict[str, Any]]:
        body = await self.ask(**changes)
        assert "errors" not in body, body["errors"]
        quotes: list[dict[str, Any]] = body["data"]["swapQuotes"]
        return quotes


@asynccontextmanager
async def market(settler: str = SETTLER, bsc: str | None = None, limits: NodeLimits = PATIENT) -> AsyncIterator[Market]:
    """Where 0x's registry names this contract. `limits`: how long aggregators are waited for."""
    lifi, zerox = SwapServer(out=990_000_000), SwapServer(out=991_000_000)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(anvil(chain_id=1))
        await _register(url, settler)
        settings = Settings(_env_file=None, blockchain_network="mainnet", ethereum_rpc_url=url, bsc_rpc_url=bsc)
        chains = open_chains(settings, catalogue.read_files(), SystemClock(), stack)
        for server in (lifi, zerox):
            await stack.enter_async_context(server.listening())
        sources = (Lifi(lifi.url, limits=limits), ZeroEx(zerox.url, "a key", limits=limits))
        for source in sources:
            stack.push_async_callback(source.close)
        options: dict[str, Any] = {"aggregators": sources, "followers": {SwapProvider.LIFI: sources[0]}}
        home = await stack.enter_async_context(world(reached=lambda _known, _clock: chains, **options))
        yield Market(home, lifi, zerox, await home.signed_up(f"alice{settler[-4:].lower()}@example.com"))


async def _register(url: str, settler: str) -> None:
    """A contract that answers this address whatever it is asked, where 0x's registry is."""
    node = JsonRpc(url)
    code = f"0x73{settler[2:].lower()}60005260206000f3"
    try:
        await node.call("anvil_setCode", REGISTRY, code)
    finally:
        await node.close()


pytestmark = pytest.mark.usefixtures("database")


async def test_quotes_stand_side_by_side_and_are_found_again_by_their_owner() -> None:
    async with market() as here:
        zerox, lifi = await here.found()
        assert (zerox["provider"], zerox["amountOut"], zerox["minimumOut"]) == ("ZEROX", "991", "986.045")
        assert (lifi["provider"], lifi["amountOut"], lifi["minimumOut"]) == ("LIFI", "990", "985.05")
        assert (lifi["amountIn"], lifi["priceImpact"]) == ("1000", "0.01")
        assert lifi["from"] == {
            "symbol": "USDC",
            "contract": USDC,
            "chain": {"key": "ethereum"},
            "asset": {"code": "USDC"},
        }
        assert lifi["to"] == {"symbol": "USDT", "contract": USDT, "spam": False}
        assert lifi["fees"] == [{"asset": {"code": "USDC"}, "amount": "2.5"}]
        chain, symbols = {"key": "ethereum"}, {"from": {"symbol": "USDC"}, "to": {"symbol": "USDT"}}
        ends = {"fromChain": chain, "toChain": chain, **symbols}
        assert lifi["steps"] == [{"tool": "1Inch", "estimatedSeconds": 5, **ends}]
        assert zerox["steps"] == [{"tool": "Uniswap V3", "estimatedSeconds": 12, **ends}]
        for quote in (zerox, lifi):
            node = (await here.home.data(NODE, here.alice, id=quote["id"]))["node"]
            assert node == {name: quote[name] for name in ("id", "provider", "amountOut")} | {
                "from": {"symbol": "USDC"}
            }
        mallory = await here.home.signed_up("mallory@example.com")
        for person in (mallory, None):
            assert (await here.home.data(NODE, person, id=lifi["id"]))["node"] is None


async def test_over_chains_only_who_crosses_them_is_asked() -> None:
    async with market() as here:
        here.lifi.out = 990 * 10**18
        (quote,) = await here.found(toChain="bsc", to="USDT", maxSlippage="0.01")
        assert (quote["provider"], quote["amountOut"], quote["minimumOut"]) == ("LIFI", "990", "980.1")
        assert [(step["fromChain"]["key"], step["toChain"]["key"]) for step in quote["steps"]] == [("ethereum", "bsc")]
        assert here.zerox.asked == []


async def test_coins_are_sold_and_bought_by_their_symbol() -> None:
    async with market() as here:
        here.lifi.out = here.zerox.out = 1_980_000_000
        quotes = await here.found(**{"from": "ETH", "to": "USDC", "amount": "1"})
        assert [quote["priceImpact"] for quote in quotes] == ["0.01", "0.01"]
        assert {quote["from"]["contract"] for quote in quotes} == {None}


LIARS = {
    "another recipient": partial(swap_call, receiver=MALLORY),
    "less than it says": partial(swap_call, minimum=1),
}


@pytest.mark.parametrize("call", LIARS.values(), ids=LIARS)
async def test_a_liar_is_left_out(call: Any) -> None:
    async with market() as here:
        here.lifi.call = call
        assert [quote["provider"] for quote in await here.found()] == ["ZEROX"]


@pytest.mark.parametrize(("known", "called"), [(MALLORY, SETTLER), (SETTLER, MALLORY)])
async def test_a_settler_that_the_chain_does_not_know_is_left_out(known: str, called: str) -> None:
    async with market(settler=known) as here:
        here.zerox.call = partial(settler_call, target=called, operator=called)
        assert [quote["provider"] for quote in await here.found()] == ["LIFI"]


async def test_who_stalls_holds_nobody_up() -> None:
    async with market(limits=QUICK) as here:
        here.lifi.reply = Reply(200, {}, stall=True)
        assert [quote["provider"] for quote in await here.found()] == ["ZEROX"]


async def test_failures_and_no_way_have_their_codes_and_store_nothing(database: Database) -> None:
    async with market() as here, unchanged(database):
        here.lifi.reply = here.zerox.reply = Reply(500, b"<html>")
        body = await here.ask()
        assert (codes(body), body["data"]) == ([("PROVIDER_UNAVAILABLE", ["swapQuotes"])], {"swapQuotes": None})
        here.lifi.reply = Reply(404, {"message": "none", "code": 1002})
        here.zerox.reply = Reply(200, {"liquidityAvailable": False})
        assert codes(await here.ask()) == [("NO_ROUTE", ["swapQuotes"])]


async def test_bad_input_is_named() -> None:
    async with market() as here:
        for changes, code, field in (
            ({"fromChain": "solana"}, "NOT_ENABLED", "fromChain"),
            ({"to": MALLORY}, "UNKNOWN_ASSET", "to"),
            ({"amount": "0.0000001"}, "AMOUNT_INVALID", "amount"),
            ({"address": "0x12"}, "ADDRESS_INVALID", "address"),
            ({"maxSlippage": "0.06"}, "INVALID_INPUT", "maxSlippage"),
        ):
            body = await here.ask(**changes)
            assert codes(body) == [(code, ["swapQuotes"])], changes
            assert body["errors"][0]["extensions"]["field"] == [field]
        assert (here.lifi.asked, here.zerox.asked) == ([], [])


async def test_without_aggregators_swaps_are_not_enabled_and_strangers_sign_in_first() -> None:
    async with world() as home:
        alice = await home.signed_up("alice@example.com")
        assert codes(await home.ask(QUOTES, alice, input=WISH)) == [("NOT_ENABLED", ["swapQuotes"])]
        assert codes(await home.ask(QUOTES, input=WISH)) == [("UNAUTHENTICATED", ["swapQuotes"])]


async def test_what_a_quote_offers_is_worth_what_prices_say() -> None:
    async with market() as here:
        here.lifi.out = here.zerox.out = 1_010_000_000
        assert {Decimal(quote["priceImpact"]) for quote in await here.found()} == {Decimal("-0.01")}
