"""The connection of a streaming HTTP response, as shared subscriptions see it."""

import asyncio
from collections.abc import Awaitable, Callable

_BUFFER_BYTES = 65_536
"""Of frames that wait for the connection, before it counts as one that is not read."""


class HttpSink:
    """Frames are put together here and sent over ASGI, which waits for the peer; `paused` while too much waits."""

    def __init__(self) -> None:
        self.paused = False
        self.watchers: dict[object, Callable[[], None]] = {}
        self._frames: list[bytes] = []
        self._size = 0
        self._closed = False
        self._wakeup = asyncio.Event()
        self._reads = asyncio.Event()
        self._reads.set()

    def write(self, frame: bytes) -> None:
        """Send these bytes soon; nothing once it is closed."""
        if self._closed:
            return
        self._frames.append(frame)
        self._size += len(frame)
        self._wakeup.set()
        if self._size > _BUFFER_BYTES and not self.paused:
            self._pace(paused=True)

    async def until_read(self) -> None:
        """Wait while the peer does not read."""
        await self._reads.wait()

    def close(self) -> None:
        """What was written is the last."""
        self._closed = True
        self._wakeup.set()

    async def pump(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send what is written until it is closed and all is sent."""
        while self._frames or not self._closed:
            await self._wakeup.wait()
            self._wakeup.clear()
            frames, self._frames, self._size = self._frames, [], 0
            if frames:
                await send(b"".join(frames))
            if self.paused and self._size <= _BUFFER_BYTES:
                self._pace(paused=False)

    def _pace(self, *, paused: bool) -> None:
        self.paused = paused
        if paused:
            self._reads.clear()
        else:
            self._reads.set()
        for changed in tuple(self.watchers.values()):
            changed()
