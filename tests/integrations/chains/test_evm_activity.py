"""What moved from and to an address: on a real node, and on nodes with other indexes and limits."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
import pytest

from integrations.chains.errors import Failure, ProviderFailed
from integrations.chains.evm.activity import SLOTS, TRANSFER, ActivityReader, Movement
from integrations.chains.evm.client import EvmClient
from integrations.chains.json_rpc import JsonRpc
from tests.evm import FRIEND, OWNER, STRANGER, calldata, deploy, local_chain, send, token
from tests.integrations.chains.test_json_rpc import Answer, node

Tell = Callable[[list[Any]], object]
NO_METHOD = {"error": {"code": -32601, "message": "Method not found"}}


@pytest.fixture
async def chain() -> AsyncIterator[EvmClient]:
    async with local_chain() as client:
        yield client


async def read(client: EvmClient, address: str, low: int, high: int) -> list[Movement]:
    return await client.pool.use(lambda node: everything(node, ActivityReader(), address, low, high))


async def everything(
    node: JsonRpc, reader: ActivityReader, address: str, low: int, high: int, *, downwards: bool = False
) -> list[Movement]:
    """All of these blocks, in as many looks as it takes; each goes on where the one before has ended."""
    found: list[Movement] = []
    while low <= high:
        looked = await reader.look(node, address, low, high, downwards=downwards)
        assert low <= looked.low <= looked.high <= high
        assert (looked.high == high) if downwards else (looked.low == low)
        found = [*looked.moved, *found] if downwards else [*found, *looked.moved]
        low, high = (low, looked.low - 1) if downwards else (looked.high + 1, high)
    return found


def seen(moved: Movement) -> tuple[int, str, str, str | None, int]:
    return moved.block, moved.sender, moved.to, moved.contract, moved.units


async def test_coins_and_tokens_are_found_both_ways_and_once(chain: EvmClient) -> None:
    usdt = await token(chain)
    await send(chain, FRIEND, value=5)
    await send(chain, usdt, calldata("transfer(address,uint256)", FRIEND, 7))
    await send(chain, usdt, calldata("transfer(address,uint256)", FRIEND, 3), sender=FRIEND)
    await send(chain, OWNER, value=2, sender=FRIEND)
    await send(chain, STRANGER, value=9)
    await send(chain, usdt, calldata("transfer(address,uint256)", FRIEND, 0))
    found = await read(chain, FRIEND, 0, 100)
    assert [seen(each) for each in found] == [
        (2, OWNER, FRIEND, None, 5),
        (3, OWNER, FRIEND, usdt, 7),
        (4, FRIEND, FRIEND, usdt, 3),
        (5, FRIEND, OWNER, None, 2),
    ]
    assert [each.place for each in found] == sorted({each.place for each in found})
    assert await read(chain, FRIEND, 3, 4) == found[1:3]
    assert await read(chain, FRIEND, 6, 100) == []


async def test_a_coin_that_the_receiver_refused_is_a_failure(chain: EvmClient) -> None:
    stubborn = await deploy(chain, "Stubborn")
    await send(chain, stubborn, value=4, sender=FRIEND)
    (moved,) = await read(chain, FRIEND, 0, 10)
    assert (moved.to, moved.units, moved.failed) == (stubborn, 4, True)


def telling(known: Mapping[str, Tell], asked: list[tuple[str, list[Any]]] | None = None) -> Answer:
    """A node that answers these methods and knows no others."""

    def answer(body: object) -> tuple[int, bytes]:
        assert isinstance(body, dict)
        method, params = body["method"], body["params"]
        if asked is not None:
            asked.append((method, params))
        told = known[method](params) if method in known else NO_METHOD
        told = told if isinstance(told, dict) and "error" in told else {"result": told}
        return 200, orjson.dumps({"id": body["id"], **told})

    return answer


def word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def log(block: int, index: int = 0, **changed: object) -> dict[str, object]:
    return {
        "address": STRANGER,
        "topics": [TRANSFER, word(OWNER), word(FRIEND)],
        "data": "0x" + (5).to_bytes(32).hex(),
        "blockNumber": hex(block),
        "blockHash": "0x" + "ab" * 32,
        "transactionHash": "0x" + "cd" * 32,
        "logIndex": hex(index),
        **changed,
    }


async def asked_of(answer: Answer, low: int = 0, high: int = 99, *, downwards: bool = False) -> list[Movement]:
    async with node(answer) as url:
        rpc = JsonRpc(url)
        try:
            return await everything(rpc, ActivityReader(), FRIEND, low, high, downwards=downwards)
        finally:
            await rpc.close()


async def test_what_is_no_movement_of_a_token_is_left_out() -> None:
    logs = [
        log(1, topics=[TRANSFER, word(OWNER), word(FRIEND), word(STRANGER)], data="0x"),
        log(2, data="0x"),
        log(3, data="0x" + "00" * 32),
        log(4, topics=[TRANSFER, word(OWNER), word(STRANGER)]),
        log(5, removed=True),
        log(200),
        log(6, 3),
    ]
    found = await asked_of(telling({"eth_getLogs": lambda _: logs}))
    assert [each.place for each in found] == [6 * SLOTS + SLOTS // 2 + 3]


@pytest.mark.parametrize("downwards", [False, True])
async def test_a_node_that_takes_short_ranges_only_is_asked_for_them(downwards: bool) -> None:
    asked: list[tuple[str, list[Any]]] = []

    def logs(params: list[Any]) -> object:
        low, high = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if high - low >= 10:
            return {"error": {"code": -32600, "message": "up to a 10 block range"}}
        return [log(block) for block in (3, 50, 99) if low <= block <= high and params[0]["topics"][1] is None]

    answer = telling({"eth_getLogs": logs}, asked)
    found = await asked_of(answer, downwards=downwards)
    assert [each.block for each in found] == [3, 50, 99]
    questions = [params for method, params in asked if method == "eth_getLogs"]
    assert len(questions) <= 2 * 17 + 10


async def test_a_busy_address_is_read_in_shorter_ranges() -> None:
    """An index that has more of these blocks than it tells in all its pages."""

    def page(params: list[Any]) -> object:
        block = params[1] - 1
        return {"txs": [_transaction(block, 0)], "receipts": [], "lastPage": block == 0}

    known: dict[str, Tell] = {"eth_getLogs": lambda _: [], "ots_searchTransactionsBefore": page}
    assert [each.block for each in await asked_of(telling(known))] == list(range(100))


def _transaction(block: int, index: int) -> dict[str, object]:
    return {
        "hash": "0x" + f"{block:064x}",
        "blockHash": "0x" + "ab" * 32,
        "blockNumber": hex(block),
        "transactionIndex": hex(index),
        "from": OWNER,
        "to": FRIEND,
        "value": "0x1",
        "nonce": "0x0",
        "gas": "0x5208",
        "input": "0x",
    }


@pytest.mark.parametrize("code", [-32601, -32000])
async def test_a_node_without_logs_is_passed_over(code: int) -> None:
    answer = telling({"eth_getLogs": lambda _: {"error": {"code": code, "message": "no"}}})
    with pytest.raises(ProviderFailed) as failed:
        await asked_of(answer)
    assert failed.value.failure is Failure.MALFORMED


async def test_alchemys_index_is_read_page_by_page_and_preferred() -> None:
    asked: list[tuple[str, list[Any]]] = []

    def transfer(name: str, block: int, sender: str, to: str | None, value: str) -> dict[str, object]:
        raw = {"value": value, "address": None, "decimal": "0x12"}
        hash_ = "0x" + name * 32
        return {"uniqueId": f"{hash_}:external", "blockNum": hex(block), "hash": hash_, "from": sender, "to": to, "rawContract": raw}  # fmt: skip

    def transfers(params: list[Any]) -> object:
        if "toAddress" in params[0]:
            return {"transfers": [transfer("bb", 7, FRIEND, FRIEND, "0x3")]}
        if "pageKey" not in params[0]:
            return {"transfers": [transfer("aa", 7, FRIEND, OWNER, "0x2")], "pageKey": "more"}
        return {
            "transfers": [
                transfer("bb", 7, FRIEND, FRIEND, "0x3"),
                transfer("cc", 8, FRIEND, OWNER, "0x0"),
                transfer("dd", 8, FRIEND, None, "0x1"),
            ]
        }

    answer = telling({"eth_getLogs": lambda _: [], "alchemy_getAssetTransfers": transfers}, asked)
    found = await asked_of(answer)
    assert [(each.place, each.hash[:4], each.units) for each in found] == [
        (7 * SLOTS, "0xaa", 2),
        (7 * SLOTS + 1, "0xbb", 3),
    ]
    assert {method for method, _ in asked} == {"eth_getLogs", "alchemy_getAssetTransfers"}


async def test_a_node_without_an_index_tells_tokens_alone_and_is_not_asked_again() -> None:
    asked: list[tuple[str, list[Any]]] = []
    async with node(telling({"eth_getLogs": lambda _: [log(1)]}, asked)) as url:
        rpc, reader = JsonRpc(url), ActivityReader()
        for _ in range(3):
            assert len(await everything(rpc, reader, FRIEND, 0, 99)) == 1
        await rpc.close()
    assert [method for method, _ in asked if method != "eth_getLogs"] == [
        "alchemy_getAssetTransfers",
        "ots_searchTransactionsBefore",
    ]


@pytest.mark.parametrize(
    "page",
    [5, {}, {"txs": [], "receipts": None}, {"txs": [{"hash": "x"}], "receipts": [], "lastPage": True}],
)
async def test_an_index_of_nonsense_is_the_nodes_failure(page: object) -> None:
    known: dict[str, Tell] = {"eth_getLogs": lambda _: [], "ots_searchTransactionsBefore": lambda _: page}
    with pytest.raises(ProviderFailed) as failed:
        await asked_of(telling(known))
    assert failed.value.failure is Failure.MALFORMED
