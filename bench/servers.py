"""The server under test: `python -m server dev` on a fresh folder, and what its processes cost."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.http import Connection

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A running server."""

    port: int
    pid: int

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far of the server and of its database."""
        own = psutil.Process(self.pid)
        times = own.cpu_times()
        children = [child.cpu_times() for child in own.children(recursive=True)]
        return {
            "server": times.user + times.system,
            "database": sum(each.user + each.system for each in children),
        }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def dev_server(
    port: int, settings: Mapping[str, str], folder: Path | None = None, output: Path | None = None
) -> AsyncIterator[Measured]:
    """Start it, wait until it answers, and stop it at the end. Without a folder its data is forgotten then. `output`: where what it prints goes."""
    with tempfile.TemporaryDirectory() as fresh, (output or Path(os.devnull)).open("wb") as printed:
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(port),
            "DATA_DIR": f"{folder or fresh}/data",
            "LOG_LEVEL": "error",
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "dev", cwd=ROOT, env=environment, stdout=printed
        )
        try:
            await _answers(port)
            yield Measured(port, process.pid)
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            connection = Connection(port)
            try:
                await connection.post("{ __typename }")
                return
            except OSError:
                await asyncio.sleep(0.05)
            finally:
                connection.close()
