"""An ASGI extension: who leaves before the answer is noticed without a task that waits for it.

Who finds `DEPARTURE` in the scope's `extensions` may wait for something `while_there`.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

DEPARTURE = "cryptovault.departure"
T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before it was answered."""


class Departure:
    """Of the client of one request."""

    __slots__ = ("_gone", "_waiting")

    def __init__(self) -> None:
        self._gone = False
        self._waiting: asyncio.Task[object] | None = None

    def happened(self) -> None:
        """The client is gone: what is waited for is cancelled."""
        self._gone = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def while_there(self, awaitable: Awaitable[T]) -> T:
        """The result, unless the client leaves before; awaited in the task of the caller, one at a time. Raises ClientGone."""
        task = self._waiting = asyncio.current_task()
        if self._gone and task is not None:
            task.cancel()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._gone and task is not None and task.uncancel() == 0:
                raise ClientGone from None
            raise
        finally:
            self._waiting = None
