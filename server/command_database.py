"""The database for a command: the configured one, the one a running `dev` has on this DATA_DIR, or that folder's own, started for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from core.clock import SystemClock
from core.database import Database
from core.settings import Settings
from models import DOCUMENTS
from server.data_folder import URL_FILE
from server.embedded import embedded_database

_PING_MS = 2_000


@asynccontextmanager
async def command_database(settings: Settings) -> AsyncIterator[Database]:
    """A connected database. Raises DatabaseUnavailable, CannotRun."""
    clock = SystemClock()
    url = settings.mongo_url.get_secret_value() if settings.mongo_url is not None else await _running(settings.data_dir)
    if url is not None:
        async with _connected(url, settings, clock) as database:
            yield database
        return
    async with embedded_database(settings.data_dir, clock) as own, _connected(own.url, settings, clock) as database:
        yield database


@asynccontextmanager
async def _connected(url: str, settings: Settings, clock: SystemClock) -> AsyncIterator[Database]:
    database = Database(url, settings, clock)
    try:
        await database.connect(DOCUMENTS)
        yield database
    finally:
        await database.close()


async def _running(folder: Path) -> str | None:
    """Where the folder's database answers now; None when it does not."""
    try:
        url = (folder / URL_FILE).read_text()
    except OSError:
        return None
    async with AsyncMongoClient[dict[str, Any]](url, timeoutMS=_PING_MS) as client:
        try:
            await client.admin.command("ping")
        except PyMongoError:
            return None
    return url
