"""graphql-transport-ws with a real client over a real socket."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from core.clock import ManualClock
from server.open_connections import OpenConnections
from server.ws_session import SocketLimits
from tests.server.serving import ORIGIN, Client, Served, eventually, served


@pytest.fixture
async def server() -> AsyncIterator[Served]:
    async with served() as running:
        yield running


async def test_a_subscription_delivers_in_order_and_completes(server: Served) -> None:
    async with server.socket() as client:
        await client.subscribe("1", "subscription { count(to: 40) }")
        received = [await client.receive() for _ in range(41)]
    assert [message["payload"]["data"]["count"] for message in received[:-1]] == list(range(40))
    assert {message["id"] for message in received} == {"1"}
    assert received[-1]["type"] == "complete"


async def test_queries_and_mutations_are_served_too(server: Served) -> None:
    async with server.socket() as client:
        await client.subscribe("q", "{ sequence }")
        answer = await client.receive()
        assert answer["payload"]["data"] == {"sequence": 2**53 - 1}
        assert (await client.receive()) == {"type": "complete", "id": "q"}
        await client.subscribe("m", "mutation { place }")
        assert (await client.receive())["payload"]["data"] == {"place": 1}
    assert server.probe.mutations == 1


async def test_what_a_stream_cost_stands_in_its_first_answer() -> None:
    async with served(per_minute=60_000, clock=ManualClock()) as server, server.socket() as client:
        await client.subscribe("1", "subscription { count(to: 2) }")
        first, second = await client.receive(), await client.receive()
        assert first["payload"]["extensions"] == {
            "cost": {"requested": 3, "remaining": 60_000 - 3, "restoreRate": 1_000}
        }
        assert "extensions" not in second["payload"]
        await client.until("complete")
        await client.subscribe("2", "{ sequence }")
        left = (await client.receive())["payload"]["extensions"]["cost"]["remaining"]
        assert left == 60_000 - 3 - 1


async def test_events_are_charged_to_their_socket_not_to_its_address() -> None:
    async with served(per_minute=10_020, clock=ManualClock()) as server, server.socket() as greedy:
        await greedy.subscribe("1", "subscription { count(to: 5010) }")
        frames = [await greedy.receive() for _ in range(5_011)]
        assert frames[-1]["type"] == "complete"
        await greedy.subscribe("2", "subscription { count(to: 1) }")
        assert (await greedy.until("error"))["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        async with server.socket() as neighbour:
            await neighbour.subscribe("1", "subscription { count(to: 100) }")
            frames = [await neighbour.receive() for _ in range(101)]
            assert frames[-1]["type"] == "complete"


async def test_a_stream_that_has_spent_the_budget_ends_with_a_coded_error() -> None:
    async with served(per_minute=10_020, clock=ManualClock()) as server, server.socket() as client:
        await client.subscribe("1", "subscription { count(to: 100000) }")
        error = await client.until("error")
        assert error["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert error["payload"][0]["extensions"]["retryAfter"] >= 1
        await eventually(lambda: server.probe.open_streams == 0)
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { count count2: count }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int!) { required(number: $n) }", "BAD_USER_INPUT"),
        ("subscription { stillborn }", "BAD_USER_INPUT"),
        ("subscription { lagging }", "READER_TOO_SLOW"),
        ("subscription { faulty }", "INTERNAL"),
        ("{ unencodable }", "INTERNAL"),
        ("query A { sequence } query B { sequence }", "OPERATION_RESOLUTION_FAILURE"),
        ("{" + 'market(symbol: "A") { self {' + "self {" * 12 + "symbol" + "}" * 15, "DEPTH_LIMIT"),
        (
            "{ markets(first: 100) { nodes { self { networks { last } } networks { last } } } m: expensive "
            "a: markets(first: 10000) { nodes { symbol } } }",
            "COST_LIMIT",
        ),
    ],
)
async def test_a_fault_ends_its_operation_only(server: Served, query: str, code: str) -> None:
    async with server.socket() as client:
        await client.subscribe("living", 'subscription { ticks(symbols: ["A"]) { symbol } }')
        assert (await client.receive())["payload"]["data"] == {"ticks": {"symbol": "A"}}
        await client.subscribe("faulty", query)
        error = await client.until("error")
        assert error["id"] == "faulty"
        assert error["payload"][0]["extensions"]["code"] == code
        assert error["payload"][0]["extensions"]["requestId"]
        assert "hunter2" not in str(error)
        server.probe.release.set()
        assert await client.receive() == {"type": "complete", "id": "living"}
        await client.subscribe("faulty", "{ sequence }")
        assert (await client.receive())["type"] == "next"


BAD_MESSAGES = [
    "[]", '"x"', "5", "null", "NaN", "", "{", "[" * 100_000, "{\"type\":" * 3000, "9" * 100_000, "{}",
    '{"type":null}', '{"type":5}', '{"type":"connection_ack"}', '{"type":"start"}', '{"type":["ping"]}',
    '{"type":"ping","payload":5}', '{"type":"ping","payload":[]}', '{"type":"pong","payload":"x"}',
    '{"type":"ping","payload":{"a":' + "[" * 400 + "]" * 400 + "}}",
    '{"type":"subscribe"}', '{"type":"subscribe","id":"1"}', '{"type":"subscribe","id":"1","payload":null}',
    '{"type":"subscribe","id":"1","payload":"x"}', '{"type":"subscribe","id":"1","payload":[]}',
    '{"type":"subscribe","id":"1","payload":{}}', '{"type":"subscribe","id":"1","payload":{"query":5}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":[]}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":1e400}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}","operationName":7}}',
    '{"type":"subscribe","id":"1","payload":{"query":"{a}","extensions":"x"}}',
    '{"type":"subscribe","id":[],"payload":{"query":"{__typename}"}}',
    '{"type":"subscribe","id":1,"payload":{"query":"{__typename}"}}',
    '{"type":"subscribe","id":"","payload":{"query":"{__typename}"}}',
    '{"type":"subscribe","id":"' + "i" * 129 + '","payload":{"query":"{__typename}"}}',
    '{"type":"complete"}', '{"type":"complete","id":5}', '{"type":"complete","id":null}', "\ufeff{}",
    '{"type":"ping","payload":{"a":"\\ud800"}}', b"\x00\x01", b'{"type":"ping"}',
]  # fmt: skip


@pytest.mark.parametrize("message", BAD_MESSAGES, ids=lambda text: repr(text[:40]))
@pytest.mark.parametrize("acknowledged", [False, True])
async def test_a_malformed_message_closes_with_4400(server: Served, message: str | bytes, acknowledged: bool) -> None:
    async with server.socket() if acknowledged else server.raw_socket() as opened:
        client = opened if isinstance(opened, Client) else Client(opened)
        await client.raw.send(message)
        code, reason = await client.closed()
    assert code == 4400
    assert reason
    async with server.socket() as bystander:
        await bystander.subscribe("1", "{ sequence }")
        assert (await bystander.receive())["type"] == "next"


async def test_an_operation_before_connection_init_closes_with_4401(server: Served) -> None:
    async with server.raw_socket() as raw:
        client = Client(raw)
        await client.subscribe("1", "{ sequence }")
        assert (await client.closed())[0] == 4401


@pytest.mark.parametrize(
    "payload",
    [{"Authorization": "Bearer x"}, {"token": "x"}, {"access_token": "x"}, {"headers": {"X-API-Key": "x"}}],
)
async def test_a_credential_closes_with_4403(server: Served, payload: dict[str, Any]) -> None:
    async with server.raw_socket() as raw:
        client = Client(raw)
        await client.send({"type": "connection_init", "payload": payload})
        assert (await client.closed())[0] == 4403


async def test_each_operation_has_a_context_of_its_own(server: Served) -> None:
    async with server.socket() as client:
        for operation_id in ("1", "2"):
            await client.subscribe(operation_id, "{ rememberContext }")
            await client.until("complete")
        first, second = server.probe.contexts
        assert first is not second
        assert first.caller.request_id != second.caller.request_id
        assert first.caller.viewer is None
        assert first.caller.client.address == "127.0.0.1"


@pytest.mark.parametrize("offered", [["graphql-ws"], ["mqtt", "graphql-ws"], None])
async def test_another_subprotocol_closes_with_4406(server: Served, offered: list[str] | None) -> None:
    subprotocols = [Subprotocol(name) for name in offered] if offered else None
    async with server.raw_socket(subprotocols=subprotocols) as raw:
        assert (await Client(raw).closed())[0] == 4406


async def test_ours_is_chosen_among_several(server: Served) -> None:
    async with server.raw_socket(subprotocols=[Subprotocol("graphql-ws"), Subprotocol("graphql-transport-ws")]) as raw:
        assert raw.subprotocol == "graphql-transport-ws"


async def test_no_connection_init_closes_with_4408() -> None:
    async with served(socket_limits=SocketLimits(init_seconds=0.2)) as server, server.raw_socket() as raw:
        client = Client(raw)
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"
        assert (await client.closed())[0] == 4408


async def test_an_acknowledged_socket_may_stay_idle_longer_than_that() -> None:
    async with served(socket_limits=SocketLimits(init_seconds=0.2)) as server, server.socket() as client:
        await client.subscribe("1", "{ slow }")
        await asyncio.wait_for(server.probe.started.wait(), 30)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.raw.recv(), 0.4)
        assert client.raw.close_code is None


async def test_the_default_wait_for_connection_init_is_at_most_10_s() -> None:
    assert SocketLimits().init_seconds <= 10


async def test_a_used_id_closes_with_4409(server: Served) -> None:
    async with server.socket() as client:
        await client.subscribe("é" * 100, "{ slow }")
        await client.subscribe("é" * 100, "{ slow }")
        code, reason = await client.closed()
    assert code == 4409
    assert reason.startswith("Subscriber for é")


async def test_an_id_is_free_once_its_operation_has_ended(server: Served) -> None:
    async with server.socket() as client:
        for _ in range(20):
            await client.subscribe("same", "{ sequence }")
            assert (await client.receive())["type"] == "next"
            assert (await client.receive())["type"] == "complete"
        await client.subscribe("same", "{ slow }")
        await client.send({"type": "complete", "id": "same"})
        await client.subscribe("same", "{ sequence }")
        assert (await client.receive())["payload"]["data"] == {"sequence": 2**53 - 1}


async def test_a_second_connection_init_closes_with_4429(server: Served) -> None:
    async with server.socket() as client:
        await client.send({"type": "connection_init"})
        assert (await client.closed())[0] == 4429


async def test_an_address_has_a_bounded_number_of_sockets() -> None:
    async with served(connections=OpenConnections(per_address=2, per_account=9)) as server:
        async with server.socket(), server.socket(), server.raw_socket() as third:
            assert (await Client(third).closed())[0] == 4429
        await eventually(lambda: server.metric("graphql_sockets") == 0)
        async with server.socket() as again:
            await again.send({"type": "ping"})
            assert (await again.receive())["type"] == "pong"


async def test_a_socket_has_a_bounded_number_of_operations() -> None:
    async with served(socket_limits=SocketLimits(operations=3)) as server, server.socket() as client:
        for number in range(4):
            await client.subscribe(str(number), "{ slow }")
        error = await client.receive()
        assert error["id"] == "3"
        assert error["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
        assert error["payload"][0]["extensions"]["limit"] == 3
        await client.send({"type": "complete", "id": "0"})
        await eventually(lambda: server.metric("graphql_socket_operations") == 2)
        await client.subscribe("5", "{ sequence }")
        assert (await client.receive())["type"] == "next"


async def test_a_foreign_page_may_not_open_a_socket(server: Served) -> None:
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{server.port}", "http://[", "file://"):
        with pytest.raises(InvalidStatus) as refused:
            async with server.raw_socket(origin=Origin(origin)):
                pass
        assert refused.value.response.status_code == 403
        assert b"ORIGIN_NOT_ALLOWED" in (refused.value.response.body or b"")
    for origin in (ORIGIN, ORIGIN.upper()):
        async with server.socket(origin=Origin(origin)) as client:
            assert client.raw.subprotocol


async def test_complete_frees_everything(server: Served) -> None:
    async with server.socket() as client:
        for number in range(50):
            await client.subscribe(str(number), 'subscription { ticks(symbols: ["A"]) { symbol } }')
            assert (await client.receive())["type"] == "next"
        assert server.probe.open_streams == 50
        assert server.metric("graphql_socket_operations") == 50
        for number in range(50):
            await client.send({"type": "complete", "id": str(number)})
        await eventually(lambda: server.probe.open_streams == 0)
        await eventually(lambda: server.metric("graphql_socket_operations") == 0)
        await client.send({"type": "complete", "id": "never-there"})
        await client.send({"type": "ping", "payload": {"n": 1}})
        assert await client.receive() == {"type": "pong", "payload": {"n": 1}}


async def test_a_socket_that_goes_frees_everything(server: Served) -> None:
    async with server.socket() as client:
        for number in range(20):
            await client.subscribe(str(number), 'subscription { ticks(symbols: ["A"]) { symbol } }')
            assert (await client.receive())["type"] == "next"
        client.raw.transport.abort()
    await eventually(lambda: server.probe.open_streams == 0)
    await eventually(lambda: server.metric("graphql_socket_operations") == 0)
    await eventually(lambda: server.metric("graphql_sockets") == 0)


async def test_a_ping_is_answered_while_a_stream_runs_at_full_speed(server: Served) -> None:
    async with server.socket(close_timeout=0.1) as client:
        await client.subscribe("1", "subscription { forever }")
        await client.receive()
        seconds = []
        for number in range(5):
            sent = time.monotonic()
            await client.send({"type": "ping", "payload": {"n": number}})
            assert (await client.until("pong"))["payload"] == {"n": number}
            seconds.append(time.monotonic() - sent)
        assert min(seconds) < 0.5
        async with httpx.AsyncClient(timeout=30) as bystander:
            answer = await bystander.post(server.url, json={"query": "{ sequence }"})
            assert answer.status_code == 200


async def test_a_frame_that_is_too_large_closes_with_1009(server: Served) -> None:
    async with server.socket() as client:
        await client.raw.send('{"type":"ping","payload":{"a":"' + "x" * 262_144 + '"}}')
        assert (await client.closed())[0] == 1009


async def test_a_message_in_too_many_fragments_closes_with_1009(server: Served) -> None:
    async with server.socket() as client:

        async def fragments() -> AsyncIterator[str]:
            yield '{"type":"ping"'
            for _ in range(3_000):
                yield ""
            yield "}"

        with contextlib.suppress(ConnectionClosed):
            await client.raw.send(fragments())
        assert (await client.closed())[0] == 1009


async def test_shutting_down_closes_with_1001_and_frees_everything() -> None:
    async with served() as server:
        async with server.socket() as client:
            await client.subscribe("1", 'subscription { ticks(symbols: ["A"]) { symbol } }')
            await client.receive()
            server.server.should_exit = True
            code, reason = await client.closed()
        assert code == 1001
        assert "shutting down" in reason
        await eventually(lambda: server.probe.open_streams == 0)
        await eventually(lambda: server.metric("graphql_sockets") == 0)


async def test_persisted_queries_work_over_the_socket(server: Served) -> None:
    digest = "b9d7a3e0e16d0e4d1a4c39b6b4fe1f9ebd21a08a7a57db1a07f4db0f8b2e3c55"
    async with server.socket() as client:
        payload = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}}
        await client.send({"id": "1", "type": "subscribe", "payload": payload})
        error = await client.receive()
        assert error["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
