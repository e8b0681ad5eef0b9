"""What the commands of the bench have in common on their command line."""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Sequence

from bench.clients import Cores

EXIT_STOPPED = 130


def read(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The parser's options, and which cores are used; ends the program where they may not be."""
    parser.add_argument("--server-core", type=int, default=1, help="core of the server under test (1)")
    parser.add_argument("--client-core", type=int, default=0, help="core of everything else (0)")
    options = parser.parse_args(arguments)
    allowed = os.sched_getaffinity(0)
    for core in (options.server_core, options.client_core):
        if core not in allowed:
            parser.error(f"core {core} may not be used; there are {', '.join(map(str, sorted(allowed)))}")
    if options.server_core == options.client_core:
        parser.error("the server needs a core of its own")
    return options


def run(work: Coroutine[None, None, int]) -> int:
    """Its exit status. SIGINT and SIGTERM cancel it, so that whatever it has started is stopped."""
    return asyncio.run(_until_stopped(work))


async def _until_stopped(work: Coroutine[None, None, int]) -> int:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return EXIT_STOPPED


def cores_of(options: argparse.Namespace) -> Cores:
    """The cores that were chosen. This process leaves the server's to it, and so does what it starts unless told otherwise."""
    os.sched_setaffinity(0, {options.client_core})
    return Cores(options.server_core, options.client_core)


def list_of(kind: str, known: Sequence[str]) -> Callable[[str], list[str]]:
    """Reads names separated by commas."""

    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"no {kind} {unknown[0]!r}; there are {', '.join(known)}")
        return names

    return read


def whole(text: str) -> int:
    """Reads a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def positive(text: str) -> float:
    """Reads seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 600:
        raise argparse.ArgumentTypeError(f"expected seconds from 0.1 to 600, got {text!r}")
    return value
