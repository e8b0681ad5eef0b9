"""The whole HTTP front behind a real uvicorn: the edge, answers at once, and the GraphQL transport on a pipeline."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
import uvicorn
from starlette.types import ASGIApp

from core.client_address import ClientAddresses
from core.clock import SystemClock
from core.request_id import accepted_or_new, current_request_id
from graph.pipeline import Pipeline
from server.at_once import AtOnce
from server.authentication import Authentication
from server.connections import uvicorn_options
from server.graphql_http import GraphQLHTTP, HttpLimits
from server.metrics import Metrics
from server.middleware import Edge
from server.origins import Origins
from server.process import MOST_FRAME_BYTES
from server.transport_metrics import TransportMetrics
from services.authority import Authority
from tests.accounts import NoLimits
from tests.http_streams import http_streams
from tests.server.serving import ORIGIN, _Server, eventually

PROXY = "127.0.0.1"


@dataclass
class Front:
    """A running front."""

    port: int
    edge: Edge
    metrics: Metrics
    at_once: AtOnce
    given: list[bool] = field(default_factory=list)
    """For each POST that could have been: whether it was answered at once."""

    def metric(self, name: str, **labels: str) -> float:
        """Present value of a metric; 0 when it was never touched."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def connect(self) -> "Kept":
        """A connection that is kept."""
        return Kept(*await asyncio.open_connection("127.0.0.1", self.port))


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def plain(self) -> bytes:
        """The body as it was before it was compressed."""
        return gzip.decompress(self.body) if self.header("content-encoding") == "gzip" else self.body

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Kept:
    """A connection with bytes in the hands of the test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def post(self, query: str, headers: dict[str, str] | None = None, **more: object) -> Reply:
        """One operation."""
        self.send(query, headers, **more)
        return await self.reply()

    def send(self, query: str, headers: dict[str, str] | None = None, **more: object) -> None:
        """Without waiting for what comes back."""
        self.writer.write(request_of(orjson.dumps({"query": query, **more}), headers))

    async def reply(self) -> Reply:
        """The next that comes back."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.rstrip().split("\r\n")
            headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
            length = int(dict(headers).get("content-length", "0"))
            return Reply(int(status.split()[1]), headers, await self.reader.readexactly(length))

    def close(self) -> None:
        self.writer.close()


def request_of(body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A whole POST."""
    given = {"host": "localhost", "content-type": "application/json", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST /graphql HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def front(pipeline: Pipeline, authority: Authority) -> AsyncIterator[Front]:
    """Start it, and stop it at the end."""
    metrics, addresses, origins = (
        Metrics(paths=frozenset({"/graphql"})),
        ClientAddresses((PROXY,)),
        Origins([ORIGIN]),
    )
    transport_metrics = TransportMetrics(metrics.registry)
    authentication = Authentication(authority, origins=origins, addresses=addresses, limits=NoLimits())
    http = GraphQLHTTP(
        pipeline,
        authentication=authentication,
        limits=HttpLimits(),
        origins=origins,
        clock=SystemClock(),
        request_id=lambda: accepted_or_new(current_request_id()),
        metrics=transport_metrics,
        streams=http_streams(authority, SystemClock(), transport_metrics),
    )
    at_once = AtOnce(
        http.known_bodies, pipeline, authentication, addresses=addresses, origins=origins, metrics=transport_metrics
    )
    edge = Edge(http, metrics=metrics, clock=SystemClock(), addresses=addresses, https=True)
    edge.put_in_front("/graphql", at_once)
    async with _serving(edge) as port:
        running = Front(port, edge, metrics, at_once)
        answer = at_once.answer

        def watched(*arguments: object) -> object:
            ready = answer(*arguments)  # type: ignore[arg-type]
            running.given.append(ready is not None)
            return ready

        at_once.answer = watched  # type: ignore[method-assign, assignment]
        yield running


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncIterator[int]:
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
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            async with asyncio.timeout(20):
                await serving
