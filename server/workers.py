"""`python -m server worker NAME…`: some workers in a process of their own, with health and metrics on WORKER_PORT."""

import asyncio
import functools

from core.settings import Settings
from server import process
from server.app import at_the_edge
from server.bootstrap import Loop, Resources, open_resources
from server.encryption_keys import configured_box
from server.errors import CannotRun
from server.external import require_external
from server.monitoring import monitoring_app
from workers import runner


def run(settings: Settings, names: list[str]) -> int:
    """Run until a signal; gives the exit status."""
    return process.run(functools.partial(_main, settings, names))


async def _main(settings: Settings, names: list[str]) -> None:
    mongo_url = require_external(settings, "worker")
    with process.listen(settings.host, settings.worker_port, setting="WORKER_PORT") as listener:
        async with (
            open_resources(settings, mongo_url, configured_box(settings)) as resources,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(runner.run({**resources.background, **_chosen(resources, names)}))
            await process.serve(at_the_edge(monitoring_app(resources.health, resources.metrics), resources), listener)


def _chosen(resources: Resources, names: list[str]) -> dict[str, Loop]:
    unknown = [name for name in names if name not in resources.workers]
    if unknown:
        known = ", ".join(resources.workers) or "none"
        raise CannotRun(f"no worker is called {', '.join(unknown)}; there are: {known}")
    return {name: resources.workers[name] for name in names}
