"""The GraphQL transports of a process: one pipeline, HTTP and sockets on it."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from core.budget import Budget, MemoryBudget
from core.cache import Cache
from core.client_address import ClientAddresses
from core.clock import Clock
from core.request_id import accepted_or_new, current_request_id
from core.settings import Mode, Settings
from graph.context import Context, Estimate, Services
from graph.persisted import PersistedQueries
from graph.pipeline import Pipeline, PipelineLimits
from graph.request import Caller
from graph.schema import build_schema
from server.explorer import Explorer, accepts_page
from server.graphql_http import GraphQLHTTP, HttpLimits
from server.graphql_ws import GraphQLWebSocket, anonymous_only
from server.origins import Origins, own_origins
from server.transport_metrics import TransportMetrics
from server.ws_session import SocketLimits


class GraphQLApp:
    """Everything that happens at /graphql: HTTP, sockets and, for a browser's address bar, the explorer."""

    def __init__(self, http: ASGIApp, socket: ASGIApp, explorer: Explorer | None) -> None:
        self._http = http
        self._socket = socket
        self._explorer = explorer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif self._explorer is not None and self._wants_page(scope):
            await self._explorer.page()(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    def _wants_page(self, scope: Scope) -> bool:
        request = Request(scope)
        return accepts_page(request.method, ",".join(request.headers.getlist("accept")))


def build_graphql(
    *,
    settings: Settings,
    clock: Clock,
    cache: Cache,
    services: Services,
    metrics: TransportMetrics,
    explorer: Explorer | None,
) -> GraphQLApp:
    """The transports on one pipeline."""
    budget = MemoryBudget(clock, per_minute=settings.cost_limit_per_minute)
    pipeline = build_pipeline(settings=settings, cache=cache, services=services, budget=budget)
    own = own_origins(app_url=settings.app_url, port=settings.port, embedded=settings.mode is Mode.EMBEDDED)
    origins = Origins([*own, *settings.cors_origins])
    addresses = ClientAddresses(settings.trusted_proxies)
    http = GraphQLHTTP(
        pipeline,
        limits=HttpLimits(),
        origins=origins,
        addresses=addresses,
        request_id=lambda: accepted_or_new(current_request_id()),
        metrics=metrics,
    )
    socket = GraphQLWebSocket(
        pipeline,
        authenticate=anonymous_only,
        limits=SocketLimits(sockets_per_address=settings.sockets_per_address),
        origins=origins,
        addresses=addresses,
        metrics=metrics,
    )
    return GraphQLApp(http, socket, explorer)


def build_pipeline(*, settings: Settings, cache: Cache, services: Services, budget: Budget) -> Pipeline:
    """The query path with the context of every operation."""

    def context(caller: Caller) -> Context:
        async def estimate(document: str, variables: Mapping[str, object] | None) -> Estimate:
            cost = pipeline.estimate(document, variables)
            return Estimate(
                cost=cost.points,
                per_event=cost.per_event,
                limit=pipeline.cost_limit,
                remaining=await budget.remaining(caller.limit_key),
                restore_per_second=budget.restore_per_second,
            )

        return Context(services, caller.request_id, caller.address, estimate)

    pipeline = Pipeline(
        build_schema(),
        context_factory=context,
        budget=budget,
        persisted=PersistedQueries(cache),
        limits=PipelineLimits(
            cost_per_request=settings.cost_limit_per_request,
            suggestions=settings.mode is not Mode.PRODUCTION,
            introspection=settings.introspection,
        ),
    )
    return pipeline
