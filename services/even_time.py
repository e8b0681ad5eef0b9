"""Answers that take the same time, whatever is true: what differs in work must not be told by a clock.

Hashing a password has a block of its own: it takes long, and longer under load, so that together with what differs it would come near a
multiple of the step, and what differs would decide on which side.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.clock import Clock
from core.ids import random_share

STEP_SECONDS = 0.25
"""Well above what the work takes on an idle machine; a busier one answers at the next multiple."""


@asynccontextmanager
async def even_time(clock: Clock, step_seconds: float) -> AsyncIterator[None]:
    """Leave the block, also by a refusal, a random part of a step after the next multiple of the step since it was entered. A cancelled one
    leaves at once.

    The random part tells nothing, being drawn after the multiple; it keeps those who came together from going on together.
    """
    start = clock.monotonic()
    try:
        yield
    except Exception:
        await _rest(clock, start, step_seconds)
        raise
    await _rest(clock, start, step_seconds)


async def _rest(clock: Clock, start: float, step_seconds: float) -> None:
    if step_seconds > 0:
        step = step_seconds - (clock.monotonic() - start) % step_seconds
        await asyncio.sleep(step + random_share() * step_seconds)
