"""`python -m bench.http_queries`: what does one GraphQL request cost over HTTP, in CPU time of `python -m server dev`?

A few kept connections, each with some requests on their way, ask one operation after the other, with simulated prices on every market running. Given are requests per CPU second
of the server; what it spends without any request is measured in between and taken off for the microseconds each. The reference is a bare ASGI application behind the
same uvicorn, in a process of its own.
"""

import argparse
import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.http import Connection
from bench.http_orders import LOG_IN, PASSWORD, SIGN_UP, VERIFY
from bench.servers import ROOT, Measured, dev_server, free_port

FIELDS = "id symbol base { code } quote { code } status ticker { last bid ask change24h volume24h high24h low24h }"
OPERATIONS = {
    "__typename": "{ __typename }",
    "private": '{ market(symbol: "BTC-USDT") { watched } }',
    "viewer": "{ viewer { id email } }",
    "market": f'{{ market(symbol: "BTC-USDT") {{ {FIELDS} }} }}',
    "markets": f"{{ markets(first: 100) {{ edges {{ node {{ {FIELDS} }} }} }} }}",
    "markets, private": f"{{ markets(first: 100) {{ edges {{ node {{ {FIELDS} watched }} }} }} }}",
    "markets, gzip": f"{{ markets(first: 100) {{ edges {{ node {{ {FIELDS} }} }} }} }}",
}
"""Private is what asks for a field of the viewer: nothing of it may be kept."""
SETTINGS = {
    "SIMULATED_AFTER_SECONDS": "0",
    "BREACHED_PASSWORD_CHECK": "false",
    "PASSWORD_HASH_KIB": "8192",
    "PASSWORD_HASH_PASSES": "1",
    "COST_LIMIT_PER_MINUTE": "60000000000",
}
EMAIL = "reader@bench.example"


@dataclass(frozen=True, slots=True)
class Spent:
    """What one round of one operation gave."""

    requests: int
    cpu_seconds: float
    idle_share: float
    wall_seconds: float
    answer_bytes: int

    @property
    def per_cpu_second(self) -> float:
        return self.requests / self.cpu_seconds

    @property
    def microseconds(self) -> float:
        return (self.cpu_seconds - self.idle_share * self.wall_seconds) / self.requests * 1e6


class Asker(asyncio.Protocol):
    """A kept connection with always the same number of requests on their way."""

    def __init__(self, request: bytes, depth: int) -> None:
        self.answered = 0
        self.length = 0
        self.first = b""
        self._request, self._depth = request, depth
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.ended = asyncio.get_running_loop().create_future()
        self._stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request * self._depth)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        whole = 0
        while self.length or self._read_length():
            if len(self._buffer) < self.length:
                break
            self.first = self.first or self._buffer[: self.length]
            self._buffer = self._buffer[self.length :]
            self.length = 0
            whole += 1
        self.answered += whole
        if whole and self._transport is not None:
            if self._stopping:
                self._transport.close()
            else:
                self._transport.write(self._request * whole)

    def _read_length(self) -> bool:
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        found = re.search(rb"content-length: (\d+)", self._buffer[:head_end])
        if found is None or not self._buffer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not answered: {self._buffer[:500]!r}")
        self.length = head_end + 4 + int(found[1])
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.ended.done():
            self.ended.set_result(None)

    def stop(self) -> None:
        """Ask no more."""
        self._stopping = True


def request_of(query: str, headers: Mapping[str, str]) -> bytes:
    """A whole POST."""
    body = orjson.dumps({"query": query})
    given = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: */*\r\n{given}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def measured(server: Measured, request: bytes, options: argparse.Namespace, idle_share: float) -> Spent:
    """Ask for some seconds."""
    loop = asyncio.get_running_loop()
    askers = [
        (await loop.create_connection(lambda: Asker(request, options.depth), "127.0.0.1", server.port))[1]
        for _ in range(options.connections)
    ]
    await asyncio.sleep(options.seconds / 10)
    before, cpu, start = sum(each.answered for each in askers), server.cpu_seconds()["server"], time.perf_counter()
    await asyncio.sleep(options.seconds)
    after, spent, wall = (
        sum(each.answered for each in askers),
        server.cpu_seconds()["server"] - cpu,
        time.perf_counter() - start,
    )
    for asker in askers:
        asker.stop()
    await asyncio.gather(*(asker.ended for asker in askers))
    if b'"errors"' in askers[0].first:
        raise SystemExit(f"refused: {askers[0].first[:1000]!r}")
    return Spent(after - before, spent, idle_share, wall, len(askers[0].first))


async def idle(server: Measured, seconds: float) -> float:
    """Cores that the server keeps busy without a request."""
    cpu, start = server.cpu_seconds()["server"], time.perf_counter()
    await asyncio.sleep(seconds)
    return (server.cpu_seconds()["server"] - cpu) / (time.perf_counter() - start)


async def signed_in(port: int, output: Path) -> dict[str, str]:
    """Headers of a new account."""
    connection = Connection(port)
    await connection.post(SIGN_UP, e=EMAIL, p=PASSWORD)
    async with asyncio.timeout(30):
        while not (found := re.search(r"token=([\w-]+)", await asyncio.to_thread(output.read_text, errors="replace"))):
            await asyncio.sleep(0.1)
    await connection.post(VERIFY, t=found[1])
    answer = await connection.post(LOG_IN, e=EMAIL, p=PASSWORD)
    connection.close()
    return {"authorization": f"Bearer {answer['data']['logIn']['tokens']['accessToken']}"}  # type: ignore[index]


@asynccontextmanager
async def bare_server() -> AsyncIterator[Measured]:
    """`bench.bare_asgi` in a process of its own."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.bare_asgi", str(port), cwd=ROOT, env={"PATH": os.environ["PATH"]}
    )
    try:
        async with asyncio.timeout(30):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield Measured(port, process.pid)
    finally:
        process.terminate()
        await process.wait()


async def kept_answers(port: int) -> tuple[float, float]:
    """Answers that were kept, and public ones that were executed, so far."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    shown = (await reader.read()).decode()
    writer.close()
    used, missed = (
        float(found[1]) if (found := re.search(rf"^cryptovault_kept_answers_{name}_total (\S+)$", shown, re.M)) else 0.0
        for name in ("used", "missed")
    )
    return used, missed


async def rounds(server: Measured, options: argparse.Namespace, output: Path) -> None:
    """Interleave all operations and the reference, and print medians."""
    token = await signed_in(server.port, output)
    found: dict[str, list[Spent]] = {}
    hits: dict[str, list[float]] = {}
    wanted = {name: query for name, query in OPERATIONS.items() if not options.only or name in options.only}
    async with bare_server() as reference:
        for _ in range(options.rounds):
            request = request_of("{ __typename }", {})
            found.setdefault("bare ASGI", []).append(await measured(reference, request, options, 0.0))
            for name, query in wanted.items():
                share = await idle(server, options.seconds / 2)
                headers = token if name == "viewer" else {"accept-encoding": "gzip"} if name.endswith("gzip") else {}
                used, missed = await kept_answers(server.port)
                found.setdefault(name, []).append(await measured(server, request_of(query, headers), options, share))
                now_used, now_missed = await kept_answers(server.port)
                asked = now_used - used + now_missed - missed
                hits.setdefault(name, []).append((now_used - used) / asked if asked else 0.0)
    print(
        f"{'operation':<18}{'per CPU second':>16}{'us each':>10}{'us idle off':>12}{'bytes':>8}{'idle cores':>12}{'kept':>8}"
    )
    for name, all_spent in found.items():
        rate = statistics.median(each.per_cpu_second for each in all_spent)
        net = statistics.median(each.microseconds for each in all_spent)
        share = statistics.median(each.idle_share for each in all_spent)
        print(
            f"{name:<18}{rate:16,.0f}{1e6 / rate:10.1f}{net:12.1f}{all_spent[0].answer_bytes:8}{share:12.2f}{statistics.median(hits.get(name, [0.0])):8.1%}"
        )


async def run(options: argparse.Namespace) -> None:
    """Start a server and measure."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "printed"
        async with dev_server(free_port(), SETTINGS, output=output) as server:
            await rounds(server, options, output)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--depth", type=int, default=2, help="requests on their way on each connection")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of operations")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
