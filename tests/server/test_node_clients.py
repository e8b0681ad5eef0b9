"""The audit suite of the GraphQL-over-HTTP working group, and the clients frontends use."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import components
from tests.server.serving import Served, served

FOLDER = components.ROOT / "tests" / "node"


@pytest.fixture
async def server() -> AsyncIterator[Served]:
    async with served() as running:
        yield running


async def run_script(name: str, *arguments: str) -> Any:
    """What a script of tests/node prints."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "graphql-http").is_dir():
        components.missing("node, or `npm ci` in tests/node")
    process = await asyncio.create_subprocess_exec(
        str(node), name, *arguments, cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


async def test_all_audits_pass(server: Served) -> None:
    results = await run_script("audit.mjs", server.url)
    failed = [result for result in results if result["status"] != "ok"]
    assert failed == []
    assert Counter(result["name"].split()[0] for result in results) == {"MUST": 13, "SHOULD": 23, "MAY": 25}


async def test_graphql_ws_and_apollo_persisted_queries(server: Served) -> None:
    seen = await run_script("clients.mjs", server.url, server.ws_url)
    assert seen["events"] == [0, 1, 2]
    assert seen["refused"] == "GRAPHQL_VALIDATION_FAILED"
    assert seen["apollo"] == [{"sequence": 2**53 - 1}] * 2 + [{"quiet": "LOUD"}] * 2
    first, retried, hashed, *by_get = seen["requests"]
    assert first == {"method": "POST", "query": False, "persisted": True}
    assert retried == {"method": "POST", "query": True, "persisted": True}
    assert hashed == first
    assert [request["method"] for request in by_get] == ["GET", "POST", "GET"]
