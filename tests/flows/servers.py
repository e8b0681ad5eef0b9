"""The real server as separate processes, for flows and faults."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from tests.components import ENCRYPTION_KEY, START_SECONDS, Running, free_port, stop
from tests.nursery import fork

Seen = TypeVar("Seen")
END_SECONDS = 10.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Given to clients that need none, since each would load every certificate of the machine."""
_CHEAP = {"PASSWORD_HASH_KIB": "8", "SIMULATED_HISTORY_DAYS": "0"}
"""What costs a server seconds of work at its start or at a log-in, and most flows nothing."""
_CLEAN = ("MONGO_URL", "REDIS_URL", "PRICE_SOURCES", "REPLAY_FILE", "MODE", "PORT", "DATA_DIR")


@dataclass
class Server:
    """A running process of ours."""

    process: Running
    base_url: str
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without the server's own variables, plus these."""
    clean = {key: value for key, value in os.environ.items() if key not in _CLEAN}
    return {**clean, **_CHEAP, "LOG_FORMAT": "json", "ENCRYPTION_KEY": ENCRYPTION_KEY, **extra}


def begin(
    folder: Path,
    *command: str,
    settings: Mapping[str, str],
    port: int | None = None,
    lease_seconds: float | None = None,
) -> Server:
    """`python -m server COMMAND` with these settings, data in `folder`. `lease_seconds`: how long its leases last, instead of ten seconds."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    log_file = folder / f"{'-'.join(command)}-{port}.log"
    variables = environment({"PORT": str(port), "DATA_DIR": str(folder / "data"), **settings})
    with log_file.open("wb") as output:
        process = fork(
            *command,
            environment=variables,
            out=output.fileno(),
            err=output.fileno(),
            lease_seconds=lease_seconds,
        )
    return Server(process, f"http://127.0.0.1:{port}", log_file)


@asynccontextmanager
async def server(
    folder: Path, *command: str, settings: Mapping[str, str], port: int | None = None
) -> AsyncIterator[Server]:
    """The same; yields once it is live and, when the body was well, expects it to end well."""
    running = begin(folder, *command, settings=settings, port=port)
    try:
        if command[0] in ("dev", "api", "replay"):
            await wait_until_live(running)
        yield running
        if running.process.returncode is None:
            await _end(running)
    finally:
        await stop(running.process)


async def _end(running: Server) -> None:
    """SIGTERM; fail when it does not end, or not well."""
    running.process.terminate()
    async with asyncio.timeout(END_SECONDS):
        status = await running.process.wait()
    if status != 0:
        raise RuntimeError(f"the server ended with {status}:\n{running.log()[-3000:]}")


@contextmanager
def server_for_session(folder: Path, *, settings: Mapping[str, str]) -> Iterator[str]:
    """`python -m server dev` for many tests (their event loops come and go); yields its URL once its markets have prices."""
    port = free_port()
    variables = {"PORT": str(port), "DATA_DIR": str(folder / "data"), **settings}
    log_file = folder / "dev.log"
    with log_file.open("wb") as output:
        process = fork("dev", environment=environment(variables), out=output.fileno(), err=output.fileno())
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(f"http://127.0.0.1:{port}/health/ready"):
            if process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server is not ready:\n{log_file.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        try:
            process.wait_now(10)
        except TimeoutError:
            process.kill()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, verify=NO_TLS).status_code == 200
    except httpx.TransportError:
        return False


async def wait_until_live(running: Server, path: str = "/health/live") -> None:
    """Return when the server answers; raise with its log when it ends first."""
    async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(verify=NO_TLS) as client:
        while True:
            if running.process.returncode is not None:
                raise RuntimeError(f"the server ended with {running.process.returncode}:\n{running.log()[-3000:]}")
            try:
                if (await client.get(running.base_url + path)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def query(running: Server, document: str, **variables: object) -> dict[str, object]:
    """One query over HTTP; the whole response body."""
    async with httpx.AsyncClient(timeout=20, verify=NO_TLS) as client:
        response = await client.post(running.base_url + "/graphql", json={"query": document, "variables": variables})
    body: dict[str, object] = response.json()
    return body


async def readiness(running: Server) -> list[str]:
    """What /health/ready says is failing."""
    async with httpx.AsyncClient(timeout=20, verify=NO_TLS) as client:
        failing: list[str] = (await client.get(running.base_url + "/health/ready")).json()["failing"]
    return failing


async def until(
    look: Callable[[], Awaitable[Seen]],
    true: Callable[[Seen], bool],
    *,
    pause: float = 0.1,
    within: float = START_SECONDS,
) -> Seen:
    """The first look of which this holds, with a pause (seconds) after each."""
    seen: list[Seen] = []
    try:
        async with asyncio.timeout(within):
            while not (seen and true(seen[-1])):
                seen.append(await look())
                await asyncio.sleep(pause)
    except TimeoutError as late:
        raise AssertionError(f"it stayed {seen[-1:]}") from late
    return seen[-1]
