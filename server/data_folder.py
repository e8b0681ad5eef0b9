"""The data folder: one process at a time.

The lock is `flock` on DATA_DIR/lock. The database child inherits the open file, so the lock is free only when both are gone: a child
that outlives a killed parent (see `tether.py`) is found by it.
"""

import asyncio
import fcntl
import os
from pathlib import Path

from core.clock import Clock
from server.errors import CannotRun

URL_FILE = "database.url"
LEFTOVER_SECONDS = 5.0
"""A child whose parent is gone gets this long to end, too."""


class DataFolder:
    """A locked DATA_DIR. `fileno` is to be inherited by the database child."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.fileno = descriptor

    def write_owners(self, *, database_pid: int | None) -> None:
        """Note in the lock file who holds it: this process and its child."""
        text = f"{os.getpid()} {database_pid or ''}\n".encode()
        os.ftruncate(self.fileno, 0)
        os.pwrite(self.fileno, text, 0)

    def write_url(self, url: str) -> None:
        """Note where the database answers, for commands that are run beside it."""
        descriptor = os.open(self.path / URL_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(url)

    def forget_url(self) -> None:
        """The database answers there no more."""
        (self.path / URL_FILE).unlink(missing_ok=True)

    def release(self) -> None:
        """Give the folder back."""
        os.close(self.fileno)


async def lock_data_folder(path: Path, clock: Clock) -> DataFolder:
    """Create the folder where needed and lock it.

    Raises:
        CannotRun: when it cannot be written, or another process holds it.
    """
    path, descriptor = _open(path)
    try:
        await _lock(descriptor, path, clock)
        folder = DataFolder(path, descriptor)
        folder.write_owners(database_pid=None)
    except BaseException:
        os.close(descriptor)
        raise
    return folder


def _open(path: Path) -> tuple[Path, int]:
    path = path.resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path, os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotRun(
            f"data folder {path} cannot be used: {error.strerror}; set DATA_DIR to a writable one"
        ) from error


async def _lock(descriptor: int, path: Path, clock: Clock) -> None:
    if _try_lock(descriptor):
        return
    parent, database = _owners(descriptor)
    if parent is None or _runs(parent):
        raise _in_use(path, parent)
    if not await _lock_within(descriptor, clock, LEFTOVER_SECONDS):
        raise _in_use(path, database)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _lock_within(descriptor: int, clock: Clock, seconds: float) -> bool:
    deadline = clock.monotonic() + seconds
    while True:
        if _try_lock(descriptor):
            return True
        if clock.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.05)


def _in_use(path: Path, pid: int | None) -> CannotRun:
    holder = f"process {pid}" if pid is not None else "another process"
    return CannotRun(f"data folder {path} is in use by {holder}; stop it, or set DATA_DIR to another folder")


def _owners(descriptor: int) -> tuple[int | None, int | None]:
    """Process ids of the parent and of its database, as far as they are noted."""
    pids = [int(word) for word in os.pread(descriptor, 100, 0).split() if word.isdigit()]
    return (pids[0] if pids else None), (pids[1] if len(pids) > 1 else None)


def _runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie (proc(5))."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}
