"""Shared subscriptions over real sockets: frames, ids, ends, readers that stop, and what is left when everybody has gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.markets import BTC, ETH, Markets, tick, trade
from tests.server.serving import Client, Served, eventually, served

TICKS = f'subscription {{ priceTicks(symbols: ["{BTC}", "{ETH}"]) {{ symbol sequence }} }}'
TRADES = f'subscription {{ trades(symbol: "{BTC}") {{ id price quantity time }} }}'


@pytest.fixture
def markets() -> Markets:
    return Markets().full(BTC, ETH)


@pytest.fixture
async def server(markets: Markets, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr("server.connections.STALLED_SECONDS", 2.0)
    async with served(pipeline=markets.pipeline) as running:
        yield running


async def next_of(client: Client, operation_id: str, field: str = "priceTicks") -> dict[str, object]:
    message = await client.receive()
    assert (message["type"], message["id"]) == ("next", operation_id)
    value: dict[str, object] = message["payload"]["data"][field]
    return value


async def test_everybody_gets_everything_under_their_own_ids(server: Served, markets: Markets) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.socket()) for _ in range(5)]
        for number, client in enumerate(clients):
            await client.subscribe(f"first {number}", TICKS)
            await client.subscribe(f'"\\ {number} é', TICKS)
            for _ in range(4):
                assert (await client.receive())["payload"]["data"]["priceTicks"]["sequence"] == 1
        assert len(markets.view.ticks) == 2
        assert markets.view.ticks.readers(BTC) == 10
        for sequence in range(2, 100):
            markets.apply(tick(sequence))
            await asyncio.sleep(0)
        for number, client in enumerate(clients):
            seen: dict[str, list[object]] = {}
            for _ in range(2 * 98):
                message = await client.receive()
                seen.setdefault(message["id"], []).append(message["payload"]["data"]["priceTicks"]["sequence"])
            assert seen == {f"first {number}": list(range(2, 100)), f'"\\ {number} é': list(range(2, 100))}
    await eventually(lambda: len(markets.view.ticks) == 0)
    assert server.metric("graphql_sockets") == 0
    assert server.metric("graphql_socket_operations") == 0


async def test_complete_ends_one_and_its_id_is_free_at_once(server: Served, markets: Markets) -> None:
    async with server.socket() as client:
        await client.subscribe("1", TICKS)
        await client.subscribe("2", TRADES)
        for _ in range(3):
            await client.receive()
        await client.send({"type": "complete", "id": "1"})
        await client.subscribe("1", TICKS)
        for _ in range(2):
            await next_of(client, "1")
        assert markets.view.ticks.readers(BTC) == 1
        markets.apply(tick(2), trade(4))
        assert {(await client.receive())["id"] for _ in range(2)} == {"1", "2"}
        await client.send({"type": "complete", "id": "1"})
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}
        assert len(markets.view.ticks) == 0
        markets.apply(tick(3), trade(5))
        assert (await client.receive())["id"] == "2"


async def test_trades_that_were_missed_end_it_with_their_code(server: Served, markets: Markets) -> None:
    async with server.socket() as client:
        await client.subscribe("1", TRADES)
        await next_of(client, "1", "trades")
        markets.apply(trade(9))
        message = await client.receive()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == "TRADES_MISSED"
        await client.subscribe("1", TRADES)
        await next_of(client, "1", "trades")
    assert server.metric("graphql_refusals_total", transport="websocket", code="TRADES_MISSED") == 1


async def test_a_reader_that_stops_slows_nobody_and_then_gets_the_newest(server: Served, markets: Markets) -> None:
    long = " ".join(f"{'a' * 1_900}{number}: symbol" for number in range(15))
    query = f'subscription {{ priceTicks(symbols: ["{BTC}"]) {{ sequence {long} }} }}'
    async with server.socket() as slow, server.socket() as quick:
        for client in (slow, quick):
            await client.subscribe("1", query)
            await next_of(client, "1")
        slow.raw.transport.pause_reading()
        last = 600
        for sequence in range(2, last + 1):
            markets.apply(tick(sequence))
            if sequence % 20 == 0:
                await asyncio.sleep(0.006)
                for _ in range(20 if sequence > 20 else 19):
                    await next_of(quick, "1")
        lost = markets.losses.counts["conflated", "ticks"]
        assert lost > 100
        slow.raw.transport.resume_reading()
        seen = [0]
        while seen[-1] != last:
            seen.append(int(str((await next_of(slow, "1"))["sequence"])))
        assert seen == sorted(set(seen))
        assert len(seen) + lost == last
        markets.apply(tick(last + 1))
        assert (await next_of(slow, "1"))["sequence"] == last + 1


async def test_a_socket_that_is_cut_leaves_nothing_behind(server: Served, markets: Markets) -> None:
    async with server.socket() as kept:
        await kept.subscribe("1", TICKS)
        for _ in range(2):
            await next_of(kept, "1")
        for _ in range(5):
            async with server.socket() as cut:
                await cut.subscribe("1", TICKS)
                await next_of(cut, "1")
                cut.raw.transport.abort()
                markets.apply(tick(markets.view.state(BTC).tick.sequence + 1))  # type: ignore[union-attr]
                await next_of(kept, "1")
        await eventually(lambda: markets.view.ticks.readers(BTC) == 1)
        await eventually(lambda: server.metric("graphql_sockets") == 1)
