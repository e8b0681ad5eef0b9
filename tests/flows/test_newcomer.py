"""A newcomer clones the repository into an empty folder and types `make dev`."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests import components
from tests.flows import recorded
from tests.flows.servers import NO_TLS, Server, environment
from tests.flows.test_replay import (
    SYMBOL,
    TICKS,
    TRADES,
    compare_summary,
    compare_ticks,
    compare_trades,
    until_counted,
)
from tests.graphql_client import graphql_socket
from tests.processes import gone

SET_UP_SECONDS = 420
"""Installing every requirement, and the explorer where there is npm."""


async def output_of(*command: str, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {output.decode()}")
    return output.decode().strip()


@asynccontextmanager
async def make_dev(clone: Path, settings: Mapping[str, str]) -> AsyncIterator[Server]:
    """`make dev` as in a terminal of its own; yields once it answers, ends with Ctrl-C."""
    port = components.free_port()
    kept = {name: value for name, value in environment({}).items() if name not in ("VIRTUAL_ENV", "LOG_FORMAT")}
    log_file = clone.parent / "make.log"
    with log_file.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *("make", "dev"),
            cwd=clone,
            env={**kept, "PORT": str(port), **settings},
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    running = Server(process, f"http://127.0.0.1:{port}", log_file)
    try:
        await _until_it_answers(running)
        children = psutil.Process(process.pid).children(recursive=True)
        yield running
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(20):
            await process.wait()
        await gone(children)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


async def _until_it_answers(running: Server) -> None:
    async with asyncio.timeout(SET_UP_SECONDS), httpx.AsyncClient(verify=NO_TLS) as client:
        while True:
            if running.process.returncode is not None:
                raise RuntimeError(f"make dev ended with {running.process.returncode}:\n{running.log()[-3000:]}")
            try:
                if (await client.get(running.base_url + "/health/live")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.2)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_clone_and_one_command_replay_the_recorded_trades(shared_data: Path, tmp_path: Path) -> None:
    for program in ("git", "make"):
        if shutil.which(program) is None:
            components.missing(program)
    clone = tmp_path / "clone"
    await output_of("git", "clone", "--quiet", "--no-hardlinks", str(components.ROOT), str(clone), cwd=tmp_path)
    file = shared_data / "market" / "binance-btcusdt-trades-2021-01-08.csv"
    expected = recorded.read_trades(file)
    replay = {"PRICE_SOURCES": "replay", "REPLAY_FILE": str(file), "REPLAY_SPEED": "max", "REPLAY_SYMBOL": SYMBOL}
    async with make_dev(clone, replay) as running, graphql_socket(running.base_url) as client:
        assert any("REPLAY" in line for line in running.log().splitlines())
        trades = await client.subscribe(TRADES, symbol=SYMBOL)
        ticks = await client.subscribe(TICKS, symbols=[SYMBOL])
        await compare_ticks(ticks, expected)
        await compare_trades(trades, expected)
        await ticks.stop()
        await until_counted(running, len(expected))
        await compare_summary(running, expected)
        async with httpx.AsyncClient(verify=NO_TLS) as browser:
            page = await browser.get(running.base_url + "/graphql", headers={"accept": "text/html"})
        assert "REPLAY" in page.text
    assert await output_of("git", "status", "--porcelain", cwd=clone) == ""
    await nothing_listens(running)


async def nothing_listens(running: Server) -> None:
    async with httpx.AsyncClient(verify=NO_TLS) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(running.base_url)
