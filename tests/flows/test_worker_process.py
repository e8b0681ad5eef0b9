"""A worker in a process of its own."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests import components
from tests.processes import server


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The settings of processes that share a database and a bus."""
    (tmp_path / "redis").mkdir()
    async with (
        components.secantus(tmp_path / "mongo") as (_, mongo_url),
        components.redis(tmp_path / "redis") as (_, redis_url),
    ):
        yield {"MONGO_URL": mongo_url, "REDIS_URL": redis_url, "WORKER_PORT": str(components.free_port())}


async def answer(port: str, path: str) -> httpx.Response:
    """The first answer of the worker's own port."""
    async with asyncio.timeout(components.START_SECONDS), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                return await client.get(f"http://127.0.0.1:{port}{path}")
            await asyncio.sleep(0.05)


async def test_it_serves_health_and_metrics_and_stops(shared: dict[str, str], tmp_path: Path) -> None:
    async with server("worker", "market-data", data_dir=tmp_path / "data", environment=shared) as worker:
        live = await answer(shared["WORKER_PORT"], "/health/live")
        metrics = await answer(shared["WORKER_PORT"], "/metrics")
        absent = await answer(shared["WORKER_PORT"], "/graphql")
        assert live.json() == {"status": "alive"}
        assert "process_resident_memory_bytes" in metrics.text
        assert absent.status_code == 404
        assert absent.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        assert await worker.end(signal.SIGTERM) == 0


async def test_an_unknown_worker_is_one_line_and_status_1(shared: dict[str, str], tmp_path: Path) -> None:
    async with server("worker", "no-such-worker", data_dir=tmp_path / "data", environment=shared) as worker:
        status, lines = await worker.ended()
    assert status == 1
    assert len(lines) == 1
    assert "no worker is called no-such-worker; there are: market-data" in lines[0]
