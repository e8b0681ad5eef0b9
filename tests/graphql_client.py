"""A small graphql-transport-ws client for flows: several operations over one socket."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

END = object()


class GraphQLErrors(Exception):
    """The operation was answered with errors."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(json.dumps(errors))
        self.errors = errors

    @property
    def codes(self) -> list[str]:
        return [error.get("extensions", {}).get("code") for error in self.errors]


class SocketClient:
    """One acknowledged socket. Every operation has its own queue of payloads."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._queues: dict[str, asyncio.Queue[Any]] = {}

    async def subscribe(self, query: str, **variables: Any) -> "Operation":
        """Start an operation; returns once the message is sent."""
        operation_id = str(next(self._ids))
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._queues[operation_id] = queue
        await self._send({"id": operation_id, "type": "subscribe", "payload": {"query": query, "variables": variables}})
        return Operation(self, operation_id, queue)

    async def complete(self, operation_id: str) -> None:
        await self._send({"id": operation_id, "type": "complete"})
        self._queues.pop(operation_id, None)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message, default=str))

    async def read(self) -> None:
        """Hand every message to its operation until the socket ends."""
        try:
            async for text in self._socket:
                message = json.loads(text)
                if message["type"] == "ping":
                    await self._send({"type": "pong"})
                    continue
                queue = self._queues.get(message.get("id", ""))
                if queue is None:
                    continue
                if message["type"] == "next":
                    queue.put_nowait(message["payload"])
                elif message["type"] == "error":
                    queue.put_nowait({"errors": message["payload"]})
                    queue.put_nowait(END)
                elif message["type"] == "complete":
                    queue.put_nowait(END)
        finally:
            for queue in self._queues.values():
                queue.put_nowait(END)


class Operation:
    """A running operation; iterate it for the `data` of each payload."""

    def __init__(self, client: SocketClient, operation_id: str, queue: asyncio.Queue[Any]) -> None:
        self.id = operation_id
        self._client = client
        self._queue = queue

    async def next(self, *, seconds: float = 20.0) -> dict[str, Any]:
        """Data of the next payload. Raises GraphQLErrors, StopAsyncIteration at the end, TimeoutError."""
        async with asyncio.timeout(seconds):
            payload = await self._queue.get()
        if payload is END:
            raise StopAsyncIteration
        if payload.get("errors"):
            raise GraphQLErrors(payload["errors"])
        data: dict[str, Any] = payload["data"]
        return data

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            try:
                yield await self.next()
            except StopAsyncIteration:
                return

    async def stop(self) -> None:
        await self._client.complete(self.id)


@asynccontextmanager
async def graphql_socket(
    base_url: str, *, credential: str | None = None, **options: Any
) -> AsyncIterator[SocketClient]:
    """A connected, acknowledged socket to the server at http://…, of whoever has this access token."""
    url = base_url.replace("http", "ws", 1).rstrip("/") + "/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"], max_size=None, **options) as socket:  # type: ignore[list-item]
        payload = {} if credential is None else {"payload": {"authorization": f"Bearer {credential}"}}
        await socket.send(json.dumps({"type": "connection_init", **payload}))
        async with asyncio.timeout(10):
            acknowledgement = json.loads(await socket.recv())
        if acknowledgement["type"] != "connection_ack":
            raise RuntimeError(f"expected connection_ack, got {acknowledgement}")
        client = SocketClient(socket)
        reader = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


def decimals(value: object) -> object:
    """Numbers in text as Decimals, for comparing by value."""
    return Decimal(value) if isinstance(value, str) else value
