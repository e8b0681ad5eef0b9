"""The sample schema behind a real uvicorn on a free port, in this event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from core.client_address import ClientAddresses
from core.clock import Clock, SystemClock
from core.ids import random_id
from graph.pipeline import Pipeline, PipelineLimits
from server.authentication import Authentication
from server.connections import uvicorn_options
from server.graphql_http import GraphQLHTTP, HttpLimits
from server.graphql_ws import SUBPROTOCOL, GraphQLWebSocket
from server.http_streams import HttpStreams
from server.open_connections import OpenConnections
from server.origins import Origins
from server.process import MOST_FRAME_BYTES
from server.realtime.hub import Hub
from server.transport_metrics import TransportMetrics
from server.ws_session import SocketLimits
from services.authority import Authority
from tests.accounts import NoLimits, build_accounts
from tests.graph.sample import Probe, build_pipeline

ORIGIN = "https://app.example.com"
WAIT = 30.0


class _Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


@dataclass
class Served:
    """A running server and what its resolvers did."""

    port: int
    probe: Probe
    registry: CollectorRegistry
    server: uvicorn.Server
    sockets: list[ClientConnection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    def metric(self, name: str, **labels: str) -> float:
        """Present value of a metric; 0 when it was never touched."""
        return self.registry.get_sample_value(name, labels) or 0.0

    @asynccontextmanager
    async def raw_socket(self, **options: Any) -> AsyncIterator[ClientConnection]:
        """A socket before connection_init."""
        options.setdefault("subprotocols", [Subprotocol(SUBPROTOCOL)])
        options.setdefault("close_timeout", 1)  # who leaves in the middle of a flood has stopped to read it
        async with connect(self.ws_url, compression=None, **options) as socket_:
            yield socket_

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator["Client"]:
        """An acknowledged socket."""
        async with self.raw_socket(**options) as raw:
            client = Client(raw)
            await client.send({"type": "connection_init"})
            assert await client.receive() == {"type": "connection_ack"}
            yield client


class Client:
    """Speaks graphql-transport-ws in dictionaries."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw

    async def send(self, message: object) -> None:
        await self.raw.send(orjson.dumps(message).decode())

    async def subscribe(self, operation_id: str, query: str, **payload: object) -> None:
        await self.send({"id": operation_id, "type": "subscribe", "payload": {"query": query, **payload}})

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT):
            message: dict[str, Any] = orjson.loads(await self.raw.recv())
            return message

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of this type; others are dropped."""
        while True:
            message = await self.receive()
            if message["type"] == kind:
                return message

    async def closed(self) -> tuple[int, str]:
        """Code and reason the server closed with."""
        async with asyncio.timeout(WAIT):
            await self.raw.wait_closed()
        return self.raw.close_code or 0, self.raw.close_reason or ""


async def eventually(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds."""
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def served(
    *,
    pipeline_limits: PipelineLimits | None = None,
    http_limits: HttpLimits | None = None,
    socket_limits: SocketLimits | None = None,
    connections: OpenConnections | None = None,
    authority: Authority | None = None,
    trusted_proxies: tuple[str, ...] = (),
    per_minute: int = 60_000_000,
    clock: Clock | None = None,
    pipeline: Pipeline | None = None,
) -> AsyncIterator[Served]:
    """Start the server, and stop it at the end. `pipeline`: instead of the sample's."""
    probe, registry = Probe(), CollectorRegistry()
    metrics = TransportMetrics(registry)
    pipeline = pipeline or build_pipeline(
        probe=probe, clock=clock or SystemClock(), per_minute=per_minute, limits=pipeline_limits
    )
    origins = Origins([ORIGIN])
    authentication = Authentication(
        authority or build_accounts().authority,
        origins=origins,
        addresses=ClientAddresses(trusted_proxies),
        limits=NoLimits(),
    )
    limits = socket_limits or SocketLimits()
    connections = connections or OpenConnections(per_address=2_500, per_account=200)
    hub = Hub()
    http = GraphQLHTTP(
        pipeline,
        authentication=authentication,
        limits=http_limits or HttpLimits(),
        origins=origins,
        clock=SystemClock(),
        request_id=random_id,
        metrics=metrics,
        streams=HttpStreams(
            hub, authentication.authority, clock=SystemClock(), connections=connections, metrics=metrics
        ),
    )
    websocket = GraphQLWebSocket(
        pipeline,
        authentication=authentication,
        limits=limits,
        origins=origins,
        clock=SystemClock(),
        metrics=metrics,
        hub=hub,
        connections=connections,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (websocket if scope["type"] == "websocket" else http)(scope, receive, send)

    options = uvicorn_options(frame_bytes=MOST_FRAME_BYTES)
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, log_level="critical", timeout_graceful_shutdown=3, **options
    )
    server = _Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        await eventually(lambda: server.started)
        try:
            yield Served(listener.getsockname()[1], probe, registry, server)
        finally:
            probe.release.set()
            server.should_exit = True
            async with asyncio.timeout(20):
                await serving
