"""A subscription behaves the same over sockets, server-sent events and multipart responses."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from server.cookies import ACCESS, DEVICE
from server.open_connections import OpenConnections
from tests.markets import BTC, ETH, Markets, tick, trade
from tests.server.realtime.transports import ACCEPT, TRANSPORTS, stream
from tests.server.serving import ORIGIN, Served, eventually, served

TICKS = "subscription($symbols: [String!]!) { priceTicks(symbols: $symbols) { symbol sequence } }"
TRADES = f'subscription {{ trades(symbol: "{BTC}") {{ price }} }}'
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
over_http = pytest.mark.parametrize("transport", TRANSPORTS[1:])


@pytest.fixture
def markets() -> Markets:
    return Markets().full(BTC, ETH)


@pytest.fixture
async def server(markets: Markets) -> AsyncIterator[Served]:
    async with served(pipeline=markets.pipeline) as running:
        yield running
        await eventually(lambda: len(markets.view.ticks) + len(markets.view.trades) == 0)


@pytest.fixture
async def sample() -> AsyncIterator[Served]:
    async with served() as running:
        yield running


@each_transport
async def test_what_holds_comes_first_then_every_change(server: Served, markets: Markets, transport: str) -> None:
    async with stream(server, transport, TICKS, symbols=[BTC, ETH]) as told:
        first, second = await told.next(), await told.next()
        assert first["extensions"]["cost"]["requested"] == 1
        assert second == {"data": {"priceTicks": {"symbol": ETH, "sequence": 1}}}
        for sequence in range(2, 50):
            markets.apply(tick(sequence))
            assert await told.next() == {"data": {"priceTicks": {"symbol": BTC, "sequence": sequence}}}
        for sequence in range(50, 90):
            markets.apply(tick(sequence))
        assert [(await told.next())["data"]["priceTicks"]["sequence"] for _ in range(40)] == list(range(50, 90))
    await eventually(lambda: len(markets.view.ticks) == 0)


async def test_all_transports_are_told_by_one_execution(server: Served, markets: Markets) -> None:
    async with (
        stream(server, "websocket", TICKS, symbols=[BTC]) as one,
        stream(server, "sse", TICKS, symbols=[BTC]) as two,
        stream(server, "multipart", TICKS, symbols=[BTC]) as three,
    ):
        for told in (one, two, three):
            await told.next()
        assert len(markets.view.ticks) == 1
        assert markets.view.ticks.readers(BTC) == 3
        markets.apply(tick(2))
        assert await one.next() == await two.next() == await three.next()


@each_transport
async def test_a_stream_that_comes_to_its_end_says_so(sample: Served, transport: str) -> None:
    async with stream(sample, transport, "subscription { count(to: 3) }") as told:
        assert await told.until_ended() == []
        assert [told.payloads.get_nowait()["data"]["count"] for _ in range(3)] == [0, 1, 2]
    await eventually(lambda: sample.probe.open_streams == 0)


@each_transport
async def test_what_ends_a_stream_is_named(server: Served, markets: Markets, transport: str) -> None:
    async with stream(server, transport, TRADES) as told:
        await told.next()
        markets.apply(trade(9))
        (error,) = await told.until_ended()
        assert error["extensions"]["code"] == "TRADES_MISSED"


@each_transport
async def test_what_nobody_foresaw_is_masked_and_ends_this_stream_alone(
    server: Served, markets: Markets, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret of the house")

    async with stream(server, transport, TRADES) as other:
        await other.next()
        with monkeypatch.context() as patch:
            patch.setattr("resolvers.market_live.PriceTick.of", fails)
            async with stream(server, transport, TICKS, symbols=[BTC]) as told:
                (error,) = await told.until_ended()
        assert (error["message"], error["extensions"]["code"]) == ("Internal error", "INTERNAL")
        markets.apply(trade(4))
        await other.next()
    if transport != "websocket":
        await eventually(lambda: server.metric("graphql_streams", transport=transport) == 0)


@each_transport
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        (TICKS, "BAD_USER_INPUT"),
    ],
)
async def test_what_is_refused_is_refused_at_once(server: Served, transport: str, query: str, code: str) -> None:
    async with stream(server, transport, query) as told:
        errors = await told.until_ended()
        assert errors[0]["extensions"]["code"] == code


@each_transport
async def test_a_market_there_is_not_is_named(server: Served, transport: str) -> None:
    async with stream(server, transport, TICKS, symbols=["NO-SUCH"]) as told:
        (error,) = await told.until_ended()
        assert error["extensions"]["code"] == "UNKNOWN_MARKET"


@each_transport
async def test_leaving_ends_what_it_had_begun(sample: Served, transport: str) -> None:
    async with stream(sample, transport, "subscription { forever(size: 10) }") as told:
        await told.next()
        assert sample.probe.open_streams == 1
    await eventually(lambda: sample.probe.open_streams == 0)


@each_transport
async def test_the_end_of_the_server_ends_streams(markets: Markets, transport: str) -> None:
    async with served(pipeline=markets.pipeline) as server:
        context = stream(server, transport, TICKS, symbols=[BTC])
        told = await context.__aenter__()
        await told.next()
        server.server.should_exit = True
        await eventually(lambda: len(markets.view.ticks) == 0)
        with pytest.raises(Exception, match=r".*") if transport != "websocket" else _nothing():
            await asyncio.wait_for(context.__aexit__(None, None, None), 30)


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


@over_http
async def test_a_query_is_answered_too(server: Served, transport: str) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(server.url, json={"query": "{ __typename }"}, headers={"accept": ACCEPT[transport]})
    if transport == "sse":
        assert answer.headers["content-type"].startswith("text/event-stream")
        next_, complete = answer.text.split("\n\n")[1:3]
        assert next_.startswith('event: next\ndata: {"data":{"__typename":"Query"}')
        assert complete == "event: complete\ndata:"
    else:
        assert answer.json()["data"] == {"__typename": "Query"}


async def test_a_get_may_subscribe_but_change_nothing(sample: Served) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        parameters = {"query": "subscription { count(to: 1) }"}
        answer = await client.get(sample.url, params=parameters, headers={"accept": ACCEPT["sse"]})
        assert "event: next" in answer.text
        refused = await client.get(
            sample.url, params={"query": "mutation { touch }"}, headers={"accept": ACCEPT["sse"]}
        )
        assert refused.status_code in (200, 405)
        assert "errors" in refused.json()
    assert sample.probe.mutations == 0


async def test_a_subscription_without_a_streaming_type_is_refused(sample: Served) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        for accept in ("application/json", "multipart/mixed", "multipart/mixed;subscriptionSpec=2.0, */*"):
            answer = await client.post(sample.url, json={"query": "subscription { count }"}, headers={"accept": accept})
            assert answer.json()["errors"][0]["extensions"]["code"] in ("OPERATION_NOT_ALLOWED", "NOT_ACCEPTABLE")


@over_http
async def test_a_page_of_another_site_gets_no_stream_with_cookies(server: Served, transport: str) -> None:
    cookies = {ACCESS: "x", DEVICE: "x"}
    async with httpx.AsyncClient(cookies=cookies, timeout=30) as client:
        for headers in ({"origin": "https://evil.example"}, {}):
            answer = await client.post(
                server.url,
                json={"query": TICKS, "variables": {"symbols": [BTC]}},
                headers={"accept": ACCEPT[transport], **headers},
            )
            assert answer.headers["content-type"].startswith("application/json")


@over_http
async def test_an_allowed_page_may_read_it(server: Served, transport: str) -> None:
    body = {"query": TICKS, "variables": {"symbols": [BTC]}}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", server.url, json=body, headers={"accept": ACCEPT[transport], "origin": ORIGIN}) as answer,
    ):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"


@over_http
async def test_an_address_has_so_many_streams_at_most(markets: Markets, transport: str) -> None:
    connections = OpenConnections(per_address=2, per_account=9)
    async with served(pipeline=markets.pipeline, connections=connections) as server:
        async with (
            stream(server, transport, TICKS, symbols=[BTC]) as one,
            stream(server, "websocket", TICKS, symbols=[BTC]) as two,
        ):
            await one.next()
            await two.next()
            async with stream(server, transport, TICKS, symbols=[BTC]) as third:
                (error,) = await third.until_ended()
                assert error["extensions"]["code"] == "TOO_MANY_CONNECTIONS"
                assert third.status == 429
        await eventually(lambda: not connections.by_address)


@over_http
async def test_a_reader_that_stops_costs_little_and_gets_the_newest(
    server: Served, markets: Markets, transport: str
) -> None:
    long = " ".join(f"{'a' * 1_900}{number}: symbol" for number in range(15))
    query = f'subscription {{ priceTicks(symbols: ["{BTC}"]) {{ sequence {long} }} }}'
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4_096)
    body = httpx.Request("POST", server.url, json={"query": query}).content
    head = f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: {ACCEPT[transport]}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await reader.readuntil(b'"sequence":')
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    last = 900
    for sequence in range(2, last + 1):
        markets.apply(tick(sequence))
        if sequence % 10 == 0:
            await asyncio.sleep(0.006)
    assert markets.losses.counts["conflated", "ticks"] > 100
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    seen = b""
    async with asyncio.timeout(10):
        while f'"sequence":{last},'.encode() not in seen:
            seen = seen[-20:] + await reader.read(65_536)
    writer.close()
