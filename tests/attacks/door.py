"""A world behind real HTTP, though without a socket: what a client's bytes get in bytes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import orjson
from prometheus_client import CollectorRegistry

from core.client_address import ClientAddresses
from core.ids import random_id
from server.authentication import Authentication
from server.graphql_http import GraphQLHTTP, HttpLimits
from server.media_types import RESPONSE_JSON
from server.origins import Origins
from server.transport_metrics import TransportMetrics
from tests.accounts import PAGE, NoLimits, World
from tests.http_streams import http_streams


class Door:
    """Posts to a world's pipeline as a program does."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(self, body: bytes, **headers: str) -> httpx.Response:
        """The answer to these bytes, which are said to be JSON."""
        told = {"content-type": "application/json", "accept": RESPONSE_JSON, **headers}
        return await self._http.post("/graphql", content=body, headers=told)

    async def ask(self, query: str, variables: Mapping[str, object], **headers: str) -> httpx.Response:
        """The answer to an operation."""
        return await self.send(orjson.dumps({"query": query, "variables": variables}), **headers)


@asynccontextmanager
async def door_of(world: World) -> AsyncIterator[Door]:
    """The way in to this world."""
    origins = Origins([PAGE])
    metrics = TransportMetrics(CollectorRegistry())
    app = GraphQLHTTP(
        world.pipeline,
        authentication=Authentication(
            world.accounts.authority, origins=origins, addresses=ClientAddresses(()), limits=NoLimits()
        ),
        limits=HttpLimits(),
        origins=origins,
        clock=world.clock,
        request_id=random_id,
        metrics=metrics,
        streams=http_streams(world.accounts.authority, world.clock, metrics),
    )
    transport = httpx.ASGITransport(app, client=("192.0.2.1", 40_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://vault.example") as http:
        yield Door(http)
