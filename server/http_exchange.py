"""One HTTP request and its answer, in ASGI's messages."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Message, Receive, Scope, Send

from server.authentication import Handshake
from server.departures import DEPARTURE, ClientGone, Departure
from server.header_values import header_values
from server.origins import Header
from server.whole_answers import WHOLE, takes_whole

T = TypeVar("T")
_DRAIN_BYTES = 16 * 1024 * 1024
_DRAIN_SECONDS = 2.0
"""How much of a body that is too large is read and thrown away, so that its sender gets to see the answer."""


class HttpExchange:
    """One request and its answer, in ASGI's messages."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.headers: list[Header] = scope["headers"]
        self.values = header_values(self.headers)
        self.query_string: bytes = scope["query_string"]
        client = scope.get("client")
        self.peer: str | None = client[0] if client else None
        self.body: bytes | None = None
        """The whole of it, once it was read."""
        self._receive = receive
        self._send = send
        self._body_ended = False
        self._takes_whole = takes_whole(scope)
        self._departure: Departure | None = scope.get("extensions", {}).get(DEPARTURE)

    def handshake(self, request_id: str) -> Handshake:
        """What tells who asks."""
        return Handshake(self.headers, self.peer, request_id, is_get=self.method == "GET", values=self.values)

    def header(self, name: bytes) -> str:
        """All values of a header, joined by commas; empty when there is none."""
        return self.values.get(name, "")

    @property
    def origin(self) -> str | None:
        """The page's origin a browser names."""
        return self.values.get(b"origin") or None

    async def chunk(self) -> bytes | None:
        """The next piece of the body; None after the last. Raises ClientGone."""
        if self._body_ended:
            return None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._body_ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk

    async def until_gone(self) -> None:
        """Raises ClientGone when the client closes the connection; a body that was not read is thrown away until then."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone

    async def while_there(self, awaitable: Awaitable[T]) -> T:
        """The result, unless the client closes the connection before, where the server tells that (`DEPARTURE`). Raises ClientGone."""
        return await (awaitable if self._departure is None else self._departure.while_there(awaitable))

    async def respond(self, status: int, body: bytes, headers: list[Header], *, drain: bool = False) -> None:
        """Send the answer. `drain`: go on reading a while, so that a client that is still sending gets to read it."""
        if status != 204:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        if self._takes_whole and not drain:
            await self._send({"type": WHOLE, "status": status, "headers": headers, "body": body})
            return
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": drain})
        if drain:
            await self._drain()
            await self._send({"type": "http.response.body", "body": b""})

    async def begin_stream(self, headers: list[Header]) -> None:
        """Begin an answer that goes on: chunks follow, then its end."""
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send_chunk(self, chunk: bytes) -> None:
        """Send a part of it; waits while the peer has too much unread."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end_stream(self) -> None:
        """Nothing more follows."""
        await self._send({"type": "http.response.body", "body": b""})

    async def _drain(self) -> None:
        thrown_away = 0
        with contextlib.suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while (chunk := await self.chunk()) is not None:
                    thrown_away += len(chunk)
                    if thrown_away > _DRAIN_BYTES:
                        return
