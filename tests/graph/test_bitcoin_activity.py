"""What moved from and to a linked Bitcoin wallet, on a real UTXO node: newest first, in pages that a reorganisation does not break."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from core.database import Database
from core.vocabulary import ChainFamily
from graph.request import ALL_OPERATIONS, GraphQLRequest
from integrations.chains.bitcoin.coins import Coin
from integrations.chains.bitcoin.psbt import build
from integrations.chains.bitcoin.transactions import TxOutput
from models import wallet
from models.wallet import WalletDocument
from services import wallet_streams
from services.own_movements import OwnMovements
from services.tokens import Tokens
from services.wallet_polling import PollPace
from tests.bitcoin_deposits import BTC
from tests.chains import LITECOIN
from tests.graph.test_bitcoin_transfers import Desk, desk_on, psbt_of
from tests.integrations.chains.bitcoin.house import Key
from tests.markets import codes

ACTIVITY = """query($first: Int, $after: String, $last: Int, $before: String, $orderBy: TimeOrder! = NEWEST_FIRST) { viewer { wallets {
    activity(chain: "bitcoin", first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
        edges { cursor node { id hash direction quantity counterparty status confirmations time explorerUrl
            chain { key } token { symbol } wallet { address } } }
        pageInfo { hasNextPage hasPreviousPage endCursor } } } } }"""
BALANCE = "{ viewer { wallets { balances { items { quantity token { symbol } } } } } }"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(wallet_streams._PACES, ChainFamily.BITCOIN, PollPace(seconds=0.05, most=10))


@pytest.fixture
async def desk(database: Database, litecoin_url: str) -> AsyncIterator[Desk]:
    async with desk_on(litecoin_url, "both") as made:
        await link(made)
        yield made


async def link(desk: Desk) -> None:
    """Let the key's address be a wallet of the account."""
    row = WalletDocument(
        id="w1",
        user_id=desk.person.user_id,
        slot=0,
        family=ChainFamily.BITCOIN,
        address=desk.key.address.text,
        linked_ms=1,
    )
    assert await wallet.insert(row)


async def page(desk: Desk, **variables: Any) -> dict[str, Any]:
    found = await desk.vault.data(ACTIVITY, desk.person, **variables)
    activity: dict[str, Any] = found["viewer"]["wallets"][0]["activity"]
    return activity


def told(found: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(edge["node"][name] for name in names) for edge in found["edges"]]


async def spent(desk: Desk, **changes: Any) -> str:
    """Send something, by way of the API; gives the txid."""
    prepared = await desk.prepare(**changes)
    signed = desk.key.sign(psbt_of(prepared))
    sent = await desk.send(signed, key=prepared["transaction"]["id"][-60:], preparedId=prepared["transaction"]["id"])
    await desk.nodes.mine()
    return str(sent["transaction"]["hash"])


async def test_what_moved_is_told_as_its_owner_sees_it(desk: Desk) -> None:
    came = await desk.nodes.pay(desk.key.address.text, 2 * BTC)
    went = await spent(desk)
    own = await spent(desk, to=desk.key.address.text, amount=None, sendAll=True)
    found = await page(desk)
    (self_, out, in_) = [edge["node"] for edge in found["edges"]]
    assert (in_["hash"], in_["direction"], in_["quantity"], in_["status"]) == (came, "IN", "2", "FINAL")
    assert (out["hash"], out["direction"], out["quantity"], out["status"]) == (went, "OUT", "0.5", "CONFIRMED")
    assert (out["counterparty"], out["confirmations"]) == (desk.friend.address.text, 2)
    assert (self_["hash"], self_["direction"], self_["counterparty"]) == (own, "SELF", None)
    assert (out["chain"], out["token"], out["wallet"]) == (
        {"key": "bitcoin"},
        {"symbol": "BTC"},
        {"address": desk.key.address.text},
    )
    assert out["explorerUrl"] == f"https://explorer.example/tx/{went}"
    assert out["time"] is not None
    assert found["pageInfo"]["hasNextPage"] is False
    (held,) = (await desk.vault.data(BALANCE, desk.person))["viewer"]["wallets"][0]["balances"]["items"]
    assert (held["quantity"], held["token"]) == (self_["quantity"], {"symbol": "BTC"})


async def test_what_waits_stands_at_the_head_until_a_block_has_it(desk: Desk) -> None:
    names = ("hash", "direction", "quantity", "counterparty", "status", "confirmations")
    friend = desk.friend.address.text
    old = await desk.nodes.pay(desk.key.address.text, 2 * BTC, mine=3)
    prepared = await desk.prepare()
    sent = await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
    own = sent["transaction"]["hash"]
    coming = sorted([await desk.nodes.pay(desk.key.address.text, BTC, mine=0) for _ in range(2)], reverse=True)
    found = await page(desk)
    heads = {
        hash_: (direction, quantity, to, status) for hash_, direction, quantity, to, status, _ in told(found, *names)
    }
    assert list(heads)[-1] == old
    assert set(heads) == {own, old, *coming}
    assert heads[own] == ("OUT", "0.5", friend, "PENDING")
    assert [heads[each][::3] for each in coming] == [("IN", "PENDING")] * 2
    assert [edge["node"]["time"] is None for edge in found["edges"]] == [True, True, True, False]
    one_by_one: list[str] = []
    one = await page(desk, first=1)
    while True:
        one_by_one += [hash_ for (hash_,) in told(one, "hash")]
        if not one["pageInfo"]["hasNextPage"]:
            break
        one = await page(desk, first=1, after=one["pageInfo"]["endCursor"])
        assert one["pageInfo"]["hasPreviousPage"]
    assert one_by_one == list(heads)
    await desk.nodes.mine()
    rows = {each[0]: each[1:] for each in told(await page(desk), *names)}
    assert rows[own] == ("OUT", "0.5", friend, "CONFIRMED", 1)
    assert len(rows) == 4
    after = await page(desk, after=found["edges"][0]["cursor"])
    assert set(rows) == {hash_ for (hash_,) in told(after, "hash")}
    await desk.nodes.mine(2)
    assert {each[0]: each[4] for each in told(await page(desk), *names)} == dict.fromkeys(rows, "FINAL")


async def test_what_was_sent_from_here_is_kept_where_something_took_its_place(desk: Desk) -> None:
    await desk.nodes.pay(desk.key.address.text, 2 * BTC)
    prepared = await desk.prepare()
    sent = await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
    rival = await desk.rival(prepared)
    own = sent["transaction"]["hash"]
    assert (await desk.work())[0] == "REPLACED"
    assert dict(told(await page(desk, first=2), "hash", "status")) == {own: "REPLACED", rival: "PENDING"}
    await desk.nodes.mine(3)
    assert (await desk.work())[0] == "REPLACED"
    found = await page(desk)
    assert told(found, "hash", "status", "direction")[:2] == [(own, "REPLACED", "OUT"), (rival, "FINAL", "SELF")]
    assert told(found, "quantity", "counterparty")[0] == ("0.5", desk.friend.address.text)


async def coin_of(desk: Desk, key: Key) -> Coin:
    """A coin that this key was paid just now."""
    await desk.nodes.pay(key.address.text, BTC)
    (output,) = (await desk.chain.unspent(key.address)).outputs
    return Coin(output.outpoint, output.sats, output.script)


async def test_what_several_spend_together_is_told_the_same_before_a_block_has_it(
    database: Database, litecoin_url: str
) -> None:
    """Its own word while it waits and the chain's are one: what this wallet has less."""
    async with desk_on(litecoin_url, "both") as desk:
        one, two = sorted(
            [(await coin_of(desk, key), key) for key in (desk.key, Key())], key=lambda each: each[0].outpoint
        )
        desk.key, other = one[1], two[1]  # a transaction is of whoever's output it spends first (BIP-69)
        await link(desk)
        await told_the_same(desk, other, [one[0], two[0]])


async def told_the_same(desk: Desk, other: Key, coins: list[Coin]) -> None:
    paid = [TxOutput(desk.friend.script, BTC * 3 // 2 - 10_000), TxOutput(desk.key.script, BTC // 2)]
    both = other.sign_own(desk.key.sign_own(build(coins, paid).psbt))
    sent = await desk.send(both)
    assert sent["errors"] == []
    row = await desk.sent()
    tokens = Tokens(desk.vault.catalogue, desk.vault.chains, desk.vault.clock)
    (own,) = await OwnMovements(tokens, desk.vault.clock).of_bitcoin(LITECOIN, desk.key.address.text)
    (listed, _) = (await page(desk))["edges"]
    assert (row.sender, listed["node"]["hash"]) == (desk.key.address.text, own.hash)
    assert (own.units, own.counterparty) == (BTC // 2, desk.friend.address.text)
    assert (listed["node"]["quantity"], listed["node"]["direction"]) == ("0.5", "OUT")
    await desk.nodes.mine()


async def test_pages_join_and_new_blocks_do_not_shift_them(desk: Desk) -> None:
    """Over more than one page of the node's."""
    txids = [await desk.nodes.pay(desk.key.address.text, 10_000 + at, mine=at % 2) for at in range(30)]
    await desk.nodes.mine()
    seen: list[str] = []
    found = await page(desk, first=7)
    while True:
        seen += [hash_ for (hash_,) in told(found, "hash")]
        if not found["pageInfo"]["hasNextPage"]:
            break
        await desk.nodes.pay(desk.key.address.text, 1_000)
        found = await page(desk, first=7, after=found["pageInfo"]["endCursor"])
        assert found["pageInfo"]["hasPreviousPage"]
    assert sorted(seen) == sorted(txids)
    heights = [confirmations for (confirmations,) in told(await page(desk, first=40), "confirmations")]
    assert heights == sorted(heights)


async def test_a_cursor_whose_transaction_was_given_up_goes_on_below_it(desk: Desk) -> None:
    first = await desk.nodes.pay(desk.key.address.text, BTC)
    payer = Key()
    await desk.nodes.pay(payer.address.text, BTC)
    desk.key, own = payer, desk.key
    gone = await spent(desk, to=own.address.text)
    desk.key = own
    found = await page(desk, first=1)
    assert told(found, "hash") == [(gone,)]
    block = await desk.nodes.call("getbestblockhash")
    await desk.nodes.call("invalidateblock", block)
    await desk.nodes.call("generateblock", await desk.nodes.address(), [])
    below = await page(desk, after=found["pageInfo"]["endCursor"])
    assert told(below, "hash") == [(first,)]
    await desk.nodes.mine()


async def test_only_the_newest_first_and_forwards(desk: Desk) -> None:
    for variables in ({"orderBy": "OLDEST_FIRST"}, {"last": 3}, {"before": f"1-{'ab' * 32}"}, {"after": "17"}):
        body = await desk.vault.ask(ACTIVITY, desk.person, **variables)
        assert codes(body) == [("BAD_USER_INPUT", ["viewer", "wallets", 0, "activity"])], variables


async def test_a_node_that_does_not_know_addresses_says_so(database: Database, litecoin_url: str) -> None:
    async with desk_on(litecoin_url, "core") as desk:
        await link(desk)
        body = await desk.vault.ask(ACTIVITY, desk.person)
        assert codes(body) == [("NOT_ENABLED", ["viewer", "wallets", 0, "activity"])]


async def test_what_is_sent_from_here_is_told_live_from_pending_to_final(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not with the next look at the chain; and what takes its place as well."""
    monkeypatch.setattr(desk.chain, "history", held := Held(desk.chain.history))
    await desk.nodes.pay(desk.key.address.text, 2 * BTC, mine=3)
    async with aclosing(live(desk)) as told_live:
        waiting = asyncio.create_task(anext(told_live))
        await held.first.wait()
        held.open.clear()
        prepared = await desk.prepare()
        sent = await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
        own = sent["transaction"]["hash"]
        pending = await waiting
        assert pending == {"hash": own, "direction": "OUT", "quantity": "0.5", "status": "PENDING", "confirmations": 0}
        rival = await desk.rival(prepared)
        assert (await desk.work())[0] == "REPLACED"
        assert await anext(told_live) == {**pending, "status": "REPLACED"}
        held.open.set()
        seen = await anext(told_live)
        assert (seen["hash"], seen["direction"], seen["status"]) == (rival, "SELF", "PENDING")
        await desk.nodes.mine()
        while seen["status"] != "CONFIRMED":
            seen = await anext(told_live)
        await desk.nodes.mine(2)
        while seen["status"] != "FINAL":
            seen = await anext(told_live)
        assert (seen["hash"], seen["confirmations"]) == (rival, 3)


async def test_what_comes_is_told_before_a_block_has_it(desk: Desk) -> None:
    await desk.nodes.pay(desk.key.address.text, BTC, mine=3)
    async with aclosing(live(desk)) as told_live:
        waiting = asyncio.create_task(anext(told_live))
        came = await desk.nodes.pay(desk.key.address.text, 2 * BTC, mine=0)
        pending = await waiting
        assert pending == {"hash": came, "direction": "IN", "quantity": "2", "status": "PENDING", "confirmations": 0}
        await desk.nodes.mine()
        assert await anext(told_live) == {**pending, "status": "CONFIRMED", "confirmations": 1}


class Held:
    """Answers of a node that a test may hold back; the first one is let through."""

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        self._ask = ask
        self.first = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, *given: Any, **named: Any) -> Any:
        await self.open.wait()
        found = await self._ask(*given, **named)
        self.first.set()
        return found


async def live(desk: Desk) -> AsyncGenerator[dict[str, Any], None]:
    """What the subscription tells."""
    request = GraphQLRequest("subscription { walletActivity { hash direction quantity status confirmations } }")
    stream = desk.vault.pipeline.stream(request, desk.vault.caller(desk.person), allowed=ALL_OPERATIONS)
    async with aclosing(stream) as answers, asyncio.timeout(30):
        async for answer in answers:
            yield answer.body["data"]["walletActivity"]  # type: ignore[index]


async def test_what_moves_is_told_live(desk: Desk) -> None:
    request = GraphQLRequest("subscription { walletActivity { hash direction quantity status confirmations } }")
    came = await desk.nodes.pay(desk.key.address.text, 2 * BTC)
    stream = desk.vault.pipeline.stream(request, desk.vault.caller(desk.person), allowed=ALL_OPERATIONS)
    seen: list[Any] = []
    async with aclosing(stream) as answers:
        seen.append((await anext(answers)).body["data"]["walletActivity"])  # type: ignore[index]
        await desk.nodes.mine()
        while seen[-1]["confirmations"] < 2:
            seen.append((await anext(answers)).body["data"]["walletActivity"])  # type: ignore[index]
    assert seen[0] == {"hash": came, "direction": "IN", "quantity": "2", "status": "CONFIRMED", "confirmations": 1}
    assert seen[-1] == {**seen[0], "confirmations": 2}
