"""`python -m bench.idle_sockets`: what does a socket cost that hears little?

First the memory of sockets that are subscribed and hear nothing, beside peers and the limit: the server's resident memory with them less that
without, after some were opened and closed to warm up. Goal: 40 KB each. Then 10,000 sockets that hear one tick a second: how late does it reach
them? Goal: p99 under 250 ms.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from bench import clients, contenders, shape
from bench.clients import ClientFailed
from bench.contenders import DESCRIBED, MERCURIUS, PEERS, UVLOOP, VAULT, WITHOUT_SUBSCRIBING, Ground, Started
from bench.measuring import Client, fan_out
from bench.options import cores_of, list_of, read, run, whole
from bench.rows import FanRow
from bench.tables import faults
from bench.vault import backing

CONTENDERS = (VAULT, UVLOOP, MERCURIUS, "graphql-ws", "stock")
WARMING_SOCKETS = 200
SETTLE_SECONDS = 2.0
CONNECT_SECONDS = 300.0
SPARE_FILES = 500
ADDRESSES = 8
MOST_KB = 40
MOST_P99_MS = 250
ONE_A_SECOND = FanRow(
    key="many",
    title="One tick a second",
    operations=1,
    symbols=1,
    goals=(),
    options=("--mode", "rate", "--rate", "1", "--addresses", str(ADDRESSES)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments and run."""
    return run(_run(_options(arguments)))


async def _run(options: argparse.Namespace) -> int:
    cores = cores_of(options)
    programs = await asyncio.to_thread(clients.build)
    await asyncio.to_thread(contenders.install)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ground = Ground(cores, folder, None)
        client = Client(programs, folder, cores, options.seconds, options.many, 1)
        if VAULT not in options.only:
            return await _measure_all(options, ground, client)
        async with backing(folder, cores) as backed:
            return await _measure_all(options, replace(ground, backing=backed), client)


async def _measure_all(options: argparse.Namespace, ground: Ground, client: Client) -> int:
    lines, failed = [], 0
    for name in options.only:
        try:
            kb = [await _memory(name, options.sockets, ground, client) for _ in range(options.rounds)]
            cells = [f"{statistics.median(kb):.1f}"]
            if name in (VAULT, UVLOOP, MERCURIUS):
                cells += await _lateness(name, ground, client)
        except (ClientFailed, RuntimeError, OSError, TimeoutError) as error:
            print(f"{name}: {type(error).__name__} {error}", file=sys.stderr)
            failed = 1
            continue
        lines.append(f"| {DESCRIBED[name]} | {' | '.join([*cells, *[''] * (5 - len(cells))])} |")
        print(lines[-1], file=sys.stderr, flush=True)
    print(
        f"{options.sockets:,} idle sockets (goal: ≤ {MOST_KB} KB each); {options.many:,} at one tick a second (goal: p99 < {MOST_P99_MS} ms)\n"
    )
    print("| contender | KB a socket | p50 ms | p99 ms | server CPU | faults |\n|---|---:|---:|---:|---:|---|")
    print("\n".join(lines))
    return failed


async def _memory(name: str, sockets: int, ground: Ground, client: Client) -> float:
    """KB (of 1,000 bytes) that each of so many subscribed sockets adds."""
    async with contenders.start(name, ground) as started:
        process = psutil.Process(started.watched["server"])
        async with _subscribed(name, WARMING_SOCKETS, started, client):
            await asyncio.sleep(SETTLE_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        before = process.memory_info().rss
        async with _subscribed(name, sockets, started, client):
            await asyncio.sleep(SETTLE_SECONDS)
            return (process.memory_info().rss - before) / sockets / 1000


@asynccontextmanager
async def _subscribed(name: str, sockets: int, started: Started, client: Client) -> AsyncIterator[None]:
    """So many sockets, each with one operation that hears nothing, until the block ends."""
    operations = shape.write_lines(client.folder / "operations", shape.tick_operations(1, 1))
    process = await asyncio.create_subprocess_exec(
        *("taskset", "-c", str(client.cores.rest), str(client.programs["fan"])),
        *("--server", f"127.0.0.1:{started.port}", "--mode", "idle"),
        *("--sockets", str(sockets), "--addresses", str(ADDRESSES)),
        *(("--raw",) if name in WITHOUT_SUBSCRIBING else ("--operations", str(operations))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if await process.stdout.readline() != b"ready\n":
                raise ClientFailed((await process.stderr.read()).decode().strip())
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def _lateness(name: str, ground: Ground, client: Client) -> list[str]:
    """p50, p99, the server's CPU and what went wrong."""
    async with contenders.start(name, ground) as started:
        sample = await fan_out(name, ONE_A_SECOND, started, client)
    measured = sample.measured
    latency, share = measured["latency_ms"], measured["cpu"]["server"] / measured["seconds"]
    return [f"{latency['p50']:.1f}", f"{latency['p99']:.1f}", f"{share:.0%}", faults([sample]) or "none"]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.idle_sockets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [VAULT, *PEERS]
    parser.add_argument(
        "--only", type=list_of("contender", known), default=list(CONTENDERS), help=f"of {', '.join(known)}"
    )
    parser.add_argument("--sockets", type=whole, default=5000, help="idle ones (5000)")
    parser.add_argument("--many", type=whole, default=10_000, help="that hear one tick a second (10000)")
    parser.add_argument("--rounds", type=whole, default=1, help="of the memory's measurement (1)")
    parser.add_argument("--secs", dest="seconds", type=whole, default=10, help="of ticks (10)")
    options = read(parser, arguments)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(options.sockets, options.many) + SPARE_FILES
    if wanted > most_files:
        parser.error(f"{wanted} files must be open at once, and {most_files} may be (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    return options


if __name__ == "__main__":
    sys.exit(main())
