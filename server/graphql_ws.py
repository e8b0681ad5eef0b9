"""GraphQL over WebSocket, sub-protocol graphql-transport-ws: a plain ASGI application for one path.

One socket is one task group: a reader, and a task for each operation. A fault of one operation ends that operation; a fault of the
protocol closes the socket with the protocol's code. Sending waits for the peer to read, so a slow reader slows its own operations,
whose sources are bounded, and nobody else. The older graphql-ws protocol is not served.
https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from collections import Counter
from collections.abc import Mapping

import orjson
from starlette.types import Receive, Scope, Send

from core.client_address import ClientAddresses, limit_key
from graph.pipeline import Pipeline
from server.origins import Origins
from server.transport_metrics import TransportMetrics
from server.ws_messages import CloseCode, CloseSocket
from server.ws_session import Authenticate, Peer, Session, SocketLimits

SUBPROTOCOL = "graphql-transport-ws"
_CREDENTIALS = frozenset(
    {"authorization", "token", "authtoken", "accesstoken", "idtoken", "apikey", "xapikey", "cookie"}
)


class GraphQLWebSocket:
    """The application. Mount it at the path itself; it does not look at the path."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        authenticate: Authenticate,
        limits: SocketLimits,
        origins: Origins,
        addresses: ClientAddresses,
        metrics: TransportMetrics,
    ) -> None:
        self._pipeline = pipeline
        self._authenticate = authenticate
        self._limits = limits
        self._origins = origins
        self._addresses = addresses
        self._metrics = metrics
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it is closed."""
        await receive()
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        origin = _header(headers, b"origin")
        if origin is not None and not self._origins.allows(origin):
            await self._deny(scope, send)
            return
        client = scope.get("client")
        address = self._addresses.of(client[0] if client else None, headers)
        peer = Peer(address, limit_key(address))
        refusal = self._refusal(scope["subprotocols"], peer)
        # A browser drops a connection whose offered sub-protocols are all ignored before it sees why; so one is always chosen.
        chosen = SUBPROTOCOL if refusal is None else next(iter(scope["subprotocols"]), None)
        await send({"type": "websocket.accept", "subprotocol": chosen})
        if refusal is not None:
            self._metrics.socket_closes.labels(str(int(refusal.code))).inc()
            await send({"type": "websocket.close", "code": int(refusal.code), "reason": refusal.reason})
            return
        await self._serve(receive, send, peer)

    async def _serve(self, receive: Receive, send: Send, peer: Peer) -> None:
        session = Session(
            receive,
            send,
            peer,
            pipeline=self._pipeline,
            authenticate=self._authenticate,
            limits=self._limits,
            metrics=self._metrics,
        )
        self._open[peer.limit_key] += 1
        self._metrics.sockets.inc()
        try:
            await session.run()
        finally:
            self._metrics.sockets.dec()
            self._open[peer.limit_key] -= 1
            if not self._open[peer.limit_key]:
                del self._open[peer.limit_key]

    def _refusal(self, offered: list[str], peer: Peer) -> CloseSocket | None:
        if SUBPROTOCOL not in offered:
            return CloseSocket(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Subprotocol not acceptable: use {SUBPROTOCOL}")
        limit = self._limits.sockets_per_address
        if self._open[peer.limit_key] >= limit:
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


async def anonymous_only(payload: Mapping[str, object]) -> None:
    """An `Authenticate` for a server without accounts: a credential is refused rather than ignored. Raises CloseSocket, 4403."""
    headers = payload.get("headers")
    for parameters in (payload, headers if isinstance(headers, dict) else {}):
        for name, value in parameters.items():
            if value and name.lower().replace("-", "").replace("_", "") in _CREDENTIALS:
                raise CloseSocket(CloseCode.FORBIDDEN, "Forbidden: there are no accounts here to sign in to")
