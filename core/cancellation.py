"""Cancellation that is not lost.

Python 3.11's `asyncio.wait_for` returns its future's result, and forgets the cancellation, when a task is cancelled after the future is
done and before the task runs on (python/cpython#86296). PyMongo awaits every reply through it, so a busy process that was asked to end
now and then had a loop that never did. Python 3.12 builds it on `asyncio.timeout`, which keeps the cancellation.
"""

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


def keep_cancellations() -> None:
    """Let this process use the newer `wait_for`. Call it before a module that imports the name is loaded."""
    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]


def raise_if_cancelled() -> None:
    """Go on being cancelled: a TaskGroup in which a task fails while it is being cancelled raises the failure alone.

    Every loop that tries again for ever after such a failure calls this first.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def wait_for(fut: Awaitable[Result], timeout: float | None) -> Result:
    """The result of an awaitable within this many seconds, as Python 3.12's `asyncio.wait_for`. Raises TimeoutError."""
    if timeout is not None and timeout <= 0:
        future = asyncio.ensure_future(fut)
        if not future.done():
            future.cancel()
            await asyncio.wait([future])
        try:
            return future.result()
        except asyncio.CancelledError as cancelled:
            raise TimeoutError from cancelled
    async with asyncio.timeout(timeout):
        return await fut
