"""One client's view of a subscription, over each of the three transports, with a real HTTP or WebSocket client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.server.serving import WAIT, Served

TRANSPORTS = ("websocket", "sse", "multipart")
ACCEPT = {"sse": "text/event-stream", "multipart": "multipart/mixed;subscriptionSpec=1.0, application/json"}


@dataclass
class Told:
    """What a stream has told; `end` is its errors, or an empty list when it came to its end, None while it goes on."""

    payloads: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)
    end: list[dict[str, Any]] | None = None
    status: int = 200
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT):
            return await self.payloads.get()

    async def until_ended(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(WAIT):
            await self.ended.wait()
        assert self.end is not None
        return self.end

    def finish(self, errors: list[dict[str, Any]]) -> None:
        if self.end is None:
            self.end = errors
            self.ended.set()


@asynccontextmanager
async def stream(
    server: Served, transport: str, query: str, headers: dict[str, str] | None = None, **variables: object
) -> AsyncIterator[Told]:
    """Subscribe; leaving the block leaves the stream."""
    told = Told()
    read = _over_socket if transport == "websocket" else _over_http
    reading = asyncio.ensure_future(
        read(server, transport, {"query": query, "variables": variables}, headers or {}, told)
    )
    try:
        yield told
    finally:
        reading.cancel()
        (result,) = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(result, Exception):
            raise result


async def _over_socket(server: Served, _: str, body: dict[str, object], headers: dict[str, str], told: Told) -> None:
    async with server.raw_socket() as raw:
        await raw.send(orjson.dumps({"type": "connection_init", "payload": {"headers": headers}}).decode())
        await raw.recv()
        await raw.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": body}).decode())
        async for text in raw:
            message = orjson.loads(text)
            if message["type"] == "next":
                told.payloads.put_nowait(message["payload"])
            elif message["type"] in ("complete", "error"):
                told.finish(message.get("payload", []))


async def _over_http(
    server: Served, transport: str, body: dict[str, object], headers: dict[str, str], told: Told
) -> None:
    async with (
        httpx.AsyncClient(timeout=None) as client,  # noqa: S113 - the tests' own waiting ends
        client.stream("POST", server.url, json=body, headers={"accept": ACCEPT[transport], **headers}) as response,
    ):
        told.status = response.status_code
        if response.headers["content-type"].startswith("application/"):
            told.finish(orjson.loads(await response.aread())["errors"])
            return
        data = b""
        async for chunk in response.aiter_raw():
            data = _read(transport, data + chunk, told)


def _read(transport: str, data: bytes, told: Told) -> bytes:
    """Take what is whole; what is left."""
    delimiter = b"\n\n" if transport == "sse" else b"\r\n---"
    *parts, rest = data.split(delimiter)
    for part in parts:
        (_event if transport == "sse" else _part)(part, told)
    if transport == "multipart" and rest.startswith(b"--"):
        told.finish([])
    return rest


def _event(part: bytes, told: Told) -> None:
    lines = dict(line.split(b":", 1) for line in part.split(b"\n") if not line.startswith(b":") and line)
    if lines.get(b"event") == b" complete":
        told.finish([])
    elif lines:
        assert lines[b"event"] == b" next"
        payload = orjson.loads(lines[b"data"])
        if "data" in payload:
            told.payloads.put_nowait(payload)
        else:
            told.finish(payload["errors"])


def _part(part: bytes, told: Told) -> None:
    if not part:
        return
    head, _, content = part.partition(b"\r\n\r\n")
    assert head == b"\r\ncontent-type: application/json"
    message = orjson.loads(content)
    if message.get("payload"):
        told.payloads.put_nowait(message["payload"])
    elif message:
        told.finish(message["errors"])
