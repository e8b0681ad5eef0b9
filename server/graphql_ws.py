"""GraphQL over WebSocket, sub-protocol graphql-transport-ws: a plain ASGI application for one path.

One socket is one task group: a reader, and a task for each operation. A fault of one operation ends that operation; a fault of the
protocol closes the socket with the protocol's code. Sending waits for the peer to read, so a slow reader slows its own operations,
whose sources are bounded, and nobody else. The older graphql-ws protocol is not served.
https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import orjson
from starlette.types import Receive, Scope, Send

from core.client_address import limit_key
from core.clock import Clock
from core.ids import public_id
from core.request_id import current_request_id
from graph.pipeline import Pipeline
from server.authentication import Authentication, Handshake
from server.connections import SINK
from server.open_connections import OpenConnections, release
from server.origins import Origins
from server.realtime.hub import Hub
from server.realtime.sink import Sink
from server.socket_authority import SocketAuthority
from server.transport_metrics import TransportMetrics
from server.ws_messages import CloseCode, CloseSocket
from server.ws_session import Session, SocketLimits

SUBPROTOCOL = "graphql-transport-ws"


class GraphQLWebSocket:
    """The application. Mount it at the path itself; it does not look at the path."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        authentication: Authentication,
        limits: SocketLimits,
        origins: Origins,
        clock: Clock,
        metrics: TransportMetrics,
        hub: Hub,
        connections: OpenConnections,
    ) -> None:
        self._pipeline = pipeline
        self._authentication = authentication
        self._limits = limits
        self._origins = origins
        self._clock = clock
        self._metrics = metrics
        self._hub = hub
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it is closed."""
        await receive()
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        origin = _header(headers, b"origin")
        if origin is not None and not self._origins.allows(origin):
            await self._deny(scope, send)
            return
        client = scope.get("client")
        handshake = Handshake(headers, client[0] if client else None, current_request_id() or public_id())
        key = limit_key(self._authentication.client(handshake).address)
        refusal = self._refusal(scope["subprotocols"], key)
        # A browser drops a connection whose offered sub-protocols are all ignored before it sees why; so one is always chosen.
        chosen = SUBPROTOCOL if refusal is None else next(iter(scope["subprotocols"]), None)
        await send({"type": "websocket.accept", "subprotocol": chosen})
        if refusal is not None:
            self._metrics.socket_closes.labels(str(int(refusal.code))).inc()
            await send({"type": "websocket.close", "code": int(refusal.code), "reason": refusal.reason})
            return
        sink: Sink | None = (scope.get("extensions") or {}).get(SINK)
        await self._serve(receive, send, handshake, key, sink)

    async def _serve(self, receive: Receive, send: Send, handshake: Handshake, key: str, sink: Sink | None) -> None:
        authority = SocketAuthority(
            self._authentication,
            handshake,
            clock=self._clock,
            open_by_account=self._connections.by_account,
            most_by_account=self._connections.per_account,
        )
        session = Session(
            receive,
            send,
            pipeline=self._pipeline,
            authority=authority,
            limits=self._limits,
            metrics=self._metrics,
            hub=self._hub,
            sink=sink,
        )
        self._connections.by_address[key] += 1
        self._metrics.sockets.inc()
        try:
            await session.run()
        finally:
            authority.close()
            self._metrics.sockets.dec()
            release(self._connections.by_address, key)

    def _refusal(self, offered: list[str], key: str) -> CloseSocket | None:
        if SUBPROTOCOL not in offered:
            return CloseSocket(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Subprotocol not acceptable: use {SUBPROTOCOL}")
        limit = self._connections.per_address
        if self._connections.by_address[key] >= limit:
            return CloseSocket(CloseCode.TOO_MANY, f"Too many sockets: at most {limit} from one address")
        return None

    async def _deny(self, scope: Scope, send: Send) -> None:
        self._metrics.refusals.labels("websocket", "ORIGIN_NOT_ALLOWED").inc()
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": int(CloseCode.FORBIDDEN)})
            return
        message = "pages of this origin may not open sockets"
        body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": "ORIGIN_NOT_ALLOWED"}}]})
        headers = [(b"content-type", b"application/json; charset=utf-8"), (b"vary", b"Origin")]
        await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})


def _header(headers: list[tuple[bytes, bytes]], name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key == name), None)
