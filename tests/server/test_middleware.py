import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from structlog.testing import capture_logs

from core.client_address import ClientAddresses
from core.clock import SystemClock
from core.request_id import current_request_id
from server.metrics import Metrics
from server.middleware import HSTS, STRICT_POLICY, Edge
from server.refusals import refuse_in_code
from tests.server.test_metrics import value


async def echo(_request: Request) -> Response:
    """The request id that a task started here sees."""
    return PlainTextResponse(await asyncio.create_task(in_a_task()))


async def in_a_task() -> str:
    return current_request_id() or "none"


async def page(_request: Request) -> Response:
    headers = {"content-security-policy": "default-src 'self'; frame-ancestors 'none'", "cache-control": "max-age=60"}
    return HTMLResponse("<p>page", headers=headers)


async def fail(_request: Request) -> Response:
    raise RuntimeError("secret inner state")


async def fail_late(_request: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise RuntimeError("in the middle")

    return StreamingResponse(body())


async def events(_request: Request) -> Response:
    return StreamingResponse(iter(["data: 1\n\n"]), media_type="text/event-stream")


async def boom(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("below any framework")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(current_request_id() or "none")
    if websocket.query_params.get("fail"):
        raise RuntimeError("inside a socket")
    await websocket.receive_text()


APP = Starlette(
    routes=[
        *(Route(f"/{handler.__name__}", handler) for handler in (echo, page, fail, fail_late, events)),
        WebSocketRoute("/socket", socket),
    ]
)
refuse_in_code(APP)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(paths=frozenset({"/echo", "/fail", "/events"}))


@pytest.fixture
def edge(metrics: Metrics) -> Edge:
    return Edge(
        APP,
        metrics=metrics,
        clock=SystemClock(),
        addresses=ClientAddresses(),
        https=True,
        quiet_paths=frozenset({"/page"}),
    )


@pytest.fixture
async def http(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(edge, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://server") as client:
        yield client


@pytest.mark.parametrize("offered", ["abcd1234", "A-b_9" * 12, "x" * 64])
async def test_an_offered_request_id_travels_into_tasks_and_back(http: httpx.AsyncClient, offered: str) -> None:
    answer = await http.get("/echo", headers={"X-Request-ID": offered})
    assert answer.text == answer.headers["x-request-id"] == offered


@pytest.mark.parametrize(
    "offered", ["short12", "x" * 65, "has space1", "naïve-name", "a;b;c;d;e", "abcdefgh\u0661", ""]
)
async def test_any_other_request_id_is_replaced(http: httpx.AsyncClient, offered: str) -> None:
    answers = [await http.get("/echo", headers=[(b"x-request-id", offered.encode())]) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert offered not in ids
    assert all(answer.text == answer.headers["x-request-id"] for answer in answers)


async def test_requests_at_the_same_time_keep_their_ids_apart(http: httpx.AsyncClient) -> None:
    ids = [f"request-{number:03}" for number in range(50)]
    answers = await asyncio.gather(*(http.get("/echo", headers={"X-Request-ID": each}) for each in ids))
    assert [answer.text for answer in answers] == ids
    assert current_request_id() is None


@pytest.mark.parametrize("path", ["/echo", "/fail", "/no-such-path"])
async def test_every_answer_carries_the_security_headers(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == STRICT_POLICY
    assert "frame-ancestors 'none'" in STRICT_POLICY
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["strict-transport-security"] == HSTS
    assert int(HSTS.split(";")[0].removeprefix("max-age=")) >= 365 * 86_400
    assert headers["cache-control"] == "no-store"
    assert "geolocation=()" in headers["permissions-policy"]


async def test_a_page_keeps_its_own_policy(http: httpx.AsyncClient) -> None:
    headers = (await http.get("/page")).headers
    assert headers.get_list("content-security-policy") == ["default-src 'self'; frame-ancestors 'none'"]
    assert headers.get_list("cache-control") == ["max-age=60"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_no_hsts_over_plain_http(metrics: Metrics) -> None:
    edge = Edge(APP, metrics=metrics, clock=SystemClock(), addresses=ClientAddresses(), https=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://server") as http:
        assert "strict-transport-security" not in (await http.get("/echo")).headers


async def test_an_exception_becomes_a_coded_answer_without_its_reason(
    http: httpx.AsyncClient, metrics: Metrics
) -> None:
    with capture_logs() as logs:
        answer = await http.get("/fail", headers={"X-Request-ID": "request-1"})
    assert answer.status_code == 500
    (error,) = answer.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": "request-1"}
    assert "secret inner state" not in answer.text
    assert "http.failed" in [line["event"] for line in logs]
    assert value(metrics, "http_requests_total", method="GET", path="/fail", status="500") == 1


async def test_an_exception_after_the_answer_began_breaks_the_connection(edge: Edge) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://server") as http:
        with pytest.raises(RuntimeError, match="in the middle"):
            await http.get("/fail_late")


async def test_twenty_requests_count_as_twenty(http: httpx.AsyncClient, metrics: Metrics) -> None:
    await asyncio.gather(*(http.get("/echo") for _ in range(20)))
    assert value(metrics, "http_requests_total", method="GET", path="/echo", status="200") == 20
    assert value(metrics, "http_request_seconds_count", path="/echo") == 20


async def test_streams_count_as_requests_but_not_as_latency(http: httpx.AsyncClient, metrics: Metrics) -> None:
    await http.get("/events")
    assert value(metrics, "http_requests_total", method="GET", path="/events", status="200") == 1
    assert value(metrics, "http_request_seconds_count", path="/events") is None


async def test_the_access_log_says_what_was_answered_and_no_query(http: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await http.get("/echo?token=hunter2")
        await http.get("/page")
    seen, quiet = [line for line in logs if line["event"] == "http.answered"]
    assert (seen["method"], seen["path"], seen["status"], seen["log_level"]) == ("GET", "/echo", 200, "info")
    assert seen["duration_ms"] >= 0
    assert "hunter2" not in str(logs)
    assert quiet["log_level"] == "debug"


async def test_an_exception_below_the_framework_is_answered_too(metrics: Metrics) -> None:
    edge = Edge(boom, metrics=metrics, clock=SystemClock(), addresses=ClientAddresses(), https=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://server") as http:
        answer = await http.get("/", headers={"X-Request-ID": "request-2"})
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["extensions"] == {"code": "INTERNAL", "requestId": "request-2"}
    assert answer.headers["content-security-policy"] == STRICT_POLICY


async def test_a_client_that_leaves_is_no_failure(metrics: Metrics) -> None:
    async def left(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    edge = Edge(left, metrics=metrics, clock=SystemClock(), addresses=ClientAddresses(), https=True)
    with capture_logs() as logs:
        await edge({"type": "http", "method": "POST", "path": "/", "headers": []}, nothing, swallow)
    assert [(line["event"], line["status"]) for line in logs] == [("http.answered", 499)]


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def swallow(message: Message) -> None:
    """Nobody is there."""


async def run_socket(edge: Edge, query: bytes, incoming: list[Message]) -> list[Message]:
    """What the application sends on a socket that receives these messages."""
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"x-request-id", b"socket-id-1")]
    scope = {"type": "websocket", "path": "/socket", "headers": headers, "query_string": query, "client": ("::1", 1)}
    await edge({**scope, "scheme": "ws", "subprotocols": [], "root_path": ""}, receive, send)
    return sent


async def test_a_socket_is_logged_and_has_its_id(edge: Edge) -> None:
    with capture_logs() as logs:
        sent = await run_socket(
            edge, b"", [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]
        )
    assert (b"x-request-id", b"socket-id-1") in sent[0]["headers"]
    assert sent[1]["text"] == "socket-id-1"
    closed = next(line for line in logs if line["event"] == "websocket.closed")
    assert (closed["code"], closed["client"]) == (1001, "::1")


async def test_an_exception_in_a_socket_closes_it_with_1011(edge: Edge) -> None:
    with capture_logs() as logs:
        sent = await run_socket(edge, b"fail=1", [{"type": "websocket.connect"}])
    assert sent[-1]["type"] == "websocket.close"
    assert sent[-1]["code"] == 1011
    assert "inside a socket" not in str(sent)
    assert "websocket.failed" in [line["event"] for line in logs]
