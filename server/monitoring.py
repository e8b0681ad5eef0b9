"""The routes that operators' tools ask: health and metrics. Every process serves its own."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.health import Health, PartState
from server.metrics import CONTENT_TYPE, Metrics

MONITORING_PATHS = frozenset({"/health/live", "/health/ready", "/metrics"})


def monitoring_routes(health: Health, metrics: Metrics) -> list[Route]:
    """GET /health/live, /health/ready (503 names what fails) and /metrics."""

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

    async def exposition(_request: Request) -> Response:
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", exposition)]


def _shown(part: PartState) -> dict[str, object]:
    return {"healthy": part.healthy, "detail": part.detail, "latencyMs": part.latency_ms}
