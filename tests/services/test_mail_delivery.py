"""From the outbox to the provider: who gets what, that nothing is lost or comes to life again, and when a mail is given up."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from core.account_vocabulary import UserStatus
from core.clock import to_datetime
from core.database import Database
from core.ids import token_hash
from core.mail_vocabulary import MAIL_REQUESTS, MailKind, MailState
from core.secret_box import SecretBox
from integrations.mail.base import Mail, MailRefused, MailUnavailable
from models import mail as outbox
from models import user
from services import one_time_tokens
from services.mail_delivery import CLAIM_MS, LONGEST_RETRY_MS, MOST_ATTEMPTS
from services.one_time_tokens import TokenInvalid, TokenPurpose
from tests.services.mail_office import Office, raises
from tests.services.mail_people import ANNA, person, store

HOUR = 3600
FORMER = "former@example.com"
NEW = "new@example.com"
FREEZABLE_NOTICES = set(MailKind) - MAIL_REQUESTS - {MailKind.ACCOUNT_SUSPENDED, MailKind.ACCOUNT_DELETED}


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def token(mail: Mail, page: str) -> str:
    found = re.search(rf"https://cryptovault\.example/account/{page}#token=([0-9a-f]{{64}})\n", mail.text)
    assert found is not None
    return found[1]


def pages(mail: Mail) -> set[str]:
    return set(re.findall(r"account/([a-z-]+)#token=", mail.text))


async def test_a_sign_up_gets_the_link_that_proves_its_address(office: Office) -> None:
    anna = await store(person(email_verified_ms=None, locale="de"))
    mail = await office.sent(MailKind.SIGN_UP, email_key=ANNA)
    assert (mail.to, mail.subject) == (anna.email, "Bestätigen Sie Ihre E-Mail-Adresse")
    assert re.fullmatch(r"<[\w-]{22}@cryptovault\.example>", mail.message_id)
    assert pages(mail) == {"verify-email"}
    secret = token(mail, "verify-email")
    row = await one_time_tokens.redeem(secret, TokenPurpose.VERIFY_EMAIL, clock=office.clock)
    assert (row.user_id, row.email_key) == (anna.id, ANNA)
    assert row.expires_ms == office.clock.now_ms() + 24 * HOUR * 1000
    ended = await office.row()
    assert ended["state"] == MailState.SENT
    assert ended["purge_at"].replace(tzinfo=UTC) == to_datetime(office.clock.now_ms() + 30 * 24 * HOUR * 1000)


async def test_who_has_an_account_is_told_so(office: Office) -> None:
    await store(person())
    mail = await office.sent(MailKind.SIGN_UP, email_key=ANNA)
    assert mail.subject == "You already have an account"
    assert pages(mail) == set()


@pytest.mark.parametrize("kind", [MailKind.SIGN_UP, MailKind.VERIFY_EMAIL, MailKind.PASSWORD_RESET])
async def test_nobody_is_written_to_where_there_is_no_account(office: Office, kind: MailKind) -> None:
    await office.mailbox.send(kind, email_key="stranger@example.com")
    await office.deliver()
    assert office.postman.tries == 0
    assert await office.ended() == ("DROPPED", "there is no such account")


async def test_a_proven_address_needs_no_link(office: Office) -> None:
    await store(person())
    await office.mailbox.send(MailKind.VERIFY_EMAIL, email_key=ANNA)
    await office.deliver()
    assert office.postman.tries == 0
    assert await office.ended() == ("DROPPED", "the address is verified already")


async def test_a_reset_link_lasts_an_hour_and_comes_with_one_that_freezes(office: Office) -> None:
    anna = await store(person(anti_phishing_code="tulip.42"))
    mail = await office.sent(MailKind.PASSWORD_RESET, email_key=ANNA)
    assert pages(mail) == {"reset-password", "freeze"}
    assert "Your code: tulip.42\n" in mail.text
    reset = await one_time_tokens.find(token(mail, "reset-password"), TokenPurpose.RESET_PASSWORD, clock=office.clock)
    freeze = await one_time_tokens.find(token(mail, "freeze"), TokenPurpose.FREEZE, clock=office.clock)
    assert reset.user_id == freeze.user_id == anna.id
    assert reset.expires_ms - office.clock.now_ms() == HOUR * 1000
    assert freeze.expires_ms - office.clock.now_ms() == 30 * 24 * HOUR * 1000
    with pytest.raises(TokenInvalid):
        await one_time_tokens.find(token(mail, "freeze"), TokenPurpose.RESET_PASSWORD, clock=office.clock)


async def test_a_new_address_gets_a_link_for_itself_and_none_that_freezes(office: Office) -> None:
    anna = await store(person())
    await user.set_pending_email(anna.id, email=NEW, email_key=NEW)
    mail = await office.sent(MailKind.CHANGE_EMAIL, user_id=anna.id, to=NEW, email_key=NEW)
    assert (mail.to, pages(mail)) == (NEW, {"verify-email"})
    row = await one_time_tokens.redeem(token(mail, "verify-email"), TokenPurpose.CHANGE_EMAIL, clock=office.clock)
    assert (row.user_id, row.email_key) == (anna.id, NEW)


@pytest.mark.parametrize("kind", sorted(set(MailKind) - MAIL_REQUESTS))
async def test_every_notice_about_an_account_that_can_be_frozen_has_the_link(office: Office, kind: MailKind) -> None:
    anna = await store(person())
    mail = await office.sent(kind, user_id=anna.id, ip="203.0.113.7", device="Firefox", name="bot")
    assert mail.to == anna.email
    assert all(told in mail.text for told in ("IP address: 203.0.113.7", "Device: Firefox", "Name: bot", " UTC"))
    asks = {"confirm-withdrawal"} if kind is MailKind.WITHDRAWAL_CONFIRM else set()
    assert pages(mail) == asks | ({"freeze"} if kind in FREEZABLE_NOTICES else set())
    if kind in FREEZABLE_NOTICES:
        await one_time_tokens.redeem(token(mail, "freeze"), TokenPurpose.FREEZE, clock=office.clock)


@pytest.mark.parametrize("status", [UserStatus.FROZEN, UserStatus.SUSPENDED])
async def test_a_stopped_account_still_gets_mail(office: Office, status: UserStatus) -> None:
    await store(person(status=status))
    assert pages(await office.sent(MailKind.PASSWORD_RESET, email_key=ANNA)) == {"reset-password", "freeze"}


async def test_the_former_address_hears_of_the_change_and_can_freeze(office: Office) -> None:
    anna = await store(person())
    mail = await office.sent(MailKind.EMAIL_CHANGED, user_id=anna.id, to=FORMER)
    assert (mail.to, pages(mail)) == (FORMER, {"freeze"})
    row = await one_time_tokens.redeem(token(mail, "freeze"), TokenPurpose.FREEZE, clock=office.clock)
    assert (row.user_id, row.email_key) == (anna.id, FORMER)


async def test_the_last_mail_of_an_account_goes_to_where_it_was(office: Office) -> None:
    anna = await store(person())
    await user.erase(anna.id, office.clock.now_ms())
    mail = await office.sent(MailKind.ACCOUNT_DELETED, user_id=anna.id, to=FORMER, locale="de")
    assert (mail.to, mail.subject, pages(mail)) == (FORMER, "Ihr Konto wurde gelöscht", set())
    row = await office.row()
    assert not {"to", "facts", "email_key"} & set(row)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": UserStatus.DELETED}, "there is no such account"),
        ({"email": None, "email_key": None}, "the account has no address"),
    ],
)
async def test_a_notice_that_reaches_nobody(office: Office, changes: dict[str, Any], reason: str) -> None:
    anna = await store(person(**changes))
    await office.mailbox.send(MailKind.NEW_DEVICE, user_id=anna.id)
    await office.deliver()
    assert office.postman.tries == 0
    assert await office.ended() == ("DROPPED", reason)


async def test_who_asks_twice_gets_two_links_that_both_work(office: Office) -> None:
    await store(person())
    first = await office.sent(MailKind.PASSWORD_RESET, email_key=ANNA)
    second = await office.sent(MailKind.PASSWORD_RESET, email_key=ANNA)
    secrets = {token(each, "reset-password") for each in (first, second)}
    assert len(secrets) == 2
    for secret in secrets:
        await one_time_tokens.redeem(secret, TokenPurpose.RESET_PASSWORD, clock=office.clock)


async def test_a_token_is_stored_nowhere(office: Office, database: Database) -> None:
    await store(person())
    mail = await office.sent(MailKind.PASSWORD_RESET, email_key=ANNA)
    secrets = [token(mail, "reset-password"), token(mail, "freeze")]
    everything = [
        str(row)
        for name, query in (
            ("mails", {"_id": office.bus.mail_ids[0]}),
            ("users", {"_id": "u1"}),
            ("one_time_tokens", {"user_id": "u1"}),
        )
        for row in await database.handle[name].find(query).to_list()
    ]
    assert len(everything) == 4
    assert not [text for text in everything for secret in secrets if secret in text]


async def test_a_crash_after_sending_sends_the_very_same_again(office: Office) -> None:
    await store(person())
    office.postman.after = raises(asyncio.CancelledError())
    await office.mailbox.send(MailKind.PASSWORD_RESET, email_key=ANNA)
    with pytest.raises(asyncio.CancelledError):
        await office.deliver()
    office.postman.after = lambda: None
    await office.deliver()
    assert office.postman.tries == 1
    office.clock.advance(CLAIM_MS / 1000)
    await office.deliver()
    first, second = office.postman.taken
    assert first == second
    await one_time_tokens.redeem(token(second, "reset-password"), TokenPurpose.RESET_PASSWORD, clock=office.clock)
    assert (await office.row())["state"] == MailState.SENT


async def test_a_crash_before_sending_loses_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = await store(person())
    monkeypatch.setattr(outbox, "claim", raises_async(asyncio.CancelledError()))
    await office.mailbox.send(MailKind.NEW_DEVICE, user_id=anna.id)
    with pytest.raises(asyncio.CancelledError):
        await office.deliver()
    monkeypatch.undo()
    assert office.postman.tries == 0
    await office.deliver()
    assert len(office.postman.taken) == 1


def raises_async(error: BaseException) -> Callable[..., Any]:
    async def trouble(*args: Any, **named: Any) -> None:
        raise error

    return trouble


async def test_a_database_that_takes_no_writes_gets_nothing_sent_in_a_loop(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await store(person())
    await office.mailbox.send(MailKind.NEW_DEVICE, user_id=anna.id)
    monkeypatch.setattr(outbox, "claim", raises_async(AutoReconnect("away")))
    for _ in range(3):
        with pytest.raises(AutoReconnect):
            await office.deliver()
    assert office.postman.tries == 0
    monkeypatch.undo()
    monkeypatch.setattr(outbox, "finish", raises_async(AutoReconnect("away")))
    with pytest.raises(AutoReconnect):
        await office.deliver()
    await office.deliver()
    assert office.postman.tries == 1


async def test_of_two_deliveries_at_once_one_sends(office: Office) -> None:
    anna = await store(person())
    await office.mailbox.send(MailKind.NEW_DEVICE, user_id=anna.id)
    (mail_id,) = await office.delivery().due(10)
    await asyncio.gather(*(office.delivery().deliver(mail_id) for _ in range(10)))
    assert office.postman.tries == 1


async def test_a_used_link_does_not_come_to_life_again(office: Office, database: Database) -> None:
    """The first copy arrived though we did not hear so; its link is used before the second try."""
    await store(person())
    office.postman.after = raises(MailUnavailable("the connection broke"))
    await office.mailbox.send(MailKind.PASSWORD_RESET, email_key=ANNA)
    await office.deliver()
    secret = token(office.postman.taken[0], "reset-password")
    await one_time_tokens.redeem(secret, TokenPurpose.RESET_PASSWORD, clock=office.clock)
    await database.handle["one_time_tokens"].delete_one({"_id": token_hash(secret)})
    office.clock.advance(60)
    await office.deliver()
    assert office.postman.tries == 1
    assert await office.ended() == ("DROPPED", "its link was used, or is no longer valid")
    with pytest.raises(TokenInvalid):
        await one_time_tokens.find(secret, TokenPurpose.RESET_PASSWORD, clock=office.clock)


async def test_a_password_changed_meanwhile_ends_the_reset(office: Office) -> None:
    anna = await store(person())
    await office.mailbox.send(MailKind.PASSWORD_RESET, email_key=ANNA)
    office.clock.advance(1)
    await user.set_password(anna.id, "hash", now_ms=office.clock.now_ms(), held_until_ms=0)
    await office.deliver()
    assert await office.ended() == ("DROPPED", "the password was changed since")


async def test_another_address_asked_for_meanwhile_ends_the_change(office: Office) -> None:
    anna = await store(person())
    await office.mailbox.send(MailKind.CHANGE_EMAIL, user_id=anna.id, to=NEW, email_key=NEW)
    await user.set_pending_email(anna.id, email=FORMER, email_key=FORMER)
    await office.deliver()
    assert await office.ended() == ("DROPPED", "another address was asked for since, or none")


async def test_no_dead_link_is_sent(office: Office) -> None:
    await store(person())
    await office.mailbox.send(MailKind.PASSWORD_RESET, email_key=ANNA)
    office.clock.advance(0.94 * HOUR)
    await office.deliver()
    assert office.postman.tries == 0
    assert await office.ended() == ("DROPPED", "its link has expired")


async def test_it_is_tried_for_two_days_and_then_given_up(office: Office) -> None:
    anna = await store(person())
    office.postman.before = raises(MailUnavailable("nobody answers"))
    await office.mailbox.send(MailKind.NEW_DEVICE, user_id=anna.id)
    start_ms, waits = office.clock.now_ms(), []
    with capture_logs() as logs:
        while (row := await office.row())["state"] == MailState.QUEUED:
            waits.append((row["next_ms"] - office.clock.now_ms()) / 1000)
            office.clock.advance(waits[-1])
            await office.deliver()
    steps = [0, 30, 60, 120, 240, 480, 960, 1920, *[3600] * (MOST_ATTEMPTS - 8)]
    assert len(waits) == office.postman.tries == MOST_ATTEMPTS
    assert all(0.75 * step <= wait <= 1.25 * step for step, wait in zip(steps, waits, strict=True))
    assert len(set(waits[8:])) > 40
    assert LONGEST_RETRY_MS == HOUR * 1000
    assert 45 * HOUR < (office.clock.now_ms() - start_ms) / 1000 < 51 * HOUR
    assert await office.ended() == ("FAILED", "tried for too long; at last, nobody answers")
    assert [line["log_level"] for line in logs if line["event"] == "mail.failed"] == ["error"]
    assert ANNA not in str(logs).lower()


async def test_a_refused_mail_is_given_up_at_once(office: Office) -> None:
    anna = await store(person())
    office.postman.before = raises(MailRefused("the mail server refused the recipient with 550"))
    await office.mailbox.send(MailKind.NEW_DEVICE, user_id=anna.id, ip="203.0.113.7")
    with capture_logs() as logs:
        await office.deliver()
        office.clock.advance(HOUR)
        await office.deliver()
    assert office.postman.tries == 1
    assert await office.ended() == ("FAILED", "the mail server refused the recipient with 550")
    (line,) = (each for each in logs if each["event"] == "mail.failed")
    assert line == {
        "event": "mail.failed",
        "log_level": "error",
        "mail_id": (await office.row())["_id"],
        "kind": MailKind.NEW_DEVICE,
        "reason": "the mail server refused the recipient with 550",
    }


async def test_a_mail_that_cannot_be_written_waits_for_us_to_mend_it(office: Office, database: Database) -> None:
    anna = await store(person())
    await office.mailbox.send(MailKind.NEW_DEVICE, user_id=anna.id)
    mail_id = (await office.row())["_id"]
    await database.handle["mails"].update_one({"_id": mail_id}, {"$set": {"kind": "OF_A_LATER_VERSION"}})
    with capture_logs() as logs:
        await office.deliver()
        await office.deliver()
    (line,) = logs
    assert (line["event"], line["log_level"], line["error"]) == ("mail.broken", "error", "ValidationError")
    assert "LATER" not in str(line)
    await database.handle["mails"].update_one({"_id": mail_id}, {"$set": {"kind": "NEW_DEVICE"}})
    office.clock.advance(HOUR)
    await office.deliver()
    assert len(office.postman.taken) == 1


async def test_nothing_personal_is_logged(office: Office) -> None:
    await store(person(email_verified_ms=None, anti_phishing_code="tulip"))
    with capture_logs() as logs:
        mail = await office.sent(MailKind.SIGN_UP, email_key=ANNA)
        office.postman.before = raises(MailUnavailable("busy"))
        await office.mailbox.send(MailKind.PASSWORD_RESET, email_key=ANNA)
        await office.deliver()
    assert {line["event"] for line in logs} == {"mail.ended", "mail.later"}
    assert not [each for each in (ANNA, "tulip", token(mail, "verify-email")) if each in str(logs).lower()]


async def test_another_key_makes_other_tokens(office: Office) -> None:
    anna = await store(person())
    office.postman.after = raises(MailUnavailable("the connection broke"))
    await office.mailbox.send(MailKind.NEW_DEVICE, user_id=anna.id)
    await office.deliver()
    office.box = SecretBox([b"n" * 32, b"k" * 32])
    office.postman.after = lambda: None
    office.clock.advance(60)
    await office.deliver()
    secrets = {token(mail, "freeze") for mail in office.postman.taken}
    assert len(secrets) == 2
    for secret in secrets:
        await one_time_tokens.redeem(secret, TokenPurpose.FREEZE, clock=office.clock)
