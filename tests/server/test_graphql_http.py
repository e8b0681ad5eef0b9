"""GraphQL over HTTP with a real client, and with raw bytes where a client would not send them."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

from core.clock import ManualClock
from graph.pipeline import PipelineLimits
from server.graphql_http import HttpLimits
from tests.server.serving import ORIGIN, Served, eventually, served

JSON = {"content-type": "application/json"}
RESPONSE = "application/graphql-response+json"


@pytest.fixture
async def server() -> AsyncIterator[Served]:
    async with served() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


def coded(answer: httpx.Response) -> str:
    """The code of a refusal, which is JSON and small whatever it is about."""
    assert len(answer.content) < 65_536
    assert answer.headers["content-type"].split(";")[0] in {"application/json", RESPONSE}
    body = answer.json()
    assert "data" not in body
    (error, *_) = body["errors"]
    assert error["message"]
    assert error["extensions"]["requestId"]
    return str(error["extensions"]["code"])


async def raw_exchange(server: Served, request: bytes, *more: bytes) -> bytes:
    """Send bytes as they are; everything the server answers until it closes or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(request)
        for part in more:
            writer.write(part)
            await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
        )
        return head + await asyncio.wait_for(reader.readexactly(length), 30)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("accept", "status", "media_type"),
    [
        ("application/json", 200, "application/json"),
        (RESPONSE, 200, RESPONSE),
        ("*/*", 200, "application/json"),
        ("application/*;q=0.5", 200, "application/json"),
        (f"{RESPONSE}, application/json;q=0.9", 200, RESPONSE),
        (f"{RESPONSE};q=0.1, application/json", 200, "application/json"),
        (f"application/json, {RESPONSE}", 200, RESPONSE),
        (f"{RESPONSE};q=0, */*;q=0.1", 200, "application/json"),
        ("", 200, "application/json"),
        ("text/html", 406, "application/json"),
        ("application/json;q=0", 406, "application/json"),
        ("application/json;q=x", 406, "application/json"),
        ("multipart/mixed;deferSpec=20220824, text/html", 406, "application/json"),
    ],
)
async def test_the_answer_has_the_best_type_the_client_accepts(
    server: Served, http: httpx.AsyncClient, accept: str, status: int, media_type: str
) -> None:
    answer = await http.post(server.url, json={"query": "{ sequence }"}, headers={"accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int!) { required(number: $n) }", "BAD_USER_INPUT"),
        ("query A { sequence } query B { sequence }", "OPERATION_RESOLUTION_FAILURE"),
        ("subscription { count }", "OPERATION_NOT_ALLOWED"),
        ("{ markets(first: 100000) { nodes { symbol } } }", "COST_LIMIT"),
    ],
)
async def test_an_operation_that_is_not_executed(
    server: Served, http: httpx.AsyncClient, query: str, code: str
) -> None:
    plain = await http.post(server.url, json={"query": query}, headers={"accept": "application/json"})
    modern = await http.post(server.url, json={"query": query}, headers={"accept": RESPONSE})
    assert (plain.status_code, modern.status_code) == (200, 400)
    assert coded(plain) == coded(modern) == code


async def test_partial_data_is_a_success(server: Served, http: httpx.AsyncClient) -> None:
    query = '{ sequence market(symbol: "NONE") { symbol } }'
    answer = await http.post(server.url, json={"query": query}, headers={"accept": RESPONSE})
    assert answer.status_code == 200
    body = answer.json()
    assert body["data"] == {"sequence": 2**53 - 1, "market": None}
    assert b'"sequence":9007199254740991' in answer.content
    assert body["errors"][0]["path"] == ["market"]
    assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_an_unforeseen_failure_is_masked(server: Served, http: httpx.AsyncClient) -> None:
    answer = await http.post(server.url, json={"query": '{ market(symbol: "A") { ticker { last broken } } }'})
    assert answer.json()["data"] == {"market": {"ticker": {"last": "1.5", "broken": None}}}
    assert answer.json()["errors"][0]["message"] == "Internal error"
    assert "hunter2" not in answer.text
    unencodable = await http.post(server.url, json={"query": "{ unencodable }"})
    assert coded(unencodable) == "INTERNAL"


@pytest.mark.parametrize(
    "body",
    [
        b"null", b"5", b'"x"', b"true", b"NaN", b"[]", b'[{"query":"{sequence}"}]', b"{", b"{}", b"\xff\xfe{}",
        b"[" * 100_000, b'{"query":' * 20_000, b"9" * 100_000, b'{"query":"{sequence}","variables":{"a":' + b"9" * 100_000 + b"}}",
        b'{"query":"{sequence}","variables":{"a":NaN}}', b'{"query":"{sequence}","variables":{"a":1e999}}',
        b'{"query":"{sequence}","variables":' + b"[" * 50_000, b'{"query":"\\ud800"}', b"\xef\xbb\xbf{}", b'{"query":null}',
        b'{"query":5}', b'{"query":["{sequence}"]}', b'{"query":"{sequence}","variables":"x"}', b'{"query":"{sequence}","variables":[1]}',
        b'{"query":"{sequence}","operationName":{}}', b'{"query":"{sequence}","extensions":7}', gzip.compress(b'{"query":"{sequence}"}', mtime=0),
        b'{"query":"{sequence}","extensions":{"persistedQuery":5}}'[:-1], b"", b"\x00", b'{"query":"{sequence}"}{}',
    ],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
async def test_a_body_that_is_no_request_is_answered_400(server: Served, http: httpx.AsyncClient, body: bytes) -> None:
    for accept in ("application/json", RESPONSE):
        answer = await http.post(server.url, content=body, headers={**JSON, "accept": accept})
        assert answer.status_code == 400
        assert coded(answer) == "BAD_REQUEST"


async def test_an_empty_document_or_variables_nested_deeply_are_refused(
    server: Served, http: httpx.AsyncClient
) -> None:
    nested: Any = 1
    for _ in range(900):
        nested = [nested]
    query = "query ($f: Filter) { markets(filter: $f) { nodes { symbol } } }"
    for body in ({"query": ""}, {"query": query, "variables": {"f": {"symbols": nested}}}):
        answer = await http.post(server.url, json=body, headers={"accept": RESPONSE})
        assert answer.status_code == 400
        coded(answer)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON;charset="UTF-8"', 200),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=iso-8859-1", 415),
        ("text/plain", 415),
        ("text/plain;charset=UTF-8", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/graphql", 415),
        ("", 415),
    ],
)
async def test_only_json_is_read(server: Served, http: httpx.AsyncClient, content_type: str, status: int) -> None:
    body = b'{"query":"mutation { place }"}'
    answer = await http.post(server.url, content=body, headers={"content-type": content_type})
    assert answer.status_code == status
    if status == 415:
        assert coded(answer) == "UNSUPPORTED_MEDIA_TYPE"
        assert server.probe.mutations == 0


async def test_a_compressed_body_is_refused(server: Served, http: httpx.AsyncClient) -> None:
    body = gzip.compress(b'{"query":"{ sequence }"}')
    answer = await http.post(server.url, content=body, headers={**JSON, "content-encoding": "gzip"})
    assert answer.status_code == 400
    coded(answer)


async def test_get_serves_queries(server: Served, http: httpx.AsyncClient) -> None:
    query = "query Q($s: String!) { market(symbol: $s) { symbol } }"
    parameters = {"query": query, "variables": json.dumps({"s": "é+&="}), "operationName": "Q", "extensions": "{}"}
    answer = await http.get(server.url, params=parameters)
    assert answer.status_code == 200
    assert answer.json()["data"] == {"market": {"symbol": "é+&="}}


async def test_get_does_not_serve_mutations(server: Served, http: httpx.AsyncClient) -> None:
    for accept in ("application/json", RESPONSE):
        answer = await http.get(server.url, params={"query": "mutation { place }"}, headers={"accept": accept})
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
        assert coded(answer) == "OPERATION_NOT_ALLOWED"
    both = "query A { sequence } mutation B { place }"
    answer = await http.get(server.url, params={"query": both, "operationName": "B"})
    assert answer.status_code == 405
    assert server.probe.mutations == 0


@pytest.mark.parametrize(
    "query_string",
    [
        "", "query=", "query=%ff", "query={sequence}&query={sequence}", "query={sequence}&variables=[]",
        "query={sequence}&variables={", "query={sequence}&variables=NaN", "query={sequence}&extensions=5", "&".join("a=1" for _ in range(100)),
        "variables={}", "query={sequence}&variables=" + "[" * 50_000,
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
async def test_a_url_that_is_no_request_is_answered_400(server: Served, query_string: str) -> None:
    path = f"/graphql?{query_string}".encode()
    answer = await raw_exchange(
        server, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nAccept: " + RESPONSE.encode() + b"\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"code"' in answer


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE"])
async def test_other_methods_are_answered_405(server: Served, http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, server.url)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST, OPTIONS"


async def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not(server: Served, http: httpx.AsyncClient) -> None:
    start, end = b'{"query":"{ sequence }","extensions":{"x":"', b'"}}'
    limit = HttpLimits().body_bytes
    fitting = start + b"x" * (limit - len(start) - len(end)) + end
    assert (await http.post(server.url, content=fitting, headers=JSON)).status_code == 200

    async def chunked(body: bytes) -> AsyncIterator[bytes]:
        for index in range(0, len(body), 10_000):
            yield body[index : index + 10_000]

    assert (await http.post(server.url, content=chunked(fitting), headers=JSON)).status_code == 200
    for content in (fitting + b" ", chunked(fitting + b" "), chunked(fitting * 20)):
        answer = await http.post(server.url, content=content, headers=JSON)
        assert answer.status_code == 413
        assert coded(answer) == "PAYLOAD_TOO_LARGE"
        assert answer.json()["errors"][0]["extensions"]["limit"] == limit


async def test_an_endless_chunked_body_is_cut_off(server: Served) -> None:
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    answer = asyncio.create_task(reader.readexactly(12))
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(chunk)
                await writer.drain()
        assert await answer == b"HTTP/1.1 413"
    writer.transport.abort()


async def test_a_declared_length_that_is_too_large_is_refused_before_the_body_is_sent(server: Served) -> None:
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    answer = await raw_exchange(server, head)
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_that_does_not_arrive_is_answered_408() -> None:
    async with served(http_limits=HttpLimits(body_seconds=0.1)) as server:
        head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        answer = await raw_exchange(server, head)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"REQUEST_TIMEOUT" in answer


async def test_cors_is_for_allowed_origins_only(server: Served, http: httpx.AsyncClient) -> None:
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    allowed = await http.options(server.url, headers={"origin": ORIGIN, **preflight})
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "content-type" in allowed.headers["access-control-allow-headers"]
    assert "POST" in allowed.headers["access-control-allow-methods"]
    for foreign in ("https://evil.example", "null", ORIGIN + ".evil.example"):
        refused = await http.options(server.url, headers={"origin": foreign, **preflight})
        assert not [name for name in refused.headers if name.startswith("access-control")]
        answer = await http.post(server.url, json={"query": "{ sequence }"}, headers={"origin": foreign})
        assert "access-control-allow-origin" not in answer.headers
    answer = await http.post(server.url, json={"query": "{ sequence }"}, headers={"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    assert "Accept" in answer.headers["vary"]
    refused = await http.put(server.url, headers={"origin": ORIGIN})
    assert refused.headers["access-control-allow-origin"] == ORIGIN


async def test_a_client_that_goes_cancels_what_it_asked_for(server: Served, http: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await http.post(server.url, json={"query": "{ slow }"}, timeout=0.3)
    await asyncio.wait_for(server.probe.ended.wait(), 30)
    assert server.probe.cancelled == 1
    assert (await http.post(server.url, json={"query": "{ sequence }"})).status_code == 200


async def test_execution_has_a_time_limit(http: httpx.AsyncClient) -> None:
    async with served(pipeline_limits=PipelineLimits(execution_seconds=0.1)) as server:
        answer = await http.post(server.url, json={"query": "{ slow }"}, headers={"accept": RESPONSE})
        assert answer.status_code == 504
        assert coded(answer) == "TIMEOUT"
        assert server.probe.cancelled == 1


async def test_a_spent_budget_is_answered_429_and_restores(http: httpx.AsyncClient) -> None:
    clock = ManualClock()
    async with served(per_minute=12_000, clock=clock) as server:
        answer = await http.post(server.url, json={"query": "{ expensive }"})
        cost = answer.json()["extensions"]["cost"]
        assert cost == {"requested": 500, "remaining": 11_500, "restoreRate": 200}
        for _ in range(23):
            assert (await http.post(server.url, json={"query": "{ expensive }"})).status_code == 200
        refused = await http.post(server.url, json={"query": "{ expensive }"}, headers={"accept": "application/json"})
        assert refused.status_code == 429
        assert coded(refused) == "RATE_LIMITED"
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["extensions"]["cost"]["remaining"] == 0
        clock.advance(1)
        answer = await http.post(server.url, json={"query": "{ sequence }"})
        assert answer.json()["extensions"]["cost"]["remaining"] == 199
        refused = await http.post(server.url, json={"query": "{ expensive }"})
        assert refused.json()["errors"][0]["extensions"]["retryAfter"] == int(refused.headers["retry-after"]) == 2


async def test_forwarded_addresses_are_believed_from_trusted_proxies_only(http: httpx.AsyncClient) -> None:
    forwarded = {"x-forwarded-for": "203.0.113.9, 198.51.100.7"}
    query = {"query": "{ rememberContext }"}
    async with served() as server:
        await http.post(server.url, json=query, headers=forwarded)
        assert server.probe.contexts[0].caller.client.address == "127.0.0.1"
    async with served(trusted_proxies=("127.0.0.0/8",)) as server:
        await http.post(server.url, json=query, headers=forwarded)
        assert server.probe.contexts[0].caller.client.address == "198.51.100.7"


async def test_persisted_queries_by_post_and_get(server: Served, http: httpx.AsyncClient) -> None:
    query = "{ sequence }"
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256(query.encode()).hexdigest()}}
    unknown = await http.post(server.url, json={"extensions": extensions})
    assert coded(unknown) == "PERSISTED_QUERY_NOT_FOUND"
    assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    wrong = await http.post(server.url, json={"query": "{ quiet }", "extensions": extensions})
    assert coded(wrong) == "PERSISTED_QUERY_HASH_MISMATCH"
    assert coded(await http.post(server.url, json={"extensions": extensions})) == "PERSISTED_QUERY_NOT_FOUND"
    assert (await http.post(server.url, json={"query": query, "extensions": extensions})).status_code == 200
    by_hash = await http.get(server.url, params={"extensions": json.dumps(extensions)})
    assert by_hash.json()["data"] == {"sequence": 2**53 - 1}


async def test_a_request_head_that_does_not_arrive_is_cut_off(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.connections.HEAD_SECONDS", 0.1)
    for beginning in (b"", b"POST /graphql HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(beginning)
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()


async def test_a_reader_that_does_not_read_its_answer_is_cut_off(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.connections.STALLED_SECONDS", 0.1)
    monkeypatch.setattr("server.connections.CUT_OFF_SECONDS", 0.1)
    body = b'{"query":"{ bytes(count: 30000000) }"}'
    head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(head.encode() + body)
    await eventually(lambda: len(server.server.server_state.connections) == 1)
    await eventually(lambda: len(server.server.server_state.connections) == 0)
    reader.feed_eof()
    writer.transport.abort()
