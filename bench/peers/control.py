"""The port on which a peer is told of ticks: one JSON object a line."""

import asyncio
from collections.abc import Callable


class _Lines(asyncio.Protocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)


async def listen(port: int, take: Callable[[bytes], None]) -> asyncio.Server:
    """Hand every line to `take`, until the server is closed."""
    return await asyncio.get_running_loop().create_server(lambda: _Lines(take), "127.0.0.1", port)
