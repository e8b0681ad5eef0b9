"""Running a thing once over all processes: whoever holds the lease works, everybody else waits for it.

The holder renews well before the end and stops by itself when it cannot: a lease that could not be renewed for three quarters of its
life is given up before another process may take it (clocks of the machines must agree within a quarter of LEASE_SECONDS).
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from pymongo.errors import PyMongoError

from core.clock import Clock
from models import lease

log = structlog.get_logger(__name__)

LEASE_SECONDS = 10.0
RENEW_SECONDS = 2.0
RELEASE_SECONDS = 1.0
"""Limit of giving a lease back; one that was not is over by itself."""


SURE_SECONDS = LEASE_SECONDS * 0.75
"""How long after it was last renewed a lease is believed to be held."""


class LeaseLost(Exception):
    """Another process may hold the lease from now on; the work was stopped."""


class Holding:
    """Whether the lease is held, for work that must be sure at the very moment: a process that stood still may not have noticed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._renewed_at = clock.monotonic()

    def renewed(self, at: float) -> None:
        """It was renewed by a request that began at this moment (of the monotonic clock)."""
        self._renewed_at = at

    def is_sure(self) -> bool:
        """Whether nobody else can hold it now."""
        return self._clock.monotonic() - self._renewed_at < SURE_SECONDS


async def run_as_only_one(name: str, holder: str, clock: Clock, work: Callable[[Holding], Awaitable[None]]) -> None:
    """Wait for the lease, then work while it lasts. Returns when the work returns.

    Raises:
        LeaseLost: when the lease could not be kept; the work has been cancelled and awaited.
    """
    while True:
        holding = Holding(clock)
        if await _try_take(name, holder, clock):
            break
        await asyncio.sleep(RENEW_SECONDS / 2)
    log.info("lease.taken", lease=name)
    working = asyncio.ensure_future(work(holding))
    keeping = asyncio.ensure_future(_keep(name, holder, clock, holding))
    try:
        await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
        else:
            await keeping
    finally:
        for task in (working, keeping):
            task.cancel()
        await asyncio.gather(working, keeping, return_exceptions=True)
        await _release(name, holder)


async def _try_take(name: str, holder: str, clock: Clock) -> bool:
    now_ms = clock.now_ms()
    try:
        return await lease.take(name, holder, now_ms=now_ms, expires_ms=now_ms + round(LEASE_SECONDS * 1000))
    except PyMongoError as error:
        log.warning("lease.unreachable", lease=name, error=type(error).__name__)
        return False
    except asyncio.CancelledError:
        await _release(name, holder)  # the database may have given it all the same
        raise


async def _keep(name: str, holder: str, clock: Clock, holding: Holding) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        asked_at = clock.monotonic()
        try:
            if not await lease.renew(name, holder, expires_ms=clock.now_ms() + round(LEASE_SECONDS * 1000)):
                raise LeaseLost(f"another process took the lease {name}")
            holding.renewed(asked_at)
        except PyMongoError as error:
            log.warning("lease.not_renewed", lease=name, error=type(error).__name__)
            if not holding.is_sure():
                raise LeaseLost(f"the database does not answer, the lease {name} was given up") from error


async def _release(name: str, holder: str) -> None:
    try:
        async with asyncio.timeout(RELEASE_SECONDS):
            await lease.give_back(name, holder)
    except (PyMongoError, TimeoutError) as error:
        log.warning("lease.not_given_back", lease=name, error=type(error).__name__)
