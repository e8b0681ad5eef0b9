"""The HTTP application of a process."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from core.settings import Mode, Settings
from server.bootstrap import Resources
from server.middleware import Edge
from server.monitoring import MONITORING_PATHS, monitoring_routes
from server.refusals import code_of, refusal


def build_app(resources: Resources) -> ASGIApp:
    """Everything the API serves."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        routes=list(monitoring_routes(resources.health, resources.metrics)),
    )
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_input)
    return at_the_edge(app, resources)


def at_the_edge(app: ASGIApp, resources: Resources) -> ASGIApp:
    """Put the layer that every request passes around an application."""
    return Edge(
        app,
        metrics=resources.metrics,
        clock=resources.clock,
        https=_https(resources.settings),
        quiet_paths=MONITORING_PATHS,
    )


def _https(settings: Settings) -> bool:
    return settings.mode is Mode.PRODUCTION or settings.app_url.startswith("https://")


async def _refuse(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers) if error.headers else None
    code = code_of(error.status_code)
    return refusal(status=error.status_code, code=code, message=str(error.detail), headers=headers)


async def _refuse_input(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return refusal(status=422, code=code_of(422), message=problems)
