"""JSON nobody would send, by the hundred: parsers refuse it in their own words, and the server lives on."""

import contextlib
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from graph.request import request_from_json
from server.ws_messages import CloseSocket, read_message
from tests.server.serving import Client, Served, served

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
documents = st.sampled_from(
    ["{ sequence }", "subscription { count }", "mutation { place }", "{", "", "{ slow"]
) | st.text(max_size=30)
anything = st.recursive(
    scalars | documents,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
requests = anything | st.fixed_dictionaries(
    {},
    optional={"query": documents | anything, "variables": anything, "operationName": anything, "extensions": anything},
)
messages = anything | st.fixed_dictionaries(
    {"type": st.sampled_from(["connection_init", "subscribe", "complete", "ping", "pong", "next"]) | anything},
    optional={"id": st.sampled_from(["1", "2", ""]) | anything, "payload": requests},
)
on_a_running_server = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def server() -> AsyncIterator[Served]:
    async with served() as running:
        yield running


def close_code(message: bytes) -> int | None:
    """What a message closes the socket with; None when it is understood."""
    try:
        read_message(message)
    except CloseSocket as close:
        if not 0 < len(close.reason.encode()) <= 123:
            raise ValueError("the reason does not fit a close frame") from close
        return close.code
    return None


@given(requests)
def test_a_request_is_understood_or_refused_by_name(value: object) -> None:
    with contextlib.suppress(InvalidInput):
        assert isinstance(request_from_json(value).query, str | None)


@given(messages)
def test_a_message_is_understood_or_closes_with_4400(value: object) -> None:
    assert close_code(orjson.dumps(value)) in {None, 4400}


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_understood_or_closes_with_4400(text: str) -> None:
    assert close_code(text.encode(errors="surrogatepass")) in {None, 4400}


@on_a_running_server
@given(value=requests)
async def test_http_answers_every_request(server: Served, value: object) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(server.url, content=orjson.dumps(value), headers={"content-type": "application/json"})
    assert answer.status_code in {200, 400}
    body = answer.json()
    assert "data" in body or body["errors"][0]["extensions"]["code"] not in {"INTERNAL", ""}


@on_a_running_server
@given(values=st.lists(messages, max_size=6))
async def test_the_socket_survives_or_closes_with_a_code_of_the_protocol(server: Served, values: list[object]) -> None:
    async with server.socket() as client:
        for value in values:
            await client.raw.send(orjson.dumps(value))
            if client.raw.close_code is not None:
                break
        await client.raw.send('{"type":"ping","payload":{"last":true}}')
        await _pong_or_close(client)


async def _pong_or_close(client: Client) -> None:
    try:
        while (await client.until("pong")).get("payload") != {"last": True}:
            pass
    except Exception:  # noqa: BLE001 - whatever the closed socket raises; its code is judged
        assert (await client.closed())[0] in {4400, 4409, 4429}
