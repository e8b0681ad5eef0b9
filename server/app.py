"""The HTTP application of a process."""

from collections.abc import Callable

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core.client_address import ClientAddresses
from core.clock import to_datetime
from core.settings import Mode, Settings
from server.account_pages import account_routes
from server.bootstrap import Resources
from server.explorer import ASSETS_PATH, Explorer
from server.graphql_app import build_graphql
from server.liabilities import KEY_PATH as LIABILITY_KEY_PATH
from server.middleware import Edge
from server.monitoring import MONITORING_PATHS, health_routes, metrics_route
from server.refusals import refuse_in_code
from server.schema import served_sdl
from server.transport_metrics import TransportMetrics
from services.access_tokens import AccessTokens
from services.liability_key import LiabilityKey

GRAPHQL_PATH = "/graphql"
_CONTACT_PATH = "/.well-known/security.txt"
_CONTACT_MS = 90 * 86_400_000


def build_app(resources: Resources, *, shares_port: bool = False) -> ASGIApp:
    """Everything the API serves; without /metrics where several processes share the port, since whoever asked would get those of any."""
    explorer = None if resources.settings.mode is Mode.PRODUCTION else Explorer(resources.notice)
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        routes=[
            *health_routes(resources.health),
            *(() if shares_port else (metrics_route(resources.metrics),)),
            Route("/schema.graphql", _schema(served_sdl())),
            Route("/.well-known/jwks.json", _public_keys(resources.services.accounts.tokens)),
            Route(LIABILITY_KEY_PATH, _public_keys(resources.services.liabilities.key)),
            *_contact_routes(resources),
            *account_routes(),
            *_explorer_routes(explorer),
        ],
    )
    refuse_in_code(app)
    graphql = build_graphql(
        settings=resources.settings,
        clock=resources.clock,
        cache=resources.cache,
        services=resources.services,
        limiters=resources.limiters,
        metrics=TransportMetrics(resources.metrics.registry),
        explorer=explorer,
    )
    answers = graphql.answers
    resources.metrics.watch_count("kept_answers_used", "Answers given from what is kept", lambda: answers.hits)
    resources.metrics.watch_count("kept_answers_missed", "Public answers that were executed", lambda: answers.misses)
    edge = at_the_edge(_GraphQLFirst(graphql, app), resources)
    edge.put_in_front(GRAPHQL_PATH, graphql.at_once)
    return edge


class _GraphQLFirst:
    """/graphql is served in front of FastAPI's routing; everything else by it."""

    def __init__(self, graphql: ASGIApp, others: ASGIApp) -> None:
        self._graphql = graphql
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chosen = self._graphql if scope.get("path") == GRAPHQL_PATH else self._others
        await chosen(scope, receive, send)


def _schema(sdl: str) -> Callable[[Request], Response]:
    def schema(_request: Request) -> Response:
        return Response(sdl, media_type="text/plain; charset=utf-8", headers={"cache-control": "public, max-age=300"})

    return schema


def _public_keys(keys: AccessTokens | LiabilityKey) -> Callable[[Request], Response]:
    def public_keys(_request: Request) -> Response:
        return JSONResponse(keys.jwks(), headers={"cache-control": "public, max-age=300"})

    return public_keys


def _contact_routes(resources: Resources) -> list[BaseRoute]:
    """Where faults are reported (RFC 9116)."""
    settings = resources.settings
    if settings.security_contact is None:
        return []

    def security_txt(_request: Request) -> Response:
        expires = to_datetime(resources.clock.now_ms() + _CONTACT_MS).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines = (
            f"Contact: {settings.security_contact}",
            f"Expires: {expires}",
            f"Canonical: {settings.app_url}{_CONTACT_PATH}",
        )
        return PlainTextResponse("\n".join((*lines, "")))

    return [Route(_CONTACT_PATH, security_txt)]


def _explorer_routes(explorer: Explorer | None) -> list[BaseRoute]:
    if explorer is None:
        return []

    def to_explorer(_request: Request) -> Response:
        return RedirectResponse(GRAPHQL_PATH)

    return [Mount(ASSETS_PATH, explorer.assets), Route("/", to_explorer)]


def at_the_edge(app: ASGIApp, resources: Resources) -> Edge:
    """Put the layer that every request passes around an application."""
    return Edge(
        app,
        metrics=resources.metrics,
        clock=resources.clock,
        addresses=ClientAddresses(resources.settings.trusted_proxies),
        https=_https(resources.settings),
        quiet_paths=MONITORING_PATHS,
    )


def _https(settings: Settings) -> bool:
    return settings.mode is Mode.PRODUCTION or settings.app_url.startswith("https://")
