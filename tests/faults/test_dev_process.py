"""`python -m server dev` when something is in its way, or dies under it: one clear line, status 1, no orphan."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

from tests.components import free_port
from tests.processes import gone, server


async def test_a_port_in_use_is_one_line_and_status_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with server("dev", data_dir=tmp_path, port=port) as dev:
            status, lines = await dev.ended()
    assert status == 1
    assert len(lines) == 1
    assert f"127.0.0.1:{port}" in lines[0]
    assert "PORT" in lines[0]
    assert os.listdir(tmp_path) == []


async def test_a_locked_data_folder_is_one_line_and_status_1(tmp_path: Path) -> None:
    async with server("dev", data_dir=tmp_path) as first:
        await first.wait_for_database()
        async with server("dev", data_dir=tmp_path) as second:
            status, lines = await second.ended()
        assert status == 1
        assert len(lines) == 1
        assert str(tmp_path) in lines[0]
        assert f"in use by process {first.process.pid}" in lines[0]
        await first.wait_for_database()
        assert len(first.children()) == 1


async def test_a_database_that_cannot_start_is_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "database").write_text("not a folder\n")
    async with server("dev", data_dir=tmp_path) as dev:
        status, lines = await dev.ended()
    assert status == 1
    assert len(lines) == 1
    assert "the embedded database ended with status 1" in lines[0]
    assert str(tmp_path / "database.log") in lines[0]
    assert (tmp_path / "database.log").stat().st_size > 0


async def test_a_data_folder_that_cannot_be_made_is_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with server("dev", data_dir=tmp_path / "file" / "data") as dev:
        status, lines = await dev.ended()
    assert status == 1
    assert len(lines) == 1
    assert "DATA_DIR" in lines[0]


async def test_kill_9_leaves_no_child_and_the_folder_free(tmp_path: Path) -> None:
    async with server("dev", data_dir=tmp_path) as dev:
        await dev.wait_for_database()
        children = dev.children()
        assert await dev.end(signal.SIGKILL) == -signal.SIGKILL
        await gone(children)
    async with server("dev", data_dir=tmp_path) as again:
        await again.wait_for_database()
        assert await again.end(signal.SIGTERM) == 0


async def test_a_killed_database_is_seen_and_comes_back_by_itself(tmp_path: Path) -> None:
    async with server("dev", data_dir=tmp_path) as dev:
        await dev.wait_for_database()
        (database,) = dev.children()
        port = int(database.cmdline()[database.cmdline().index("--port") + 1])
        database.kill()
        await gone([database])
        with socket.create_server(("127.0.0.1", port)):
            answer = await dev.wait_for_database(healthy=False)
        body = answer.json()
        assert answer.status_code == 503
        assert "database" in body["failing"]
        assert body["parts"]["database"]["healthy"] is False
        assert body["parts"]["bus"]["healthy"] is True
        await dev.wait_for_database()
        died = json.loads(await dev.wait_for_line("embedded_database.died"))
        assert "SIGKILL" in died["detail"]
        (successor,) = dev.children()
        assert successor.pid != database.pid
        assert str(port) in successor.cmdline()
        assert await dev.end(signal.SIGTERM) == 0
        await gone([successor])


async def test_a_database_that_keeps_dying_ends_the_process(tmp_path: Path) -> None:
    async with server("dev", data_dir=tmp_path) as dev:
        await dev.wait_for_database()
        killed: set[int] = set()
        while dev.process.returncode is None:
            for child in dev.children():
                if child.pid not in killed:
                    child.kill()
                    killed.add(child.pid)
            await asyncio.sleep(0.02)
        status, lines = await dev.ended()
        assert status == 1
        assert len(lines) == 1
        assert "giving up" in lines[0]
        assert len(killed) == 4


async def test_an_external_database_that_does_not_answer_is_one_line_and_status_1(tmp_path: Path) -> None:
    url = f"mongodb://user:hunter2secret@127.0.0.1:{free_port()}/"
    environment = {"MONGO_URL": url, "MONGO_TIMEOUT_MS": "200", "MONGO_CONNECT_TIMEOUT_MS": "500"}
    async with server("dev", data_dir=tmp_path, environment=environment) as dev:
        status, lines = await dev.ended()
    assert status == 1
    assert len(lines) == 1
    assert "the database does not answer" in lines[0]
    assert not any("hunter2secret" in line for line in (*dev.err, *dev.out))
    assert os.listdir(tmp_path) == []
