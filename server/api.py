"""`python -m server api`: the API alone, beside separate workers."""

import asyncio
import functools

from core.settings import Settings
from server import process
from server.app import build_app
from server.bootstrap import open_resources
from server.encryption_keys import configured_box
from server.errors import CannotRun
from workers import runner


def run(settings: Settings) -> int:
    """Run until a signal; gives the exit status."""
    return process.run(functools.partial(_main, settings))


async def _main(settings: Settings) -> None:
    mongo_url = require_external(settings, "api")
    with process.listen(settings.host, settings.port) as listener:
        async with (
            open_resources(settings, mongo_url, configured_box(settings)) as resources,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(runner.run(resources.background))
            await process.serve(build_app(resources), listener)


def require_external(settings: Settings, command: str) -> str:
    """The URL of the database that processes share.

    Raises:
        CannotRun: when MONGO_URL or REDIS_URL is not set.
    """
    missing = [name for name in ("mongo_url", "redis_url") if getattr(settings, name) is None]
    if settings.mongo_url is None or missing:
        names = " and ".join(name.upper() for name in missing)
        raise CannotRun(f"`{command}` shares its data with other processes and needs {names}; `dev` runs without")
    return settings.mongo_url.get_secret_value()
