"""The GraphQL transports of a process: one pipeline, HTTP and sockets on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from core.budget import Budget, MemoryBudget
from core.cache import Cache
from core.client_address import ClientAddresses
from core.clock import Clock
from core.ids import public_id
from core.rate_limits import RateLimits
from core.request_id import current_request_id
from core.settings import Mode, Settings
from core.vocabulary import MarketDataOrigin
from graph.broadcast import Broadcast, SharedField
from graph.context import Context, Estimate, Services
from graph.persisted import PersistedQueries
from graph.pipeline import Pipeline, PipelineLimits
from graph.public import PublicContext, PublicData
from graph.request import Caller
from graph.response_cache import ResponseCache
from graph.schema import build_schema
from server.at_once import AtOnce
from server.authentication import Authentication
from server.explorer import Explorer, accepts_page
from server.graphql_http import GraphQLHTTP, HttpLimits
from server.graphql_ws import GraphQLWebSocket
from server.header_values import header_values
from server.http_streams import HttpStreams
from server.open_connections import OpenConnections
from server.origins import page_origins
from server.realtime.hub import Hub
from server.transport_metrics import TransportMetrics
from server.ws_session import SocketLimits
from services.market_view import MarketView


class GraphQLApp:
    """Everything that happens at /graphql: HTTP, sockets and, for a browser's address bar, the explorer."""

    def __init__(
        self,
        http: ASGIApp,
        socket: ASGIApp,
        explorer: Explorer | None,
        *,
        answers: ResponseCache,
        at_once: AtOnce,
    ) -> None:
        """`answers`: those that are kept. `at_once`: answers POSTs that need nothing done."""
        self.at_once = at_once
        self.answers = answers
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
        return scope["method"] == "GET" and accepts_page("GET", header_values(scope["headers"]).get(b"accept", ""))


@dataclass(frozen=True, slots=True)
class Limiters:
    """What callers spend from: shared by processes, or this process' own."""

    budget: Budget
    limits: RateLimits


def build_graphql(
    *,
    settings: Settings,
    clock: Clock,
    cache: Cache,
    services: Services,
    limiters: Limiters,
    metrics: TransportMetrics,
    explorer: Explorer | None,
) -> GraphQLApp:
    """The transports on one pipeline."""
    pipeline = build_pipeline(settings=settings, clock=clock, cache=cache, services=services, budget=limiters.budget)
    origins = page_origins(settings)
    addresses = ClientAddresses(settings.trusted_proxies)
    authentication = Authentication(
        services.accounts.authority,
        origins=origins,
        addresses=addresses,
        limits=limiters.limits,
    )
    hub = Hub()
    connections = OpenConnections(per_address=settings.sockets_per_address, per_account=settings.sockets_per_account)
    http = GraphQLHTTP(
        pipeline,
        authentication=authentication,
        limits=HttpLimits(),
        origins=origins,
        clock=clock,
        request_id=lambda: current_request_id() or public_id(),
        metrics=metrics,
        streams=HttpStreams(hub, services.accounts.authority, clock=clock, connections=connections, metrics=metrics),
    )
    socket = GraphQLWebSocket(
        pipeline,
        authentication=authentication,
        limits=SocketLimits(),
        origins=origins,
        clock=clock,
        metrics=metrics,
        hub=hub,
        connections=connections,
    )
    at_once = AtOnce(http.known_bodies, pipeline, authentication, addresses=addresses, origins=origins, metrics=metrics)
    return GraphQLApp(http, socket, explorer, answers=pipeline.answers, at_once=at_once)


def build_pipeline(*, settings: Settings, clock: Clock, cache: Cache, services: Services, budget: Budget) -> Pipeline:
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

        return Context(services, caller, estimate)

    def broadcast(shared: SharedField, arguments: Mapping[str, object]) -> Broadcast[object, object]:
        return shared.mark(view_of, **arguments)

    def view_of(origin: MarketDataOrigin) -> MarketView:
        return services.exchange_view if origin is MarketDataOrigin.EXCHANGE else services.view

    pipeline = Pipeline(
        build_schema(),
        context_factory=context,
        budget=budget,
        events_budget=MemoryBudget(clock, per_minute=settings.cost_limit_per_minute),
        persisted=PersistedQueries(cache),
        limits=PipelineLimits(
            cost_per_request=settings.cost_limit_per_request,
            suggestions=settings.mode is not Mode.PRODUCTION,
            introspection=settings.introspection,
        ),
        broadcast=broadcast,
        public=PublicData(
            PublicContext(
                services.catalogue, services.view, services.exchange_view, services.markets, services.market_data
            )
        ),
    )
    return pipeline
