"""`python -m server dev` ends within a few seconds of a signal, whatever it is doing, leaves nothing running and can start again."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests.graphql_client import graphql_socket
from tests.processes import Server, gone, server

SECONDS = 8.0
"""The last flush, requests in flight and the database have 2, 3 and a little; the rest is for a busy machine."""
SIMULATED = {"SIMULATED_FALLBACK": "true", "SIMULATED_AFTER_SECONDS": "0", "SIMULATED_HISTORY_DAYS": "0"}
WITH_A_PAST = {**SIMULATED, "SIMULATED_HISTORY_DAYS": "400"}
TICKS = 'subscription { priceTicks(symbols: ["BTC-USDT", "BTC-USD", "ETH-USD"]) { symbol price sequence } }'
BOOK = 'subscription { orderBook(symbol: "BTC-USDT") { __typename } }'


async def ends(dev: Server, number: signal.Signals = signal.SIGTERM) -> int:
    """Its exit status after the signal; nothing it started runs on."""
    children = dev.children()
    start = time.monotonic()
    status = await dev.end(number)
    assert time.monotonic() - start < SECONDS
    await gone(children)
    return status


@asynccontextmanager
async def simulating(folder: Path, settings: Mapping[str, str] = SIMULATED) -> AsyncIterator[Server]:
    async with server("dev", data_dir=folder, environment=settings) as dev:
        yield dev


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
async def test_while_the_database_starts(tmp_path: Path, number: signal.Signals) -> None:
    async with simulating(tmp_path) as dev:
        async with asyncio.timeout(30):
            while not dev.children():
                await asyncio.sleep(0.005)
        assert await ends(dev, number) == 0


async def test_when_the_worker_begins(tmp_path: Path) -> None:
    for _ in range(2):
        async with simulating(tmp_path) as dev:
            await dev.wait_for_line("lease.taken")
            assert await ends(dev) == 0


async def test_while_history_is_filled(tmp_path: Path) -> None:
    async with simulating(tmp_path, WITH_A_PAST) as dev:
        await dev.wait_for_line("history.filled")
        assert await ends(dev) == 0


async def test_with_subscribed_clients(tmp_path: Path) -> None:
    async with simulating(tmp_path) as dev, AsyncExitStack() as sockets:
        await dev.wait_for_line("history.filled")
        for _ in range(20):
            client = await sockets.enter_async_context(graphql_socket(dev.url))
            ticks, book = await client.subscribe(TICKS), await client.subscribe(BOOK)
            await ticks.next()
            await book.next()
        assert await ends(dev) == 0
        with pytest.raises((StopAsyncIteration, ConnectionClosed)):
            for _ in range(10_000):
                await ticks.next(seconds=5)


async def test_without_its_database(tmp_path: Path) -> None:
    """What cannot be stored at the end does not hold up the end."""
    async with simulating(tmp_path) as dev:
        await dev.wait_for_line("history.filled")
        (database,) = dev.children()
        psutil.Process(database.pid).suspend()
        start = time.monotonic()
        dev.process.send_signal(signal.SIGTERM)
        await dev.wait_for_line("market_data.not_stored_at_end")
        assert time.monotonic() - start < SECONDS
        database.resume()
        async with asyncio.timeout(SECONDS):
            assert await dev.process.wait() == 0
        await gone([database])


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_at_any_moment(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for turn in range(40):
        async with simulating(tmp_path / str(turn // 4), WITH_A_PAST) as dev:
            await asyncio.sleep(chance.uniform(0.3, 4.0))
            assert await ends(dev) in (0, -signal.SIGTERM), f"seed {seed}, turn {turn}"
