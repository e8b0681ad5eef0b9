"""Error reports, as a server that speaks Sentry's envelope protocol receives them."""

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.components import ROOT

PROGRAM = """
import asyncio, logging, sys
import httpx, structlog
from core.client_address import ClientAddresses
from core.clock import SystemClock
from core.redaction import redactor_for
from core.sentry import SentryReporter
from core.settings import load_settings
from core.telemetry import configure_logging
from server.metrics import Metrics
from server.middleware import Edge

settings = load_settings()
redactor = redactor_for(settings)
configure_logging(settings, redactor, on_error=SentryReporter(settings, redactor))

async def fail(scope, receive, send):
    password = "hunter2"
    raise RuntimeError("cannot reach mongodb://user:hunter2@db/")

async def main():
    edge = Edge(fail, metrics=Metrics(), clock=SystemClock(), addresses=ClientAddresses(), https=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://server") as client:
        headers = {"X-Request-ID": "request-1", "Authorization": "Bearer hunter2hunter2", "Cookie": "session=hunter2"}
        await client.post("/graphql?token=hunter2", json={"variables": {"password": "hunter2"}}, headers=headers)

asyncio.run(main())
structlog.get_logger("t").warning("no report for a warning")
structlog.get_logger("t").error("feed.lost", variables={"a": "hunter2"}, source="BINANCE")
"""


class Collector:
    """What was received: one event per report."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.events: list[dict[str, object]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests of one connection and answer each with 200."""
        while start := await reader.readline():
            headers: dict[str, str] = {}
            while (line := (await reader.readline()).decode().strip()) != "":
                name, _, text = line.partition(":")
                headers[name.lower()] = text.strip()
            body = await reader.readexactly(int(headers["content-length"]))
            self.paths.append(start.decode().split()[1])
            self._keep(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()

    def _keep(self, envelope: bytes) -> None:
        _header, *items = envelope.split(b"\n")
        for kind, payload in zip(items[::2], items[1::2], strict=False):
            if json.loads(kind)["type"] == "event":
                self.events.append(json.loads(payload))


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[Collector, int]]:
    """A collector on a free port."""
    collected = Collector()
    server = await asyncio.start_server(collected.serve, "127.0.0.1", 0)
    async with server:
        yield collected, server.sockets[0].getsockname()[1]


async def test_errors_arrive_with_their_request_and_without_secrets() -> None:
    async with collector() as (collected, port):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM),
            cwd=ROOT,
            env={"SENTRY_DSN": f"http://public@127.0.0.1:{port}/7", "MODE": "EMBEDDED"},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, said.decode()
    assert set(collected.paths) == {"/api/7/envelope/"}
    failed, lost = collected.events
    assert "hunter2" not in json.dumps(collected.events)
    assert failed["tags"] == {"request_id": "request-1", "logger": "server.middleware"}
    assert failed["environment"] == "embedded"
    raised = failed["exception"]
    assert isinstance(raised, dict)
    assert raised["values"][0]["type"] == "RuntimeError"
    assert raised["values"][0]["value"] == "cannot reach mongodb://***@db/"
    assert raised["values"][0]["stacktrace"]["frames"]
    assert lost["message"] == "feed.lost"
    assert lost["level"] == "error"
    assert "BINANCE" in json.dumps(lost["contexts"])
    assert b"hunter2" not in said
