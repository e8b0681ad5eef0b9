"""The embedded database: SecantusDB as a supervised child on a free port, its files in DATA_DIR/database, its output in DATA_DIR/database.log.

It runs in its own session, so that Ctrl-C in a terminal reaches it only through its parent, which flushes first; and it is tied to
the parent's life, so that no way of ending the parent leaves it behind. A separate process, never imported: its licence is GPL-2.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import structlog
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from core.clock import Clock
from server.bounded_log import BoundedLog
from server.data_folder import DataFolder, lock_data_folder
from server.errors import CannotRun
from server.restarts import Restarts, how_it_ended
from server.tether import tethered

log = structlog.get_logger(__name__)

_LIBC = ctypes.CDLL(None, use_errno=True)
PROGRAM = Path(sys.executable).parent / "secantusd-py"
HOST = "127.0.0.1"
READY_SECONDS = 20.0
STOP_SECONDS = 10.0
RESEND_SECONDS = 3.0
CLIENT_OPTIONS = "directConnection=true&retryWrites=false"
"""The engine keeps what it answered to retryable writes in memory: one tried again after a restart would be done twice; and from the
10,000th on it looks through all of them at every write, which costs 5 to 15 ms.
"""


class EmbeddedDatabase:
    """The child and its supervision. `url` stays the same over restarts."""

    def __init__(self, folder: DataFolder, storage: Path, program: Path, clock: Clock) -> None:
        self._folder = folder
        self._storage = storage
        self._program = program
        self._clock = clock
        self._port = _free_port()
        self._output = BoundedLog(folder.path / "database.log")
        self._process: asyncio.subprocess.Process | None = None
        self._copying: asyncio.Task[None] | None = None
        self.url = f"mongodb://{HOST}:{self._port}/?{CLIENT_OPTIONS}"

    @property
    def pid(self) -> int | None:
        """Process id of the child, None before the first start."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the child and wait until it accepts connections.

        Raises:
            CannotRun: when it ends first, or takes longer than READY_SECONDS.
        """
        process = await self._spawn()
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await self._accepts():
                    if process.returncode is not None:
                        raise CannotRun(await self._obituary(process))
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            process.kill()
            raise CannotRun(
                f"the embedded database did not answer within {READY_SECONDS:.0f} s; see {self._folder.path}/database.log"
            ) from error

    async def supervise(self) -> NoReturn:
        """Restart the child whenever it dies, with backoff, on the same port and files; runs until cancelled.

        Raises:
            CannotRun: when it died too often (`Restarts`).
        """
        restarts = Restarts(self._clock)
        while True:
            process = self._running()
            await process.wait()
            reason = await self._obituary(process)
            delay = restarts.delay_after(reason)
            log.error("embedded_database.died", detail=reason, restart_in_seconds=round(delay, 2))
            await asyncio.sleep(delay)
            with contextlib.suppress(CannotRun):
                await self.start()
                log.warning("embedded_database.restarted", pid=self.pid)

    async def stop(self) -> None:
        """SIGTERM, SIGKILL after STOP_SECONDS; returns when the child is gone."""
        if self._process is not None and self._process.returncode is None:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._terminate(self._process)
                    await self._process.wait()
            except TimeoutError:
                log.error("embedded_database.killed", detail=f"it did not stop within {STOP_SECONDS:.0f} s")
                self._process.kill()
                await self._process.wait()
        if self._copying is not None:
            await self._copying
        self._output.close()

    async def _terminate(self, process: asyncio.subprocess.Process) -> None:
        """SIGTERM, and again if it goes on listening; not sooner, because one that comes while it is stopping locks the program up.

        The connections made here let it stop at once: it looks for a stop only when accept(2) returns, or after 2 s.
        """
        while process.returncode is None:
            _terminate_main_thread(process.pid)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESEND_SECONDS):
                    while await self._accepts():
                        await asyncio.sleep(0.05)
                    return

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise CannotRun("the embedded database was never started")
        return self._process

    async def _spawn(self) -> asyncio.subprocess.Process:
        config = self._folder.path / "database.toml"
        config.touch()
        self._process = await asyncio.create_subprocess_exec(
            *tethered(
                *(str(self._program), "--host", HOST, "--port", str(self._port)),
                *("--storage-path", str(self._storage), "--sync-on-commit", "--config", str(config)),
            ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(self._folder.fileno,),
            start_new_session=True,
            cwd=self._folder.path,
        )
        self._folder.write_owners(database_pid=self._process.pid)
        if self._process.stdout is not None:
            self._copying = asyncio.create_task(self._output.copy(self._process.stdout))
        return self._process

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            return False
        writer.close()
        return True

    async def _obituary(self, process: asyncio.subprocess.Process) -> str:
        """Why it ended, in one line: its status and the last thing it said."""
        if self._copying is not None:
            await self._copying
        how = how_it_ended(process.returncode or 0)
        last = f" ({self._output.last_line})" if self._output.last_line else ""
        return f"the embedded database {how}{last}; see {self._folder.path}/database.log"


@asynccontextmanager
async def embedded_database(data_dir: Path, clock: Clock, program: Path = PROGRAM) -> AsyncIterator[EmbeddedDatabase]:
    """The embedded database on this folder, accepting connections and supervised; stopped, and the folder released, at the end.

    Raises:
        CannotRun: the program is not installed, the folder is in use, or the database does not start; inside an ExceptionGroup, after
            the body was cancelled, when supervision gives up.
    """
    _require(program)
    folder = await lock_data_folder(data_dir, clock)
    try:
        storage = folder.path / "database"
        if not storage.exists():
            await _create(folder, storage, program, clock)
        database = EmbeddedDatabase(folder, storage, program, clock)
        try:
            await database.start()
            folder.write_url(database.url)
            async with asyncio.TaskGroup() as group:
                supervision = group.create_task(database.supervise())
                yield database
                supervision.cancel()
        finally:
            folder.forget_url()
            await database.stop()
    finally:
        folder.release()


async def _create(folder: DataFolder, storage: Path, program: Path, clock: Clock) -> None:
    """Make the database's files whole or not at all.

    Its engine makes its tables when they are first used, not atomically: killed in that moment, it never opens again. So all of them
    are made in a folder beside, which gets its name when it was closed.
    """
    unfinished = storage.with_name("database.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    database = EmbeddedDatabase(folder, unfinished, program, clock)
    try:
        await database.start()
        await touch_every_table(database.url)
    except PyMongoError as error:
        raise CannotRun(f"the embedded database could not be made: {error}; see {folder.path}/database.log") from error
    finally:
        await database.stop()
    unfinished.rename(storage)


async def touch_every_table(url: str) -> None:
    """Use each of the 16 tables that the engine spreads collections over; these names reach all of them (SecantusDB 0.7)."""
    async with AsyncMongoClient[dict[str, object]](url, timeoutMS=10_000) as client:
        for number in range(20):
            await client["tables"].create_collection(f"c{number}")
        await client.drop_database("tables")


def _require(program: Path) -> None:
    if not program.exists():
        raise CannotRun(f"the embedded database is not installed ({program.name}); run `make dev`, or set MONGO_URL")


def _terminate_main_thread(pid: int) -> None:
    """SIGTERM to the main thread of another process (tgkill(2)): Python runs handlers there, and if another thread of an idle program
    gets the signal, the main one may sleep on.
    """
    with contextlib.suppress(ProcessLookupError):
        if sys.platform != "linux":
            os.kill(pid, signal.SIGTERM)
        elif _LIBC.tgkill(pid, pid, int(signal.SIGTERM)) != 0:
            raise OSError(ctypes.get_errno(), "tgkill")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
