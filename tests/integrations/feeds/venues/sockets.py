"""A WebSocket server that a test directs line by line, or that a venue answers by itself."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

WAIT_SECONDS = 30.0


class Line:
    """One client's connection, seen from the server."""

    def __init__(self, socket: ServerConnection) -> None:
        self.path = socket.request.path if socket.request else ""
        self.received: list[dict[str, object]] = []
        self.times: list[float] = []
        self._socket = socket
        self._arrived = asyncio.Event()
        self.ended = asyncio.Event()

    async def send(self, message: object) -> None:
        """Send text or bytes as they are, anything else as JSON (Decimals as their very digits)."""
        raw = isinstance(message, str | bytes)
        await self._socket.send(message if raw else to_json(message))  # type: ignore[arg-type]

    async def close(self, code: int = 1001) -> None:
        """End the connection properly."""
        await self._socket.close(code)

    def abort(self) -> None:
        """End the connection without a word."""
        self._socket.transport.abort()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds that only received messages change."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not true():
                self._arrived.clear()
                await self._arrived.wait()

    def take(self, data: str | bytes) -> dict[str, object]:
        """Remember a message."""
        message: dict[str, object] = json.loads(data)
        self.received.append(message)
        self.times.append(time.monotonic())
        self._arrived.set()
        return message


class SocketVenue:
    """Listens on a free port. Subclasses answer in `on_message`; the base says nothing."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.url = ""
        self._opened = asyncio.Event()

    async def on_message(self, line: Line, message: dict[str, object]) -> None:
        """What to do with a client's message."""

    async def line(self, count: int = 1) -> Line:
        """The count-th connection ever made, waited for."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.lines) < count:
                self._opened.clear()
                await self._opened.wait()
        return self.lines[count - 1]

    async def _serve(self, socket: ServerConnection) -> None:
        line = Line(socket)
        self.lines.append(line)
        self._opened.set()
        try:
            async for data in socket:
                await self.on_message(line, line.take(data))
        except ConnectionClosed:
            pass
        finally:
            line.ended.set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["SocketVenue"]:
        """Open for as long as the block runs."""
        async with serve(self._serve, "127.0.0.1", 0, close_timeout=0.2, max_size=2**20) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}"
            yield self


def to_json(value: object) -> str:
    """JSON with Decimals written as numbers of their very digits, the way Kraken writes them."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{to_json(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)
