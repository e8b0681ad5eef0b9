"""Real JavaScript clients, run as processes of their own."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests import components

PACKAGES = components.ROOT / "tests" / "node" / "node_modules"
FOLDER = components.ROOT / "tests" / "node" / "apollo"
LINE_BYTES = 16 * 1024 * 1024
RUN_SECONDS = 60.0


def node() -> str:
    """The node executable; the test is skipped where it or the clients' packages are absent."""
    binary = shutil.which("node")
    if binary is None:
        components.missing("node")
        raise RuntimeError("components.missing() returned")
    if not (PACKAGES / "@apollo" / "client").is_dir():
        components.missing("`npm ci` in tests/node")
    return binary


async def run(script: str, *arguments: str) -> Any:
    """The JSON a script prints. Raises RuntimeError with its error output when it fails."""
    process = await asyncio.create_subprocess_exec(
        node(), str(FOLDER / script), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(RUN_SECONDS):
            output, problems = await process.communicate()
    finally:
        await components.stop(process)
    if process.returncode != 0:
        raise RuntimeError(f"{script} ended with status {process.returncode}: {problems.decode()}")
    return json.loads(output)


@asynccontextmanager
async def watch(base_url: str, *documents: dict[str, Any]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """A graphql-ws client that subscribes to documents ({"query", "variables"}); yields what it receives.

    Each item has `operation` (the document's place), `type` (next, error, complete) and `payload`. The iteration ends when the
    client does, which is when every operation has ended.
    """
    process = await asyncio.create_subprocess_exec(
        *(node(), str(FOLDER / "watch.mjs"), base_url, json.dumps(documents)),
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    try:
        yield _lines(process)
    finally:
        await components.stop(process)


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    if process.stdout is None:
        raise RuntimeError("the client was started without a pipe")
    async for line in process.stdout:
        yield json.loads(line)
