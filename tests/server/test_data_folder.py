import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.clock import SystemClock
from server import data_folder
from server.data_folder import lock_data_folder
from server.errors import CannotRun


async def test_the_folder_is_made_locked_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"
    first = await lock_data_folder(path, SystemClock())
    with pytest.raises(CannotRun, match=f"{path} is in use by process {os.getpid()}"):
        await lock_data_folder(path, SystemClock())
    first.release()
    (await lock_data_folder(path, SystemClock())).release()


async def test_a_lock_file_of_a_dead_process_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"{dead_pid()} {dead_pid()}\n")
    (await lock_data_folder(tmp_path, SystemClock())).release()


async def test_a_child_that_outlived_its_parent_is_waited_for(tmp_path: Path) -> None:
    with leftover(tmp_path) as child:
        waiting = asyncio.create_task(lock_data_folder(tmp_path, SystemClock()))
        await asyncio.sleep(0)
        assert not waiting.done()
        child.kill()
        (await waiting).release()


async def test_a_child_that_stays_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "LEFTOVER_SECONDS", 0.2)
    with leftover(tmp_path) as child, pytest.raises(CannotRun, match=f"in use by process {child.pid};"):
        await lock_data_folder(tmp_path, SystemClock())


async def test_garbage_in_the_lock_file_is_another_process(tmp_path: Path) -> None:
    with leftover(tmp_path):
        (tmp_path / "lock").write_bytes(b"\xff\xfe garbage")
        with pytest.raises(CannotRun, match="in use by another process"):
            await lock_data_folder(tmp_path, SystemClock())


@contextmanager
def leftover(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that holds the folder's lock and whose noted parent is dead; killed at the end."""
    hold = "import fcntl, sys, time; lock = open(sys.argv[1], 'a'); fcntl.flock(lock, fcntl.LOCK_EX); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", hold, str(folder / "lock")], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            (folder / "lock").write_text(f"{dead_pid()} {child.pid}\n")
            yield child
        finally:
            child.kill()


def dead_pid() -> int:
    """The id of a process that ended just now."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
