"""`python -m server dev`: API, workers and, unless MONGO_URL is set, the database, from one command."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.clock import SystemClock
from core.settings import Settings
from server import process
from server.app import build_app
from server.bootstrap import Resources, open_resources
from server.embedded import embedded_database
from server.encryption_keys import development_box
from server.local_chain import local_chain
from workers import runner


def run(settings: Settings) -> int:
    """Run until a signal; gives the exit status."""
    return process.run(lambda: _main(settings))


async def _main(settings: Settings) -> None:
    with process.listen(settings.host, settings.port) as listener:
        box = development_box(settings)
        async with (
            _mongo_url(settings) as mongo_url,
            _with_chains(settings) as chained,
            open_resources(chained, mongo_url, box) as resources,
        ):
            sys.stdout.write(banner(resources, process.address_of(listener)))
            sys.stdout.flush()
            async with asyncio.TaskGroup() as group:
                group.create_task(runner.run({**resources.background, **resources.workers}))
                await process.serve(build_app(resources), listener)


@asynccontextmanager
async def _with_chains(settings: Settings) -> AsyncIterator[Settings]:
    if not settings.with_chains:
        yield settings
        return
    async with local_chain(settings) as chained:
        yield chained


@asynccontextmanager
async def _mongo_url(settings: Settings) -> AsyncIterator[str]:
    if settings.mongo_url is not None:
        yield settings.mongo_url.get_secret_value()
        return
    async with embedded_database(settings.data_dir, SystemClock()) as database:
        yield database.url


def banner(resources: Resources, address: str) -> str:
    """What runs where and what is simulated, for the terminal."""
    chain = (
        "chain      Anvil, an Ethereum of its own; withdrawals are not held after a change, new addresses are active at once",
    )
    lines = (
        f"GraphQL    http://{address}/graphql",
        f"health     http://{address}/health/ready",
        *resources.describe(),
        *(chain if resources.settings.with_chains else ()),
    )
    return "".join(("\nCryptoVault, development: Ctrl-C stops it\n", *(f"  {line}\n" for line in lines), "\n"))
