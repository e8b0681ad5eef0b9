"""A connection that redis-py has opened, spoken over from the event loop's callbacks: for a message no task wakes up, on either side.

redis-py connects, authenticates and names it, with TLS where the URL says so; from then on what goes over it (RESP2, read by hiredis) is ours.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Self, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

YIELD_EVERY = 64
"""Messages taken before others on the event loop get their turn."""

Take = Callable[[object], int]
"""Given a reply; says how many messages it was. What it raises ends the connection."""


class RedisWire(asyncio.Protocol):
    """See the module. `heard` counts replies."""

    def __init__(self, transport: asyncio.Transport, take: Take) -> None:
        self.heard = 0
        self._transport = transport
        self._take = take
        self._replies = hiredis.Reader(protocolError=InvalidResponse, replyError=ResponseError)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exception] = self._loop.create_future()
        self._taken = 0
        """Messages in this turn of the event loop, in which bytes may arrive several times (uvloop)."""
        self._paused = False

    @classmethod
    def over(cls, connection: AbstractConnection, take: Take) -> Self:
        """Take over a connection that waits for no reply. It is still for redis-py to close."""
        writer = connection._writer
        if writer is None:
            raise RedisConnectionError("not connected")
        transport = cast(asyncio.Transport, writer.transport)
        wire = cls(transport, take)
        transport.set_protocol(wire)
        return wire

    def send(self, commands: Iterable[Sequence[str | bytes]]) -> None:
        """Send these, in one write; nothing once the connection ends, which `stay` raises."""
        packed: list[bytes] = [hiredis.pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
        if not self._transport.is_closing():
            self._transport.write(b"".join(packed))

    def fail(self, error: Exception) -> None:
        """Nothing more is read; who waits is told why."""
        if not self._ended.done():
            self._ended.set_result(error)

    async def stay(self, seconds: float) -> None:
        """Return after this time. Raises what ended the connection, as soon as it has."""
        await asyncio.wait([self._ended], timeout=seconds)
        if self._ended.done():
            raise self._ended.result()

    def data_received(self, data: bytes) -> None:
        self._replies.feed(data)
        self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(exc or RedisConnectionError("the server closed the connection"))

    def _read(self) -> None:
        before = self._taken
        while self._taken < YIELD_EVERY and not self._ended.done():
            try:
                reply = self._replies.gets()
                if reply is False:
                    break
                if isinstance(reply, Exception):
                    raise reply
                self.heard += 1
                self._taken += self._take(reply)
            except Exception as error:  # noqa: BLE001 - it is raised by `stay`
                self.fail(error)
        if before == 0 < self._taken:
            self._loop.call_soon(self._next_turn)
        if self._taken >= YIELD_EVERY and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _next_turn(self) -> None:
        """Others had theirs, those first who were told something."""
        self._taken = 0
        if self._paused:
            self._paused = False
            self._read()
            if not self._paused:
                self._transport.resume_reading()
