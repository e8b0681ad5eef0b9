"""Another password, by its owner and by mail: what ends with the old one, and what a refusal leaves alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.account_vocabulary import AuditAction, UserStatus
from core.database import Database
from models import known_device
from services.one_time_tokens import LIFE_MS, TokenPurpose
from tests.account_life import (
    asked,
    done,
    is_signed_in,
    log_of,
    payload,
    proven,
    refusals,
    row_of,
    set_status,
    subjects,
)
from tests.accounts import LOG_IN, PASSWORD, Person, World, world
from tests.attacks.people import as_program, codes_of
from tests.factors import enrolled
from tests.stored import unchanged

ANNA = "anna@example.com"
OTHER = "a different fine day"
CHANGED = "Your password was changed"
INVALID = [("TOKEN_INVALID", ["token"])]
HOLD_MS = 24 * 3_600_000


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def link_for(here: World, email: str = ANNA) -> str:
    """The newest link to set another password."""
    await done(here, "requestPasswordReset", email=email)
    return await here.token("reset-password")


async def logs_in(here: World, password: str, email: str = ANNA) -> list[str]:
    """The codes that a log-in with this password is refused with."""
    return codes_of(await here.ask(LOG_IN, email=email, password=password))


# By the owner


async def test_a_changed_password_ends_the_other_sessions(here: World) -> None:
    mine, other = await here.signed_up(ANNA), await here.logged_in(ANNA)
    here.clock.advance(60)
    await done(here, "changePassword", mine, current=PASSWORD, password=OTHER)
    assert await is_signed_in(here, mine)
    assert not await is_signed_in(here, other)
    assert await logs_in(here, PASSWORD) == ["INVALID_CREDENTIALS"]
    assert await logs_in(here, OTHER) == []
    row = await row_of(mine.user_id)
    assert row.password_changed_ms == here.clock.now_ms()
    assert row.withdrawals_held_until_ms == here.clock.now_ms() + HOLD_MS
    assert CHANGED in await subjects(here, ANNA)
    (noted,) = [each for each in await log_of(mine.user_id) if each.action == "PASSWORD_CHANGED"]
    assert (noted.actor, noted.ip, noted.outcome) == ("OWNER", "192.0.2.1", "ALLOWED")


async def test_a_proof_does_as_well_as_the_present_password(here: World) -> None:
    mine = await here.signed_up(ANNA)
    proof = await here.proof(mine, "changePassword", {"password": OTHER})
    await done(here, "changePassword", mine, password=OTHER, stepUpProof=proof)
    assert await logs_in(here, OTHER) == []


@pytest.mark.parametrize(
    ("current", "password", "refused"),
    [
        ("not the password", OTHER, ("STEP_UP_INVALID", ["current"])),
        (None, OTHER, ("STEP_UP_REQUIRED", None)),
        (PASSWORD, "short", ("PASSWORD_TOO_SHORT", ["password"])),
        (PASSWORD, "password1234", ("PASSWORD_TOO_COMMON", ["password"])),
        (PASSWORD, "anna@example.com", ("PASSWORD_TOO_COMMON", ["password"])),
    ],
)
async def test_a_refused_change_changes_nothing(
    database: Database, here: World, current: str | None, password: str, refused: tuple[str, list[str] | None]
) -> None:
    mine, other = await here.signed_up(ANNA), await here.logged_in(ANNA)
    async with unchanged(database):
        found = await payload(here, "changePassword", mine, current=current, password=password)
    assert refusals(found) == [refused]
    assert await is_signed_in(here, other)


async def test_with_codes_by_app_the_present_password_is_not_enough(here: World) -> None:
    mine = await here.signed_up(ANNA)
    await enrolled(here, mine)
    found = await payload(here, "changePassword", mine, current=PASSWORD, password=OTHER)
    assert refusals(found) == [("STEP_UP_REQUIRED", None)]
    assert found["errors"][0]["stepUp"]["factors"] == ["TOTP", "RECOVERY_CODE"]


async def test_a_change_forgets_what_an_intruder_may_have_asked_for(here: World) -> None:
    mine = await here.signed_up(ANNA)
    reset = await link_for(here)
    assert refusals(await proven(here, "changeEmail", mine, email="mallory@example.com")) == []
    await here.deliver()
    moved = await here.token("verify-email")
    await done(here, "changePassword", mine, current=PASSWORD, password=OTHER)
    assert refusals(await payload(here, "resetPassword", token=reset, password="a third fine day")) == INVALID
    assert refusals(await payload(here, "verifyEmail", token=moved)) == INVALID
    row = await row_of(mine.user_id)
    assert (row.email_key, row.pending_email) == (ANNA, None)


# By mail


async def test_a_reset_ends_everything_and_proves_the_mailbox(here: World) -> None:
    mine = await here.signed_up(ANNA, verified=False)
    here.clock.advance(60)
    await done(here, "resetPassword", token=await link_for(here), password=OTHER)
    row = await row_of(mine.user_id)
    assert row.email_verified_ms == row.password_changed_ms == here.clock.now_ms()
    assert row.withdrawals_held_until_ms == here.clock.now_ms() + HOLD_MS
    assert not await is_signed_in(here, mine)
    assert await logs_in(here, PASSWORD) == ["INVALID_CREDENTIALS"]
    assert await logs_in(here, OTHER) == []
    assert CHANGED in await subjects(here, ANNA)
    noted = [(each.action, each.actor) for each in await log_of(mine.user_id)][-4:-2]
    assert noted == [("EMAIL_VERIFIED", "MAIL_LINK"), ("PASSWORD_RESET", "MAIL_LINK")]


async def test_a_link_sets_a_password_once(database: Database, here: World) -> None:
    await here.signed_up(ANNA)
    first, second = await link_for(here), await link_for(here)
    await done(here, "resetPassword", token=first, password=OTHER)
    async with unchanged(database):
        for token in (first, second):
            assert refusals(await payload(here, "resetPassword", token=token, password="a third fine day")) == INVALID
    assert await logs_in(here, OTHER) == []


async def test_of_many_resets_at_once_one_is_done(here: World) -> None:
    mine = await here.signed_up(ANNA)
    token = await link_for(here)
    passwords = [f"fine day number {number}" for number in range(8)]
    found = await asyncio.gather(
        *(payload(here, "resetPassword", token=token, password=password) for password in passwords)
    )
    assert sorted(map(refusals, found)) == [[], *([INVALID] * 7)]
    (winner,) = [password for password, each in zip(passwords, found, strict=True) if not each["errors"]]
    assert await logs_in(here, winner) == []
    assert [each.action for each in await log_of(mine.user_id)].count(AuditAction.PASSWORD_RESET) == 1


@pytest.mark.parametrize(
    ("password", "code"), [("short", "PASSWORD_TOO_SHORT"), ("password1234", "PASSWORD_TOO_COMMON")]
)
async def test_a_refused_password_does_not_use_up_the_link(
    database: Database, here: World, password: str, code: str
) -> None:
    await here.signed_up(ANNA)
    token = await link_for(here)
    async with unchanged(database, but=()):
        assert refusals(await payload(here, "resetPassword", token=token, password=password)) == [(code, ["password"])]
    await done(here, "resetPassword", token=token, password=OTHER)


async def test_a_link_lasts_an_hour(here: World) -> None:
    await here.signed_up(ANNA)
    token = await link_for(here)
    here.clock.advance(LIFE_MS[TokenPurpose.RESET_PASSWORD] / 1000 - 1)
    state = await _state(here, token)
    assert state == {"valid": True, "expiresAt": "2026-09-21T15:13:20.000Z"}
    here.clock.advance(1)
    found = await payload(here, "resetPassword", token=token, password=OTHER)
    assert refusals(found) == [("TOKEN_EXPIRED", ["token"])]
    assert await _state(here, token) == {"valid": False, "expiresAt": None}
    assert await logs_in(here, PASSWORD) == []


async def _state(here: World, token: str) -> dict[str, object]:
    data = await here.data(
        "query($token: String!) { passwordResetToken(token: $token) { valid expiresAt } }", token=token
    )
    state: dict[str, object] = data["passwordResetToken"]
    return state


async def test_looking_at_a_link_does_not_use_it_up(database: Database, here: World) -> None:
    await here.signed_up(ANNA)
    token = await link_for(here)
    verify, freeze = await here.token("verify-email"), await here.token("freeze")
    async with unchanged(database, but=()):
        for _ in range(3):
            assert (await _state(here, token))["valid"] is True
        for other in (verify, freeze, "", "x", "x" * 1_000):
            assert await _state(here, other) == {"valid": False, "expiresAt": None}
    await done(here, "resetPassword", token=token, password=OTHER)
    assert (await _state(here, token))["valid"] is False


async def test_a_reset_lifts_the_lock_of_a_guesser(here: World) -> None:
    await here.signed_up(ANNA)
    for _ in range(5):
        await logs_in(here, "not the password")
    assert await logs_in(here, PASSWORD) == ["ACCOUNT_LOCKED"]
    await done(here, "resetPassword", token=await link_for(here), password=OTHER)
    assert await logs_in(here, OTHER) == []


async def test_a_reset_forgets_every_browser(here: World) -> None:
    mine = await here.signed_up(ANNA)
    assert await known_device.any_of(mine.user_id)
    await done(here, "resetPassword", token=await link_for(here), password=OTHER)
    assert not await known_device.any_of(mine.user_id)


async def test_codes_by_app_and_keys_outlive_a_reset(here: World) -> None:
    """Whoever reads the mail does not get past the second factor."""
    mine = await here.signed_up(ANNA)
    program = await as_program(here, mine)
    await enrolled(here, mine)
    before = await row_of(mine.user_id)
    await done(here, "resetPassword", token=await link_for(here), password=OTHER)
    row = await row_of(mine.user_id)
    assert (row.totp, row.recovery_hashes) == (before.totp, before.recovery_hashes)
    assert await is_signed_in(here, program)
    found = await payload(here, "logIn", email=ANNA, password=OTHER, delivery="VALUES")
    assert (found["tokens"], found["challenge"]["factors"]) == (None, ["TOTP", "RECOVERY_CODE"])


async def test_a_reset_does_not_unfreeze(here: World) -> None:
    mine = await here.signed_up(ANNA)
    await done(here, "freezeAccount", mine)
    await done(here, "resetPassword", token=await link_for(here), password=OTHER)
    assert (await row_of(mine.user_id)).status is UserStatus.FROZEN


async def test_a_reset_lets_nobody_suspended_in(here: World) -> None:
    mine = await here.signed_up(ANNA)
    await set_status(here, mine, UserStatus.SUSPENDED)
    await done(here, "resetPassword", token=await link_for(here), password=OTHER)
    assert await logs_in(here, OTHER) == ["ACCOUNT_FROZEN"]


async def test_who_never_had_a_password_gets_one_by_mail(database: Database, here: World) -> None:
    mine = await here.signed_up(ANNA)
    await database.handle["users"].update_one({"_id": mine.user_id}, {"$unset": {"password_hash": ""}})
    assert await logs_in(here, PASSWORD) == ["INVALID_CREDENTIALS"]
    await done(here, "resetPassword", token=await link_for(here), password=OTHER)
    assert await logs_in(here, OTHER) == []


async def test_nobody_else_is_written_to(here: World) -> None:
    """An address that only looks like another is another; and what is sent goes to the address the account has."""
    await here.signed_up("strasse@example.com")
    for asked_for in ("straße@example.com", "STRASSE@example.com", "stra\u017f\u017fe@example.com"):
        await done(here, "requestPasswordReset", email=asked_for)
    for look_alike in ("str\u0430sse@example.com", "strasse@ex\u0430mple.com", "strasse+x@example.com"):
        await done(here, "requestPasswordReset", email=look_alike)
    await here.deliver()
    resets = [mail.to for mail in here.letters.mails if mail.subject == "Choose a new password"]
    assert resets == ["strasse@example.com"] * 3


async def test_a_reset_that_is_refused_for_its_address_tells_nothing(here: World) -> None:
    body = await asked(here, "requestPasswordReset", email="no address")
    assert codes_of(body) == ["EMAIL_INVALID"]


async def test_the_sessions_of_others_are_left_alone(database: Database, here: World) -> None:
    ben: Person = await here.signed_up("ben@example.com")
    await here.signed_up(ANNA)
    before = await row_of(ben.user_id)
    await done(here, "resetPassword", token=await link_for(here), password=OTHER)
    assert await is_signed_in(here, ben)
    assert await row_of(ben.user_id) == before
