"""The mail worker: prompt, several at a time, one worker over all processes, and patient with a database that is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from pymongo.errors import AutoReconnect

from core import cancellation
from core.bus import MemoryBus
from core.clock import SystemClock
from core.database import Database
from core.mail_vocabulary import MailKind
from core.secret_box import SecretBox
from integrations.mail.base import MailProvider
from integrations.mail.smtp import SmtpProvider
from models import mail as outbox
from services import leases
from services.mail import Mailbox
from services.mail_content import MailContent
from services.mail_delivery import MailDelivery
from tests.mail_server import MailServer
from tests.services.mail_people import person, store
from workers import mail as worker
from workers.mail import AT_A_TIME, BATCH, MailWorker

WAIT_SECONDS = 30.0
FORMER = "former@example.com"


@dataclass
class Process:
    """What one process has: a worker with a provider of its own."""

    provider: MailProvider
    bus: MemoryBus
    holder: str = "a"
    clock: SystemClock = field(default_factory=SystemClock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        delivery = MailDelivery(
            provider=self.provider,
            box=SecretBox([b"k" * 32]),
            clock=self.clock,
            content=MailContent(),
            sender="CryptoVault <no-reply@cryptovault.example>",
            pages_url="https://cryptovault.example/account",
        )
        task = asyncio.create_task(MailWorker(self.bus, self.clock, self.holder, delivery).run())
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def kept_cancellations(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every process of the server has it (server/__init__.py)."""
    monkeypatch.setattr(asyncio, "wait_for", cancellation.wait_for)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer().listening() as server:
        yield server


@pytest.fixture
async def mailbox(database: Database, bus: MemoryBus) -> Mailbox:
    await store(person())
    return Mailbox(bus, SystemClock())


async def eventually(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def test_a_mail_goes_out_as_soon_as_it_is_announced(
    server: MailServer, bus: MemoryBus, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOOK_SECONDS", 3600)
    await mailbox.send(MailKind.NEW_DEVICE, user_id="u1")
    async with Process(SmtpProvider(server.url()), bus).running():
        await server.mail_to("Anna@example.com")
        await mailbox.send(MailKind.PASSWORD_CHANGED, user_id="u1")
        await server.mail_to("Anna@example.com", number=2)


async def test_a_mail_that_was_announced_to_nobody_goes_out(
    server: MailServer, bus: MemoryBus, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.02)
    async with Process(SmtpProvider(server.url()), MemoryBus()).running():
        await mailbox.send(MailKind.NEW_DEVICE, user_id="u1")
        await server.mail_to("Anna@example.com")


async def test_a_slow_or_refused_mail_holds_up_no_other(server: MailServer, bus: MemoryBus, mailbox: Mailbox) -> None:
    server.rcpt_replies = {"refused@example.com": "550 no", "later@example.com": "451 later"}
    stalled = [f"slow{number}@example.com" for number in range(AT_A_TIME - 1)]
    server.open.clear()
    async with Process(SmtpProvider(server.url()), bus).running():
        for address in stalled:
            await mailbox.send(MailKind.EMAIL_CHANGED, user_id="u1", to=address)
        await eventually(lambda: server.connections == len(stalled))
        for address in ("refused@example.com", "later@example.com"):
            await mailbox.send(MailKind.EMAIL_CHANGED, user_id="u1", to=address)
        await eventually(lambda: server.connections == len(stalled) + 2)
        assert not server.received
        server.open.set()
        for address in stalled:
            await server.mail_to(address)


async def test_a_long_queue_is_sent_a_few_at_a_time(server: MailServer, bus: MemoryBus, mailbox: Mailbox) -> None:
    number = BATCH + 5
    for _ in range(number):
        await mailbox.send(MailKind.NEW_DEVICE, user_id="u1")
    server.open.clear()
    async with Process(SmtpProvider(server.url()), bus).running():
        await eventually(lambda: server.connections == AT_A_TIME)
        await asyncio.sleep(0.05)
        assert server.connections == AT_A_TIME
        server.open.set()
        await server.mail_to("Anna@example.com", number=number)
    assert len({mail.message["Message-ID"] for mail in server.received}) == len(server.received) == number


async def test_of_two_workers_one_sends_and_the_other_takes_over(
    server: MailServer, bus: MemoryBus, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    async with Process(SmtpProvider(server.url()), bus, "b").running():
        async with Process(SmtpProvider(server.url()), bus, "a").running():
            for number in range(1, 11):
                await mailbox.send(MailKind.NEW_DEVICE, user_id="u1")
                await server.mail_to("Anna@example.com", number=number)
        await mailbox.send(MailKind.NEW_DEVICE, user_id="u1")
        await server.mail_to("Anna@example.com", number=11)
    assert len({mail.message["Message-ID"] for mail in server.received}) == len(server.received) == 11


async def test_a_worker_that_is_killed_while_it_sends_loses_nothing(
    server: MailServer, bus: MemoryBus, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.mail_delivery.CLAIM_MS", 200)
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.05)
    server.open.clear()
    await mailbox.send(MailKind.EMAIL_CHANGED, user_id="u1", to=FORMER)
    async with Process(SmtpProvider(server.url()), bus).running():
        await eventually(lambda: server.holding == 1)
    server.open.set()
    async with Process(SmtpProvider(server.url()), bus).running():
        await server.mail_to(FORMER)
        await eventually(lambda: server.connections == 2)
    assert len({mail.message["Message-ID"] for mail in server.received}) == 1


async def test_a_database_that_is_away_is_waited_for(
    server: MailServer, bus: MemoryBus, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(worker, "AGAIN_SECONDS", 0.02)
    asked = {"due_ids": 0, "claim": 0}

    def away(name: str) -> Callable[..., object]:
        async def fail(*args: object, **named: object) -> None:
            asked[name] += 1
            raise AutoReconnect("away")

        return fail

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "due_ids", away("due_ids"))
        async with Process(SmtpProvider(server.url()), bus).running() as task:
            await eventually(lambda: asked["due_ids"] > 2)
            patch.undo()
            patch.setattr(outbox, "claim", away("claim"))
            await mailbox.send(MailKind.NEW_DEVICE, user_id="u1")
            await eventually(lambda: asked["claim"] > 2)
            assert server.connections == 0
            patch.undo()
            await server.mail_to("Anna@example.com")
            assert not task.done()


async def test_a_worker_ends_at_once_when_it_is_told_to(server: MailServer, bus: MemoryBus, mailbox: Mailbox) -> None:
    server.open.clear()
    await mailbox.send(MailKind.NEW_DEVICE, user_id="u1")
    async with Process(SmtpProvider(server.url()), bus).running() as task:
        await eventually(lambda: server.holding == 1)
        task.cancel()
        async with asyncio.timeout(8):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
