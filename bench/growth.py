"""`python -m bench.growth`: what does one more distinct operation cost, and one more market?

So many sockets share few or many distinct operations, on few or many markets, one tick under way at a time. Printed is the server's CPU time a
tick, and by how much it grew for each operation (market) more than in the line above: the constant has to be small, and to stay.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import clients, contenders
from bench.clients import ClientFailed
from bench.contenders import PEERS, VAULT, Ground
from bench.measuring import Client, fan_out
from bench.options import cores_of, list_of, positive, read, run, whole
from bench.rows import FanRow
from bench.vault import backing

OPERATIONS = (1, 10, 100, 500)
SYMBOLS = (1, 10, 50, 100)
_POINTS = [*((count, 1) for count in OPERATIONS), *((1, count) for count in SYMBOLS[1:])]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments and run."""
    return run(_run(_options(arguments)))


async def _run(options: argparse.Namespace) -> int:
    cores = cores_of(options)
    programs = await asyncio.to_thread(clients.build)
    await asyncio.to_thread(contenders.install)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        client = Client(programs, folder, cores, options.seconds, max(options.sockets, *OPERATIONS), 1)
        async with backing(folder, cores) as backed:
            ground = Ground(cores, folder, backed)
            for contender in options.only:
                costs = {}
                for point in _POINTS:
                    found = [await _cost_us(contender, point, ground, client) for _ in range(options.rounds)]
                    costs[point] = statistics.median(found)
                    print(f"{contender} {point}: {costs[point]:,.0f} µs a tick", file=sys.stderr, flush=True)
                print(f"{contender}, {client.sockets} sockets\n\n{_table(costs)}\n")
    return 0


async def _cost_us(name: str, point: tuple[int, int], ground: Ground, client: Client) -> float:
    """Microseconds of the server's CPU time a tick."""
    operations, symbols = point
    row = FanRow(
        key="growth",
        title="",
        operations=operations,
        symbols=symbols,
        goals=(),
        options=("--mode", "closed", "--window", "1"),
    )
    async with contenders.start(name, ground) as started:
        measured = (await fan_out(name, row, started, client)).measured
    if not measured["ticks"]:
        raise ClientFailed("no tick came back")
    return measured["cpu"]["server"] / measured["ticks"] * 1e6


def _table(costs: dict[tuple[int, int], float]) -> str:
    lines = ["| operations | markets | µs a tick | for each more |", "|---:|---:|---:|---:|"]
    for series in ([(count, 1) for count in OPERATIONS], [(1, count) for count in SYMBOLS]):
        for before, point in zip([None, *series], series, strict=False):
            grown = ""
            if before is not None:
                more = sum(point) - sum(before)
                grown = f"{(costs[point] - costs[before]) / more:,.1f}"
            lines.append(f"| {point[0]} | {point[1]} | {costs[point]:,.0f} | {grown} |")
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [VAULT, *PEERS]
    parser.add_argument("--only", type=list_of("contender", known), default=[VAULT], help=f"of {', '.join(known)}")
    parser.add_argument("--sockets", type=whole, default=500, help="subscribers, as many as operations at least (500)")
    parser.add_argument("--rounds", type=whole, default=3, help="of each point (3)")
    parser.add_argument("--secs", dest="seconds", type=positive, default=3.0, help="of each measurement (3)")
    return read(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
