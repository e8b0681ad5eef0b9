"""Answers that are given as soon as a request has arrived differ in nothing from the application's."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from structlog.testing import capture_logs

from core.vocabulary import Series
from tests.accounts import build_accounts
from tests.markets import BTC, ETH, Markets, feed, ticker
from tests.server.front import Front, Kept, Reply, front, request_of
from tests.server.serving import ORIGIN

QUERY = '{ markets(filter: {quote: "USDT"}) { nodes { id symbol status rules { tickSize minNotional } } } }'
SMALL = '{ market(symbol: "BTC-USDT") { symbol ticker { last } } }'
RESPONSE = "application/graphql-response+json"
CHANGING = {"date", "x-request-id", "ratelimit"}


@pytest.fixture
def markets() -> Markets:
    return Markets().full(BTC, ETH)


@pytest.fixture
async def server(markets: Markets) -> AsyncIterator[Front]:
    async with front(markets.pipeline, build_accounts().authority) as running:
        yield running


def same_head(one: Reply, other: Reply) -> bool:
    first, second = ([pair for pair in each.headers if pair[0] not in CHANGING] for each in (one, other))
    assert [name for name, _ in one.headers] == [name for name, _ in other.headers]
    return one.status == other.status == 200 and first == second


def data(reply: Reply) -> object:
    return orjson.loads(reply.plain)["data"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"accept": "*/*"},
        {"accept": RESPONSE},
        {"accept": f"{RESPONSE};q=0.1, application/json"},
        {"origin": ORIGIN},
        {"origin": "https://evil.example"},
        {"accept-encoding": "gzip, br"},
        {"accept-encoding": "gzip;q=0"},
        {"accept-encoding": "br"},
        {"accept-encoding": "*"},
        {"x-request-id": "my-request-7"},
        {"x-request-id": "no"},
        {"connection": "keep-alive"},
        {"user-agent": "somebody", "accept-language": "de", "x-forwarded-for": "192.0.2.9"},
        {"content-type": 'application/json; charset="utf-8"'},
    ],
)
async def test_the_head_is_the_applications(server: Front, kept: Kept, headers: dict[str, str]) -> None:
    own, at_once = await kept.post(QUERY, headers), await kept.post(QUERY, headers)
    assert server.given == [False, True]
    assert same_head(own, at_once)
    assert data(own) == data(at_once)
    request_id = at_once.header("x-request-id") or ""
    assert (request_id == "my-request-7") == (headers.get("x-request-id") == "my-request-7")
    assert request_id != own.header("x-request-id") or request_id == "my-request-7"
    encodings = headers.get("accept-encoding", "")
    assert (at_once.header("content-encoding") == "gzip") == (encodings in ("gzip, br", "*"))


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": "a=b"},
        {"authorization": "Bearer nonsense"},
        {"x-api-key": "nonsense"},
        {"x-exchange-sequence": "12"},
        {"content-encoding": "gzip"},
        {"content-type": "text/plain"},
        {"accept": "text/html"},
        {"connection": "close"},
        {"expect": "100-continue"},
    ],
)
async def test_what_needs_a_judgement_is_left_to_the_application(
    server: Front, kept: Kept, headers: dict[str, str]
) -> None:
    for _ in range(2):
        await kept.post(QUERY)
    assert server.given == [False, True]
    other = await server.connect()
    reply = await other.post(QUERY, headers)
    while reply.status == 100:
        reply = await other.reply()
    assert True not in server.given[2:]
    assert reply.header("x-content-type-options") == "nosniff"
    expected = {"authorization": 401, "x-api-key": 401, "content-encoding": 400, "content-type": 415, "accept": 406}
    assert reply.status == next((expected[name] for name in headers if name in expected), 200)
    other.close()


async def test_a_header_twice_is_left_to_the_application(server: Front, kept: Kept) -> None:
    for _ in range(2):
        await kept.post(QUERY)
    kept.writer.write(request_of(orjson.dumps({"query": QUERY}), {"accept": "text/html\r\naccept: application/json"}))
    assert (await kept.reply()).status == 200
    assert server.given[2:] == [False]


async def test_other_requests_of_the_same_text_are_told_apart(server: Front, kept: Kept) -> None:
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    for _ in range(2):
        assert (await kept.post(SMALL)).status == 200
        reply = await kept.post(SMALL, extensions=hashed)
        assert b"PERSISTED_QUERY_HASH_MISMATCH" in reply.body
        assert b"exchangeSequence" in (await kept.post(SMALL, extensions={"exchangeSequence": 7})).body
        kept.writer.write(b"GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nhost: h\r\n\r\n")
        assert (await kept.reply()).status == 200
    assert server.given == [False, False, False, True, False, False]


async def test_no_answer_outlives_what_it_shows(markets: Markets, server: Front, kept: Kept) -> None:
    for number in range(1, 20):
        markets.apply(ticker(BTC, str(number)))
        for _ in range(2):
            assert data(await kept.post(SMALL)) == {"market": {"symbol": BTC, "ticker": {"last": str(number)}}}
    assert server.given == [False, *[True] * 37]


async def test_an_answer_with_errors_is_the_applications(markets: Markets, server: Front, kept: Kept) -> None:
    await kept.post(SMALL)
    markets.apply(feed(BTC, series=Series.SIMULATED))
    reply = await kept.post(SMALL)
    assert b"FEED_UNAVAILABLE" in reply.body
    assert b"FEED_UNAVAILABLE" in (await kept.post(SMALL)).body
    markets.apply(feed(BTC), ticker(BTC, "8"))
    for _ in range(2):
        assert data(await kept.post(SMALL)) == {"market": {"symbol": BTC, "ticker": {"last": "8"}}}
    assert server.given == [False, False, False, False, True]


async def test_points_are_each_callers_own_and_refusals_are_the_applications(markets: Markets, server: Front) -> None:
    budget = markets.pipeline.budget
    budget.capacity = 5  # type: ignore[misc]
    ann, bob = await server.connect(), await server.connect()

    async def ask(connection: Kept, address: str) -> Reply:
        return await connection.post(SMALL, {"x-forwarded-for": address})

    seen = [await ask(ann, "192.0.2.1") for _ in range(4)]
    assert [reply.status for reply in seen] == [200, 200, 429, 429]
    assert [reply.header("ratelimit") for reply in seen[:2]] != [None, None]
    assert b"RATE_LIMITED" in seen[2].body
    assert seen[2].header("retry-after") == "1"
    assert (await ask(bob, "192.0.2.2")).status == 200
    assert server.given == [False, True, False, False, True]
    for connection in (ann, bob):
        connection.close()


async def test_requests_behind_one_another_are_answered_in_their_order(server: Front, kept: Kept) -> None:
    await kept.post(SMALL)
    private = '{ market(symbol: "BTC-USDT") { symbol watched } }'
    wanted = [SMALL, private, SMALL, SMALL, "{ nothing }", SMALL]
    for query in wanted:
        kept.send(query)
    replies = [await kept.reply() for _ in wanted]
    assert [b"watched" in reply.body for reply in replies] == [False, True, False, False, False, False]
    assert [reply.status for reply in replies] == [200] * 6
    assert b"GRAPHQL_VALIDATION_FAILED" in replies[4].body
    assert server.given[1]


async def test_a_request_in_pieces(server: Front, kept: Kept) -> None:
    await kept.post(SMALL)
    whole = request_of(orjson.dumps({"query": SMALL}))
    for cut in (1, 20, whole.index(b"\r\n\r\n") + 2, whole.index(b"\r\n\r\n") + 4, len(whole) - 1):
        for part in (whole[:cut], whole[cut:]):
            kept.writer.write(part)
            await kept.writer.drain()
            await asyncio.sleep(0)
        assert (await kept.reply()).status == 200


async def test_it_is_counted_and_logged_as_any_other(server: Front, kept: Kept) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            await kept.post(SMALL, {"x-request-id": "my-request-8", "x-forwarded-for": "192.0.2.77"})
    assert server.given == [False, True, True]
    labels = {"method": "POST", "path": "/graphql", "status": "200"}
    assert server.metric("cryptovault_http_requests_total", **labels) == 3
    assert server.metric("cryptovault_http_request_seconds_count", path="/graphql") == 3
    assert server.metric("graphql_operation_seconds_count", transport="http", operation="query market") == 3
    lines = [line for line in logs if line["event"] == "http.answered"]
    assert [(line["client"], line["status"], line["path"]) for line in lines] == [("192.0.2.77", 200, "/graphql")] * 3
    assert lines[1]["request_id"] == "my-request-8"


async def test_a_fault_in_it_is_left_to_the_application(server: Front, kept: Kept) -> None:
    await kept.post(SMALL)

    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    server.at_once.answer = broken  # type: ignore[method-assign, assignment]
    with capture_logs() as logs:
        assert (await kept.post(SMALL)).status == 200
    assert "http.not_at_once" in [line["event"] for line in logs]
