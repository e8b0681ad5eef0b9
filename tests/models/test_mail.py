"""The outbox: whose turn it is, and that of two who try, one gets a mail."""

from typing import Any

from core.clock import ManualClock, to_datetime
from core.database import Database
from core.ids import random_id
from core.mail_vocabulary import MailKind, MailState
from models import mail
from models.mail import MailDocument

NOW_MS = ManualClock().now_ms()
PURGE_AT = to_datetime(NOW_MS + 1_000_000)


def queued(next_ms: int = NOW_MS, **changes: Any) -> MailDocument:
    fields = {"id": random_id(), "kind": MailKind.NEW_DEVICE, "user_id": "u", "created_ms": NOW_MS, "next_ms": next_ms}
    return MailDocument(**{**fields, **changes})


async def row(database: Database, mail_id: str) -> dict[str, Any]:
    found = await database.handle["mails"].find_one({"_id": mail_id})
    assert found is not None
    return found


async def test_what_is_due(database: Database) -> None:
    early, now, late = queued(NOW_MS - 5), queued(NOW_MS), queued(NOW_MS + 1)
    for each in (early, now, late):
        await mail.insert(each)
    assert set(await mail.due_ids(NOW_MS, 10)) == {early.id, now.id}
    assert len(await mail.due_ids(NOW_MS, 1)) == 1
    assert await mail.by_id(late.id) == late


async def test_one_of_two_gets_a_mail(database: Database) -> None:
    one = queued()
    await mail.insert(one)
    assert await mail.claim(one, until_ms=NOW_MS + 90)
    assert not await mail.claim(one, until_ms=NOW_MS + 95)
    assert await mail.due_ids(NOW_MS + 89, 10) == []
    assert await mail.due_ids(NOW_MS + 90, 10) == [one.id]
    again = await mail.by_id(one.id)
    assert again is not None
    assert again.attempts == 1
    assert await mail.claim(again, until_ms=NOW_MS + 200)


async def test_a_try_that_was_overtaken_changes_nothing(database: Database) -> None:
    one = queued(attempts=1)
    await mail.insert(one)
    assert await mail.claim(one, until_ms=NOW_MS + 90)
    assert not await mail.retry(one.id, attempts=1, next_ms=NOW_MS, error="late")
    assert await mail.retry(one.id, attempts=2, next_ms=NOW_MS + 30, error="busy")
    assert (await row(database, one.id))["last_error"] == "busy"


async def test_an_end_is_an_end_and_tells_nothing_of_anybody(database: Database) -> None:
    one = queued(to="anna@example.com", email_key="anna@example.com", facts={"ip": "203.0.113.7"})
    await mail.insert(one)
    await mail.finish(one.id, MailState.SENT, purge_at=PURGE_AT)
    await mail.finish(one.id, MailState.FAILED, purge_at=PURGE_AT, error="late")
    await mail.put_off(one.id, next_ms=NOW_MS, error="late")
    assert not await mail.retry(one.id, attempts=0, next_ms=NOW_MS, error="late")
    assert not await mail.claim(one, until_ms=NOW_MS)
    assert await mail.due_ids(NOW_MS + 10**12, 10) == []
    assert await row(database, one.id) == {
        "_id": one.id,
        "kind": "NEW_DEVICE",
        "user_id": "u",
        "state": "SENT",
        "attempts": 0,
        "created_ms": NOW_MS,
        "purge_at": PURGE_AT.replace(tzinfo=None),
    }


async def test_what_failed_can_be_looked_into(database: Database) -> None:
    one = queued(to="anna@example.com", facts={"ip": "203.0.113.7"})
    await mail.insert(one)
    await mail.finish(one.id, MailState.FAILED, purge_at=PURGE_AT, error="refused")
    found = await row(database, one.id)
    assert (found["to"], found["facts"], found["last_error"]) == (one.to, one.facts, "refused")
    assert "next_ms" not in found


async def test_old_rows_leave_by_themselves(database: Database) -> None:
    indexes = await database.handle["mails"].index_information()
    (purge,) = (index for index in indexes.values() if index["key"] == [("purge_at", 1)])
    assert purge["expireAfterSeconds"] == 0
