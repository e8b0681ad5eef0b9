"""The load clients count what happened, and say what is wrong with their arguments."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve

from bench import clients, shape
from bench.peers import control
from tests.components import free_port

BODY = b'{"data":{"value":1}}'
FAILED = b'{"data":null,"errors":[{"message":"no"}]}'
FAULTY_TICK = 6
"""The tick with which a faulty server begins; earlier ones warm the client up."""
SOCKETS = 6


def plain(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def chunked(body: bytes) -> bytes:
    parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]))
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives these answers in turn, in two pieces each; its port, and the requests it got."""
    requests: list[bytes] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                requests.append(head + await reader.readexactly(length))
                answer = answers[len(requests) % len(answers)]
                writer.write(answer[:20])
                await writer.drain()
                writer.write(answer[20:])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve_one, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], requests


async def load(programs: dict[str, Path], folder: Path, port: int, *more: str) -> clients.Measured:
    body = folder / "body"
    body.write_bytes(b'{"query":"{ value }"}')
    fixed = (
        "--server",
        f"127.0.0.1:{port}",
        "--body",
        str(body),
        "--connections",
        "3",
        "--warm",
        "0",
        "--seconds",
        "0.2",
    )
    return await clients.run(programs["load"], [*fixed, *more], core=_core(), seconds=20)


def _core() -> int:
    return min(os.sched_getaffinity(0))


async def test_load_counts_answers(programs: dict[str, Path], tmp_path: Path) -> None:
    async with answering(plain(b"200 OK", BODY), chunked(BODY)) as (port, requests):
        found = await load(programs, tmp_path, port, "--header", "x-of: mine", "--cpu", f"server={os.getpid()}")
    assert 0 < found["seconds"] < 1
    assert len(requests) - 6 <= found["answers"] <= len(requests)
    assert (found["not_2xx"], found["with_errors"], found["closed"]) == (0, 0, 0)
    assert (found["least_bytes"], found["most_bytes"]) == (len(BODY), len(chunked(BODY).partition(b"\r\n\r\n")[2]))
    assert found["cpu"].keys() == {"server"}
    assert 0 <= found["latency_ms"]["p50"] <= found["latency_ms"]["p99"] <= found["latency_ms"]["most"]
    assert requests[0].startswith(b"POST /graphql HTTP/1.1\r\n")
    assert b"\r\nx-of: mine\r\n" in requests[0]
    assert requests[0].endswith(b'\r\n\r\n{"query":"{ value }"}')


async def test_load_counts_failures(programs: dict[str, Path], tmp_path: Path) -> None:
    async with answering(plain(b"500 No", b"{}"), plain(b"200 OK", FAILED), plain(b"200 OK", BODY)) as (port, requests):
        found = await load(programs, tmp_path, port)
    third = len(requests) // 3
    assert abs(found["not_2xx"] - third) <= 3
    assert abs(found["with_errors"] - third) <= 3


async def test_load_asks_bodies_in_turn_with_a_number_and_a_header_of_each_connection(
    programs: dict[str, Path], tmp_path: Path
) -> None:
    bodies, headers = tmp_path / "bodies", tmp_path / "headers"
    bodies.write_bytes(b'{"a":"key-##########"}\n{"b":"longer-##########"}\n')
    headers.write_bytes(b"authorization: one\nauthorization: two\n")
    async with answering(plain(b"200 OK", BODY)) as (port, requests):
        found = await load(programs, tmp_path, port, "--body", str(bodies), "--each-header", str(headers))
    assert found["answers"] > 6
    asked = [request.partition(b"\r\n\r\n")[2] for request in requests]
    numbers = sorted(int(body[-12:-2]) for body in asked)
    assert numbers == list(range(1, len(requests) + 1))
    assert all(body.startswith(b'{"a":"key-' if int(body[-12:-2]) % 2 else b'{"b":"longer-') for body in asked)
    shown = [request.partition(b"authorization: ")[2][:3] for request in requests]
    assert {each: min(shown.count(each), 3) for each in (b"one", b"two")} == {b"one": 3, b"two": 3}


async def test_load_counts_answers_without_what_is_wanted(programs: dict[str, Path], tmp_path: Path) -> None:
    async with answering(plain(b"200 OK", BODY), plain(b"200 OK", b'{"data":{"value":2}}')) as (port, requests):
        found = await load(programs, tmp_path, port, "--wanted", '"value":1}')
    assert abs(found["without"] - len(requests) // 2) <= 4
    assert (found["not_2xx"], found["with_errors"]) == (0, 0)


async def test_load_fails_where_nothing_is_answered(programs: dict[str, Path], tmp_path: Path) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n") as (port, _):
        with pytest.raises(clients.ClientFailed, match=r"load ended with 3: .*an answer without a length"):
            await load(programs, tmp_path, port)


@asynccontextmanager
async def subscribing(*, faulty: bool) -> AsyncIterator[tuple[int, int]]:
    """A graphql-transport-ws server that sends every tick to every operation; its port and its control port.

    A faulty one gives the third socket one tick twice and one as another's, keeps one from the fourth, sends one as bytes to the fifth.
    """
    operations: list[tuple[ServerConnection, str]] = []
    ticks: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve_one(connection: ServerConnection) -> None:
        async for text in connection:
            message = orjson.loads(text)
            if message["type"] == "connection_init":
                await connection.send('{"type":"connection_ack"}')
            else:
                operations.append((connection, message["id"]))

    async def tell() -> None:
        number = 0
        while True:
            line = await ticks.get()
            number += 1
            for place, (connection, operation) in enumerate(operations):
                for each in _sent(place, operation, line, number) if faulty else [_next(operation, line)]:
                    await connection.send(each)

    control_port = free_port()
    async with (
        await control.listen(control_port, ticks.put_nowait),
        serve(serve_one, "127.0.0.1", 0, subprotocols=["graphql-transport-ws"]) as server,  # type: ignore[list-item]
    ):
        telling = asyncio.create_task(tell())
        yield next(iter(server.sockets)).getsockname()[1], control_port
        telling.cancel()


def _next(operation: str, line: bytes) -> str:
    return f'{{"type":"next","payload":{{"data":{{"priceTicks":{line.decode()}}}}},"id":"{operation}"}}'


def _sent(place: int, operation: str, line: bytes, number: int) -> list[str | bytes]:
    frame = _next(operation, line)
    if number == FAULTY_TICK and place == 2:
        return [frame, frame, _next("somebody-else", line)]
    if number == FAULTY_TICK and place == 3:
        return []
    if number == FAULTY_TICK and place == 4:
        return [frame.encode()]
    return [frame]


async def fan(programs: dict[str, Path], folder: Path, ports: tuple[int, int], *more: str) -> clients.Measured:
    operations = shape.write_lines(folder / "operations", shape.tick_operations(2, 3))
    fixed = (
        *("--server", f"127.0.0.1:{ports[0]}", "--control", f"127.0.0.1:{ports[1]}"),
        *("--operations", str(operations), "--symbols", ",".join(shape.tick_symbols(3))),
        *("--sockets", str(SOCKETS), "--warm", "1", "--seconds", "0.5"),
    )
    return await clients.run(programs["fan"], [*fixed, *more], core=_core(), seconds=30)


FAULTS = ("lost", "missed", "repeated", "wrong_id", "binary", "errors", "closed", "stalled")


@pytest.mark.parametrize("mode", [("closed", "--window", "3"), ("rate", "--rate", "40")], ids=lambda mode: mode[0])
async def test_fan_counts_deliveries(programs: dict[str, Path], tmp_path: Path, mode: tuple[str, ...]) -> None:
    async with subscribing(faulty=False) as ports:
        found = await fan(programs, tmp_path, ports, "--mode", *mode)
    assert [found[name] for name in FAULTS] == [0] * len(FAULTS)  # type: ignore[literal-required]
    assert found["ticks"] >= 3
    assert 0 < found["deliveries"] <= found["ticks"] * SOCKETS
    printed_within = 0.0005 * found["per_second"] + 0.05 * found["seconds"] + 0.001  # as many digits as `fan` prints
    assert found["per_second"] * found["seconds"] == pytest.approx(found["deliveries"], abs=printed_within)
    if mode[0] == "rate":
        assert found["ticks"] <= 21
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["most"]
    assert 150 < found["bytes_per_delivery"] < 400


async def test_fan_counts_faults(programs: dict[str, Path], tmp_path: Path) -> None:
    async with subscribing(faulty=True) as ports:
        found = await fan(programs, tmp_path, ports, "--mode", "rate", "--rate", "40")
    assert {name: found[name] for name in FAULTS} == {  # type: ignore[literal-required]
        "lost": 0,
        "missed": 2,
        "repeated": 2,
        "wrong_id": 1,
        "binary": 1,
        "errors": 0,
        "closed": 0,
        "stalled": 0,
    }


async def test_fan_says_what_a_server_refuses(programs: dict[str, Path], tmp_path: Path) -> None:
    server = await asyncio.start_server(_not_a_websocket, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(clients.ClientFailed, match=r"fan ended with 3: no WebSocket: HTTP/1\.1 404"):
            await fan(programs, tmp_path, (port, port))


async def _not_a_websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(plain(b"404 Not Found", b""))


WRONG = [
    ("fan", ["--raw"], "--server is missing"),
    ("fan", ["--server", "127.0.0.1"], "--server: expected HOST:PORT, got '127.0.0.1'"),
    ("fan", ["--server", "127.0.0.1:0"], "--server: expected a number from 1 to 65535, got '0'"),
    ("fan", ["--server", "127.0.0.1:9"], "expected either --operations or --raw"),
    ("fan", ["--server", "127.0.0.1:9", "--raw"], "--control and --symbols are needed to publish"),
    ("fan", ["--operations", "/no/such"], "--operations: cannot read /no/such: No such file or directory"),
    ("fan", ["--mode", "fast"], "--mode: expected closed, rate or idle, got 'fast'"),
    ("fan", ["--cpu", "server=0"], "--cpu: expected NAME=PID of a running process, got 'server=0'"),
    ("load", ["--server", "127.0.0.1:9"], "--server and --body are needed"),
    ("load", ["--header", "nothing"], "--header: expected 'NAME: VALUE', got 'nothing'"),
    ("load", ["--seconds", "nan"], "--seconds: expected a number from 0.1 to 3600, got 'nan'"),
    ("load", ["--server", "127.0.0.1:9", "--body", "/no/such"], "--body: cannot read /no/such"),
    ("load", ["more"], "unexpected: more"),
]


@pytest.mark.parametrize(("program", "arguments", "said"), WRONG, ids=[" ".join(row[1]) for row in WRONG])
def test_wrong_arguments(programs: dict[str, Path], program: str, arguments: list[str], said: str) -> None:
    found = subprocess.run([programs[program], *arguments], check=False, capture_output=True, text=True, timeout=60)
    assert found.returncode == 2
    assert said in found.stderr


@pytest.mark.parametrize("program", ["fan", "load"])
def test_help(programs: dict[str, Path], program: str) -> None:
    found = subprocess.run([programs[program], "--help"], check=False, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0
    assert found.stdout.startswith(f"usage: {program} ")
