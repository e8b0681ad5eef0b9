"""`dev` under a load of orders: the server, or its database, is killed at random moments, and whatever was acknowledged is there exactly once."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.components import free_port
from tests.faults.order_load import Load, funded
from tests.flows.servers import Server, server
from tests.flows.traders import ledger_is_sound, steady_prices, traders, until_priced
from tests.processes import gone

KILLS = 3


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """A source of chance whose seed is shown when the test fails."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201
    return random.Random(seed)


async def kill(running: Server) -> None:
    """kill -9 of the server; its database ends with it."""
    children = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    await running.process.wait()
    await gone(children)


@pytest.mark.timeout(240)
async def test_a_killed_server_keeps_what_it_acknowledged(tmp_path: Path, chance: random.Random) -> None:
    settings, port = steady_prices(tmp_path / "prices.csv"), free_port()
    async with server(tmp_path, "dev", settings=settings, port=port) as first, traders(first, "ann", "ben") as people:
        await until_priced(first)
        await funded(people)
        load = Load(people, chance)
        async with load.running():
            await load.more(chance.randint(10, 80))
            await kill(first)
        for turn in range(KILLS):
            async with server(tmp_path, "dev", settings=settings, port=port) as running:
                await load.check()
                if turn < KILLS - 1:
                    async with load.running():
                        await load.more(chance.randint(10, 80))
                        await kill(running)
                else:
                    assert " 0 problems" in await ledger_is_sound(tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(240)
async def test_a_killed_database_keeps_what_was_acknowledged(tmp_path: Path, chance: random.Random) -> None:
    """The server recovers; when its database dies again and again it ends, and the next one goes on."""
    settings, port = {**steady_prices(tmp_path / "prices.csv"), "MONGO_TIMEOUT_MS": "1000"}, free_port()
    async with server(tmp_path, "dev", settings=settings, port=port) as first, traders(first, "ann", "ben") as people:
        await until_priced(first)
        await funded(people)
        load = Load(people, chance)
        async with load.running():
            for _ in range(2):
                await load.more(chance.randint(10, 80))
                (database,) = psutil.Process(first.process.pid).children()
                database.kill()
                await gone([database])
            await load.more(10)
        await load.check()
        async with load.running():
            assert await give_up(first) == 1
        async with server(tmp_path, "dev", settings=settings, port=port):
            await load.check()
            assert " 0 problems" in await ledger_is_sound(tmp_path)


async def give_up(running: Server) -> int:
    """Kill the database whenever there is one, until the server has had enough; its exit status."""
    async with asyncio.timeout(60):
        while running.process.returncode is None:
            with suppress(psutil.NoSuchProcess):
                for database in psutil.Process(running.process.pid).children():
                    database.kill()
            await asyncio.sleep(0.05)
    return running.process.returncode


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_kills_at_any_moment(tmp_path: Path, chance: random.Random) -> None:
    """Also while it starts, and the server and its database in turns."""
    settings, port = {**steady_prices(tmp_path / "prices.csv"), "MONGO_TIMEOUT_MS": "1000"}, free_port()
    async with server(tmp_path, "dev", settings=settings, port=port) as first, traders(first, "ann", "ben") as people:
        await until_priced(first)
        await funded(people)
        load = Load(people, chance)
        async with load.running():
            await load.more(20)
            await kill(first)
        for _ in range(12):
            async with server(tmp_path, "dev", settings=settings, port=port) as running, load.running():
                await asyncio.sleep(chance.random() * 3)
                if chance.random() < 0.3:
                    for database in psutil.Process(running.process.pid).children():
                        database.kill()
                    await asyncio.sleep(chance.random() * 3)
                await kill(running)
        async with server(tmp_path, "dev", settings=settings, port=port):
            await load.check()
            assert " 0 problems" in await ledger_is_sound(tmp_path)
