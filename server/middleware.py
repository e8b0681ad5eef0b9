"""What every request passes on its way in and out, as one ASGI layer: request id, security headers, access log, metrics, last refuge.

Plain ASGI, so that streams are not buffered and context variables reach the application and its tasks.
"""

from collections.abc import Iterable, Sequence

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.client_address import ClientAddresses
from core.clock import Clock
from core.request_id import HEADER, accepted_or_new, request_scope
from graph.response_cache import Parts
from server.arrived import Arrived
from server.at_once import SETS, AtOnce
from server.learnt import Learnt
from server.metrics import Metrics
from server.outgoing import Outgoing
from server.refusals import failure
from server.timings import Count, Timing
from server.whole_answers import WHOLE, lines

log = structlog.get_logger(__name__)

STRICT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""For answers that are no pages. A page sends its own Content-Security-Policy, with frame-ancestors 'none' as well."""
HSTS = "max-age=63072000; includeSubDomains"
PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
CLIENT_CLOSED = 499
"""How a request is counted whose client left before the answer (nginx's code)."""
_REQUEST_ID = HEADER.encode()
_LONGEST_REQUEST = 6_144
_REQUEST_BYTES_HELD = 400_000
_STREAMS = (b"text/event-stream", b"multipart/mixed")

Headers = list[tuple[bytes, bytes]]


def security_headers(*, https: bool) -> Headers:
    """Headers an answer gets unless it sets them itself (OWASP REST security cheat sheet)."""
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", STRICT_POLICY.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"permissions-policy", PERMISSIONS.encode()),
        (b"cache-control", b"no-store"),
    ]
    if https:
        headers.append((b"strict-transport-security", HSTS.encode()))
    return headers


class Edge:
    """Wraps the whole application. `quiet_paths` (probes, scrapes) are logged at debug level only."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        clock: Clock,
        addresses: ClientAddresses,
        https: bool,
        quiet_paths: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._addresses = addresses
        self._metrics = metrics
        self._clock = clock
        self._headers = security_headers(https=https)
        self._quiet_paths = quiet_paths
        self._log = log.bind()
        """Bound once: what a logger does at each line where the line is not written is much beside an answer that is kept."""
        self._at_once: dict[str, tuple[AtOnce, Count, Timing]] = {}
        self.outgoing = Outgoing()
        """Of what is answered at once."""
        self.requests: Learnt[Arrived] = Learnt(longest=_LONGEST_REQUEST, most=_REQUEST_BYTES_HELD)
        """Whole requests that were answered at once, as bytes of a connection: clients that poll send the same again."""
        self._defaults: Sequence[tuple[bytes, bytes]] | None = None
        self._beginning = b""
        self._security_lines = lines(header for header in self._headers if header[0] not in SETS)

    def put_in_front(self, path: str, at_once: AtOnce) -> None:
        """Let POSTs to this path be answered without the application, where they can be."""
        self._at_once[path] = (at_once, self._metrics.requests("POST", path, 200), self._metrics.seconds(path))

    def at_once(self, request: Arrived, peer: str | None, defaults: Sequence[tuple[bytes, bytes]]) -> Parts | None:
        """The whole answer to a POST, its head included in the first part; None: the application is to be asked.

        `defaults`: headers of the server itself, always the same list while they are the same.
        """
        found = self._at_once.get(request.path)
        if found is None:
            return None
        at_once, requests, timing = found
        ready = at_once.answer(request, peer)
        if ready is None:
            return None
        requests.value += 1
        timing.observe(ready.seconds)
        self._log.info(
            "http.answered",
            method="POST",
            status=200,
            path=request.path,
            duration_ms=round(ready.seconds * 1000, 2),
            client=ready.address,
            request_id=ready.request_id,
        )
        if defaults is not self._defaults:
            self._defaults = defaults
            self._beginning = b"HTTP/1.1 200 OK\r\n" + lines(defaults)
        first, data, last = ready.body
        request_id = ready.request_id.encode()
        head = b"%s%s%sx-request-id: %s\r\n\r\n%s" % (
            self._beginning,
            ready.head,
            self._security_lines,
            request_id,
            first,
        )
        return head, data, last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request_id = accepted_or_new(_value(scope["headers"], _REQUEST_ID))
        exchange = _Exchange(receive, send, (*self._headers, (_REQUEST_ID, request_id.encode())))
        with request_scope(request_id):
            start = self._clock.monotonic()
            if scope["type"] == "http":
                await self._http(scope, exchange)
            else:
                await self._websocket(scope, exchange)
            self._record(scope, exchange, self._clock.monotonic() - start)

    async def _http(self, scope: Scope, exchange: "_Exchange") -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_CLOSED
            exchange.abandoned = True
        except Exception:
            log.exception("http.failed", method=scope["method"], path=scope["path"])
            if exchange.status is None:
                await failure()(scope, exchange.receive, exchange.send)
            elif not exchange.ended:
                raise

    async def _websocket(self, scope: Scope, exchange: "_Exchange") -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            log.exception("websocket.failed", path=scope["path"])
            if not exchange.ended:
                await exchange.send({"type": "websocket.close", "code": 1011, "reason": "internal error"})

    def _record(self, scope: Scope, exchange: "_Exchange", seconds: float) -> None:
        path: str = scope["path"]
        fields: dict[str, object] = {
            "path": path,
            "duration_ms": round(seconds * 1000, 2),
            "client": self._addresses.of(scope["client"][0] if scope.get("client") else None, scope["headers"]),
        }
        if scope["type"] == "websocket":
            log.info("websocket.closed", code=exchange.status, **fields)
            return
        status = exchange.status if exchange.status is not None else CLIENT_CLOSED
        streamed = exchange.streamed or exchange.abandoned
        self._metrics.http_request(
            method=scope["method"], path=path, status=status, seconds=None if streamed else seconds
        )
        write = log.debug if path in self._quiet_paths and status < 400 else log.info
        write("http.answered", method=scope["method"], status=status, **fields)


class _Exchange:
    """One request's two ways: completes the headers of its answer and remembers how it went."""

    __slots__ = ("_headers", "_receive", "_send", "abandoned", "ended", "status", "streamed")

    def __init__(self, receive: Receive, send: Send, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._receive = receive
        self._send = send
        self._headers = tuple(headers)
        self.status: int | None = None
        self.streamed = False
        self.abandoned = False
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._close(message.get("code", 1005))
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == WHOLE:
            self.status, self.ended = message["status"], True
            message = {**message, "headers": self._complete(message["headers"])}
        elif kind in {"http.response.start", "websocket.http.response.start"}:
            self.status = message["status"]
            message = {**message, "headers": self._complete(message.get("headers", ()))}
        elif kind == "websocket.accept":
            message = {**message, "headers": [*message.get("headers", ()), self._headers[-1]]}
        elif kind == "http.response.body":
            self.ended = not message.get("more_body", False)
        elif kind == "websocket.close":
            self._close(message.get("code", 1000))
        await self._send(message)

    def _close(self, code: int) -> None:
        if not self.ended:
            self.status = code
            self.ended = True

    def _complete(self, given: Iterable[tuple[bytes, bytes]]) -> Headers:
        headers = [(name.lower(), value) for name, value in given]
        present = dict(headers)
        self.streamed = present.get(b"content-type", b"").startswith(_STREAMS)
        headers += [header for header in self._headers if header[0] not in present]
        return headers


def _value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    for key, value in headers:
        if key == name:
            found: str = value.decode("latin-1")
            return found
    return None
