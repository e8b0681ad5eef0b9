"""Answers that must not tell who has an account: the same bytes for every address, whatever is true of it. Times: see test_timing.py."""

import re
from collections.abc import Mapping
from itertools import product

import httpx
import pytest

from core.account_vocabulary import UserStatus
from core.database import Database
from models import user
from tests.accounts import PASSWORD, World, world
from tests.attacks.door import Door, door_of
from tests.factors import enrolled, limited_world
from tests.stored import everything

UNKNOWN = "unknown@example.com"
QUESTIONS = {
    "signUp": (
        "mutation($input: SignUpInput!) { signUp(input: $input) { viewer { id email } errors { code field message } } }",
        {"password": "quite another fine day"},
    ),
    "logIn": (
        """mutation($input: LogInInput!) { logIn(input: $input) {
          viewer { id } session { id } tokens { accessToken } challenge { token factors }
          errors { code field message retryAfter }
        } }""",
        {"password": "not the password"},
    ),
    "requestPasswordReset": (
        "mutation($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { viewer { id } errors { code } } }",
        {},
    ),
    "resendVerification": (
        "mutation($input: ResendVerificationInput!) { resendVerification(input: $input) { viewer { id } errors { code } } }",
        {},
    ),
}


async def _verified(here: World, email: str) -> None:
    await here.signed_up(email)


async def _unverified(here: World, email: str) -> None:
    await here.signed_up(email, verified=False)


async def _with_codes(here: World, email: str) -> None:
    await enrolled(here, await here.signed_up(email))


async def _frozen(here: World, email: str) -> None:
    person = await here.signed_up(email)
    await here.data("mutation { freezeAccount(input: {}) { errors { code } } }", person)


async def _suspended(here: World, email: str) -> None:
    person = await here.signed_up(email)
    now_ms = here.clock.now_ms()
    assert await user.set_status(
        person.user_id, UserStatus.SUSPENDED, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms
    )


async def _deleted(here: World, email: str) -> None:
    person = await here.signed_up(email)
    proof = await here.proof(person, "deleteAccount", {})
    await here.data(
        "mutation($proof: String!) { deleteAccount(input: {stepUpProof: $proof}) { errors { code } } }",
        person,
        proof=proof,
    )


async def _without_password(here: World, email: str) -> None:
    person = await here.signed_up(email)
    row = await user.by_id(person.user_id)
    assert row is not None
    await user.erase(row.id, here.clock.now_ms())
    assert await user.insert(row.model_copy(update={"id": "passwordless", "password_hash": None}))


STATES = {
    "verified": _verified,
    "unverified": _unverified,
    "with codes by app": _with_codes,
    "frozen": _frozen,
    "suspended": _suspended,
    "deleted": _deleted,
    "without a password": _without_password,
}


def _address(state: str) -> str:
    return f"{state.replace(' ', '-')}@example.com"


async def _asked(door: Door, question: str, email: str) -> httpx.Response:
    text, values = QUESTIONS[question]
    return await door.ask(text, {"input": {"email": email, **values}})


def _told(answer: httpx.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """All that a client sees, in order, aside from the request's id and what is left of its points."""
    headers = [(name, b"" if name == b"ratelimit" else value) for name, value in answer.headers.raw]
    body = re.sub(rb'"requestId":"[^"]*"', b"", re.sub(rb'"remaining":\d+', b"", answer.content))
    return answer.status_code, headers, body


@pytest.mark.parametrize("question", QUESTIONS)
async def test_every_address_gets_the_same_answer(database: Database, question: str) -> None:
    async with world() as here, door_of(here) as door:
        for state, make in STATES.items():
            await make(here, _address(state))
        expected = _told(await _asked(door, question, UNKNOWN))
        assert expected[0] == 200
        for state in STATES:
            answer = await _asked(door, question, _address(state))
            assert _told(answer) == expected, state


async def test_a_lock_is_the_same_for_every_address(database: Database) -> None:
    async with world() as here, door_of(here) as door:
        for state, make in STATES.items():
            await make(here, _address(state))
        tries: dict[str, list[object]] = {email: [] for email in (UNKNOWN, *map(_address, STATES))}
        for number in range(8):
            for told in tries.items():
                told[1].append(_told(await _asked(door, "logIn", told[0])))
            here.clock.advance(number)
        assert all(told == tries[UNKNOWN] for told in tries.values())
        assert "ACCOUNT_LOCKED" in str(tries[UNKNOWN][-1])


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_throttle_is_the_same_for_every_address(database: Database, question: str) -> None:
    here = await limited_world()
    async with door_of(here) as door:
        await _verified(here, "known@example.com")
        here.clock.advance(3_700)  # what that took is forgotten
        tries: dict[str, list[object]] = {"known@example.com": [], UNKNOWN: []}
        for _ in range(6):
            for email, told in tries.items():
                told.append(_told(await _asked(door, question, email)))
        assert tries["known@example.com"] == tries[UNKNOWN]
        assert ("RATE_LIMITED" in str(tries[UNKNOWN])) is (question != "logIn")


CASES: Mapping[str, Mapping[str, str]] = {
    "a short password": {"password": "short"},
    "a common password": {"password": "password1234"},
    "a name that cannot be seen": {"password": PASSWORD, "displayName": "\u202e"},
    "an unknown language": {"password": PASSWORD, "locale": "tlh"},
}


async def test_a_refused_sign_up_is_refused_for_every_address(database: Database) -> None:
    async with world() as here, door_of(here) as door:
        await _verified(here, "known@example.com")
        text, _ = QUESTIONS["signUp"]
        for case, given in CASES.items():
            known, unknown = [
                _told(await door.ask(text, {"input": {"email": email, **given}}))
                for email in ("known@example.com", UNKNOWN)
            ]
            assert known == unknown, case
            assert b'"errors":[]' not in known[2], case


async def test_a_change_of_address_does_not_tell_whether_it_is_taken(database: Database) -> None:
    async with world() as here, door_of(here) as door:
        person = await here.signed_up("mallory@example.com")
        await here.signed_up("known@example.com")
        text = """mutation($input: ChangeEmailInput!) { changeEmail(input: $input) {
          viewer { id email } errors { code field message }
        } }"""
        told = []
        for email in ("known@example.com", UNKNOWN):
            proof = await here.proof(person, "changeEmail", {"email": email})
            given = {"input": {"email": email, "stepUpProof": proof}}
            told.append(_told(await door.ask(text, given, authorization=f"Bearer {person.access}")))
        assert told[0] == told[1]
        assert b'"errors":[]' in told[0][2]


async def test_nothing_but_mail_tells_what_became_of_it(database: Database) -> None:
    """The known address is told by mail, and the unknown one by nothing; both are one row of the outbox when the answer is given."""
    async with world() as here, door_of(here) as door:
        await here.signed_up("known@example.com")
        await here.deliver()
        here.letters.mails.clear()
        rows = len((await everything(database))["mails"])
        for number, (question, email) in enumerate(
            product(("requestPasswordReset", "resendVerification"), ("known@example.com", UNKNOWN)), start=1
        ):
            await _asked(door, question, email)
            assert len((await everything(database))["mails"]) == rows + number
        await here.deliver()
        assert [(mail.to, mail.subject) for mail in here.letters.mails] == [
            ("known@example.com", "Choose a new password")
        ]
