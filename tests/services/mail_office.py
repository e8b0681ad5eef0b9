"""Mailbox, delivery and a postman, for tests of what becomes of a mail."""

import random
from collections.abc import Callable
from typing import Any

from core.bus import MemoryBus
from core.clock import ManualClock
from core.database import Database
from core.mail_vocabulary import MailKind
from core.secret_box import SecretBox
from events.account import MailQueued
from integrations.mail.base import Mail
from services.mail import Mailbox
from services.mail_content import MailContent
from services.mail_delivery import MailDelivery

_CONTENT = MailContent()


class Postman:
    """A provider that takes every mail, unless `trouble` raises, before or after it has taken it."""

    def __init__(self) -> None:
        self.taken: list[Mail] = []
        self.tries = 0
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    async def send(self, mail: Mail) -> None:
        self.tries += 1
        self.before()
        self.taken.append(mail)
        self.after()

    async def close(self) -> None:
        """Nothing to close."""


class Heard(MemoryBus):
    """A bus that remembers which mails were queued."""

    def __init__(self) -> None:
        super().__init__()
        self.mail_ids: list[str] = []

    def publish(self, topic: str, event: object) -> None:
        assert isinstance(event, MailQueued)
        self.mail_ids.append(event.mail_id)


def raises(error: BaseException) -> Callable[[], None]:
    def trouble() -> None:
        raise error

    return trouble


class Office:
    """Mailbox, delivery and postman on a clock that is moved by hand."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock()
        self.postman = Postman()
        self.bus = Heard()
        self.mailbox = Mailbox(self.bus, self.clock)
        self.box = SecretBox([b"k" * 32])
        self._randomness = random.Random(1)
        self._rows = database.handle["mails"]

    def delivery(self) -> MailDelivery:
        """A delivery such as each process has one."""
        return MailDelivery(
            provider=self.postman,
            box=self.box,
            clock=self.clock,
            content=_CONTENT,
            sender="CryptoVault <no-reply@cryptovault.example>",
            pages_url="https://cryptovault.example/account/",
            randomness=self._randomness,
        )

    async def deliver(self) -> None:
        """Try everything that is due."""
        delivery = self.delivery()
        for mail_id in await delivery.due(100):
            await delivery.deliver(mail_id)

    async def sent(self, kind: MailKind, **given: Any) -> Mail:
        """The mail that comes of this."""
        before = len(self.postman.taken)
        await self.mailbox.send(kind, **given)
        await self.deliver()
        (mail,) = self.postman.taken[before:]
        return mail

    async def row(self) -> dict[str, Any]:
        """The row of the one mail there is."""
        (mail_id,) = self.bus.mail_ids
        row = await self._rows.find_one({"_id": mail_id})
        assert row is not None
        return row

    async def ended(self) -> tuple[str, str | None]:
        """State of the one mail there is, and why."""
        row = await self.row()
        return row["state"], row.get("last_error")
