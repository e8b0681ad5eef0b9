"""One socket: its handshake within the protocol, its operations, and the frames it is sent."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

import orjson
import structlog
from starlette.types import Receive, Send

from core.ids import public_id, random_id
from core.request_id import request_scope
from graph.errors import DatabaseAway, ErrorRenderer, RequestRefused
from graph.pipeline import Pipeline
from graph.request import ALL_OPERATIONS, Answer, Caller
from graph.sharing import SharedStream
from graph.started import Started
from server.realtime.following import Following
from server.realtime.hub import Hub
from server.realtime.sink import WEBSOCKET, Sink
from server.transport_metrics import TransportMetrics
from server.ws_messages import (
    ClientMessage,
    CloseCode,
    CloseSocket,
    Complete,
    ConnectionInit,
    Ping,
    Subscribe,
    read_message,
)
from services.read_marks import Reader

TOO_MANY_OPERATIONS = "TOO_MANY_OPERATIONS"
_FRAMES_PER_TURN = 16
"""Frames an operation may send in a row while nothing makes it wait; then everything else has its turn."""
log = structlog.get_logger()

Payload = Mapping[str, object]


class SocketClosed(Exception):
    """The peer is gone, or the socket is closing: nothing can be sent any more."""


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Bounds of one socket."""

    init_seconds: float = 10.0
    operations: int = 100


class Authority(Protocol):
    """Who a socket acts for; made for each socket."""

    async def admit(self, payload: Payload) -> None:
        """Judge a connection_init payload. Raises CloseSocket."""
        ...

    async def current(self) -> Caller:
        """The caller as of now, for the next operation. Raises CloseSocket when the authority has ended, DatabaseAway."""
        ...

    async def ended(self) -> str:
        """Return the reason when the authority has ended; never for a socket of nobody's."""
        ...


class Session:
    """An accepted socket, from the first message to the last."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        pipeline: Pipeline,
        authority: Authority,
        limits: SocketLimits,
        metrics: TransportMetrics,
        hub: Hub,
        sink: Sink | None,
    ) -> None:
        """`sink`: the way around ASGI of the socket; without one nothing is shared."""
        self._hub = hub
        self._sink = sink
        self._followings: dict[str, Following] = {}
        self._receive = receive
        self._send_message = send
        self._pipeline = pipeline
        self._authority = authority
        self._limits = limits
        self._metrics = metrics
        self._events_key = f"socket {random_id()}"
        self._closed = False
        self._parameters: Payload | None = None
        self._acknowledged = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the peer goes or breaks the protocol. All operations have ended when it returns."""
        async with asyncio.TaskGroup() as group:
            try:
                await self._read_until_ended(group)
            except CloseSocket as close:
                self._end_operations()
                await self._close(close)
            except SocketClosed:
                log.debug("socket closed by its peer")
            except Exception:
                log.exception("unexpected error on a socket")
                self._end_operations()
                await self._close(CloseSocket(CloseCode.INTERNAL, "Internal error"))
            finally:
                self._closed = True
                self._end_operations()

    async def _read_until_ended(self, group: asyncio.TaskGroup) -> None:
        """Read until the peer goes, or until the authority it was admitted with ends."""
        reading = asyncio.ensure_future(self._read(group))
        ending = asyncio.ensure_future(self._authority.ended())
        try:
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                raise CloseSocket(CloseCode.FORBIDDEN, f"Forbidden: {ending.result()}")
            await reading
        finally:
            for task in (reading, ending):
                task.cancel()
            await asyncio.gather(reading, ending, return_exceptions=True)

    async def _read(self, group: asyncio.TaskGroup) -> None:
        try:
            async with asyncio.timeout(self._limits.init_seconds) as until_acknowledged:
                while (text := await self._next_text()) is not None:
                    await self._handle(read_message(text), group)
                    if self._acknowledged:
                        until_acknowledged.reschedule(None)
        except TimeoutError:
            raise CloseSocket(CloseCode.INITIALISATION_TIMEOUT, "Connection initialisation timeout") from None

    async def _next_text(self) -> str | None:
        """The next frame's text; None when the peer has gone."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        if text is None:
            raise CloseSocket(CloseCode.BAD_MESSAGE, "messages are text frames")
        return text

    async def _handle(self, message: ClientMessage, group: asyncio.TaskGroup) -> None:
        if isinstance(message, Ping):
            await self._pong(message)
        elif isinstance(message, ConnectionInit):
            await self._initialise(message)
        elif isinstance(message, Subscribe):
            await self._subscribe(message, group)
        elif isinstance(message, Complete):
            task = self._operations.pop(message.id, None)
            if task is not None:
                self._leave(message.id)
                task.cancel()

    async def _pong(self, ping: Ping) -> None:
        frame: dict[str, object] = {"type": "pong"}
        if ping.payload is not None:
            frame["payload"] = ping.payload
        try:
            await self._send(orjson.dumps(frame))
        except orjson.JSONEncodeError as error:
            raise CloseSocket(CloseCode.BAD_MESSAGE, "payload is nested too deeply") from error

    async def _initialise(self, message: ConnectionInit) -> None:
        if self._parameters is not None:
            raise CloseSocket(CloseCode.TOO_MANY, "Too many initialisation requests")
        self._parameters = message.payload
        await self._authority.admit(message.payload)
        await self._send(b'{"type":"connection_ack"}')
        self._acknowledged = True

    async def _subscribe(self, message: Subscribe, group: asyncio.TaskGroup) -> None:
        if not self._acknowledged:
            raise CloseSocket(CloseCode.UNAUTHORIZED, "Unauthorized: send connection_init first")
        if message.id in self._operations:
            raise CloseSocket(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {message.id} already exists")
        if len(self._running) >= self._limits.operations:
            limit = self._limits.operations
            text = f"a socket has at most {limit} operations under way; complete one first"
            extensions = {"code": TOO_MANY_OPERATIONS, "limit": limit, "requestId": public_id()}
            self._metrics.refusals.labels("websocket", TOO_MANY_OPERATIONS).inc()
            await self._send_error(message.id, [{"message": text, "extensions": extensions}])
            return
        task = group.create_task(self._operate(message))
        self._operations[message.id] = task
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _operate(self, message: Subscribe) -> None:
        """Run one operation to its end. Nothing it does ends the socket."""
        request_id = public_id()
        self._metrics.socket_operations.inc()
        try:
            with request_scope(request_id):
                await self._answer_or_fail(message, request_id)
        except (SocketClosed, CloseSocket):
            return  # what ends the authority also ends the socket
        finally:
            self._metrics.socket_operations.dec()
            if self._operations.get(message.id) is asyncio.current_task():
                del self._operations[message.id]

    async def _answer_or_fail(self, message: Subscribe, request_id: str) -> None:
        errors = ErrorRenderer(request_id)
        try:
            await self._answer(message, await self._caller(request_id))
        except (SocketClosed, CloseSocket):
            raise
        except DatabaseAway as error:
            await self._finish(message.id, errors.refusal(RequestRefused.because(error)))
        except Exception as error:  # noqa: BLE001 - the edge of an operation
            await self._finish(message.id, [errors.unexpected(error)])

    async def _caller(self, request_id: str) -> Caller:
        caller = await self._authority.current()
        client = replace(caller.client, request_id=request_id)
        return replace(caller, client=client, events_key=self._events_key, reader=Reader())

    async def _answer(self, message: Subscribe, caller: Caller) -> None:
        began = time.perf_counter()
        started = await self._pipeline.start(message.request, caller, allowed=ALL_OPERATIONS, encoded=True)
        if started.shared is not None and self._sink is not None:
            await self._follow(message.id, started, started.shared, self._sink)
            return
        frames = 0
        async with aclosing(started.answers()) as answers:
            async for answer in answers:
                if answer.refused is not None:
                    await self._refuse(message.id, answer)
                    return
                await self._send(orjson.dumps({"type": "next", "payload": answer.body, "id": message.id}))
                frames += 1
                if frames == 1:
                    self._observe(started.label, began)
                if frames % _FRAMES_PER_TURN == 0:
                    await asyncio.sleep(0)
        await self._finish(message.id)

    async def _follow(self, operation_id: str, started: Started, shared: SharedStream, sink: Sink) -> None:
        """Let the hub write the frames of this operation until it ends. What was sent before over ASGI comes first: the peer may be slow."""
        began = time.perf_counter()
        following = self._hub.follow(shared, sink, WEBSOCKET, orjson.dumps(operation_id) + b"}")
        self._followings[operation_id] = following
        self._observe(started.label, began)
        try:
            answer = await started.ended(await following.ended)
        finally:
            following.leave()
            if self._followings.get(operation_id) is following:
                del self._followings[operation_id]
        await self._refuse(operation_id, answer)

    def _leave(self, operation_id: str) -> None:
        following = self._followings.pop(operation_id, None)
        if following is not None:
            following.leave()

    def _observe(self, operation: str, began: float) -> None:
        self._metrics.operation_seconds.labels("websocket", operation).observe(time.perf_counter() - began)

    async def _refuse(self, operation_id: str, answer: Answer) -> None:
        self._metrics.refusals.labels("websocket", answer.refused).inc()
        await self._finish(operation_id, answer.body["errors"])

    async def _finish(self, operation_id: str, errors: object = None) -> None:
        """Tell the client that an operation has ended, unless the client has ended it. Its id is free before it is told."""
        if self._operations.get(operation_id) is not asyncio.current_task():
            return
        del self._operations[operation_id]
        if errors is None:
            await self._send(orjson.dumps({"type": "complete", "id": operation_id}))
        else:
            await self._send_error(operation_id, errors)

    async def _send_error(self, operation_id: str, errors: object) -> None:
        await self._send(orjson.dumps({"type": "error", "payload": errors, "id": operation_id}))

    async def _send(self, frame: bytes) -> None:
        """Send one text frame; waits while the peer has too much unread. Raises SocketClosed."""
        if self._closed:
            raise SocketClosed
        try:
            await self._send_message({"type": "websocket.send", "text": frame.decode()})
        except OSError as error:
            self._closed = True
            raise SocketClosed from error

    async def _close(self, close: CloseSocket) -> None:
        self._closed = True
        self._metrics.socket_closes.labels(str(int(close.code))).inc()
        with contextlib.suppress(OSError):
            await self._send_message({"type": "websocket.close", "code": int(close.code), "reason": close.reason})

    def _end_operations(self) -> None:
        for operation_id in tuple(self._followings):
            self._leave(operation_id)
        for task in self._running:
            task.cancel()
