"""`python -m server api`: the API alone, beside separate workers; one process, which may share its port with others (`several.py`)."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.settings import Settings
from server import process
from server.app import at_the_edge, build_app
from server.bootstrap import Resources, open_resources
from server.encryption_keys import configured_box
from server.external import require_external
from server.monitoring import monitoring_app
from workers import runner


def run(settings: Settings, fd: int | None) -> int:
    """Run until a signal; gives the exit status. `fd`: a listening socket that was handed over, which others may listen beside."""
    return process.run(functools.partial(_main, settings, fd))


async def _main(settings: Settings, fd: int | None) -> None:
    mongo_url = require_external(settings, "api")
    if fd is not None:
        await _serve_beside_others(settings, mongo_url, fd)
    else:
        with process.listen(settings.host, settings.port) as listener:
            async with _running(settings, mongo_url) as resources:
                await process.serve(build_app(resources), listener)


async def _serve_beside_others(settings: Settings, mongo_url: str, fd: int) -> None:
    """Health and metrics of this process are at WORKER_PORT."""
    with (
        process.handed_over(fd) as listener,
        process.listen(settings.host, settings.worker_port, setting="WORKER_PORT") as own,
    ):
        async with _running(settings, mongo_url) as resources, asyncio.TaskGroup() as group:
            monitoring = at_the_edge(monitoring_app(resources.health, resources.metrics), resources)
            group.create_task(process.serve(monitoring, own))
            await process.serve(build_app(resources, shares_port=True), listener)


@asynccontextmanager
async def _running(settings: Settings, mongo_url: str) -> AsyncIterator[Resources]:
    async with open_resources(settings, mongo_url, configured_box(settings)) as resources, asyncio.TaskGroup() as group:
        group.create_task(runner.run(resources.background))
        yield resources
