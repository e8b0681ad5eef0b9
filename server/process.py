"""A process of ours from start to end: signals, the HTTP server, the exit status.

The first SIGINT or SIGTERM cancels the main task, which ends in order: requests in flight, workers, connections, database child.
After that signal the default handling is back, so that a second one ends the process at once.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from core.database import DatabaseUnavailable
from server.connections import uvicorn_options
from server.errors import CannotRun

log = structlog.get_logger(__name__)

GRACE_SECONDS = 3
"""Requests in flight get this long at the end."""
KEEP_ALIVE_SECONDS = 75
"""Longer than the usual load balancer keeps an idle connection, so that it never reuses one we just closed."""
COLLECTED_AFTER = (20_000, 5, 40)
"""New objects until the garbage collector looks at the youngest: half a millisecond's work. Then how many such looks until it looks at those
that survived one (3 ms), and how many of those until it looks at everything, which holds up all requests for a tenth of a second and more."""
MOST_FRAME_BYTES = 256 * 1024
EXIT_STOPPED = 0
EXIT_FAILED = 1

Main = Callable[[], Coroutine[None, None, None]]


def run(main: Main) -> int:
    """Run until it returns, fails, or a signal stops it; gives the exit status and, for what the operator can mend, one line."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_stopped(main))


async def _until_stopped(main: Main) -> int:
    task = asyncio.create_task(main())
    with _cancelled_by_signal(task) as stopped:
        try:
            await task
        except asyncio.CancelledError:
            if not stopped.is_set():
                raise
        except Exception as error:  # noqa: BLE001 (reported below, whatever it is)
            return _report(error)
    return EXIT_STOPPED


def _report(error: Exception) -> int:
    causes = list(_leaves(error))
    if all(isinstance(cause, CannotRun | DatabaseUnavailable) for cause in causes):
        for cause in causes:
            sys.stderr.write(f"cryptovault: {cause}\n")
    else:
        log.exception("process.crashed", exc_info=error)
    return EXIT_FAILED


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


@contextmanager
def _cancelled_by_signal(task: asyncio.Task[None]) -> Iterator[asyncio.Event]:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int) -> None:
        for each in signals:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        log.info("process.stopping", signal=signal.Signals(number).name)
        stopped.set()
        task.cancel()

    for each in signals:
        loop.add_signal_handler(each, stop, each)
    try:
        yield stopped
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


def listen(host: str, port: int, *, setting: str = "PORT") -> socket.socket:
    """Bind and listen at once: from here on no other process gets the port, and connections wait until they are served. `setting`: the port's name.

    Raises:
        CannotRun: the port is taken, or the address is not of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise CannotRun(
            f"cannot listen on {host}:{port}: {error.strerror}; set HOST or {setting} to another one"
        ) from error


def handed_over(fd: int) -> socket.socket:
    """The listening socket that this process was started with.

    Raises:
        CannotRun: it was started with none.
    """
    try:
        listener = socket.socket(fileno=fd)
    except OSError as error:
        raise CannotRun(f"--fd {fd} is no listening socket: {error.strerror}") from error
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise CannotRun(f"--fd {listener.detach()} is a socket that does not listen")
    return listener


def address_of(listener: socket.socket) -> str:
    """host:port of a listening socket, as a URL writes it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _keep_what_is_there() -> None:
    """Have the garbage collector leave alone what exists at the start (modules, the schema): it would find it in use each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


async def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until cancelled; then stop accepting, give requests in flight GRACE_SECONDS, and close."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        **uvicorn_options(frame_bytes=MOST_FRAME_BYTES),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        reset_contextvars=True,
    )
    server = _Server(config)
    _keep_what_is_there()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving


class _Server(uvicorn.Server):
    """Leaves signals to `run`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
