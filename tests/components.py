"""Real components for tests, each on a free port and stopped at the end."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from server.embedded import CLIENT_OPTIONS

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
START_SECONDS = 30.0
_WITHOUT_EXPIRY = """
import sys
from secantus.server import SecantusDBServer
server = SecantusDBServer(port=int(sys.argv[1]), storage_path=sys.argv[2], enable_test_commands=False, ttl_sweep_seconds=0)
server.start()
server.wait()
"""
"""The embedded database as its command runs it, but for dropping once a minute, by its own clock, what a test's clock keeps."""
_WITH_SHORT_TRANSACTIONS = """
import sys
from secantus.server import SecantusDBServer
server = SecantusDBServer(port=int(sys.argv[1]), storage_path=sys.argv[2], transaction_lifetime_seconds=float(sys.argv[3]))
server.start()
server.wait()
"""
"""The embedded database as its command runs it, with MongoDB's transactionLifetimeLimitSeconds as an operator may set it."""
ENCRYPTION_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
"""For processes that share a database: 32 bytes, 0 to 31."""


def missing(what: str) -> None:
    """Skip here, or fail where everything must be present (CI=true)."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI=true allows no skip")
    pytest.skip(f"{what} is missing")


def schema_text() -> str:
    """The committed schema."""
    return (ROOT / "schema.graphql").read_text()


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def wait_for_port(port: int, process: asyncio.subprocess.Process) -> None:
    """Return when the port accepts; raise when the process ends first or takes too long."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"the component ended with status {process.returncode} before it listened")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


class Running(Protocol):
    """What tests ask of a process."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int: ...
    def send_signal(self, signal: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


async def stop(process: Running) -> None:
    """SIGTERM, then SIGKILL after ten seconds."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _url(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?{CLIENT_OPTIONS}"


@contextmanager
def secantus_for_session(folder: Path) -> Iterator[str]:
    """The embedded database for a whole test process (its event loops come and go); yields its URL."""
    binary = Path(sys.executable).parent / "secantusd-py"
    if not binary.exists():
        missing("secantusdb")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _WITHOUT_EXPIRY, str(port), str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield _url(port)
    finally:
        process.kill()  # nobody reads these files again
        process.wait()


@asynccontextmanager
async def secantus(
    folder: Path, port: int | None = None, *, transaction_seconds: int | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The embedded database on a free port; yields its process and URL. A transaction whose process was killed is given up after so long (60 s)."""
    binary = Path(sys.executable).parent / "secantusd-py"
    if not binary.exists():
        missing("secantusdb")
    port = port or free_port()
    command: tuple[str, ...] = (str(binary), "--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder))
    if transaction_seconds is not None:
        command = (sys.executable, "-c", _WITH_SHORT_TRANSACTIONS, str(port), str(folder), str(transaction_seconds))
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await wait_for_port(port, process)
        yield process, _url(port)
    finally:
        await stop(process)


@asynccontextmanager
async def redis(folder: Path, port: int | None = None) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A Redis server on a free port; yields its process and URL. Start it again on the same port to test recovery."""
    binary = shutil.which("redis-server")
    if binary is None:
        missing("redis-server")
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        str(binary),
        *("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await wait_for_port(port, process)
        yield process, f"redis://127.0.0.1:{port}/0"
    finally:
        await stop(process)
