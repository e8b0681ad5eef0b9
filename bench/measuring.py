"""One measurement: a contender, a row, some seconds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import orjson
import psutil

from bench import clients, shape
from bench.clients import ClientFailed, Cores, Measured
from bench.contenders import WITHOUT_SUBSCRIBING, Started
from bench.rows import FanRow, QueryRow

TICKS_A_SECOND = 20
"""On every market, while queries are measured."""
_TICK_EVERY = 0.01
_PATIENCE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Client:
    """How the load clients are run."""

    programs: Mapping[str, Path]
    folder: Path
    cores: Cores
    seconds: float
    sockets: int
    connections: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one measurement gave.

    `ticks_alone`: the server's share of a core while markets tick and nobody asks. `counted`: how its counts of its caches grew.
    """

    measured: Measured
    ticks_alone: float | None = None
    counted: Mapping[str, float] = field(default_factory=dict)


async def fan_out(name: str, row: FanRow, started: Started, client: Client) -> Sample:
    """Deliveries. Raises ClientFailed."""
    operations = shape.write_lines(client.folder / "operations", shape.tick_operations(row.operations, row.symbols))
    subscribing = ("--raw",) if name in WITHOUT_SUBSCRIBING else ("--operations", str(operations))
    arguments = (
        *("--server", f"127.0.0.1:{started.port}", "--control", f"127.0.0.1:{started.control_port}"),
        *("--symbols", ",".join(shape.tick_symbols(row.symbols)), "--sockets", str(client.sockets)),
        *("--seconds", str(client.seconds)),
        *subscribing,
        *row.options,
        *started.cpu_options(),
    )
    patience = _PATIENCE_SECONDS + client.seconds
    return Sample(await clients.run(client.programs["fan"], arguments, core=client.cores.rest, seconds=patience))


async def queries(row: QueryRow, started: Started, client: Client) -> Sample:
    """Answers, while every market ticks. Raises ClientFailed."""
    body = client.folder / "body"
    body.write_bytes(orjson.dumps({"query": row.query.text}))
    arguments = [
        *("--server", f"127.0.0.1:{started.port}", "--body", str(body)),
        *("--connections", str(client.connections), "--seconds", str(client.seconds)),
        *started.cpu_options(),
    ]
    if row.signed_in:
        arguments += ["--header", f"authorization: Bearer {started.token}"]
    patience = _PATIENCE_SECONDS + client.seconds
    await asyncio.to_thread(_judge_answer, row, started)
    async with ticking(started.control_port):
        alone = await _share_of_a_core(started.watched["server"])
        before = await _counted(started)
        measured = await clients.run(client.programs["load"], arguments, core=client.cores.rest, seconds=patience)
        after = await _counted(started)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return Sample(measured, alone, {name: value for name, value in grown.items() if value > 0})


async def _counted(started: Started) -> Mapping[str, float]:
    return await asyncio.to_thread(started.counters) if started.counters else {}


def _judge_answer(row: QueryRow, started: Started) -> None:
    """Every contender answers alike but for values. Raises ClientFailed."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {started.token}"}
    if not row.signed_in:
        del headers["authorization"]
    body = orjson.dumps({"query": row.query.text})
    with urlopen(Request(f"http://127.0.0.1:{started.port}/graphql", body, headers), timeout=30) as answer:
        data = orjson.loads(answer.read()).get("data")
    difference = shape.difference(row.query.answer["data"], data)
    if difference is not None:
        raise ClientFailed(f"another answer than the other contenders': {difference}")


async def _share_of_a_core(pid: int) -> float:
    """What a process uses in the next second."""
    process, loop = psutil.Process(pid), asyncio.get_running_loop()
    before, start = process.cpu_times(), loop.time()
    await asyncio.sleep(1.0)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (loop.time() - start)


@asynccontextmanager
async def ticking(control_port: int) -> AsyncIterator[None]:
    """Let every market tick TICKS_A_SECOND, spread evenly, until the block ends."""
    _, writer = await asyncio.open_connection("127.0.0.1", control_port)
    task = asyncio.create_task(_tick(writer))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()


async def _tick(writer: asyncio.StreamWriter) -> None:
    loop, sent = asyncio.get_running_loop(), 0
    symbols = shape.tick_symbols(shape.MARKETS)
    start, first = loop.time(), int(datetime.now(UTC).timestamp() * 1000)
    while True:
        due = int((loop.time() - start) * TICKS_A_SECOND * len(symbols))
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        writer.write(
            b"".join(tick_line(symbols[number % len(symbols)], moment, first + number) for number in range(sent, due))
        )
        sent = max(sent, due)
        await writer.drain()
        await asyncio.sleep(_TICK_EVERY)


def tick_line(symbol: str, moment: str, sequence: int) -> bytes:
    """A tick as the load client writes it."""
    cents = 6_000_000 + sequence % 1000 * 25
    price, bid, ask = (f"{each // 100}.{each % 100:02}" for each in (cents, cents - 51, cents + 51))
    tick = {"symbol": symbol, "price": price, "bid": bid, "ask": ask, "time": moment, "sequence": sequence}
    return orjson.dumps(tick) + b"\n"
