"""What a node may say over JSON-RPC, and what is made of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import orjson
import pytest

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.http import NodeLimits
from integrations.chains.json_rpc import Call, JsonRpc

Answer = Callable[[object], tuple[int, bytes]]


@asynccontextmanager
async def node(answer: Answer, *, headers: str = "", stall: bool = False) -> AsyncIterator[str]:
    """A node on a free port that answers every request as it is told to; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        if stall:
            await reader.read()
        else:
            status, content = answer(orjson.loads(body))
            top = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n{headers}connection: close\r\n\r\n"
            writer.write(top.encode() + content)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def told(value: object, status: int = 200) -> Answer:
    return lambda asked: (status, orjson.dumps({"jsonrpc": "2.0", "id": _id(asked), **_object(value)}))


def _id(asked: object) -> object:
    return asked.get("id") if isinstance(asked, dict) else None


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {"result": value}


async def asked(answer: Answer, *, headers: str = "", stall: bool = False, limits: NodeLimits | None = None) -> object:
    async with node(answer, headers=headers, stall=stall) as url:
        rpc = JsonRpc(url, limits)
        try:
            return await rpc.call("eth_blockNumber")
        finally:
            await rpc.close()


async def test_a_result_is_given_as_it_is_with_exact_numbers() -> None:
    assert await asked(told("0x10")) == "0x10"
    assert await asked(lambda it: (200, b'{"id": %d, "result": 0.10000001}' % _number(it))) == Decimal("0.10000001")


def _number(asked: object) -> int:
    found = _id(asked)
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("status", [200, 500])
async def test_a_refusal_keeps_its_code_and_data(status: int) -> None:
    error = {"code": 3, "message": "execution reverted", "data": "0x08c379a0"}
    with pytest.raises(NodeRefused) as refused:
        await asked(told({"error": error}, status))
    assert (refused.value.code, refused.value.message, refused.value.data) == (3, "execution reverted", "0x08c379a0")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (lambda _: (200, b"<html>"), Failure.MALFORMED),
        (lambda _: (200, b"[]"), Failure.MALFORMED),
        (lambda _: (200, b"[" * 100_000), Failure.MALFORMED),
        (lambda _: (200, b'{"id": 99, "result": 1}'), Failure.MALFORMED),
        (lambda _: (200, b"{}"), Failure.MALFORMED),
        (told({"error": "no"}), Failure.MALFORMED),
        (told({"error": {"code": "x", "message": "y"}}), Failure.MALFORMED),
        (told({"error": {"code": -32005, "message": "limit"}}), Failure.RATE_LIMITED),
        (lambda _: (502, b"{}"), Failure.UNREACHABLE),
        (lambda _: (401, b"{}"), Failure.UNREACHABLE),
        (lambda _: (200, b'"' + b"x" * 2000 + b'"'), Failure.MALFORMED),
    ],
)
async def test_what_cannot_be_used_is_the_nodes_failure(answer: Answer, failure: Failure) -> None:
    limits = NodeLimits(max_body_bytes=1500) if failure is Failure.MALFORMED else None
    with pytest.raises(ProviderFailed) as failed:
        await asked(answer, limits=limits)
    assert failed.value.failure is failure


async def test_a_node_that_asks_for_time_says_how_long() -> None:
    with pytest.raises(ProviderFailed) as failed:
        await asked(lambda _: (429, b""), headers="retry-after: 12\r\n")
    assert (failed.value.failure, failed.value.retry_after_seconds) == (Failure.RATE_LIMITED, 12.0)


async def test_a_node_that_stalls_is_given_up() -> None:
    with pytest.raises(ProviderFailed) as failed:
        await asked(told(1), stall=True, limits=NodeLimits(total_seconds=0.1))
    assert failed.value.failure is Failure.TIMED_OUT


async def test_a_node_that_is_not_there_is_unreachable_and_its_key_is_not_told() -> None:
    rpc = JsonRpc("http://user:geheim@127.0.0.1:1/v3/geheim")
    with pytest.raises(ProviderFailed) as failed:
        await rpc.call("eth_blockNumber")
    await rpc.close()
    assert failed.value.failure is Failure.UNREACHABLE
    assert "geheim" not in str(failed.value)


async def test_a_batch_keeps_its_order_and_its_refusals() -> None:
    def answer(asked: object) -> tuple[int, bytes]:
        assert isinstance(asked, list)
        entries = [
            {"id": each["id"], "result": each["params"][0]}
            if each["params"][0] != 3
            else {"id": each["id"], "error": {"code": -32000, "message": "no"}}
            for each in asked
        ]
        return 200, orjson.dumps(entries[::-1])

    async with node(answer) as url:
        rpc = JsonRpc(url)
        results = await rpc.batch([Call("m", [number]) for number in range(5)])
        await rpc.close()
    assert results[:3] == [0, 1, 2]
    assert isinstance(results[3], NodeRefused)
    assert results[4] == 4


async def test_a_query_that_would_give_too_much_is_refused_and_leaves_the_node_in_use() -> None:
    message = "query returned more than 10000 results. Try with this block range [0x1, 0x9]."
    with pytest.raises(NodeRefused):
        await asked(told({"error": {"code": -32005, "message": message}}))
