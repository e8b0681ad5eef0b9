"""Swaps from a quote to what arrived: prepared, signed by their owner, followed over one real chain or two."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from core.database import Database
from core.ids import decode_id, encode_id
from graph.request import ALL_OPERATIONS, GraphQLRequest
from integrations.chains.evm.client import EvmClient
from integrations.swaps.fields import NOBODY
from integrations.swaps.lifi_calls import DIAMOND
from integrations.swaps.zerox_calls import ALLOWANCE_HOLDER
from models import swap
from models.chain_transaction import ChainTransactionDocument
from models.swap import SwapDocument
from tests.chains import ANVIL_ADDRESSES, ANVIL_KEYS, anvil
from tests.evm import calldata, deploy, mine, rpc, send, token, token_balance
from tests.graph.test_swaps import ALICE, Market, market
from tests.graph.test_transfers import codes
from tests.stored import unchanged
from tests.swap_servers import USDC, USDT, lifi_status

UNIT = 10**6
PAID, ARRIVES = 1_000 * UNIT, 990 * UNIT
SWAP = "swap { id status quote { id provider } source { hash status } destination { hash } }"
TRANSACTION = """transaction { id from to payload summary effects { kind from to quantity spender unlimited token { symbol } }
    warnings { code } expiresAt }"""
PREPARE = f"""mutation($input: PrepareSwapInput!) {{ prepareSwap(input: $input) {{
    {TRANSACTION} {SWAP} errors {{ code field message limit actual }} }} }}"""
SEND = """mutation($input: BroadcastTransactionInput!) { broadcastTransaction(input: $input) {
    replayed transaction { hash status } errors { code field message } } }"""
NODE = "query($id: ID!) { node(id: $id) { ... on Swap { status source { status } destination { hash status } } } }"
WATCH = "subscription($id: ID!) { swapUpdated(id: $id) { status source { hash } destination { hash } } }"


@dataclass
class Bench:
    """Somebody with USDC on a chain where a contract swaps it for USDT."""

    market: Market
    chain: EvmClient

    async def quote(self, provider: str = "LIFI", **changes: Any) -> str:
        found = await self.market.found(**changes)
        return str(next(each["id"] for each in found if each["provider"] == provider))

    async def prepare(self, quote_id: str, **changes: Any) -> dict[str, Any]:
        given = {"quoteId": quote_id, **changes}
        return dict((await self.market.home.data(PREPARE, self.market.alice, input=given))["prepareSwap"])

    async def send(self, prepared: dict[str, Any], key: str, **changes: object) -> dict[str, Any]:
        fields = {name: value for name, value in prepared["transaction"]["payload"].items() if name != "from"}
        raw = Account.sign_transaction({**fields, **changes}, ANVIL_KEYS[0]).raw_transaction
        given = {
            "clientBroadcastId": key,
            "chain": "ethereum",
            "signed": "0x" + bytes(raw).hex(),
            "preparedId": prepared["transaction"]["id"],
        }
        answer = await self.market.home.data(SEND, self.market.alice, input=given)
        return dict(answer["broadcastTransaction"])

    async def approved(self, **changes: Any) -> str:
        """A quote whose swap needs no approval any more."""
        await send(self.chain, USDC, calldata("approve(address,uint256)", DIAMOND, PAID))
        return await self.quote(**changes)

    async def work(self, seconds: float = 20) -> None:
        """What the workers do, so much later."""
        home = self.market.home
        home.clock.advance(seconds)
        for chain, hash_ in await home.transfers.tracking.due(100):
            await home.transfers.tracking.step(chain, hash_)
        await home.swaps.following.step()

    async def node(self, id_: str) -> dict[str, Any]:
        return dict((await self.market.home.data(NODE, self.market.alice, id=id_))["node"])


@asynccontextmanager
async def bench_on(**options: Any) -> AsyncIterator[Bench]:
    async with market(**options) as here:
        client = here.home.chains.evm("ethereum")
        for contract, owner in ((USDC, ALICE), (USDT, DIAMOND)):
            await put_token(client, contract, owner)
        router = await deploy(client, "Router")
        await rpc(client, "anvil_setCode", DIAMOND, "0x" + (await client.code(router)).hex())
        await swaps(client, PAID, ARRIVES)
        yield Bench(here, client)


async def put_token(client: EvmClient, contract: str, owner: str) -> None:
    """A token where a real one is, a million of it in one hand."""
    code = await client.code(await token(client))
    await rpc(client, "anvil_setCode", contract, "0x" + code.hex())
    place = keccak(encode(["address", "uint256"], [owner, 3]))
    units = (1_000_000 * UNIT).to_bytes(32, "big")
    await rpc(client, "anvil_setStorageAt", contract, "0x" + place.hex(), "0x" + units.hex())


async def swaps(client: EvmClient, taken: int, paid: int) -> None:
    """What the aggregator's contract does from now on."""
    await send(client, DIAMOND, calldata("set(address,uint256,address,uint256)", USDC, taken, USDT, paid))


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with bench_on() as made:
        yield made


def warned(prepared: dict[str, Any]) -> list[str]:
    return [each["code"] for each in prepared["transaction"]["warnings"]]


async def row_of(prepared: dict[str, Any]) -> SwapDocument:
    row = await swap.by_id(decode_id(prepared["swap"]["id"])[1][0])
    assert row is not None
    return row


async def test_first_the_exact_approval_then_the_swap_until_it_is_done(bench: Bench) -> None:
    quote_id = await bench.quote()
    approval = await bench.prepare(quote_id)
    (effect,) = approval["transaction"]["effects"]
    assert (effect["kind"], effect["spender"], effect["quantity"], effect["unlimited"]) == (
        "APPROVE",
        DIAMOND,
        "1000",
        False,
    )
    assert (approval["transaction"]["to"], warned(approval), approval["swap"]["status"]) == (USDC, [], "PREPARED")
    assert (await bench.send(approval, "a1"))["errors"] == []
    async with asyncio.timeout(10):
        while (made := await bench.prepare(quote_id))["transaction"]["to"] != DIAMOND:
            await mine(bench.chain)
    assert made["swap"]["id"] == approval["swap"]["id"]
    assert made["transaction"]["summary"] == "Swap 1000 USDC for at least 985.05 USDT with LIFI"
    paid, call, arrives = made["transaction"]["effects"]
    assert (paid["kind"], paid["from"], paid["quantity"], paid["token"]["symbol"]) == (
        "TRANSFER",
        ALICE,
        "1000",
        "USDC",
    )
    assert (call["kind"], call["to"]) == ("CONTRACT_CALL", DIAMOND)
    assert (arrives["to"], arrives["quantity"], arrives["token"]["symbol"]) == (ALICE, "985.05", "USDT")
    sent = await bench.send(made, "s1")
    assert sent["errors"] == []
    request = GraphQLRequest(WATCH, variables={"id": made["swap"]["id"]})
    caller = bench.market.home.caller(bench.market.alice)
    stream: Any = bench.market.home.pipeline.stream(request, caller, allowed=ALL_OPERATIONS)
    async with aclosing(stream) as answers:
        first = (await anext(answers)).body["data"]["swapUpdated"]
        assert (first["status"], first["source"]) == ("PREPARED", None)
        await mine(bench.chain)
        await bench.work()
        done = (await anext(answers)).body["data"]["swapUpdated"]
        assert (done["status"], done["source"]["hash"]) == ("DONE", sent["transaction"]["hash"])
    assert await token_balance(bench.chain, USDT, ALICE) == ARRIVES
    assert (await bench.node(made["swap"]["id"]))["status"] == "DONE"
    assert codes(await bench.prepare(quote_id)) == [("ALREADY_KNOWN", ["quoteId"])]


async def test_a_swap_goes_back_with_its_block(bench: Bench) -> None:
    prepared = await bench.prepare(await bench.approved())
    id_ = prepared["swap"]["id"]
    await rpc(bench.chain, "evm_setAutomine", False)
    await bench.send(prepared, "s1")
    await mine(bench.chain)
    await bench.work()
    assert (await bench.node(id_))["status"] == "DONE"
    await rpc(bench.chain, "anvil_reorg", 1, [])
    await bench.work()
    assert (await bench.node(id_))["status"] == "SENT"
    await mine(bench.chain)
    await bench.work()
    assert (await bench.node(id_))["status"] == "DONE"


async def test_0x_swaps_through_its_own_contract(bench: Bench) -> None:
    code = await bench.chain.code(DIAMOND)
    await rpc(bench.chain, "anvil_setCode", ALLOWANCE_HOLDER, "0x" + code.hex())
    given = calldata("set(address,uint256,address,uint256)", USDC, PAID, NOBODY, 0)
    await send(bench.chain, ALLOWANCE_HOLDER, given)
    quote_id = await bench.quote("ZEROX")
    approval = await bench.prepare(quote_id)
    assert approval["transaction"]["effects"][0]["spender"] == ALLOWANCE_HOLDER
    await bench.send(approval, "a1")
    await mine(bench.chain)
    made = await bench.prepare(quote_id)
    assert (made["transaction"]["to"], warned(made)) == (ALLOWANCE_HOLDER, [])
    assert made["transaction"]["summary"] == "Swap 1000 USDC for at least 986.045 USDT with ZEROX"
    await bench.send(made, "s1")
    await mine(bench.chain)
    await bench.work()
    assert (await bench.node(made["swap"]["id"]))["status"] == "DONE"


async def test_an_allowance_that_is_too_small_is_taken_back_first(bench: Bench) -> None:
    await send(bench.chain, USDC, calldata("approve(address,uint256)", DIAMOND, 5))
    prepared = await bench.prepare(await bench.quote())
    (effect,) = prepared["transaction"]["effects"]
    assert (effect["kind"], effect["quantity"], effect["spender"]) == ("APPROVE", "0", DIAMOND)


async def test_what_cannot_be_swapped_now_is_refused_and_nothing_is_stored(bench: Bench, database: Database) -> None:
    quote_id = await bench.approved()
    mallory = await bench.market.home.signed_up("mallory@example.com")
    async with unchanged(database):
        for unknown in (encode_id("SwapQuote", "none"), encode_id("Swap", quote_id), "x"):
            assert codes(await bench.prepare(unknown)) == [("QUOTE_EXPIRED", ["quoteId"])]
        alice, bench.market.alice = bench.market.alice, mallory
        assert codes(await bench.prepare(quote_id)) == [("QUOTE_EXPIRED", ["quoteId"])]
        bench.market.alice = alice
        await swaps(bench.chain, PAID, 10**18)
        assert codes(await bench.prepare(quote_id)) == [("SIMULATION_REVERTED", ["quoteId"])]
        await swaps(bench.chain, PAID, ARRIVES)
        have = await token_balance(bench.chain, USDC, ALICE)
        away = calldata("transfer(address,uint256)", ANVIL_ADDRESSES[1], have - 5)
        await send(bench.chain, USDC, away)
        short = await bench.prepare(quote_id)
        assert codes(short) == [("INSUFFICIENT_FUNDS", ["amount"])]
        assert (short["errors"][0]["limit"], short["errors"][0]["actual"]) == ("0.000005", "1000")
        bench.market.home.clock.advance(60)
        assert codes(await bench.prepare(quote_id)) == [("QUOTE_EXPIRED", ["quoteId"])]


async def test_a_prepared_swap_is_taken_signed_for_a_minute_after_its_quote(bench: Bench) -> None:
    prepared = await bench.prepare(await bench.approved())
    bench.market.home.clock.advance(119)
    assert (await bench.send(prepared, "s1"))["errors"] == []
    other = await bench.prepare(await bench.approved())
    bench.market.home.clock.advance(121)
    assert codes(await bench.send(other, "s2")) == [("TRANSACTION_EXPIRED", ["preparedId"])]


async def test_a_contract_that_is_no_aggregators_any_more_is_not_called(database: Database) -> None:
    async with bench_on() as bench:
        quote_id = await bench.quote("ZEROX")
        settlers = bench.market.home.swaps.settlers

        async def not_genuine(_chain: str, _contract: str) -> bool:
            return False

        settlers.is_genuine = not_genuine  # type: ignore[method-assign, assignment]
        assert codes(await bench.prepare(quote_id)) == [("QUOTE_EXPIRED", ["quoteId"])]


async def test_one_that_fails_on_its_chain_has_failed_once_that_is_final(bench: Bench) -> None:
    prepared = await bench.prepare(await bench.approved())
    await swaps(bench.chain, PAID, 10**18)
    nonce = await bench.chain.nonce(ALICE)
    await rpc(bench.chain, "anvil_setNonce", ALICE, hex(int(prepared["transaction"]["payload"]["nonce"], 16)))
    assert nonce
    assert (await bench.send(prepared, "s1"))["errors"] == []
    await mine(bench.chain)
    await bench.work()
    seen = await bench.node(prepared["swap"]["id"])
    assert (seen["status"], seen["source"]["status"]) == ("SENT", "FAILED")
    await mine(bench.chain, 100)
    await bench.work()
    assert (await bench.node(prepared["swap"]["id"]))["status"] == "FAILED"


async def test_a_dearer_one_with_the_same_call_goes_on_in_its_place(bench: Bench) -> None:
    prepared = await bench.prepare(await bench.approved())
    fields = prepared["transaction"]["payload"]
    await rpc(bench.chain, "evm_setAutomine", False)
    first = await bench.send(prepared, "s1")
    await bench.work(0)
    assert (await bench.node(prepared["swap"]["id"]))["status"] == "SENT"
    raw = Account.sign_transaction(
        {
            **{name: value for name, value in fields.items() if name != "from"},
            "maxFeePerGas": 2 * int(fields["maxFeePerGas"], 16),
            "maxPriorityFeePerGas": 2 * int(fields["maxPriorityFeePerGas"], 16),
        },
        ANVIL_KEYS[0],
    ).raw_transaction
    second = str(await rpc(bench.chain, "eth_sendRawTransaction", "0x" + bytes(raw).hex()))
    await mine(bench.chain)
    await bench.work()
    row = await row_of(prepared)
    assert (row.status, row.source) == ("DONE", second)
    assert second != first["transaction"]["hash"]


async def test_over_two_chains_it_is_followed_until_it_has_arrived(database: Database) -> None:
    async with anvil(chain_id=56) as there, bench_on(bsc=there) as bench:
        bsc = bench.market.home.chains.evm("bsc")
        arrival = await send(bsc, ANVIL_ADDRESSES[1], value=1)
        bench.market.lifi.out = 990 * 10**18
        quote_id = await bench.approved(toChain="bsc", to="USDT")
        prepared = await bench.prepare(quote_id)
        id_ = prepared["swap"]["id"]
        sent = await bench.send(prepared, "s1")
        hash_ = sent["transaction"]["hash"]
        bench.market.lifi.status = lifi_status(hash_, "PENDING", None)
        await mine(bench.chain)
        await bench.work()
        assert (await bench.node(id_))["status"] == "BRIDGING"
        await bench.work(60)
        assert (await bench.node(id_))["status"] == "BRIDGING"
        done = lifi_status(hash_, receiving={"chainId": 56, "txHash": arrival.hash})
        bench.market.lifi.status = done
        await bench.work(60)
        found = await bench.node(id_)
        assert (found["status"], found["destination"]["hash"]) == ("DONE", arrival.hash)
        assert found["destination"]["status"] in ("CONFIRMED", "FINAL")


async def test_what_the_server_did_not_note_before_it_died_is_noted_later(bench: Bench) -> None:
    """Killed after the transaction was sent and before its swap knew: the row of the transaction says so until the swap does."""
    prepared = await bench.prepare(await bench.approved())
    await bench.send(prepared, "s1")
    row = await row_of(prepared)
    assert (row.status, row.source) == ("PREPARED", None)
    (untold,) = await ChainTransactionDocument.find({"untold": True}).to_list()
    await bench.market.home.swaps.following.step()
    assert (await row_of(prepared)).source == untold.hash
    assert await ChainTransactionDocument.find({"untold": True}).to_list() == []


async def test_nobody_elses_swap_is_seen(bench: Bench) -> None:
    prepared = await bench.prepare(await bench.approved())
    home, id_ = bench.market.home, prepared["swap"]["id"]
    mallory = await home.signed_up("mallory@example.com")
    for person in (mallory, None):
        assert (await home.data(NODE, person, id=id_))["node"] is None
    stream: Any = home.pipeline.stream(
        GraphQLRequest(WATCH, variables={"id": id_}), home.caller(mallory), allowed=ALL_OPERATIONS
    )
    async with aclosing(stream) as answers:
        (error,) = (await anext(answers)).body["errors"]
        assert error["extensions"]["code"] == "UNKNOWN"
    await swap.delete_all(bench.market.alice.user_id)
    assert (await home.data(NODE, bench.market.alice, id=id_))["node"] is None
