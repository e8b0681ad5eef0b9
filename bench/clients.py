"""The load clients of `bench/client`: compiled here when their sources changed, run on a core of their own, their answer read."""

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import orjson

from bench.servers import ROOT

SOURCES = ROOT / "bench" / "client"
BUILD = ROOT / "build" / "bench"
COMPILED = {"fan": ("fan.c", "websocket.c", "common.c"), "load": ("load.c", "common.c")}
COMPILE = ("cc", "-O2", "-std=gnu11", "-Wall", "-Wextra")


class Latency(TypedDict):
    """Milliseconds."""

    p50: float
    p90: float
    p99: float
    most: float


class Measured(TypedDict, total=False):
    """What a client prints. Deliveries and the like are of `fan`, answers of `load`."""

    seconds: float
    ticks: int
    deliveries: int
    answers: int
    per_second: float
    per_server_cpu_second: float
    cpu: dict[str, float]
    client_cpu: float
    bytes_per_delivery: float
    least_bytes: int
    most_bytes: int
    latency_ms: Latency
    lost: int
    missed: int
    repeated: int
    wrong_id: int
    binary: int
    errors: int
    closed: int
    stalled: int
    connect_seconds: float
    not_2xx: int
    with_errors: int
    without: int


class ClientFailed(Exception):
    """A client ended with an error; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the server under test, and that of everything else."""

    server: int
    rest: int


def build(folder: Path = BUILD) -> dict[str, Path]:
    """Compile what is older than its sources; gives the programs by name. Raises FileNotFoundError without a compiler, CalledProcessError."""
    folder.mkdir(parents=True, exist_ok=True)
    newest = max(source.stat().st_mtime for source in SOURCES.iterdir())
    programs = {}
    for name, sources in COMPILED.items():
        program = programs[name] = folder / name
        if not program.exists() or program.stat().st_mtime < newest:
            subprocess.run([*COMPILE, "-o", str(program), *(str(SOURCES / each) for each in sources)], check=True)
    return programs


async def run(program: Path, arguments: Sequence[str], *, seconds: float, core: int | None = None) -> Measured:
    """Its answer, within so many seconds. `core`: the one it runs on. Raises ClientFailed."""
    pinned = () if core is None else ("taskset", "-c", str(core))
    process = await asyncio.create_subprocess_exec(
        *(*pinned, str(program), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            printed, said = await process.communicate()
    except TimeoutError:
        raise ClientFailed(f"{program.name} took more than {seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ClientFailed(f"{program.name} ended with {process.returncode}: {said.decode()[-600:].strip()}")
    found: Measured = orjson.loads(printed)
    return found
