"""The mailbox: what is stored when a mail is accepted, and that it is the same for addresses known and unknown."""

from typing import Any

import pytest

from core.bus import BusMessage, MemoryBus
from core.clock import ManualClock
from core.database import Database
from core.mail_vocabulary import MailKind
from events.account import MAIL_TOPIC, MailQueued
from services.mail import MOST_FACT_CHARACTERS, Mailbox
from tests.services.mail_people import ANNA, person, store


async def rows(database: Database) -> list[dict[str, Any]]:
    return await database.handle["mails"].find({"next_ms": {"$gte": 0}}).to_list()


async def test_an_accepted_mail_is_stored_and_announced(database: Database) -> None:
    clock, bus = ManualClock(), MemoryBus()
    async with bus.subscribe(MAIL_TOPIC) as subscription:
        await Mailbox(bus, clock).send(
            MailKind.API_KEY_CREATED, user_id="u1", name="bot", ip=None, device="", left="x" * 10_000
        )
        (row,) = await rows(database)
        mail_id = row.pop("_id")
        assert row == {
            "kind": "API_KEY_CREATED",
            "user_id": "u1",
            "facts": {"name": "bot", "left": "x" * MOST_FACT_CHARACTERS},
            "state": "QUEUED",
            "attempts": 0,
            "created_ms": clock.now_ms(),
            "next_ms": clock.now_ms(),
        }
        async for item in subscription:
            assert item == BusMessage(MAIL_TOPIC, MailQueued(mail_id))
            break


@pytest.mark.parametrize("kind", [MailKind.SIGN_UP, MailKind.VERIFY_EMAIL, MailKind.PASSWORD_RESET])
async def test_known_and_unknown_addresses_are_alike(database: Database, kind: MailKind) -> None:
    await store(person())
    mailbox = Mailbox(MemoryBus(), ManualClock())
    await mailbox.send(kind, email_key=ANNA)
    await mailbox.send(kind, email_key="stranger@example.com")
    known, unknown = await rows(database)
    for name in ("_id", "email_key"):
        assert known.pop(name) != unknown.pop(name)
    assert known == unknown


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (MailKind.SIGN_UP, {}),
        (MailKind.SIGN_UP, {"email_key": ANNA, "user_id": "u1"}),
        (MailKind.PASSWORD_RESET, {"email_key": ANNA, "to": ANNA}),
        (MailKind.CHANGE_EMAIL, {"user_id": "u1", "to": ANNA}),
        (MailKind.CHANGE_EMAIL, {"user_id": "u1", "email_key": ANNA}),
        (MailKind.NEW_DEVICE, {"email_key": ANNA}),
        (MailKind.NEW_DEVICE, {"user_id": "u1", "token": "secret"}),
    ],
)
async def test_what_nobody_could_deliver_is_not_accepted(
    database: Database, kind: MailKind, given: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"needs|takes|no fact"):
        await Mailbox(MemoryBus(), ManualClock()).send(kind, **given)
    assert await rows(database) == []
