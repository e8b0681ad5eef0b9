"""Fixtures every folder may use."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.database import Database
from core.money import use_wide_context
from core.settings import Settings
from models import DOCUMENTS
from tests import components
from tests.models import query_guard

use_wide_context()


@pytest.fixture(scope="session")
def embedded_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded database that lives as long as this test process."""
    with components.secantus_for_session(tmp_path_factory.mktemp("secantus")) as url:
        yield url


@pytest.fixture
async def database(embedded_database: str, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """A connected, empty database of this test's own, with all documents and indexes declared.

    The test fails when it sent a query that no index serves.
    """
    name = f"t{abs(hash(request.node.nodeid)):x}"
    settings = Settings(_env_file=None, mongo_database=name)
    database = Database(embedded_database, settings, SystemClock())
    await database.connect(DOCUMENTS)
    with query_guard.RECORDER.recording(name) as queries:
        yield database
    assert await query_guard.scans(database.handle, queries) == []
    await database.handle.client.drop_database(name)
    await database.close()


@pytest.fixture
def shared_data() -> Path:
    """Folder of recorded market data; the test is skipped where it is absent."""
    if not components.SHARED_DATA.is_dir():
        components.missing("../shared/data")
    return components.SHARED_DATA
