"""What operators' tools ask: health and metrics. Every process serves its own."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.health import Health, PartState
from server.metrics import CONTENT_TYPE, Metrics
from server.refusals import refuse_in_code

MONITORING_PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})


def monitoring_app(health: Health, metrics: Metrics) -> Starlette:
    """Serves these routes and nothing else."""
    app = Starlette(routes=[*health_routes(health), metrics_route(metrics)])
    refuse_in_code(app)
    return app


def health_routes(health: Health) -> list[Route]:
    """GET /health/live and /health/ready (503 names what fails)."""

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(_request: Request) -> Response:
        readiness = await health.ready()
        failing = readiness.failing
        body = {
            "status": "not ready" if failing else "ready",
            "failing": failing,
            "parts": {name: _shown(part) for name, part in readiness.parts.items()},
        }
        return JSONResponse(body, status_code=503 if failing else 200)

    return [Route("/health/live", live), Route("/health/ready", ready)]


def metrics_route(metrics: Metrics) -> Route:
    """GET /metrics."""

    async def exposition(_request: Request) -> Response:
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    return Route("/metrics", exposition)


def _shown(part: PartState) -> dict[str, object]:
    return {"healthy": part.healthy, "detail": part.detail, "latencyMs": part.latency_ms}
