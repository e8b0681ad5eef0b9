"""A small HTTP/1.1 server whose answers a test gives."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.integrations.feeds.venues.sockets import WAIT_SECONDS, to_json


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: object


@dataclass(frozen=True)
class Reply:
    """What it is told. `silent`: nothing, until the client gives up."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False


class HttpVenue:
    """Listens on a free port; `answer` may be exchanged at any time."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.url = ""
        self._asked = asyncio.Event()

    async def asked(self) -> None:
        """Return once anything was asked."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self._asked.wait()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["HttpVenue"]:
        """Open for as long as the block runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await self._read(reader)
            self.requests.append(request)
            self._asked.set()
            reply = self.answer(request)
            if reply.silent:
                await reader.read()
                return
            data = reply.body if isinstance(reply.body, bytes) else to_json(reply.body).encode()
            head = [f"HTTP/1.1 {reply.status} x", f"Content-Length: {len(data)}", "Connection: close"]
            head += [f"{name}: {value}" for name, value in reply.headers.items()]
            writer.write("\r\n".join([*head, "", ""]).encode() + data)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return Request(method, parts.path, query, headers, json.loads(body) if body else None)
