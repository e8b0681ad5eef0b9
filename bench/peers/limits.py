"""`python -m bench.peers.limits KIND PORT CONTROL_PORT SHAPE_FILE`: what the machine and the server below us can do at best, without GraphQL.

KIND `uvloop`: prepared bytes, written straight to uvloop's transports. KIND `uvloop-redis`: the same, told of ticks by `bench/relay.py` over the Redis that listens
on CONTROL_PORT, as our API processes are. KIND `asgi`: the smallest ASGI application, on uvicorn as we run it. All send one prepared frame a tick to every open WebSocket, and one prepared answer to every request.
"""

import asyncio
import base64
import hashlib
import re
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path

import orjson
import uvicorn
import uvloop
from starlette.types import Message, Receive, Scope, Send

from bench.peers import control

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PUBLISHED = re.compile(rb'\{"t":"TickAccepted"[^}]*\}')
_ID = b"00000000-0000-4000-8000-000000000000"


def message_of(line: bytes) -> bytes:
    """What a subscriber of a tick receives, as long as ours."""
    return b'{"type":"next","payload":{"data":{"priceTicks":' + line + b'}},"id":"' + _ID + b'"}'


def frame_of(payload: bytes) -> bytes:
    """A text frame of a server (RFC 6455) of up to 65,535 bytes."""
    if len(payload) < 126:
        return bytes((0x81, len(payload))) + payload
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


class Raw(asyncio.Protocol):
    """A connection: a WebSocket after its handshake, else one that gets the answer for each read. Enough for a limit, not for a server."""

    def __init__(self, open_sockets: set[asyncio.Transport], answer: bytes) -> None:
        self._open_sockets = open_sockets
        self._answer = answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET "):
            self._transport.write(_handshake(data))
            self._open_sockets.add(self._transport)
        elif self._transport not in self._open_sockets:
            self._transport.write(self._answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._open_sockets.discard(self._transport)


def _handshake(request: bytes) -> bytes:
    lines = [line.partition(b":") for line in request.split(b"\r\n")]
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - as RFC 6455 says
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"


class Told(asyncio.Protocol):
    """A subscriber of everything in Redis that looks for ticks, and believes them."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.write(b"PSUBSCRIBE *\r\n")

    def data_received(self, data: bytes) -> None:
        for tick in _PUBLISHED.findall(data):
            self._take(tick)


async def serve_raw(port: int, control_port: int, body: bytes, *, over_redis: bool = False) -> None:
    """Until the process ends."""
    sockets: set[asyncio.Transport] = set()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    loop = asyncio.get_running_loop()

    def tick(line: bytes) -> None:
        frame = frame_of(message_of(line))
        for transport in sockets:
            transport.write(frame)

    server = await loop.create_server(lambda: Raw(sockets, head + body), "127.0.0.1", port, backlog=4096)
    if over_redis:
        await loop.create_connection(lambda: Told(tick), "127.0.0.1", control_port)
    else:
        await control.listen(control_port, tick)
    await server.serve_forever()


class Bare:
    """The ASGI application. Ticks wait in a queue for the one task that sends them to everybody."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        self._sockets: set[Send] = set()
        self.ticks: asyncio.Queue[bytes] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(receive, send)
        elif scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            await send({"type": "http.response.body", "body": self._body})

    async def _socket(self, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        self._sockets.add(send)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._sockets.discard(send)

    async def tell(self) -> None:
        """Send every tick to every socket, until cancelled."""
        while True:
            message: Message = {"type": "websocket.send", "text": message_of(await self.ticks.get()).decode()}
            for send in list(self._sockets):
                with suppress(OSError):
                    await send(message)


async def serve_asgi(port: int, control_port: int, body: bytes) -> None:
    """Until the process ends."""
    app = Bare(body)
    await control.listen(control_port, app.ticks.put_nowait)
    config = uvicorn.Config(
        app,
        port=port,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="warning",
        access_log=False,
        backlog=4096,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.tell())
        tasks.create_task(uvicorn.Server(config).serve())


def main(arguments: list[str]) -> int:
    """Serve until the process ends."""
    serve: dict[str, Callable[[int, int, bytes], Coroutine[None, None, None]]] = {
        "uvloop": serve_raw,
        "uvloop-redis": partial(serve_raw, over_redis=True),
        "asgi": serve_asgi,
    }
    if len(arguments) != 4 or arguments[0] not in serve:
        print(__doc__, file=sys.stderr)
        return 2
    kind, port, control_port, shape = arguments
    body = orjson.dumps(orjson.loads(Path(shape).read_bytes())["answer"])
    uvloop.run(serve[kind](int(port), int(control_port), body))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
