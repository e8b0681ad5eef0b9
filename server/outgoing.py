"""Answers that are given at once, written one behind the other when all requests that have arrived are answered.

A write wakes the peer up, which costs the writer more than the answer does when it is one that is kept. Between two answers a peer goes to sleep again;
between two writes right after each other it does not.
"""

import asyncio
import time
from collections.abc import Sequence

MOST_SECONDS = 0.0005
"""For an answer to wait for others to be made."""


class Outgoing:
    """Of one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Transport, Sequence[bytes]] = {}
        self._since = 0.0
        """When the first of them began to wait."""

    def put(self, transport: asyncio.Transport, answer: Sequence[bytes]) -> None:
        """Write these bytes in this turn of the event loop, behind what already waits for this transport."""
        if transport in self._waiting:
            self.write(transport)
            transport.writelines(answer)
            return
        now = time.perf_counter()
        if not self._waiting:
            self._since = now
            asyncio.get_running_loop().call_soon(self._write_all)
        self._waiting[transport] = answer
        if now - self._since > MOST_SECONDS:
            self._write_all()

    def write(self, transport: asyncio.Transport) -> None:
        """Write now what waits for this transport: something else is about to happen to it."""
        answer = self._waiting.pop(transport, None)
        if answer is not None and not transport.is_closing():
            transport.writelines(answer)

    def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for transport, answer in waiting.items():
            if not transport.is_closing():
                transport.writelines(answer)
