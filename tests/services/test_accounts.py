"""The life of an account: made, proven, changed, ended; and what a stranger who knows its address cannot do to it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.account_vocabulary import UserStatus
from core.database import Database
from models import api_key, identity, passkey, user
from services.one_time_tokens import LIFE_MS, TokenPurpose
from services.viewer import Client
from tests.account_life import done, is_signed_in, log_of, payload, proven, refusals, row_of, subjects
from tests.accounts import CLIENT, PASSWORD, Person, World, world
from tests.attacks.people import EMAIL as ALICES
from tests.attacks.people import alice_in, as_program
from tests.factors import enrolled, limited_world
from tests.stored import PASSING, everything, unchanged

ANNA = "anna@example.com"
OTHER = "a different fine day"
CONFIRM = "Confirm your e-mail address"
HAS_ONE = "You already have an account"


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def signed_up(here: World, email: str = ANNA, password: str = PASSWORD, **given: Any) -> str:
    """Somebody who has signed up and done nothing else; gives the account's id."""
    await done(here, "signUp", email=email, password=password, **given)
    row = await user.by_email_key(email)
    assert row is not None
    return row.id


async def verified(here: World, token: str) -> list[tuple[str, list[str] | None]]:
    """What is refused to whoever opens this link."""
    return refusals(await payload(here, "verifyEmail", token=token))


# Signing up


async def test_an_account_begins_unproven_and_with_nothing(here: World) -> None:
    german = Client(address="192.0.2.9", request_id="r", locale="de", user_agent="tests")
    found = await done(here, "signUp", client=german, email=" Anna@Example.com ", password=PASSWORD)
    assert found["viewer"] is None
    row = await user.by_email_key(ANNA)
    assert row is not None
    assert (row.email, row.locale, row.quote_asset) == ("Anna@example.com", "de", "USD")
    assert (row.role, row.status, row.email_verified_ms, row.display_name) == ("USER", "ACTIVE", None, None)
    assert row.password_hash is not None
    assert PASSWORD not in repr(row)


async def test_what_is_said_at_sign_up_is_kept(here: World) -> None:
    row = await row_of(await signed_up(here, displayName="  Anna\u0308 ", locale="de"))
    assert (row.display_name, row.locale) == ("Ann\u00e4", "de")
    assert await subjects(here, ANNA) == ["Bestätigen Sie Ihre E-Mail-Adresse"]


NO_SIGN_UPS: list[tuple[dict[str, Any], str, str]] = [
    ({"email": "no address"}, "EMAIL_INVALID", "email"),
    ({"email": "anna@example.com\r\nBcc: mallory@example.com"}, "EMAIL_INVALID", "email"),
    ({"email": "a" * 250 + "@example.com"}, "EMAIL_INVALID", "email"),
    ({"password": "short"}, "PASSWORD_TOO_SHORT", "password"),
    ({"password": "password1234"}, "PASSWORD_TOO_COMMON", "password"),
    ({"password": "cryptovault2026"}, "PASSWORD_TOO_COMMON", "password"),
    ({"password": "anna@example.com"}, "PASSWORD_TOO_COMMON", "password"),
    ({"password": "annabella1", "displayName": "Annabella"}, "PASSWORD_TOO_COMMON", "password"),
    ({"displayName": "\u202eannA"}, "NAME_INVALID", "displayName"),
    ({"displayName": "a" * 61}, "NAME_INVALID", "displayName"),
    ({"locale": "tlh"}, "UNKNOWN", "locale"),
]


async def test_a_refused_sign_up_names_the_field_and_stores_nothing(database: Database, here: World) -> None:
    async with unchanged(database, but=()):
        for given, code, field in NO_SIGN_UPS:
            found = await payload(here, "signUp", **{"email": ANNA, "password": PASSWORD, **given})
            assert refusals(found) == [(code, [field])], given


async def test_what_is_refused_without_work_uses_up_no_sign_up(database: Database) -> None:
    here = await limited_world()
    for given, code, field in NO_SIGN_UPS:
        for _ in range(2):
            found = await payload(here, "signUp", **{"email": ANNA, "password": PASSWORD, **given})
            assert refusals(found) == [(code, [field])], given
    await signed_up(here)


async def test_the_same_address_is_the_same_account_however_it_is_written(here: World) -> None:
    person = await here.signed_up(ANNA)
    before = await row_of(person.user_id)
    for same in ("ANNA@EXAMPLE.COM", " anna@example.com", "anna@EXAMPLE.com", "\uff41nna@example.com"):
        await done(here, "signUp", email=same, password=OTHER)
    assert (await subjects(here, ANNA))[1:] == [HAS_ONE] * 4
    assert await row_of(person.user_id) == before


async def test_a_domain_is_the_same_in_unicode_and_in_ascii(here: World) -> None:
    person = await here.signed_up("anna@bücher.example")
    again = await here.logged_in("Anna@xn--bcher-kva.example")
    assert again.user_id == person.user_id


async def test_an_account_that_nobody_has_proven_gives_way(here: World) -> None:
    """Whoever holds the mailbox must not end up in an account whose password a stranger chose."""
    stranger = await here.signed_up(ANNA, verified=False, password=OTHER)
    old_link = await here.token("verify-email")
    here.clock.advance(1)
    anna = await here.signed_up(ANNA, verified=False)
    new_link = await here.token("verify-email")
    assert anna.user_id != stranger.user_id
    assert not await is_signed_in(here, stranger)
    assert await verified(here, old_link) == [("TOKEN_INVALID", ["token"])]
    assert await verified(here, new_link) == []
    gone = await row_of(stranger.user_id)
    assert (gone.status, gone.email, gone.email_key, gone.password_hash) == (UserStatus.DELETED, None, None, None)
    assert refusals(await payload(here, "logIn", email=ANNA, password=OTHER)) == [("INVALID_CREDENTIALS", None)]
    last = (await log_of(stranger.user_id))[-1]
    assert (last.action, last.actor, last.detail) == ("DELETED", "STRANGER", {"reason": "replaced by a new sign-up"})


async def test_nothing_happens_to_a_proven_account(database: Database, here: World) -> None:
    anna = await here.signed_up(ANNA)
    async with unchanged(database, but=("mails",)):
        await done(here, "signUp", email=ANNA, password=OTHER)
    assert await is_signed_in(here, anna)
    assert await subjects(here, ANNA) == [CONFIRM, HAS_ONE]
    assert "#token=" not in (await here.mail(HAS_ONE)).text
    assert refusals(await payload(here, "logIn", email=ANNA, password=OTHER)) == [("INVALID_CREDENTIALS", None)]


async def test_of_many_who_sign_up_at_once_one_gets_the_address(database: Database, here: World) -> None:
    await asyncio.gather(
        *(done(here, "signUp", email=ANNA, password=f"fine day number {number}") for number in range(10))
    )
    holders = [row for row in (await everything(database))["users"] if row.get("email_key") == ANNA]
    assert len(holders) == 1
    assert await verified(here, await here.token("verify-email")) == []


# Proving the address


async def test_a_link_proves_the_address_once(here: World) -> None:
    user_id = await signed_up(here)
    token = await here.token("verify-email")
    assert await verified(here, token) == []
    assert (await row_of(user_id)).email_verified_ms == here.clock.now_ms()
    assert await verified(here, token) == [("TOKEN_INVALID", ["token"])]
    assert [row.action for row in await log_of(user_id)] == ["SIGN_UP", "EMAIL_VERIFIED"]


async def test_of_many_who_open_a_link_at_once_one_proves_the_address(here: World) -> None:
    user_id = await signed_up(here)
    token = await here.token("verify-email")
    found = await asyncio.gather(*(verified(here, token) for _ in range(10)))
    assert sorted(found) == [[], *([[("TOKEN_INVALID", ["token"])]] * 9)]
    assert [row.action for row in await log_of(user_id)] == ["SIGN_UP", "EMAIL_VERIFIED"]


async def test_an_old_link_has_expired(here: World) -> None:
    user_id = await signed_up(here)
    token = await here.token("verify-email")
    here.clock.advance(LIFE_MS[TokenPurpose.VERIFY_EMAIL] / 1000)
    assert await verified(here, token) == [("TOKEN_EXPIRED", ["token"])]
    assert (await row_of(user_id)).email_verified_ms is None


async def test_links_for_something_else_do_not_prove_the_address(here: World) -> None:
    user_id = await signed_up(here)
    await done(here, "requestPasswordReset", email=ANNA)
    for page in ("reset-password", "freeze"):
        assert await verified(here, await here.token(page)) == [("TOKEN_INVALID", ["token"])]
    for token in ("", "x", "x" * 300, await here.token("verify-email") + "x"):
        assert await verified(here, token) == [("TOKEN_INVALID", ["token"])]
    assert (await row_of(user_id)).email_verified_ms is None


async def test_a_link_does_not_serve_another_purpose(database: Database, here: World) -> None:
    await signed_up(here)
    token = await here.token("verify-email")
    async with unchanged(database):
        found = await payload(here, "resetPassword", token=token, password=OTHER)
        assert refusals(found) == [("TOKEN_INVALID", ["token"])]
        assert refusals(await payload(here, "freezeAccount", token=token)) == [("TOKEN_INVALID", ["token"])]


async def test_a_link_is_sent_again_to_whoever_needs_one(here: World) -> None:
    await signed_up(here)
    first = await here.token("verify-email")
    await done(here, "resendVerification", email="ANNA@example.com")
    second = await here.token("verify-email")
    assert first != second
    assert await verified(here, first) == []  # both do, until the address is proven
    await done(here, "resendVerification", email=ANNA)
    await done(here, "resendVerification", email="nobody@example.com")
    assert await subjects(here, ANNA) == [CONFIRM, CONFIRM]
    assert await subjects(here, "nobody@example.com") == []


# Another address

NEW = "anna@new.example"


async def asked_for(here: World, anna: Person, email: str = NEW) -> str:
    """The link that a new address was mailed."""
    assert refusals(await proven(here, "changeEmail", anna, email=email)) == []
    await here.deliver()
    return await here.token("verify-email")


async def test_an_address_stays_until_the_new_one_is_proven(here: World) -> None:
    anna = await here.signed_up(ANNA)
    token = await asked_for(here, anna)
    row = await row_of(anna.user_id)
    assert (row.email_key, row.pending_email_key) == (ANNA, NEW)
    assert await subjects(here, NEW) == ["Confirm your new e-mail address"]
    assert (await subjects(here, ANNA))[-1] == "A new e-mail address was asked for"
    here.clock.advance(60)
    assert await verified(here, token) == []
    row = await row_of(anna.user_id)
    assert (row.email, row.email_key, row.pending_email, row.pending_email_key) == (NEW, NEW, None, None)
    assert row.email_verified_ms == here.clock.now_ms()
    assert row.withdrawals_held_until_ms == here.clock.now_ms() + 24 * 3_600_000
    assert (await subjects(here, ANNA))[-1] == "Your e-mail address was changed"
    assert (await here.logged_in(NEW)).user_id == anna.user_id
    assert refusals(await payload(here, "logIn", email=ANNA, password=PASSWORD)) == [("INVALID_CREDENTIALS", None)]
    assert [row.action for row in await log_of(anna.user_id)][-2:] == ["EMAIL_CHANGED", "LOG_IN"]
    assert await verified(here, token) == [("TOKEN_INVALID", ["token"])]


async def test_the_former_address_can_freeze_the_account(here: World) -> None:
    anna = await here.signed_up(ANNA)
    assert await verified(here, await asked_for(here, anna)) == []
    mail = await here.mail("Your e-mail address was changed")
    assert mail.to == ANNA
    await done(here, "freezeAccount", token=mail.text.partition("/freeze#token=")[2].split()[0])
    assert (await row_of(anna.user_id)).status is UserStatus.FROZEN


async def test_links_to_the_former_address_are_dead(here: World) -> None:
    anna = await here.signed_up(ANNA)
    await done(here, "requestPasswordReset", email=ANNA)
    reset = await here.token("reset-password")
    assert await verified(here, await asked_for(here, anna)) == []
    found = await payload(here, "resetPassword", token=reset, password=OTHER)
    assert refusals(found) == [("TOKEN_INVALID", ["token"])]


async def test_only_the_newest_wish_counts(here: World) -> None:
    anna = await here.signed_up(ANNA)
    first = await asked_for(here, anna, "first@new.example")
    second = await asked_for(here, anna, "second@new.example")
    assert await verified(here, first) == [("TOKEN_INVALID", ["token"])]
    assert (await row_of(anna.user_id)).email_key == ANNA
    assert await verified(here, second) == []
    assert (await row_of(anna.user_id)).email_key == "second@new.example"


async def test_a_taken_address_is_not_given_away(database: Database, here: World) -> None:
    anna, ben = await here.signed_up(ANNA), await here.signed_up("ben@example.com")
    token = await asked_for(here, anna, "ben@example.com")
    before = await row_of(ben.user_id)
    assert await verified(here, token) == [("TOKEN_INVALID", ["token"])]
    assert await row_of(ben.user_id) == before
    assert (await row_of(anna.user_id)).email_key == ANNA
    assert await is_signed_in(here, ben)


async def test_an_unproven_holder_gives_way_to_whoever_proves_the_address(here: World) -> None:
    anna = await here.signed_up(ANNA)
    squatter = await here.signed_up(NEW, verified=False)
    assert await verified(here, await asked_for(here, anna)) == []
    assert (await row_of(anna.user_id)).email_key == NEW
    assert (await row_of(squatter.user_id)).status is UserStatus.DELETED
    assert not await is_signed_in(here, squatter)
    state = await here.accounts.authority._states.of(squatter.user_id)
    assert state is not None
    assert state.status is UserStatus.DELETED


@pytest.mark.parametrize("is_verified", [True, False])
async def test_the_own_address_may_be_proven_once_more(here: World, is_verified: bool) -> None:
    """Somebody who has mistyped nothing must not lose an account by it."""
    anna = await here.signed_up(ANNA, verified=is_verified)
    token = await asked_for(here, anna, "ANNA@example.com")
    assert await verified(here, token) == []
    row = await row_of(anna.user_id)
    assert (row.status, row.email, row.email_key) == (UserStatus.ACTIVE, "ANNA@example.com", ANNA)
    assert row.email_verified_ms is not None
    assert await is_signed_in(here, anna)


async def test_a_refused_address_changes_nothing(database: Database, here: World) -> None:
    anna = await here.signed_up(ANNA)
    async with unchanged(database, but=(*PASSING, "sessions")):
        assert refusals(await proven(here, "changeEmail", anna, email="no address")) == [("EMAIL_INVALID", ["email"])]
        assert [code for code, _ in refusals(await payload(here, "changeEmail", anna, email=NEW))] == [
            "STEP_UP_REQUIRED"
        ]


async def test_a_new_address_is_forgotten_by_whoever_defends_the_account(here: World) -> None:
    """An intruder's wish for another address does not outlive a reset or a freeze."""
    anna = await here.signed_up(ANNA)
    token = await asked_for(here, anna)
    await done(here, "requestPasswordReset", email=ANNA)
    await done(here, "resetPassword", token=await here.token("reset-password"), password=OTHER)
    assert await verified(here, token) == [("TOKEN_INVALID", ["token"])]
    assert (await row_of(anna.user_id)).pending_email is None


# The profile


async def test_null_removes_and_what_is_absent_stays(here: World) -> None:
    anna = await here.signed_up(ANNA)
    given: dict[str, Any] = {
        "displayName": "Anna",
        "antiPhishingCode": "blue heron",
        "quoteAsset": "BTC",
        "locale": "de",
    }
    viewer = (await done(here, "updateProfile", anna, **given))["viewer"]
    assert (viewer["displayName"], viewer["locale"], viewer["quoteAsset"]["code"]) == ("Anna", "de", "BTC")
    assert viewer["security"]["antiPhishingCode"] == "blue heron"
    viewer = (await done(here, "updateProfile", anna, displayName=None))["viewer"]
    assert (viewer["displayName"], viewer["locale"], viewer["quoteAsset"]["code"]) == (None, "de", "BTC")
    viewer = (await done(here, "updateProfile", anna, antiPhishingCode=None))["viewer"]
    assert viewer["security"]["antiPhishingCode"] is None
    before = await row_of(anna.user_id)
    await done(here, "updateProfile", anna)
    assert await row_of(anna.user_id) == before


NO_PROFILES: list[tuple[dict[str, Any], str, str]] = [
    ({"displayName": "\0"}, "NAME_INVALID", "displayName"),
    ({"displayName": "a" * 61}, "NAME_INVALID", "displayName"),
    ({"locale": "fr"}, "UNKNOWN", "locale"),
    ({"locale": None}, "UNKNOWN", "locale"),
    ({"quoteAsset": "SHELLS"}, "UNKNOWN", "quoteAsset"),
    ({"quoteAsset": None}, "UNKNOWN", "quoteAsset"),
    ({"antiPhishingCode": "a" * 33}, "UNKNOWN", "antiPhishingCode"),
    ({"antiPhishingCode": "a\nb"}, "UNKNOWN", "antiPhishingCode"),
]


async def test_a_refused_profile_changes_nothing(database: Database, here: World) -> None:
    anna = await here.signed_up(ANNA)
    async with unchanged(database, but=()):
        for given, code, field in NO_PROFILES:
            found = await payload(here, "updateProfile", anna, **{"displayName": "Anna", **given})
            assert refusals(found) == [(code, [field])], given


async def test_the_anti_phishing_code_stands_in_every_mail(here: World) -> None:
    anna = await here.signed_up(ANNA)
    assert "blue heron" not in (await here.mail(CONFIRM)).text
    await done(here, "updateProfile", anna, antiPhishingCode="blue heron")
    await done(here, "requestPasswordReset", email=ANNA)
    mail = await here.mail("Choose a new password")
    assert "blue heron" in mail.text
    assert "blue heron" in mail.html


async def test_a_new_language_counts_at_once(here: World) -> None:
    anna = await here.signed_up(ANNA)
    await done(here, "updateProfile", anna, locale="de")
    await done(here, "requestPasswordReset", email=ANNA)
    assert (await subjects(here, ANNA))[-1] == "Wählen Sie ein neues Passwort"
    assert (await here.current(anna)).viewer.locale == "de"


# The end


async def test_what_identifies_a_person_goes_with_the_account(database: Database, here: World) -> None:
    alice = await alice_in(here)
    person = alice.person
    await enrolled(here, await here.signed_up("mallory@example.com"))
    program = await as_program(here, person)
    log = await log_of(person.user_id)
    reset = await _reset_link(here, ALICES)
    freeze = await here.token("freeze")
    proof = await here.proof(person, "deleteAccount", {})
    assert (await done(here, "deleteAccount", person, stepUpProof=proof))["viewer"] is None
    row = await row_of(person.user_id)
    left = {name for name, value in row.model_dump().items() if value not in (None, (), [])}
    assert left == {
        *("id", "role", "status", "locale", "quote_asset", "created_ms", "authority_ms", "authority_version"),
    }
    assert row.status is UserStatus.DELETED
    assert not await is_signed_in(here, person)
    assert not await is_signed_in(here, program)
    assert await passkey.of_user(person.user_id) == []
    assert await identity.of_user(person.user_id) == []
    assert await api_key.of_user(person.user_id) == []
    rows = await everything(database)
    for name in ("known_devices", "one_time_tokens"):
        assert not [each for each in rows.get(name, []) if each.get("user_id") == person.user_id], name
    invalid = [("TOKEN_INVALID", ["token"])]
    assert refusals(await payload(here, "resetPassword", token=reset, password=OTHER)) == invalid
    assert refusals(await payload(here, "freezeAccount", token=freeze)) == invalid
    assert (await log_of(person.user_id))[: len(log)] == log
    assert [row.action for row in await log_of(person.user_id)][-1] == "DELETED"
    assert (await subjects(here, ALICES))[-1] == "Your account was deleted"
    assert refusals(await payload(here, "logIn", email=ALICES, password=PASSWORD)) == [("INVALID_CREDENTIALS", None)]


async def _reset_link(here: World, email: str) -> str:
    await done(here, "requestPasswordReset", email=email)
    return await here.token("reset-password")


async def test_the_address_of_a_deleted_account_is_free_again(here: World) -> None:
    anna = await here.signed_up(ANNA)
    assert refusals(await proven(here, "deleteAccount", anna)) == []
    again = await here.signed_up(ANNA)
    assert again.user_id != anna.user_id
    assert [row.action for row in await log_of(again.user_id)] == ["SIGN_UP", "EMAIL_VERIFIED", "LOG_IN"]


async def test_a_deletion_without_proof_changes_nothing(database: Database, here: World) -> None:
    anna = await here.signed_up(ANNA)
    for proof in ("", "wrong", await here.proof(anna, "unfreezeAccount", {})):
        async with unchanged(database):
            found = await payload(here, "deleteAccount", anna, stepUpProof=proof)
            assert [code for code, _ in refusals(found)] in (["STEP_UP_INVALID"], ["STEP_UP_REQUIRED"])
    assert await is_signed_in(here, anna)


async def test_a_refresh_token_of_a_deleted_account_is_worthless(here: World) -> None:
    anna = await here.signed_up(ANNA)
    assert refusals(await proven(here, "deleteAccount", anna)) == []
    found = await payload(here, "refreshSession", client=CLIENT, refreshToken=anna.refresh)
    assert refusals(found) == [("TOKEN_INVALID", ["refreshToken"])]
