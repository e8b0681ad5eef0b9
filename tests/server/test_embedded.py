import asyncio
import os
import signal
import stat
import sys
import textwrap
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from core.clock import SystemClock
from server import embedded, restarts
from server.bounded_log import BoundedLog
from server.embedded import EmbeddedDatabase, embedded_database
from server.errors import CannotRun

LISTEN = """
    import signal, socket, sys, time
    server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
"""


def program(folder: Path, body: str) -> Path:
    """A stand-in for the database's program."""
    path = folder / "program"
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(body)}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


async def test_no_write_is_ever_sent_twice_to_it(tmp_path: Path) -> None:
    async with embedded_database(tmp_path / "data", SystemClock()) as database:
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(database.url)
        assert client.options.retry_writes is False
        await client.close()


async def refused(folder: Path, stand_in: Path) -> str:
    """What is said when this program is the database."""
    with pytest.raises(CannotRun) as raised:
        async with embedded_database(folder / "data", SystemClock(), stand_in):
            pytest.fail("it started")
    return str(raised.value)


async def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    assert "not installed" in await refused(tmp_path, tmp_path / "absent")
    assert not (tmp_path / "data").exists()


async def test_a_program_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    said = await refused(tmp_path, program(tmp_path, "import sys; print('no space left'); sys.exit(3)"))
    assert "ended with status 3 (no space left)" in said
    assert str(tmp_path / "data" / "database.log") in said


async def test_a_program_that_never_listens_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "READY_SECONDS", 0.5)
    said = await refused(tmp_path, program(tmp_path, "import time; time.sleep(600)"))
    assert "did not answer within" in said
    assert not runs(int((tmp_path / "data" / "lock").read_text().split()[1]))


async def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.5)
    deaf = program(tmp_path, LISTEN + "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(600)\n")
    (tmp_path / "data" / "database").mkdir(parents=True)
    async with embedded_database(tmp_path / "data", SystemClock(), deaf) as database:
        pid = pid_of(database)
    assert not runs(pid)


async def test_every_table_of_the_engine_is_made_before_the_first_use(tmp_path: Path) -> None:
    (tmp_path / "database.new").mkdir()
    (tmp_path / "database.new" / "WiredTiger").write_text("left by a start that was killed")
    async with embedded_database(tmp_path, SystemClock()) as database:
        before = tables(tmp_path)
        async with AsyncMongoClient[dict[str, int]](database.url) as client:
            assert "tables" not in await client.list_database_names()
            for number in range(64):
                await client["test"][f"collection{number}"].insert_one({"_id": number})
        assert tables(tmp_path) == before
    assert not (tmp_path / "database.new").exists()


def tables(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder / "database") if name.endswith(".wt"))


async def test_acknowledged_writes_outlive_a_killed_database(tmp_path: Path) -> None:
    async with embedded_database(tmp_path, SystemClock()) as database:
        url, pid = database.url, pid_of(database)
        client: AsyncMongoClient[dict[str, int]] = AsyncMongoClient(url, serverSelectionTimeoutMS=20_000)
        documents = client["test"]["documents"]
        for number in range(50):
            await documents.insert_one({"_id": number})
        os.kill(pid, signal.SIGKILL)
        assert [found["_id"] async for found in documents.find().sort("_id")] == list(range(50))
        assert pid_of(database) != pid
        assert database.url == url
        await client.close()


async def test_giving_up_cancels_the_body_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "MOST_RESTARTS", 0)

    async def work_while_it_dies() -> None:
        async with embedded_database(tmp_path, SystemClock()) as database:
            os.kill(pid_of(database), signal.SIGKILL)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        await work_while_it_dies()
    (error,) = raised.value.exceptions
    assert isinstance(error, CannotRun)
    assert "giving up" in str(error)
    assert "SIGKILL" in str(error)


async def test_output_on_disk_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "database.log"
    reader = asyncio.StreamReader()
    for number in range(1000):
        reader.feed_data(f"line {number}\n".encode())
    reader.feed_eof()
    output = BoundedLog(path, most_bytes=70_000)
    await output.copy(reader)
    more = asyncio.StreamReader()
    more.feed_data(b"x" * 69_000 + b"\nthe last\n\n")
    more.feed_eof()
    await output.copy(more)
    output.close()
    assert output.last_line == "the last"
    assert path.stat().st_size <= 70_000
    assert sorted(os.listdir(tmp_path)) == ["database.log", "database.log.1"]


def pid_of(database: EmbeddedDatabase) -> int:
    assert database.pid is not None
    return database.pid


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
