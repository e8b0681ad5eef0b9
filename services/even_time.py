"""Answers that take the same time, whatever is true: what differs in work must not be told by a clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.clock import Clock

STEP_SECONDS = 0.25
"""Well above what the work takes on an idle machine; a busier one answers at the next multiple."""


@asynccontextmanager
async def even_time(clock: Clock, step_seconds: float) -> AsyncIterator[None]:
    """Leave the block, also by an exception, no sooner than the next multiple of the step after it was entered."""
    start = clock.monotonic()
    try:
        yield
    finally:
        if step_seconds > 0:
            spent = clock.monotonic() - start
            await asyncio.sleep(step_seconds - spent % step_seconds)
