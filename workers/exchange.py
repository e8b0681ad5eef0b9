"""The exchange worker: the one writer, while this process holds its lease."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog
from pymongo.errors import PyMongoError

from core.backoff import Backoff
from core.cancellation import raise_if_cancelled
from core.clock import Clock
from core.redis_requests import RedisRequestServer
from services.exchange import ExchangeWriter, Fenced, WriterParts
from services.exchange_gateway import take_remote
from services.leases import Holding, LeaseLost, run_as_only_one

log = structlog.get_logger(__name__)

NAME = "exchange"


@dataclass(frozen=True, slots=True)
class ExchangeWorker:
    """What the worker needs. `remote` brings the questions of other processes; `beside` are the loops that run while the writer serves."""

    parts: WriterParts
    clock: Clock
    holder: str
    remote: RedisRequestServer | None
    beside: tuple[Callable[[], Awaitable[None]], ...] = ()

    async def run(self) -> None:
        """Write while this process holds the lease; wait for it otherwise. Every time with nothing but what the journal says. Until cancelled."""
        backoff = Backoff(first_seconds=0.1, most_seconds=5.0)
        while True:
            delay = backoff.next_delay()
            try:
                await run_as_only_one(NAME, self.holder, self.clock, self._work)
            except* (LeaseLost, Fenced, PyMongoError) as problems:
                log.warning("exchange.again", reason=str(problems.exceptions[0]), delay_seconds=round(delay, 2))
            raise_if_cancelled()
            await asyncio.sleep(delay)

    async def _work(self, holding: Holding) -> None:
        writer = ExchangeWriter(self.parts, holding)
        await writer.open()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(writer.serve())
            for loop in self.beside:
                tasks.create_task(_run(loop))
            if self.remote is not None:
                tasks.create_task(self.remote.run(partial(take_remote, self.parts.inbox)))


async def _run(loop: Callable[[], Awaitable[None]]) -> None:
    await loop()
