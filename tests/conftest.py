"""Fixtures every folder may use."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
import uvloop

from core.clock import SystemClock
from core.database import Database
from core.money import use_wide_context
from core.settings import Settings
from models import DOCUMENTS
from tests import components
from tests.chains import litecoind
from tests.models import query_guard

use_wide_context()
hypothesis.settings.register_profile("busy", deadline=None)  # how long an example takes is the machine's affair
hypothesis.settings.load_profile("busy")
gc.disable()
_LONGEST = [Path(__file__).with_name(name) for name in ("flows", "faults", "simulation")]
_SETTINGS = Settings(_env_file=None, mongo_database="tests")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """All tests run on the loop that processes run on: how a transport buffers and lets go differs between loops."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Three of the four quarters that processes begin with (`-n 4 --dist worksteal`) start with what takes longest, so that the end is many short tests."""
    heads = [[item for item in items if item.path.is_relative_to(folder)] for folder in _LONGEST]
    rest = [item for item in items if not any(item.path.is_relative_to(folder) for folder in _LONGEST)]
    ordered: list[pytest.Item] = []
    for head in heads:
        filling = max(0, len(items) // 4 - len(head))
        ordered += [*head, *rest[:filling]]
        rest = rest[filling:]
    items[:] = ordered + rest


def pytest_collection_finish() -> None:
    """What was imported and collected stays: to walk it again and again for garbage costs a tenth of the time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def logging_as_it_is() -> Iterator[None]:
    """Commands that a test runs in its own process leave logging alone: loggers keep their configuration for ever, and later tests read what they say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.commands.configure_logging", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def patient_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads wait for what was shown as long as a busy machine takes."""
    monkeypatch.setattr("services.read_marks.WAIT_SECONDS", 5.0)


@pytest.fixture
def documents_stay_behind(patient_reads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes the documents that reads would wait for."""
    monkeypatch.setattr("services.read_marks.WAIT_SECONDS", 0.02)


@pytest.fixture
def patient_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server answers or is gone, a busy machine does not count as a server that hangs."""
    monkeypatch.setattr("core.redis_guard.TIMEOUT_SECONDS", 30.0)


@pytest.fixture(scope="session")
def embedded_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded database that lives as long as this test process."""
    with components.secantus_for_session(tmp_path_factory.mktemp("secantus")) as url:
        yield url


@pytest.fixture
async def database(embedded_database: str, prepared_databases: set[str]) -> AsyncIterator[Database]:
    """A connected, empty database with all documents and indexes declared.

    It is the test process' own and used by one test after the other: to make the indexes takes five times as long as to empty it. The test
    fails when it sent a query that no index serves.
    """
    database = Database(embedded_database, _SETTINGS, SystemClock())
    if embedded_database in prepared_databases:
        _bind(database)
        await _empty(database)
    else:
        await database.connect(DOCUMENTS)
        prepared_databases.add(embedded_database)
    with query_guard.RECORDER.recording(database.handle.name) as queries:
        yield database
    assert await query_guard.scans(database.handle, queries) == []
    await database.close()


@pytest.fixture(scope="session")
def prepared_databases() -> set[str]:
    """URLs of embedded databases that have all indexes already."""
    return set()


def _bind(database: Database) -> None:
    """Let documents that were declared before live in this connection's database: to declare them anew takes 20 ms a test."""
    for document in DOCUMENTS:
        declared = document.get_settings()
        declared.pymongo_db = database.handle
        declared.pymongo_collection = database.handle[document.get_collection_name()]


async def _empty(database: Database) -> None:
    """Forget what the test before has left: every document, and collections that are none of ours."""
    ours = {document.get_collection_name() for document in DOCUMENTS}
    for name in query_guard.RECORDER.written(database.handle.name):
        if name in ours:
            await database.handle[name].delete_many({})
        else:
            await database.handle.drop_collection(name)
    query_guard.RECORDER.written(database.handle.name)  # by the lines above


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def litecoin_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """URL of a Litecoin node in regtest for all tests of a module, with 101 blocks and a wallet."""
    async with litecoind(tmp_path_factory.mktemp("litecoin")) as url:
        yield url


@pytest.fixture
def shared_data() -> Path:
    """Folder of recorded market data; the test is skipped where it is absent."""
    if not components.SHARED_DATA.is_dir():
        components.missing("../shared/data")
    return components.SHARED_DATA
