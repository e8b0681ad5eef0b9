"""The mail worker: it looks into the outbox when it is told to, and every few seconds in any case, and sends what is due, several at a time."""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog
from pymongo.errors import PyMongoError

from core.bus import Bus, Subscription
from core.cancellation import raise_if_cancelled
from core.clock import Clock
from events.account import MAIL_TOPIC
from services.leases import Holding, LeaseLost, run_as_only_one
from services.mail_delivery import MailDelivery

log = structlog.get_logger(__name__)

NAME = "mail"
AT_A_TIME = 8
"""Mails under way at once: a slow one holds up its own place only."""
BATCH = 100
LOOK_SECONDS = 3.0
AGAIN_SECONDS = 1.0
"""Pause after the database failed, or the lease was lost."""


@dataclass(frozen=True, slots=True)
class MailWorker:
    """What the worker needs."""

    bus: Bus
    clock: Clock
    holder: str
    delivery: MailDelivery

    async def run(self) -> None:
        """Work while this process holds the lease; wait for it otherwise. Until cancelled."""
        while True:
            try:
                await run_as_only_one(NAME, self.holder, self.clock, self._work)
            except LeaseLost as problem:
                log.warning("mail.again", reason=str(problem))
            raise_if_cancelled()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _work(self, _: Holding) -> None:
        places = asyncio.Semaphore(AT_A_TIME)
        queued = asyncio.Event()
        async with self.bus.subscribe(MAIL_TOPIC) as subscription, asyncio.TaskGroup() as tasks:
            tasks.create_task(_note(subscription, queued))
            while True:
                queued.clear()
                mail_ids = await self._due()
                for mail_id in mail_ids:
                    await places.acquire()
                    tasks.create_task(self._deliver(mail_id, places))
                if len(mail_ids) < BATCH:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await queued.wait()

    async def _due(self) -> list[str]:
        try:
            return await self.delivery.due(BATCH)
        except PyMongoError as error:
            log.warning("mail.not_looked", error=type(error).__name__)
            return []

    async def _deliver(self, mail_id: str, places: asyncio.Semaphore) -> None:
        """Send one. When the database fails, the place stays taken for a moment, so that nobody asks it in a tight loop."""
        try:
            await self.delivery.deliver(mail_id)
        except PyMongoError as error:
            log.warning("mail.not_noted", mail_id=mail_id, error=type(error).__name__)
            await asyncio.sleep(AGAIN_SECONDS)
        finally:
            places.release()


async def _note(subscription: Subscription, queued: asyncio.Event) -> None:
    """Whatever is heard, a gap included, means: look."""
    async for _ in subscription:
        queued.set()
