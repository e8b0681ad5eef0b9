"""Processes of our own for tests: `python -m server …` as an operator starts it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from integrations.certificates import trusted
from tests.components import ENCRYPTION_KEY, START_SECONDS, Running, free_port
from tests.nursery import fork

_NOWHERE = "127.0.0.1:9"
_NO_FEEDS = {
    "SIMULATED_FALLBACK": "false",
    "BINANCE_WS_URL": f"ws://{_NOWHERE}",
    "BINANCE_REST_URL": f"http://{_NOWHERE}",
    "COINBASE_WS_URL": f"ws://{_NOWHERE}",
    "KRAKEN_WS_URL": f"ws://{_NOWHERE}",
}
"""No source answers and none is simulated: what is tested here has nothing to do with prices."""


@dataclass(slots=True)
class Server:
    """A running process, what it has written so far, and where it answers."""

    process: Running
    url: str
    data_dir: Path
    reading: list[asyncio.Task[None]] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    _written: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        """Collect a stream's lines until its end."""
        async for line in stream:
            async with self._written:
                lines.append(line.decode().rstrip("\n"))
                self._written.notify_all()

    async def wait_for_line(self, text: str) -> str:
        """The first line on standard error that holds this text."""
        async with asyncio.timeout(START_SECONDS), self._written:
            while not (found := [line for line in self.err if text in line]):
                await self._written.wait()
            return found[0]

    async def wait_until_answering(self, query: str) -> dict[str, object]:
        """The body of the first answer to this query."""
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(base_url=self.url, verify=trusted()) as client:
            while True:
                assert self.process.returncode is None, self.err
                with contextlib.suppress(httpx.TransportError):
                    response = await client.post("/graphql", json={"query": query})
                    body: dict[str, object] = response.json()
                    return body
                await asyncio.sleep(0.02)

    async def wait_for_database(self, *, healthy: bool = True) -> httpx.Response:
        """The first answer of /health/ready that says this of the database."""
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(base_url=self.url, verify=trusted()) as client:
            while True:
                assert self.process.returncode is None, self.err
                with contextlib.suppress(httpx.TransportError):
                    response = await client.get("/health/ready")
                    if response.json()["parts"]["database"]["healthy"] is healthy:
                        return response
                await asyncio.sleep(0.05)

    async def ended(self) -> tuple[int, list[str]]:
        """Wait for its end: the exit status, and what it said on standard error beside its (JSON) log."""
        async with asyncio.timeout(30):
            status = await self.process.wait()
            await asyncio.gather(*self.reading)
        return status, [line for line in self.err if not line.startswith("{")]

    def children(self) -> list[psutil.Process]:
        """Processes it started, at any depth; none once it has ended, even before its status is known here."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; gives the exit status."""
        self.process.send_signal(number)
        async with asyncio.timeout(20):
            return await self.process.wait()


async def gone(processes: list[psutil.Process]) -> None:
    """Return when none of these runs any more."""
    async with asyncio.timeout(10):
        for process in processes:
            while True:
                if not _runs(process):
                    break
                await asyncio.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


@asynccontextmanager
async def server(
    *command: str, data_dir: Path, port: int | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """`python -m server COMMAND` on a free port with this DATA_DIR; killed at the end if it still runs, its children too."""
    port = port or free_port()
    variables = {"PORT": str(port), "DATA_DIR": str(data_dir), "HOST": "127.0.0.1", "LOG_FORMAT": "json", **_NO_FEEDS}
    variables["ENCRYPTION_KEY"] = ENCRYPTION_KEY
    (out, writes), (err, complains) = os.pipe(), os.pipe()
    everything = {**_plain_environment(), **variables, **(environment or {})}
    process = fork(*command, environment=everything, out=writes, err=complains)
    for each in (writes, complains):
        os.close(each)
    started = Server(process, f"http://127.0.0.1:{port}", data_dir)
    async with asyncio.TaskGroup() as group:
        started.reading.append(group.create_task(started.read(await _stream(out), started.out)))
        started.reading.append(group.create_task(started.read(await _stream(err), started.err)))
        try:
            yield started
        finally:
            if process.returncode is None:
                children = started.children()
                process.kill()
                await process.wait()
                await gone(children)


async def _stream(pipe: int) -> asyncio.StreamReader:
    """What comes out of a pipe, which is closed at its end."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb")
    )
    return reader


def _plain_environment() -> dict[str, str]:
    """The environment without settings of ours that a developer may have set."""
    kept: Callable[[str], bool] = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV").__contains__
    return {name: value for name, value in os.environ.items() if kept(name)}
