"""Nodes that lie, talk nonsense, are starting, busy or without an index: detected, and another one asked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import orjson
import pytest

from core.clock import SystemClock
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.bitcoin.core_node import CoreNode
from integrations.chains.bitcoin.esplora import EsploraNode
from integrations.chains.bitcoin.node import BitcoinNode, as_fee_rate, coins_as_sats
from integrations.chains.bitcoin.transactions import Outpoint
from integrations.chains.errors import ChainUnavailable, Failure, NodeRefused, ProviderFailed
from tests.chains import LITECOIN
from tests.esplora import Esplora
from tests.integrations.chains.bitcoin.house import NETWORK, House, Key
from tests.integrations.chains.test_json_rpc import node as served

HASH, TXID = "ab" * 32, "cd" * 32
KEY = Key()
Question = Callable[[], Awaitable[object]]


def client_of(*nodes: tuple[str, BitcoinNode], genesis: str | None = LITECOIN.genesis) -> BitcoinClient:
    return BitcoinClient("bitcoin", nodes, network=NETWORK, genesis=genesis, clock=SystemClock())


HEADER = {"hash": HASH, "height": 7, "previousblockhash": "ef" * 32, "time": 1_700_000_000}
HEAD = {"getbestblockhash": HASH, "getblockheader": HEADER}
"""Of a node whose head can be told."""


@asynccontextmanager
async def core(results: dict[str, object]) -> AsyncIterator[CoreNode]:
    """A node that answers each method as it is told to; an Exception stands for its refusal."""

    def one(asked: object) -> dict[str, object]:
        assert isinstance(asked, dict)
        found = results.get(asked["method"], NodeRefused(-32601, "Method not found"))
        if isinstance(found, NodeRefused):
            return {"id": asked["id"], "result": None, "error": {"code": found.code, "message": found.message}}
        return {"id": asked["id"], "result": found, "error": None}

    def answer(asked: object) -> tuple[int, bytes]:
        body: object = [one(each) for each in asked] if isinstance(asked, list) else one(asked)
        return 200, orjson.dumps(body, default=float)

    async with served(answer) as url:
        node = CoreNode(url, patience_seconds=0.05, between_seconds=0.01)
        try:
            yield node
        finally:
            await node.close()


async def failure_of(ask: Question) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as failed:
        await ask()
    return failed.value


async def test_a_forged_block_is_not_believed_and_the_next_node_asked(
    litecoin_url: str, api: tuple[str, Esplora], house: House
) -> None:
    """The liar doubles a payment in the block's bytes; the truth is the other node's."""
    url, liar = api
    txid = await house.pay(KEY.address.text, 123_456)
    tip = await house.call("getbestblockhash")
    script, sats = KEY.script, 123_456
    true = sats.to_bytes(8, "little") + bytes([len(script)]) + script
    forged = (2 * sats).to_bytes(8, "little") + true[8:]
    liar.change = lambda path, reply: (reply[0], reply[1].replace(true, forged)) if path.endswith("/raw") else reply
    alone = client_of(*nodes_of([], [url]))
    for question in (lambda: alone.block(tip), lambda: alone.transaction(txid)):
        with pytest.raises(ChainUnavailable, match=r"header|another than the one"):
            await question()
    both = client_of(*nodes_of([], [url]), *nodes_of([litecoin_url], []))
    block = await both.block(tip)
    assert block is not None
    paid = [each.sats for tx in block.transactions for each in tx.outputs if each.script == script]
    assert paid.count(sats) == 1
    assert 2 * sats not in paid
    assert both.states()[0].error == "the transactions of its block are not those of the header"
    await alone.close()
    await both.close()


async def test_a_block_of_another_name(api: tuple[str, Esplora], house: House) -> None:
    url, liar = api
    first, second = await house.mine(2)
    other = await house.call("getblock", first, 0)
    liar.change = lambda path, reply: (200, bytes.fromhex(other)) if path == f"/block/{second}/raw" else reply
    client = client_of(*nodes_of([], [url]))
    with pytest.raises(ChainUnavailable, match="another hash"):
        await client.block(second)
    liar.change = lambda path, reply: (200, reply[1].replace(first.encode(), second.encode()))
    with pytest.raises(ChainUnavailable):
        await client.summary(first)
    await client.close()


async def test_another_transaction_for_the_one_sent(api: tuple[str, Esplora], house: House) -> None:
    url, liar = api
    txid = await house.pay(Key().address.text, 50_000)
    raw = bytes.fromhex(await house.call("getrawtransaction", txid))
    liar.change = lambda path, reply: (200, TXID.encode()) if path == "/tx" else reply
    client = client_of(*nodes_of([], [url]))
    with pytest.raises(ChainUnavailable, match="names another transaction"):
        await client.broadcast(raw)
    await client.close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"x"',
        b"-1",
        b"1.5",
        b"\xff\xfe",
        b"true",
        b'{"confirmed": 1}',
        b'{"confirmed": true}',
        b'{"spent": "no"}',
        b'{"2": "1e9"}',
        b'{"2": 99999999, "6": 1, "24": 1}',
        b'{"id": 5, "height": -1}',
        b'[{"txid": "zz", "vout": 0}]',
        b'[{"txid": "' + b"ab" * 32 + b'", "vout": 0, "value": -5, "status": {"confirmed": false}}]',
        b'[{"txid": "' + b"ab" * 32 + b'", "vout": 0, "value": 2.5, "status": {"confirmed": false}}]',
        b'[{"txid": "' + b"ab" * 32 + b'", "vout": true, "value": 2, "status": {"confirmed": false}}]',
        b'[{"txid": "' + b"ab" * 32 + b'", "vout": 0, "value": 2, "status": {"confirmed": true}}]',
    ],
)
async def test_nonsense_from_an_api_is_its_failure(content: bytes, api: tuple[str, Esplora]) -> None:
    url, liar = api
    liar.change = lambda path, reply: (200, content)
    node = EsploraNode(url)
    questions: list[Question] = [
        node.tip,
        lambda: node.block_hash(1),
        lambda: node.summary(HASH),
        lambda: node.transaction(TXID, None),
        lambda: node.output(Outpoint(TXID, 0)),
        lambda: node.broadcast(b"\x00"),
    ]
    if content != b"[]":
        questions += [lambda: node.unspent(KEY.address), lambda: node.history(KEY.address, None)]
    if content not in (b"{}",) and not content.startswith((b'{"c', b'{"s', b'{"id')):
        questions.append(node.fee_rates)
    for question in questions:
        assert (await failure_of(question)).failure in (Failure.MALFORMED, Failure.CONTRADICTS)
    await node.close()


@pytest.mark.parametrize("result", [None, True, -1, 1.5, "", "zz" * 32, [], {}, {"hex": 5}, {"height": "1"}, [1]])
async def test_nonsense_from_a_node_is_its_failure(result: object) -> None:
    """At most it may say that there is nothing."""
    methods = (
        *("getbestblockhash", "getblockhash", "getblockheader", "getblock", "getrawtransaction", "gettxout"),
        *("scantxoutset", "getmempoolinfo", "estimatesmartfee", "sendrawtransaction", "gettxspendingprevout"),
    )
    async with core(dict.fromkeys(methods, result)) as node:
        always: tuple[Question, ...] = (
            node.tip,
            node.fee_rates,
            lambda: node.unspent(KEY.address),
            lambda: node.broadcast(b"\x00"),
        )
        for ask in always:
            assert (await failure_of(ask)).failure in (Failure.MALFORMED, Failure.UNREACHABLE, Failure.CONTRADICTS)
        maybe: tuple[Question, ...] = (
            lambda: node.block_hash(1),
            lambda: node.summary(HASH),
            lambda: node.raw_block(HASH),
            lambda: node.transaction(TXID, None),
            lambda: node.output(Outpoint(TXID, 0)),
            lambda: node.spender(Outpoint(TXID, 0)),
        )
        for asked in maybe:
            with suppress(ProviderFailed):
                assert not await asked()


async def test_a_node_that_starts_is_passed_over() -> None:
    starting = NodeRefused(-28, "Loading block index...")
    async with core({"getbestblockhash": starting, "getmempoolinfo": starting}) as node:
        assert str(await failure_of(node.tip)) == "is starting"
        assert str(await failure_of(node.fee_rates)) == "is starting"


async def test_a_node_without_an_index_of_transactions() -> None:
    """In Core's words; and it is not asked again for what it cannot find."""
    words = (
        "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries."
    )
    async with core(HEAD | {"getindexinfo": {}, "getrawtransaction": NodeRefused(-5, words)}) as node:
        assert node.knows_transactions
        assert "txindex=1" in str(await failure_of(lambda: node.transaction(TXID, None)))
        assert not node.knows_transactions
        assert await node.transaction(TXID, HASH) is None
        client = client_of(("node-1", node), genesis=None)
        for _ in range(5):
            with pytest.raises(ChainUnavailable, match="cannot tell this"):
                await client.transaction(TXID)
        assert await client.transactions_of_all(TXID) == {}
    words = "No such mempool transaction. Blockchain transactions are still in the process of being indexed."
    async with core({"getrawtransaction": NodeRefused(-5, words)}) as node:
        assert (await failure_of(lambda: node.transaction(TXID, None))).failure is Failure.BEHIND
    words = "No such mempool or blockchain transaction. Use gettransaction for wallet transactions."
    async with core({"getrawtransaction": NodeRefused(-5, words)}) as node:
        assert await node.transaction(TXID, None) is None
    async with core({"getrawtransaction": NodeRefused(-1, "no")}) as node:
        assert "refuses getrawtransaction" in str(await failure_of(lambda: node.transaction(TXID, None)))


async def test_what_a_node_is_not_allowed_to_tell_another_is_asked(litecoin_url: str, house: House) -> None:
    """Pruned, or a method that its host forbids: no answer, so the next one is asked; of a transaction, a refusal is the answer."""
    tip = await house.call("getbestblockhash")
    header = await house.call("getblockheader", tip)
    told: dict[str, object] = {
        "getbestblockhash": tip,
        "getblockheader": header,
        "getblock": NodeRefused(-1, "Block not available (pruned data)"),
        "scantxoutset": NodeRefused(-32601, "Method not found"),
        "sendrawtransaction": NodeRefused(-32604, "not allowed"),
    }
    async with core(told) as node:
        both = client_of(("node-1", node), *nodes_of([litecoin_url], []), genesis=None)
        assert await both.block(tip)
        assert await both.unspent(KEY.address)
        raw = await house.call("getrawtransaction", await house.pay(Key().address.text, 50_000, mine=0))
        assert await both.broadcast(bytes.fromhex(raw))
        assert "error -32604" in str(both.states()[0].error)
        await house.mine()
        await both.close()


async def test_a_scan_that_another_has_begun() -> None:
    busy = NodeRefused(-8, 'Scan already in progress, use action "abort" or "status"')
    async with core({"scantxoutset": busy}) as node:
        failed = await failure_of(lambda: node.unspent(KEY.address))
        assert (failed.failure, str(failed)) == (
            Failure.RATE_LIMITED,
            "is busy with another scan of all outputs",
        )
    async with core({"scantxoutset": {"success": False, "height": 1, "unspents": []}}) as node:
        assert "stopped" in str(await failure_of(lambda: node.unspent(KEY.address)))


async def test_a_scan_that_lists_anothers_outputs() -> None:
    scan = {"success": True, "height": 1, "unspents": [{"txid": TXID, "vout": 0, "height": 1}]}
    output = {"value": 1, "coinbase": False, "scriptPubKey": {"hex": Key().script.hex()}}
    async with core({"scantxoutset": scan, "gettxout": output}) as node:
        assert (await failure_of(lambda: node.unspent(KEY.address))).failure is Failure.CONTRADICTS
    scan = {"success": True, "height": 1, "unspents": [{"txid": TXID, "vout": 2**32, "height": 1}]}
    async with core({"scantxoutset": scan, "gettxout": output}) as node:
        assert (await failure_of(lambda: node.unspent(KEY.address))).failure is Failure.MALFORMED


async def test_who_spends_an_output_by_a_newer_node() -> None:
    async with core({"gettxspendingprevout": [{"txid": HASH, "vout": 0, "spendingtxid": TXID}]}) as node:
        assert await node.spender(Outpoint(HASH, 0)) == TXID
    async with core({"gettxspendingprevout": [{"txid": HASH, "vout": 0}]}) as node:
        assert await node.spender(Outpoint(HASH, 0)) is None


async def test_what_waited_a_moment_ago() -> None:
    gone = NodeRefused(-5, "No such mempool or blockchain transaction.")
    async with core({"getrawmempool": [TXID], "getrawtransaction": gone}) as node:
        assert (await node.waiting((), 10)).transactions == ()
    async with core({"getrawmempool": [TXID], "getrawtransaction": NodeRefused(-28, "Loading")}) as node:
        assert str(await failure_of(lambda: node.waiting((), 10))) == "is starting"
    async with core({"getrawmempool": [TXID], "getrawtransaction": "00"}) as node:
        assert (await failure_of(lambda: node.waiting((), 10))).failure is Failure.MALFORMED


async def test_fees_of_a_node_that_can_estimate() -> None:
    """BTC for 1,000 virtual bytes; the floor is the mempool's, and what is slower is never dearer."""
    mempool = {"mempoolminfee": Decimal("0.00002"), "minrelaytxfee": Decimal("0.00001")}
    async with core({"getmempoolinfo": mempool, "estimatesmartfee": {"feerate": 0.00012345, "blocks": 2}}) as node:
        rates = await node.fee_rates()
        assert (rates.floor, rates.slow, rates.standard, rates.fast) == (2_000, 12_345, 12_345, 12_345)
    async with core({"getmempoolinfo": mempool, "estimatesmartfee": {"feerate": 0.00001, "blocks": 2}}) as node:
        assert (await node.fee_rates()).fast == 2_000
    async with core({"getmempoolinfo": mempool, "estimatesmartfee": {"errors": ["Insufficient data"]}}) as node:
        assert not (await node.fee_rates()).estimated
    async with core({"getmempoolinfo": mempool, "estimatesmartfee": {"feerate": 1}}) as node:
        assert (await failure_of(node.fee_rates)).failure is Failure.MALFORMED


async def test_fees_of_another_node_when_the_first_cannot_estimate(api: tuple[str, Esplora]) -> None:
    mempool = {"mempoolminfee": Decimal("0.00002"), "minrelaytxfee": Decimal("0.00001")}
    told: dict[str, object] = {"getmempoolinfo": mempool, "estimatesmartfee": {"errors": ["Insufficient data"]}}
    async with core(HEAD | told) as node:
        alone = client_of(("node-1", node), genesis=None)
        rates = await alone.fee_rates()
        assert (rates.floor, rates.slow, rates.standard, rates.fast) == (2_000, None, None, None)
        both = client_of(("node-1", node), *nodes_of([], [api[0]]), genesis=None)
        assert (await both.fee_rates()).fast == 10_500


def test_amounts_are_exact() -> None:
    assert coins_as_sats(Decimal("0.00000001"), "x") == 1
    assert coins_as_sats(Decimal("20999999.9769"), "x") == 2_099_999_997_690_000
    assert coins_as_sats(0, "x") == coins_as_sats(Decimal("0E-8"), "x") == coins_as_sats(Decimal("0E+99"), "x") == 0
    assert coins_as_sats(21_000_000, "x") == 2_100_000_000_000_000
    wrong: list[object] = [True, "1", 1.5, None, -1, 21_000_001, Decimal("0.000000001"), Decimal("1E+999999")]
    wrong += [Decimal("NaN"), Decimal("Infinity"), Decimal("-0.1"), Decimal("1E-999999")]
    for value in wrong:
        with pytest.raises(ProviderFailed):
            coins_as_sats(value, "x")
    assert as_fee_rate(Decimal("1.0001"), 1000, "x") == 1_001
    assert as_fee_rate(Decimal("1E-999999"), 1000, "x") == 0
    for value in (True, "1", 1.5, -1, Decimal("NaN"), Decimal("1E+999999"), 10**9):
        with pytest.raises(ProviderFailed):
            as_fee_rate(value, 1000, "x")
