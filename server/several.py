"""Several processes of the API behind one port: `python -m server api` with API_PROCESSES above 1.

Each has a listening socket of its own on the port, and Linux spreads new connections over them (SO_REUSEPORT, socket(7)). The sockets stay open in the process that
starts the others: when one of these dies, connections that Linux has given to its socket wait for the one started in its place.
"""

import asyncio
import functools
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import structlog

from core.clock import SystemClock
from core.settings import Settings
from server import process
from server.errors import CannotRun
from server.external import require_external
from server.restarts import Restarts, how_it_ended
from server.tether import tethered

log = structlog.get_logger(__name__)

STOP_SECONDS = 15.0
"""From SIGTERM to SIGKILL. A process gives requests in flight 3 s of it."""
_HIGHEST_PORT = 65_535


def run(settings: Settings) -> int:
    """Keep API_PROCESSES of them until a signal, or until one died too often (`Restarts`); gives the exit status."""
    return process.run(functools.partial(_main, settings))


async def _main(settings: Settings) -> None:
    require_external(settings, "api")
    if sys.platform != "linux":
        raise CannotRun("API_PROCESSES above 1 needs Linux, which spreads connections; set it to 1")
    if settings.worker_port + settings.api_processes - 1 > _HIGHEST_PORT:
        raise CannotRun(f"each process needs a port of its own from WORKER_PORT on: {settings.worker_port} is too high")
    with _sharing(settings.host, settings.port, settings.api_processes) as listeners:
        async with asyncio.TaskGroup() as group:
            for number, listener in enumerate(listeners):
                group.create_task(_keep(_Child(settings, number, listener)))


@contextmanager
def _sharing(host: str, port: int, count: int) -> Iterator[Sequence[socket.socket]]:
    """So many listening sockets on a port that nobody else listens on."""
    with ExitStack() as stack:
        with process.listen(host, port) as alone:
            family, address = alone.family, alone.getsockname()
        yield [
            stack.enter_context(socket.create_server(address, family=family, backlog=2048, reuse_port=True))
            for _ in range(count)
        ]


class _Child:
    """One of the processes: which, on which socket."""

    def __init__(self, settings: Settings, number: int, listener: socket.socket) -> None:
        self.number = number
        self._listener = listener
        self._worker_port = settings.worker_port + number if settings.worker_port else 0

    async def start(self) -> Process:
        """Start it in a session of its own, so that Ctrl-C in a terminal reaches it only through its parent; it ends with its parent."""
        return await asyncio.create_subprocess_exec(
            *tethered(sys.executable, "-m", "server", "api", "--fd", str(self._listener.fileno())),
            env={**os.environ, "WORKER_PORT": str(self._worker_port)},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(self._listener.fileno(),),
            start_new_session=True,
        )


async def _keep(child: _Child) -> None:
    restarts = Restarts(SystemClock())
    while True:
        running = await child.start()
        log.info("api_process.started", number=child.number, pid=running.pid)
        try:
            status = await running.wait()
        finally:
            await _stop(running)
        reason = f"process {child.number} of the API {how_it_ended(status)}"
        delay = restarts.delay_after(reason)
        log.error("api_process.died", detail=reason, pid=running.pid, restart_in_seconds=round(delay, 2))
        await asyncio.sleep(delay)


async def _stop(running: Process) -> None:
    if running.returncode is not None:
        return
    running.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await running.wait()
    except TimeoutError:
        log.error("api_process.killed", pid=running.pid, detail=f"it did not stop within {STOP_SECONDS:.0f} s")
        running.kill()
        await running.wait()
