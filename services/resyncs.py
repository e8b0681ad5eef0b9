"""Answering processes that joined, or missed something, on the exchange's own topics."""

from collections.abc import Callable

from core.bus import Bus, BusGap
from core.request_id import request_scope
from events.market import EXCHANGE_CONTROL_TOPIC, EXCHANGE_TOPIC, ResyncFinished, ResyncRequested


async def answer(bus: Bus, tell: Callable[[], None]) -> None:
    """Tell everybody everything (`tell` publishes it) now, whenever a process asks, and when an asking one may have been missed.

    Until cancelled.
    """
    async with bus.subscribe(EXCHANGE_CONTROL_TOPIC) as subscription:
        tell()
        async for item in subscription:
            if isinstance(item, BusGap):
                tell()
            elif isinstance(item.event, ResyncRequested):
                with request_scope(item.request_id):
                    tell()
                    bus.publish(EXCHANGE_TOPIC, ResyncFinished(item.event.process))
