"""Answers that are given at once wait for each other, and for nothing else that happens to their connection."""

import asyncio
import socket
from collections.abc import Sequence

import orjson
import pytest

from server import outgoing
from server.outgoing import Outgoing
from tests.server.front import Front, Kept, request_of
from tests.server.test_at_once import SMALL, data, markets, server

__all__ = ["markets", "server"]

SMALL_BODY = orjson.dumps({"query": SMALL})
SMALL_REQUEST = request_of(SMALL_BODY)


class Transport(asyncio.Transport):
    """Remembers what was written to any of them, in order."""

    def __init__(self, name: str, written: list[tuple[str, bytes]]) -> None:
        super().__init__()
        self.closing = False
        self._name = name
        self._written = written

    def writelines(self, list_of_data: Sequence[bytes]) -> None:  # type: ignore[override]
        self._written.append((self._name, b"".join(list_of_data)))

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
async def learnt(server: Front) -> Kept:
    """A connection whose server answers this request without parsing it."""
    kept = await server.connect()
    for _ in range(3):
        kept.writer.write(SMALL_REQUEST)
        assert (await kept.reply()).status == 200
    return kept


async def test_those_of_one_turn_are_written_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MOST_SECONDS", 60.0)
    written: list[tuple[str, bytes]] = []
    one, two, gone = (Transport(name, written) for name in ("one", "two", "gone"))
    out = Outgoing()
    out.put(one, (b"a", b"b"))
    out.put(two, (b"c",))
    out.put(gone, (b"lost",))
    gone.closing = True
    assert written == []
    await asyncio.sleep(0)
    assert written == [("one", b"ab"), ("two", b"c")]
    out.put(two, (b"d",))
    await asyncio.sleep(0)
    assert written[2:] == [("two", b"d")]


async def test_a_connections_second_follows_its_first_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MOST_SECONDS", 60.0)
    written: list[tuple[str, bytes]] = []
    one, two = Transport("one", written), Transport("two", written)
    out = Outgoing()
    for transport, answer in ((one, b"1"), (two, b"2"), (one, b"3"), (one, b"4")):
        out.put(transport, (answer,))
    assert written == [("one", b"1"), ("one", b"3")], "what comes then begins to wait anew"
    await asyncio.sleep(0)
    assert written[2:] == [("two", b"2"), ("one", b"4")]


async def test_none_waits_long_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MOST_SECONDS", 0.0)
    written: list[tuple[str, bytes]] = []
    one, two = Transport("one", written), Transport("two", written)
    out = Outgoing()
    out.put(one, (b"1",))
    out.put(two, (b"2",))
    assert written == [("one", b"1"), ("two", b"2")]
    out.put(one, (b"3",))
    await asyncio.sleep(0)
    assert written[2:] == [("one", b"3")]


@pytest.mark.parametrize("request_bytes", [SMALL_REQUEST, request_of(SMALL_BODY, {"x-request-id": "my-request-7"})])
async def test_who_sends_nothing_more_gets_the_answer(server: Front, learnt: Kept, request_bytes: bytes) -> None:
    learnt.close()
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(request_bytes)
        half.shutdown(socket.SHUT_WR)
        half.setblocking(False)
        loop, got = asyncio.get_running_loop(), b""
        async with asyncio.timeout(10):
            while more := await loop.sock_recv(half, 65_536):
                got += more
    assert server.given[-1] is True
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert orjson.loads(got.partition(b"\r\n\r\n")[2])["data"]["market"]["symbol"] == "BTC-USDT"


async def test_what_is_no_request_is_refused_behind_the_answer(server: Front, learnt: Kept) -> None:
    given = len(server.given)
    learnt.writer.write(SMALL_REQUEST + b"nonsense\r\n\r\n")
    assert data(await learnt.reply()) == {"market": {"symbol": "BTC-USDT", "ticker": {"last": "100"}}}
    assert (await learnt.reply()).status == 400
    assert await learnt.reader.read() == b""
    assert server.given[given:] == [True]


async def test_a_socket_is_refused_behind_the_answer(server: Front, learnt: Kept) -> None:
    upgrade = (
        b"GET /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 99\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    learnt.writer.write(SMALL_REQUEST + upgrade)
    assert (await learnt.reply()).status == 200
    assert (await learnt.reply()).status == 400


async def test_many_at_once_get_their_own(server: Front, learnt: Kept) -> None:
    connections = [await server.connect() for _ in range(40)]
    for number, each in enumerate(connections):
        each.writer.write(request_of(SMALL_BODY, {"x-request-id": f"my-request-{number}"}))
    for number, each in enumerate(connections):
        assert (await each.reply()).header("x-request-id") == f"my-request-{number}"
        each.close()
