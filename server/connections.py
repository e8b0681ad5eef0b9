"""Uvicorn's protocols with an end for peers that neither send nor read.

An ASGI application can neither see that a peer has stopped reading nor drop the connection: closing waits until what is buffered is
read. Here a peer whose buffer stays full is told why where it can be told and, if it still does not read, cut off; and a connection
that does not finish a request's head is cut off as well. Written against uvicorn 0.54.
"""

import asyncio
import socket
from asyncio import TimerHandle
from collections.abc import Callable
from typing import TypedDict

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from server.arrived import Arrived
from server.departures import DEPARTURE, Departure
from server.middleware import Edge
from server.whole_answers import WHOLE, WholeAnswers

log = structlog.get_logger(__name__)

HEAD_SECONDS = 10.0
"""For a request's line and headers to arrive."""
STALLED_SECONDS = 15.0
"""Of nothing being read until a socket is told that it is closed."""
CUT_OFF_SECONDS = 10.0
"""After that; an HTTP connection, which cannot be told, is cut off after the sum of both."""
GOING_AWAY = 1001
TRY_AGAIN_LATER = 1013
MESSAGE_TOO_BIG = 1009
SLOW_READER_REASON = f"READER_TOO_SLOW: nothing was read for {STALLED_SECONDS:g} s; connect again"
SINK = "cryptovault.sink"
"""Extension of a socket's scope."""
_FRAGMENTS_AT_MOST = 1_024


class UvicornOptions(TypedDict):
    """Keyword arguments of `uvicorn.Config` that the transports rely on."""

    http: type[asyncio.Protocol]
    ws: type[asyncio.Protocol]
    ws_max_size: int
    ws_per_message_deflate: bool
    ws_ping_interval: float
    ws_ping_timeout: float
    proxy_headers: bool
    server_header: bool


def uvicorn_options(*, frame_bytes: int) -> UvicornOptions:
    """How uvicorn must be configured.

    Compression is off: it costs some 300 KB a socket and lets a small frame become a large one. Uvicorn's own reading of
    X-Forwarded-For is off: it would replace the peer before core.client_address can judge it. A ping every 12 s, unanswered for
    12 s, ends a dead socket within 24 s.
    """
    return UvicornOptions(
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=frame_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=12.0,
        ws_ping_timeout=12.0,
        proxy_headers=False,
        server_header=False,
    )


class _Deadline:
    """Something that happens unless it is stopped in time."""

    def __init__(self) -> None:
        self._timer: TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop, seconds: float, action: Callable[[], object]) -> None:
        """Begin to wait, unless it already does."""
        if self._timer is None:
            self._timer = loop.call_later(seconds, action)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _send_at_once(transport: asyncio.BaseTransport) -> None:
    """Set TCP_NODELAY, which asyncio leaves out for listeners it did not open: an answer would wait 40 ms for the peer's next ACK."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP/1.1 with a time for the head to arrive and for the answer to be read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _send_at_once(transport)
        self._head = _Deadline()
        self._stalled = _Deadline()
        self._in_head = True
        self._between = True
        """No byte of a request has come that is not answered or handed over."""
        self._was_tried = False
        """The request at hand could not be answered at once."""
        self._completed: list[Arrived | None] = []
        """Requests that the bytes at hand have completed; None for those that are the application's."""
        self._held: list[bytes] | None = None
        self._answered_at = 0.0
        """On the loop's clock, by the last answer that was given at once."""
        self._departure: Departure | None = None
        """Of the request that is answered, or was last."""
        self._edge = self.app if isinstance(self.app, Edge) else None
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._between and self._edge is not None:
            known = self._edge.requests.find(data)
            if known is not None and self._is_idle():
                if self._answered_at_once(self._edge, known):
                    self._in_head = False
                    self._head.stop()
                    return
                self._was_tried = True
        self._read(data)
        self._was_tried = False

    def _read(self, data: bytes) -> None:
        may_be_whole = self._between
        self._completed.clear()
        super().data_received(data)
        if self._held is not None:
            body, self._held = b"".join(self._held), None
            if not self.transport.is_closing():
                self._as_usual(body)
        if self._in_head:
            self._await_head()
        if may_be_whole and self._between and len(self._completed) == 1:
            self._learn(data, self._completed[0])

    def _learn(self, data: bytes, request: Arrived | None) -> None:
        """These bytes were this request and nothing else, if it was answered at once."""
        if (
            self._edge is not None
            and request is not None
            and request.may_come_again
            and not self.transport.is_closing()
        ):
            self._edge.requests.learn(data, request)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._between = False

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head.stop()
        if self._edge is not None and self._may_be_at_once():
            self._held = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        self._between = True
        if self._held is not None and self._edge is not None:
            body, self._held = b"".join(self._held), None
            request = Arrived(self.url.decode("latin-1"), self.headers, body)
            if self._answered_at_once(self._edge, request):
                self._completed.append(request)
                return
            self._as_usual(body)
        self._completed.append(None)
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._departure = Departure()
        extensions: dict[str, object] = {WHOLE: {}, DEPARTURE: self._departure}
        cycle.scope["extensions"] = extensions  # type: ignore[typeddict-item]
        cycle.send = WholeAnswers(cycle).send  # type: ignore[method-assign, assignment]
        super()._start_asgi_task(cycle, app)

    def _is_idle(self) -> bool:
        """Whether nothing is under way on this connection, and its peer reads."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
            and self.limit_concurrency is None
            and not self.transport.is_closing()
        )

    def _may_be_at_once(self) -> bool:
        """Whether the request may be answered as soon as it has arrived: the connection is idle, and goes on afterwards."""
        return (
            not self._was_tried
            and self._is_idle()
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def _answered_at_once(self, edge: Edge, request: Arrived) -> bool:
        """Answer, if that can be done at once."""
        peer = self.client[0] if self.client else None
        try:
            answer = edge.at_once(request, peer, self.server_state.default_headers)
        except Exception:
            log.exception("http.not_at_once")
            return False
        if answer is None:
            return False
        edge.outgoing.put(self.transport, answer)
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)
        return True

    def _keep_alive(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """The time is over; where it began before the last answer that was given at once, it goes on from that."""
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keep_alive(left)
        else:
            super().timeout_keep_alive_handler()

    def _as_usual(self, body: bytes) -> None:
        """Hand over to the application what was held back."""
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def pause_writing(self) -> None:
        """The peer has left more unread than the transport buffers."""
        super().pause_writing()
        self._stalled.start(self.loop, STALLED_SECONDS + CUT_OFF_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._stalled.stop()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.stop()
        self._stalled.stop()
        super().connection_lost(exc)
        if self._departure is not None:
            self._departure.happened()

    def send_400_response(self, msg: str) -> None:
        self._write_answer()
        super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        self._write_answer()
        super().handle_websocket_upgrade()

    def eof_received(self) -> None:
        """The peer will send nothing more, and may still read."""
        self._write_answer()
        super().eof_received()

    def _write_answer(self) -> None:
        """What was answered at once, before anything else happens to the connection in this turn of the loop."""
        if self._edge is not None:
            self._edge.outgoing.write(self.transport)

    def shutdown(self) -> None:
        """The server ends: a response that goes on has no end of its own."""
        self._write_answer()
        cycle = self.cycle
        if cycle is not None and cycle.chunked_encoding and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()
        super().shutdown()

    def _await_head(self) -> None:
        self._head.start(self.loop, HEAD_SECONDS, self.transport.abort)


class SocketSink:
    """A socket's way around ASGI for frames that are ready (`server/realtime/sink.py`): whole text frames, unmasked, straight to the transport."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.paused = False
        self.watchers: dict[object, Callable[[], None]] = {}
        self.write = transport.write

    def pace(self, *, paused: bool) -> None:
        """The transport takes more, or no more."""
        self.paused = paused
        for changed in tuple(self.watchers.values()):
            changed()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket protocol with an end for readers that do not read; its application finds a `SocketSink` among the extensions."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._stalled = _Deadline()
        self._sink = SocketSink(self.transport)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, object] = {**self.scope["extensions"], SINK: self._sink}
            self.scope["extensions"] = extensions  # type: ignore[typeddict-item]

    def pause_writing(self) -> None:
        """The peer has left more unread than the transport buffers."""
        super().pause_writing()
        self._stalled.start(self.loop, STALLED_SECONDS, self._tell)
        self._sink.pace(paused=True)

    def resume_writing(self) -> None:
        """The peer reads again."""
        if not self.close_sent:
            self._stalled.stop()
            self._sink.pace(paused=False)
        super().resume_writing()

    def handle_close(self, event: Frame) -> None:
        """The peer closes: nothing may follow the answer."""
        self._sink.pace(paused=True)
        super().handle_close(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stalled.stop()
        self._sink.pace(paused=True)
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """A dead peer does not drain its buffer either."""
        super().keepalive_timeout()
        self._cut_off_soon()

    def handle_ping(self) -> None:
        """Pings of a peer that does not read are not answered: RFC 6455, 5.5.3 asks for the latest only."""
        output = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(output))

    def handle_cont(self, event: Frame) -> None:
        """Empty fragments count nothing towards a message's size, but each is kept."""
        if len(self.frames) >= _FRAGMENTS_AT_MOST:
            self.conn.fail(MESSAGE_TOO_BIG, "a message has too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def shutdown(self) -> None:
        """The server ends: say so before uvicorn's own close, which then finds the connection closed."""
        if self.handshake_complete and not self.close_sent:
            self._close(GOING_AWAY, "the server is shutting down")
        super().shutdown()

    def _tell(self) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self._close(TRY_AGAIN_LATER, SLOW_READER_REASON)
            self.transport.close()
        self._cut_off_soon()

    def _close(self, code: int, reason: str) -> None:
        """Send a close frame, and release the application, which may be waiting for the peer to read."""
        self.stop_keepalive()
        self._sink.pace(paused=True)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.disconnected = True
        self.writable.set()

    def _cut_off_soon(self) -> None:
        self._stalled.stop()
        self._stalled.start(self.loop, CUT_OFF_SECONDS, self.transport.abort)
