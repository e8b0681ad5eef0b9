"""Clients as frontends use them: Apollo's cache and persisted queries, and graphql-ws."""

import asyncio
from typing import Any

import pytest

from tests.flows import clients

SECONDS = 30.0
TICKS = {
    "query": "subscription ($symbols: [String!]!) { priceTicks(symbols: $symbols) { symbol price sequence } }",
    "variables": {"symbols": ["BTC-USDT"]},
}
BOOK = {"query": 'subscription { orderBook(symbol: "BTC-USDT") { __typename } }'}
NONSENSE = {"query": "subscription { nonsense }"}


@pytest.mark.parametrize("transport", ["socket", "sse", "multipart"])
async def test_a_push_changes_what_the_query_reads_without_asking_again(live_server: str, transport: str) -> None:
    seen = await clients.run("cache.mjs", live_server, "BTC-USDT", transport)
    assert seen["pushed"]["last"] != seen["queried"]["ticker"]["last"]
    assert seen["cached"]["id"] == seen["queried"]["id"]
    assert seen["cached"]["ticker"] == seen["pushed"]
    assert seen["entities"] == [f"Ticker:{seen['queried']['ticker']['id']}"]
    assert seen["requests"] == 1


async def test_a_persisted_query_is_asked_for_once_and_then_known_by_its_hash(live_server: str) -> None:
    seen = await clients.run("persisted.mjs", live_server)
    first, second, third = seen["exchanges"]
    assert first["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert [exchange["document"] for exchange in (first, second, third)] == [False, True, False]
    assert [exchange["code"] for exchange in (second, third)] == [None, None]
    assert first["hash"] == second["hash"] == third["hash"]
    assert seen["symbols"] == ["BTC-USDT", "BTC-USDT"]


async def test_a_watcher_hears_every_operation_and_the_fault_of_one_ends_that_one_only(live_server: str) -> None:
    heard: dict[int, list[dict[str, Any]]] = {0: [], 1: [], 2: []}
    async with asyncio.timeout(SECONDS), clients.watch(live_server, TICKS, NONSENSE, BOOK) as lines:
        async for line in lines:
            heard[line["operation"]].append(line)
            if min(len(heard[0]), len(heard[2])) >= 3 and heard[1]:
                break
    assert {line["type"] for line in heard[0] + heard[2]} == {"next"}
    assert {line["payload"]["data"]["priceTicks"]["symbol"] for line in heard[0]} == {"BTC-USDT"}
    assert heard[2][0]["payload"]["data"]["orderBook"]["__typename"] == "OrderBookSnapshot"
    assert [line["type"] for line in heard[1]] == ["error"]
    assert "nonsense" in heard[1][0]["payload"][0]["message"]


async def test_a_watcher_ends_when_nothing_is_left_to_hear(live_server: str) -> None:
    async with asyncio.timeout(SECONDS), clients.watch(live_server, NONSENSE) as lines:
        assert [line["type"] async for line in lines] == ["error"]


async def test_a_watcher_tells_that_nobody_answers() -> None:
    async with asyncio.timeout(SECONDS), clients.watch("http://127.0.0.1:1", TICKS) as lines:
        heard = [line async for line in lines]
    assert [line["type"] for line in heard] == ["error"]
