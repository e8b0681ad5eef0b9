"""A thousand subscribers in one process: sockets that know as much of the protocols as a crowd needs."""

import asyncio
import base64
import os
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import orjson

_SEQUENCE = re.compile(rb'"sequence":(\d+)')
WAIT_SECONDS = 30.0


class Member(asyncio.Protocol):
    """One subscriber: the sequences it was told, and whether its socket was closed."""

    def __init__(self, query: str) -> None:
        self.sequences: list[int] = []
        self.closed = False
        self.transport: asyncio.Transport
        self._query = query
        self._data = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by what it does, not by its class
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            "GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._upgraded:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101")
            self._upgraded, self._data = True, rest
            self._send({"type": "connection_init"})
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame: its kind and its content."""
        if len(self._data) < 2:
            return None
        length, start = self._data[1], 2
        if length == 126:
            length, start = int.from_bytes(self._data[2:4], "big"), 4
        if len(self._data) < start + length:
            return None
        kind, content = self._data[0] & 0x0F, self._data[start : start + length]
        self._data = self._data[start + length :]
        return kind, content

    def _take(self, kind: int, content: bytes) -> None:
        if kind == 9:
            self._write(0x8A, content)
        elif kind == 1 and content == b'{"type":"connection_ack"}':
            self._send({"type": "subscribe", "id": "1", "payload": {"query": self._query}})
        elif kind == 1:
            assert content.startswith(b'{"type":"next"'), content
            self.sequences += [int(found) for found in _SEQUENCE.findall(content)]

    def _send(self, message: object) -> None:
        self._write(0x81, orjson.dumps(message))

    def _write(self, head: int, content: bytes) -> None:
        length = bytes([0x80 | len(content)]) if len(content) < 126 else b"\xfe" + struct.pack("!H", len(content))
        self.transport.write(bytes([head]) + length + b"\0\0\0\0" + content)


@asynccontextmanager
async def crowd(base_url: str, size: int, symbol: str) -> AsyncIterator[list[Member]]:
    """So many subscribers to the prices of a market, each of whom has been told one."""
    query = f'subscription {{ priceTicks(symbols: ["{symbol}"]) {{ symbol price sequence stale }} }}'
    port = int(base_url.rpartition(":")[2])
    loop = asyncio.get_running_loop()
    members: list[Member] = []
    try:
        for _ in range(size):
            _, member = await loop.create_connection(lambda: Member(query), "127.0.0.1", port)
            members.append(member)
        await until_told(members, 0)
        yield members
    finally:
        for member in members:
            member.transport.abort()


async def until_told(members: list[Member], after: int) -> None:
    """Each has been told a later sequence than this."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not all(member.sequences and member.sequences[-1] > after for member in members):
            await asyncio.sleep(0.02)
