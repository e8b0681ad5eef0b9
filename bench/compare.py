"""`python -m bench.compare`: CryptoVault beside its peers and the machine's limits, in one run on one machine.

Each contender is one process on one core; the load client, Redis, the database and the relay of ticks share the other. Rounds are interleaved:
every contender of a row once, then again. Medians of the rounds are printed as Markdown, with ratios, and what the goals are.
Nothing is fetched but the peers of npm, at their first run. How to read it: docs/performance.md.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path

import orjson

from bench import clients, contenders, tables
from bench.clients import ClientFailed, Cores
from bench.contenders import OURS, PEERS, Ground
from bench.measuring import Client, Sample, fan_out, queries
from bench.options import cores_of, list_of, positive, read, run, whole
from bench.rows import ROWS, FanRow, Measure, QueryRow, Row
from bench.vault import backing


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments and run."""
    options = _options(arguments)
    return run(_run(options, cores_of(options)))


async def _run(options: argparse.Namespace, cores: Cores) -> int:
    programs = await asyncio.to_thread(clients.build)
    without_node = await asyncio.to_thread(contenders.install)
    if without_node:
        print(without_node, file=sys.stderr)
    rows = [_chosen(row, options.only, with_node=without_node is None) for row in ROWS if row.key in options.rows]
    measured: list[tuple[Row, dict[str, list[Sample]]]] = [(row, {}) for row in rows]
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ground = Ground(cores, folder, None)
        if any(name in OURS for row in rows for name in row.contenders):
            ground = replace(ground, backing=await stack.enter_async_context(backing(folder, cores)))
        client = Client(programs, folder, cores, options.seconds, options.sockets, options.connections)
        for row, samples in measured:
            answer = row.query.answer if isinstance(row, QueryRow) else {}
            on = replace(ground, settings=row.settings, answer=answer)
            for number, name in itertools.product(range(options.rounds), row.contenders):
                say = f"{row.key} [{number + 1}] {name}"
                sample = await _measure(row, name, ground=on, client=client, say=say)
                if sample is not None:
                    samples.setdefault(name, []).append(sample)
            print(f"{tables.table(row, samples)}\n", flush=True)
    print(tables.goals(measured))
    if options.json is not None:
        options.json.write_bytes(_as_json(measured))
    return 0 if all(samples.get(name) for row, samples in measured for name in row.contenders) else 1


def _chosen(row: Row, only: Sequence[str], *, with_node: bool) -> Row:
    """The row with those of its contenders that are wanted and can run."""
    names = [name for name in row.contenders if not only or name in only]
    if not with_node:
        names = [name for name in names if name in OURS or "node" not in PEERS[name]]
    return replace(row, contenders=tuple(names))


async def _measure(row: Row, name: str, *, ground: Ground, client: Client, say: str) -> Sample | None:
    """One round of one contender; a failure is told, and the others go on."""
    try:
        async with contenders.start(name, ground) as started:
            if isinstance(row, FanRow):
                sample = await fan_out(name, row, started, client)
            else:
                sample = await queries(row, started, client)
    except (ClientFailed, RuntimeError, OSError, TimeoutError) as error:
        print(f"{say}: {type(error).__name__} {error}", file=sys.stderr)
        return None
    figures = ", ".join(f"{tables.median([sample], measure):,.1f} {measure}" for measure in Measure)
    print(f"{say}: {figures} {tables.faults([sample])}", file=sys.stderr, flush=True)
    return sample


def _as_json(measured: Sequence[tuple[Row, dict[str, list[Sample]]]]) -> bytes:
    return orjson.dumps(
        {
            row.key: {name: [asdict(each) for each in found] for name, found in samples.items()}
            for row, samples in measured
        },
        option=orjson.OPT_INDENT_2,
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    keys, names = [row.key for row in ROWS], [*OURS, *PEERS]
    parser.add_argument("--rows", type=list_of("row", keys), default=keys, help=f"of {', '.join(keys)} (all)")
    parser.add_argument("--only", type=list_of("contender", names), default=[], help=f"of {', '.join(names)} (all)")
    parser.add_argument("--rounds", type=whole, default=5, help="interleaved rounds (5)")
    parser.add_argument("--secs", dest="seconds", type=positive, default=5.0, help="of each measurement (5)")
    parser.add_argument("--sockets", type=whole, default=1000, help="subscribers (1000)")
    parser.add_argument("--connections", type=whole, default=32, help="of the query rows (32)")
    parser.add_argument("--json", type=Path, help="also write every measurement here")
    return read(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
