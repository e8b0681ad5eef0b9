"""`python -m bench.ways`: what a tick costs by the way in which its frames are handed to uvloop.

One process writes to 1,000 sockets, another reads them, each on its core. The ways take turns, tick by tick, 50 ms apart, so that whatever the machine does meanwhile does it to all of
them. Printed are the median from the first write to an arrival, over all sockets and ticks, and the median of what writing took.
"""

import argparse
import asyncio
import os
import select
import socket
import struct
import sys
import time
import uuid
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.queues import Queue
from statistics import median

import uvloop

from bench.peers.limits import frame_of

SOCKETS = 1_000
PAUSE_SECONDS = 0.05
_STAMP = struct.Struct("<qq")
"""The tick's number and when it began to be written, in nanoseconds."""
_LENGTH = 400
_END = -1

Arrivals = dict[int, list[int]]
"""Nanoseconds until each socket had a tick, by its number."""


def prepared(sockets: Sequence[asyncio.Transport], suffixes: Sequence[bytes], head: bytes) -> None:
    """One frame for all, as the limit does."""
    frame = head + suffixes[0]
    for transport in sockets:
        transport.write(frame)


def joined(sockets: Sequence[asyncio.Transport], suffixes: Sequence[bytes], head: bytes) -> None:
    """A frame for each, made of the head and its suffix, as `server/realtime/audience.py` does."""
    for transport, suffix in zip(sockets, suffixes, strict=True):
        transport.write(head + suffix)


def in_parts(sockets: Sequence[asyncio.Transport], suffixes: Sequence[bytes], head: bytes) -> None:
    """Head and suffix, not put together."""
    for transport, suffix in zip(sockets, suffixes, strict=True):
        transport.writelines((head, suffix))


WAYS = (prepared, joined, in_parts)


class _Accepted(asyncio.Protocol):
    def __init__(self, sockets: list[asyncio.Transport], all_there: asyncio.Event) -> None:
        self._sockets = sockets
        self._all_there = all_there

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._sockets.append(transport)
        if len(self._sockets) == SOCKETS:
            self._all_there.set()


def read(port: int, core: int, results: "Queue[Arrivals]") -> None:
    """The process that reads, until a tick says that it was the last."""
    os.sched_setaffinity(0, {core})
    poll, sockets, arrivals = select.epoll(), {}, Arrivals()
    for _ in range(SOCKETS):
        each = socket.create_connection(("127.0.0.1", port))
        each.setblocking(False)
        sockets[each.fileno()] = each
        poll.register(each.fileno(), select.EPOLLIN)
    while True:
        for descriptor, _ in poll.poll():
            number, begun = _STAMP.unpack_from(os.read(descriptor, 65_536), 4)
            if number == _END:
                results.put(arrivals)
                return
            arrivals.setdefault(number, []).append(time.perf_counter_ns() - begun)


async def measure(core: int, reading_core: int, ticks: int) -> None:
    """Print a line for each way."""
    os.sched_setaffinity(0, {core})
    sockets: list[asyncio.Transport] = []
    all_there = asyncio.Event()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Accepted(sockets, all_there), "127.0.0.1", 0, backlog=4096
    )
    context = get_context("spawn")
    results: Queue[Arrivals] = context.Queue()
    reader = context.Process(target=read, args=(server.sockets[0].getsockname()[1], reading_core, results))
    reader.start()
    await all_there.wait()
    suffixes = [b'"%b"}' % str(uuid.uuid4()).encode() for _ in sockets]
    took: dict[int, int] = {}
    for number in range(ticks * len(WAYS)):
        await asyncio.sleep(PAUSE_SECONDS)
        begun = time.perf_counter_ns()
        WAYS[number % len(WAYS)](sockets, suffixes, _head(number, begun, suffixes[0]))
        took[number] = time.perf_counter_ns() - begun
    prepared(sockets, suffixes, _head(_END, 0, suffixes[0]))
    arrivals = await asyncio.to_thread(results.get)
    await asyncio.to_thread(reader.join)
    for place, way in enumerate(WAYS):
        own = range(len(WAYS) + place, ticks * len(WAYS), len(WAYS))
        arrived = median(each for number in own for each in arrivals[number]) / 1e6
        print(
            f"{way.__name__:10} p50 {arrived:6.2f} ms, written in {median(took[number] for number in own) / 1e6:6.2f}"
        )


def _head(number: int, begun: int, suffix: bytes) -> bytes:
    payload = _STAMP.pack(number, begun).ljust(_LENGTH, b" ") + suffix
    return frame_of(payload)[: -len(suffix)]


def main(arguments: list[str]) -> int:
    """Measure until it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=90, help="for each way; the first does not count")
    parser.add_argument("--server-core", type=int, default=1)
    parser.add_argument("--client-core", type=int, default=0)
    options = parser.parse_args(arguments)
    uvloop.run(measure(options.server_core, options.client_core, options.ticks))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
