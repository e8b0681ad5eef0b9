"""The one loop all polled providers share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from core.backoff import Backoff
from core.vocabulary import PriceSource
from events.feed import FeedConnected, FeedDisconnected, FeedMessage, FeedRejected
from integrations.feeds.base import Emit, ProviderUnavailable, Sleep

FIRST_RETRY_SECONDS = 5.0


async def poll_for_ever(
    source: PriceSource,
    poll: Callable[[], Awaitable[Sequence[FeedMessage]]],
    emit: Emit,
    *,
    interval_seconds: float,
    sleep: Sleep = asyncio.sleep,
) -> NoReturn:
    """Poll every `interval_seconds` until cancelled.

    A failure is a FeedDisconnected and is tried again after a growing wait, the provider's own Retry-After at least. The first
    poll that finds something usable is a FeedConnected.
    """
    backoff = Backoff(min(FIRST_RETRY_SECONDS, interval_seconds), interval_seconds)
    connected = False
    while True:
        try:
            messages = await poll()
        except ProviderUnavailable as error:
            connected = False
            await emit(FeedDisconnected(source, str(error)))
            await sleep(max(backoff.next_delay(), error.retry_after_seconds))
            continue
        if not connected and any(not isinstance(message, FeedRejected) for message in messages):
            connected = True
            backoff.reset()
            await emit(FeedConnected(source))
        for message in messages:
            await emit(message)
        await sleep(interval_seconds)
