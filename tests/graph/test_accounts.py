"""Accounts over the surface: whoever reads German is answered and written to in German, and programs cannot tell the difference."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from core.account_vocabulary import UserStatus
from core.database import Database
from core.ids import encode_id
from tests.account_life import MUTATIONS, done, payload, proven, set_status, subjects
from tests.accounts import PASSWORD, World, world
from tests.attacks import surface
from tests.attacks.door import Door, door_of
from tests.attacks.people import as_operator
from tests.factors import Authenticator, enrolled, registered

ANNA = "anna@example.com"
OTHER = "a different fine day"


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def door(here: World) -> AsyncIterator[Door]:
    async with door_of(here) as opened:
        yield opened


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("signUp", {"email": "no address", "password": PASSWORD}, "EMAIL_INVALID"),
    ("signUp", {"email": ANNA, "password": "short"}, "PASSWORD_TOO_SHORT"),
    ("signUp", {"email": ANNA, "password": "password1234"}, "PASSWORD_TOO_COMMON"),
    ("signUp", {"email": ANNA, "password": PASSWORD, "displayName": "\u202e"}, "NAME_INVALID"),
    ("signUp", {"email": ANNA, "password": PASSWORD, "locale": "tlh"}, "UNKNOWN"),
    ("verifyEmail", {"token": "guess"}, "TOKEN_INVALID"),
    ("resetPassword", {"token": "guess", "password": PASSWORD}, "TOKEN_INVALID"),
    ("logIn", {"email": "nobody@example.com", "password": "guess"}, "INVALID_CREDENTIALS"),
    ("completeTwoFactor", {"challenge": "guess", "proof": {"totp": "123456"}}, "CHALLENGE_EXPIRED"),
    ("refreshSession", {"refreshToken": "guess"}, "TOKEN_INVALID"),
    ("freezeAccount", {"token": "guess"}, "TOKEN_INVALID"),
    ("beginOAuth", {"provider": "nobody", "redirectUri": "https://app.vault.example/"}, "PROVIDER_UNAVAILABLE"),
    ("revokeSession", {"id": "guess"}, "UNAUTHENTICATED"),
    ("setUserStatus", {"id": "guess", "status": "ACTIVE", "reason": "none"}, "UNAUTHENTICATED"),
]
REFUSED_TO_SOMEBODY: list[tuple[str, dict[str, Any], str]] = [
    ("deleteAccount", {"stepUpProof": "guess"}, "STEP_UP_INVALID"),
    ("changePassword", {"password": OTHER}, "STEP_UP_REQUIRED"),
    ("updateProfile", {"antiPhishingCode": "x" * 33}, "UNKNOWN"),
    ("updateProfile", {"quoteAsset": "SHELLS"}, "UNKNOWN"),
    ("revokeSession", {"id": "guess"}, "UNKNOWN"),
    ("confirmTotp", {"code": "123456"}, "TOTP_NOT_ENABLED"),
    ("unlinkOAuth", {"id": "guess"}, "STEP_UP_REQUIRED"),
    ("setUserStatus", {"id": "guess", "status": "ACTIVE", "reason": "none"}, "FORBIDDEN"),
]


async def _answered(door: Door, name: str, given: dict[str, Any], **headers: str) -> tuple[int, list[dict[str, Any]]]:
    """The status, and everything that is refused: its code, its message, and where."""
    document, _ = surface.call(MUTATIONS[name], full=True)
    answer = await door.ask(document, {"input": given}, **headers)
    body = answer.json()
    errors = [
        {"code": each["extensions"]["code"], "message": each["message"], "field": each["extensions"].get("field")}
        for each in body.get("errors", ())
    ]
    data = (body.get("data") or {}).get(name) or {}
    errors += [{name: each[name] for name in ("code", "message", "field")} for each in data.get("errors", ())]
    return answer.status_code, errors


async def test_a_stranger_is_refused_in_the_browsers_language(door: Door) -> None:
    for name, given, code in REFUSED:
        english = await _answered(door, name, given)
        german = await _answered(door, name, given, **{"accept-language": "de-AT,de;q=0.9,en;q=0.1"})
        _compare(english, german, code)


async def test_somebody_is_refused_in_their_own_language_whatever_the_browser_asks_for(here: World, door: Door) -> None:
    anna = await here.signed_up(ANNA)
    credential = {"authorization": f"Bearer {anna.access}", "accept-language": "en"}
    english = [await _answered(door, name, given, **credential) for name, given, _ in REFUSED_TO_SOMEBODY]
    await done(here, "updateProfile", anna, locale="de")
    german = [await _answered(door, name, given, **credential) for name, given, _ in REFUSED_TO_SOMEBODY]
    for one, other, (_, _, code) in zip(english, german, REFUSED_TO_SOMEBODY, strict=True):
        _compare(one, other, code)


def _compare(english: tuple[int, list[dict[str, Any]]], german: tuple[int, list[dict[str, Any]]], code: str) -> None:
    """The same for programs, and other words for people."""
    assert [error["code"] for error in english[1]] == [code], english
    without_words = [(status, [{**error, "message": ""} for error in errors]) for status, errors in (english, german)]
    assert without_words[0] == without_words[1]
    assert english[1][0]["message"] != german[1][0]["message"]


async def test_a_german_account_is_written_to_in_german(here: World) -> None:
    """Every kind of mail that a life like this causes; `tests/services/test_mail_content.py` has the rest."""
    await done(here, "signUp", email=ANNA, password=PASSWORD, locale="de")
    await done(here, "resendVerification", email=ANNA)
    await done(here, "verifyEmail", token=await here.token("verify-email"))
    anna = await here.logged_in(ANNA)
    await done(here, "signUp", email=ANNA, password=OTHER)
    await proven(here, "createApiKey", anna, name="Bot", scopes=["READ"])
    await done(here, "changePassword", anna, current=PASSWORD, password=OTHER)
    for _ in range(5):
        await payload(here, "logIn", email=ANNA, password="not the password")
    await done(here, "freezeAccount", anna)
    await done(here, "requestPasswordReset", email=ANNA)
    await done(here, "resetPassword", token=await here.token("reset-password"), password=PASSWORD)
    anna = await here.logged_in(ANNA)
    await proven(here, "unfreezeAccount", anna)
    anna = await here.current(anna)
    await proven(here, "changeEmail", anna, email="anna@new.example")
    await here.deliver()  # what is about an account that is gone is not sent any more
    await proven(here, "deleteAccount", anna)
    assert Counter(await subjects(here, ANNA)) == Counter(
        [
            "Bestätigen Sie Ihre E-Mail-Adresse",
            "Bestätigen Sie Ihre E-Mail-Adresse",
            "Sie haben bereits ein Konto",
            "Ein API-Schlüssel wurde erstellt",
            "Ihr Passwort wurde geändert",
            "Zu viele fehlgeschlagene Anmeldungen",
            "Ihr Konto ist gesperrt",
            "Wählen Sie ein neues Passwort",
            "Ihr Passwort wurde geändert",
            "Ihr Konto kann wieder genutzt werden",
            "Eine neue E-Mail-Adresse wurde angefragt",
            "Ihr Konto wurde gelöscht",
        ]
    )


# Payloads


def test_every_mutation_takes_one_input_and_says_why_it_refuses() -> None:
    for name, site in MUTATIONS.items():
        assert list(site.field.args) == ["input"], name
        kind = get_named_type(site.field.type)
        assert isinstance(kind, GraphQLObjectType)
        several = get_named_type(kind.fields["results"].type) if "results" in kind.fields else kind
        assert isinstance(several, GraphQLObjectType)
        kinds = {"[AuthError!]!", "[GeneralError!]!", "[OrderError!]!", "[WalletError!]!"}
        assert str(several.fields["errors"].type) in kinds, name
        assert str(site.field.type).endswith("Payload!"), name


async def test_a_refusal_comes_alone(here: World) -> None:
    anna = await here.signed_up(ANNA)
    for name, given, code in REFUSED_TO_SOMEBODY[:-1]:
        found = await payload(here, name, anna, **given)
        assert [error["code"] for error in found["errors"]] == [code]
        assert [key for key, value in found.items() if value is not None and key not in {"errors", "__typename"}] == []


async def test_nobody_is_the_viewer_of_a_stranger(here: World) -> None:
    assert await here.data("{ viewer { id } }") == {"viewer": None}


async def test_the_viewer_sees_their_account(here: World) -> None:
    anna = await here.signed_up(ANNA)
    text = "{ viewer " + surface.selection(surface.SCHEMA.type_map["User"], depth=1) + " }"  # type: ignore[arg-type]
    viewer = (await here.data(text, anna))["viewer"]
    assert viewer["id"] == encode_id("User", anna.user_id)
    assert (viewer["email"], viewer["emailVerified"], viewer["role"], viewer["status"]) == (
        ANNA,
        True,
        "USER",
        "ACTIVE",
    )
    assert (viewer["locale"], viewer["quoteAsset"]["code"], viewer["createdAt"]) == (
        "en",
        "USD",
        "2026-09-21T14:13:20.000Z",
    )
    security = viewer["security"]
    assert (security["passwordSet"], security["totpEnabled"], security["recoveryCodesLeft"]) == (True, False, 0)
    assert [session["current"] for session in viewer["sessions"]] == [True]


async def test_factors_are_shown_as_they_come_and_go(here: World) -> None:
    anna = await here.signed_up(ANNA)
    await registered(here, anna, Authenticator(), "Laptop")
    await enrolled(here, anna)
    text = "{ viewer { security { totpEnabled recoveryCodesLeft passkeys { name } withdrawalsHeldUntil } } }"
    security = (await here.data(text, anna))["viewer"]["security"]
    assert security == {
        "totpEnabled": True,
        "recoveryCodesLeft": 10,
        "passkeys": [{"name": "Laptop"}],
        "withdrawalsHeldUntil": "2026-09-22T14:13:20.000Z",
    }


@pytest.mark.parametrize("status", [UserStatus.FROZEN, UserStatus.SUSPENDED])
async def test_a_locked_account_is_still_shown_to_its_owner(here: World, status: UserStatus) -> None:
    anna = await here.signed_up(ANNA)
    await set_status(here, anna, status)
    assert (await here.data("{ viewer { status } }", await here.current(anna)))["viewer"] == {"status": status.value}


async def test_operators_answers_have_codes_of_their_own(here: World) -> None:
    operator = await as_operator(here, await here.signed_up("ops@example.com"))
    found = await proven(
        here, "setUserStatus", operator, id=encode_id("User", "nobody"), status="FROZEN", reason="none"
    )
    assert [(error["code"], error["field"]) for error in found["errors"]] == [("NOT_FOUND", ["id"])]
