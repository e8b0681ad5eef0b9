"""Signing in by password: who gets in, who is kept out and for how long, and what the answers tell."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import bcrypt
import pytest

from core.account_vocabulary import AuditAction, AuditOutcome, SessionMethod, TokenDelivery, UserStatus
from core.clock import ManualClock
from core.database import Database
from core.errors import RateLimited
from core.ids import random_token, token_hash
from core.rate_limits import MemoryRateLimits
from core.refusals import AuthRefused
from models import session, user
from models.log_in_lock import LogInLockDocument
from models.user import UserDocument
from services import even_time
from services.account_services import AccountServices
from services.email_addresses import key_digest
from services.log_in import SignedIn, Wish
from services.log_in_guard import AccountLocked, LogInGuard
from services.passwords import PasswordHasher, Verified
from services.throttles import Throttles
from services.viewer import Client
from tests.accounts import CLIENT, LOG_IN, PASSWORD, RULES, NoLimits, Person, World, build_accounts, world
from tests.factors import COMPLETE, enrolled, limited_world
from tests.stored import audited, unchanged

EMAIL = "alice@example.com"
WRONG = "a foul day for sailing"
BROWSER = Client(address="192.0.2.1", request_id="request-1", locale="en", user_agent="a browser", is_page=True)
STRANGER = Client(address="203.0.113.66", request_id="request-2", locale="en", user_agent="a stranger's program")
WISH = Wish(TokenDelivery.COOKIE, None)
LOCK_SECONDS = 900


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def tried(
    vault: World, password: str, *, email: str = EMAIL, client: Client = STRANGER, by: Person | None = None
) -> dict[str, Any]:
    """The payload of a log-in from this client."""
    caller = vault.caller(by, client=client)
    body = await vault.ask_as(caller, LOG_IN, email=email, password=password)
    assert "errors" not in body, body
    payload: dict[str, Any] = body["data"]["logIn"]
    return payload


async def failed(vault: World, times: int, **where: Any) -> list[str]:
    """Codes of so many log-ins with a wrong password."""
    payloads = [await tried(vault, WRONG, **where) for _ in range(times)]
    return [code_of(payload) for payload in payloads]


def code_of(payload: Mapping[str, Any]) -> str:
    """The refusal's code, or IN."""
    if payload["session"] is not None:
        assert payload["errors"] == []
        return "IN"
    assert {name: value for name, value in payload.items() if name != "errors"} == dict.fromkeys(
        ("viewer", "session", "tokens", "challenge")
    )
    (error,) = payload["errors"]
    return str(error["code"])


async def browser_of(vault: World, person: Person, client: Client = BROWSER) -> Client:
    """A browser in which this person has signed in before."""
    found = await vault.accounts.log_in.with_password(EMAIL, PASSWORD, WISH, client, None)
    assert isinstance(found, SignedIn)
    assert found.opened.user.id == person.user_id
    assert found.device_token is not None
    return replace(client, device_token=found.device_token)


async def subjects(vault: World) -> list[str]:
    """Subjects of everything that was mailed."""
    await vault.deliver()
    return [mail.subject for mail in vault.letters.mails]


class Guesses:
    """Counts the passwords that were looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        verify = PasswordHasher.verify

        async def counted(hasher: PasswordHasher, password: str, stored_hash: str | None) -> Verified:
            self.seen.append(password)
            return await verify(hasher, password, stored_hash)

        monkeypatch.setattr(PasswordHasher, "verify", counted)


async def test_the_right_password_opens_a_session(vault: World) -> None:
    await vault.signed_up(EMAIL)
    payload = await tried(vault, PASSWORD, email=" Alice@EXAMPLE.com ")
    assert payload["viewer"] == {"id": payload["viewer"]["id"], "email": EMAIL, "emailVerified": True}
    assert payload["session"] == {"id": payload["session"]["id"], "current": True, "method": "PASSWORD"}
    assert payload["challenge"] is None
    person = await vault.person(payload["tokens"])
    row = await session.by_id(person.viewer.session_id or "")
    assert row is not None
    assert (row.user_id, row.ip, row.user_agent) == (person.user_id, STRANGER.address, STRANGER.user_agent)
    assert (row.method, row.factors) == (SessionMethod.PASSWORD, ("PASSWORD",))
    outcome, detail = (await audited(person.user_id, AuditAction.LOG_IN))[-1]
    assert outcome is AuditOutcome.ALLOWED
    assert (detail["method"], detail["session"]) == ("PASSWORD", row.id)


async def test_with_codes_by_app_the_password_gives_a_question_and_no_session(vault: World, database: Database) -> None:
    person = await vault.signed_up(EMAIL)
    app = await enrolled(vault, person)
    vault.clock.advance(30)
    async with unchanged(database, but=("audit_events", "audit_heads", "challenges", "known_devices")):
        payload = await tried(vault, PASSWORD)
        assert payload["errors"] == []
        assert (payload["session"], payload["tokens"], payload["viewer"]) == (None, None, None)
        assert payload["challenge"]["factors"] == ["TOTP", "RECOVERY_CODE"]
    proof = {"challenge": payload["challenge"]["token"], "proof": {"totp": app.code()}}
    done = (await vault.data(COMPLETE, **proof))["completeTwoFactor"]
    row = await session.by_id((await vault.person(done["tokens"])).viewer.session_id or "")
    assert row is not None
    assert row.factors == ("PASSWORD", "TOTP")
    again = (await vault.data(COMPLETE, **proof))["completeTwoFactor"]
    assert [error["code"] for error in again["errors"]] == ["CHALLENGE_EXPIRED"]


async def test_five_failures_lock_for_fifteen_minutes_to_the_millisecond(vault: World, database: Database) -> None:
    person = await vault.signed_up(EMAIL)
    await vault.deliver()
    assert await failed(vault, 5) == ["INVALID_CREDENTIALS"] * 5

    async with unchanged(database, but=()):
        for seconds, left in ((0.0, 900), (0.001, 900), (0.999, 899), (898.0, 1), (0.999, 1)):
            vault.clock.advance(seconds)
            payload = await tried(vault, PASSWORD)
            assert (code_of(payload), payload["errors"][0]["retryAfter"]) == ("ACCOUNT_LOCKED", left)
    vault.clock.advance(0.001)
    assert code_of(await tried(vault, PASSWORD)) == "IN"

    failures = await audited(person.user_id, AuditAction.LOG_IN_FAILED)
    locks = await audited(person.user_id, AuditAction.LOCKED)
    assert [outcome for outcome, _ in [*failures, *locks]] == [AuditOutcome.REFUSED] * 5
    assert len(locks) == 1
    assert (await subjects(vault)).count("Too many failed log-ins") == 1


@pytest.mark.parametrize(("seconds", "then"), [(899.999, "ACCOUNT_LOCKED"), (900.0, "IN")])
async def test_failures_count_together_for_fifteen_minutes(vault: World, seconds: float, then: str) -> None:
    await vault.signed_up(EMAIL)
    await failed(vault, 4)
    vault.clock.advance(seconds)
    assert await failed(vault, 1) == ["INVALID_CREDENTIALS"]
    assert code_of(await tried(vault, PASSWORD)) == then


async def test_after_a_lock_the_next_five_failures_lock_again(vault: World) -> None:
    await vault.signed_up(EMAIL)
    await failed(vault, 5)
    vault.clock.advance(LOCK_SECONDS)
    assert await failed(vault, 6) == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]


async def test_a_success_lets_the_count_begin_anew(vault: World) -> None:
    await vault.signed_up(EMAIL)
    for _ in range(3):
        assert await failed(vault, 4) == ["INVALID_CREDENTIALS"] * 4
        assert code_of(await tried(vault, PASSWORD)) == "IN"


async def test_tries_during_a_lock_do_not_lengthen_it(vault: World) -> None:
    await vault.signed_up(EMAIL)
    await failed(vault, 5)
    vault.clock.advance(450)
    assert await failed(vault, 20) == ["ACCOUNT_LOCKED"] * 20
    vault.clock.advance(450)
    assert code_of(await tried(vault, PASSWORD)) == "IN"


async def test_addresses_with_and_without_an_account_are_answered_alike(vault: World) -> None:
    """Whatever the account is like, before the right password all are the same to whoever guesses."""
    await vault.signed_up(EMAIL)
    frozen = await vault.signed_up("frozen@example.com")
    suspended = await vault.signed_up("suspended@example.com")
    await enrolled(vault, await vault.signed_up("careful@example.com"))
    await vault.signed_up("unproven@example.com", verified=False)
    for person, status in ((frozen, UserStatus.FROZEN), (suspended, UserStatus.SUSPENDED)):
        await set_status(vault, person, status)
    addresses = [EMAIL, "frozen@example.com", "suspended@example.com", "careful@example.com", "unproven@example.com"]
    nobodys = ["nobody@example.com", "no address", "", "@", "a" * 5_000]

    answers = {}
    for email in [*addresses, *nobodys]:
        bodies = [
            await vault.ask_as(vault.caller(client=STRANGER), LOG_IN, email=email, password=WRONG) for _ in range(7)
        ]
        answers[email] = [{**body, "extensions": None} for body in bodies]
    assert all(answer == answers[EMAIL] for answer in answers.values())
    assert [code_of(body["data"]["logIn"]) for body in answers[EMAIL]] == ["INVALID_CREDENTIALS"] * 5 + [
        "ACCOUNT_LOCKED"
    ] * 2


async def test_a_known_browsers_success_does_not_lift_the_lock(vault: World) -> None:
    person = await vault.signed_up(EMAIL)
    browser = await browser_of(vault, person)
    await failed(vault, 5)
    assert code_of(await tried(vault, PASSWORD, client=browser)) == "IN"
    payload = await tried(vault, PASSWORD)
    assert (code_of(payload), payload["errors"][0]["retryAfter"]) == ("ACCOUNT_LOCKED", LOCK_SECONDS)


async def test_recovery_by_mail_lifts_the_lock(vault: World) -> None:
    await vault.signed_up(EMAIL)
    await failed(vault, 5)
    await vault.data(
        "mutation($email: String!) { requestPasswordReset(input: {email: $email}) { errors { code } } }", email=EMAIL
    )
    assert code_of(await tried(vault, PASSWORD)) == "ACCOUNT_LOCKED", "asking for the mail lifts nothing"
    token = await vault.token("reset-password")
    data = await vault.data(
        "mutation($token: String!, $password: String!) { resetPassword(input: {token: $token, password: $password}) "
        "{ errors { code } } }",
        token=token,
        password="another day for sailing",
    )
    assert data["resetPassword"]["errors"] == []
    assert code_of(await tried(vault, "another day for sailing")) == "IN"


async def test_strangers_do_not_shut_out_a_known_browser_or_somebody_who_is_signed_in(vault: World) -> None:
    person = await vault.signed_up(EMAIL)
    browser = await browser_of(vault, person)
    await failed(vault, 5)
    assert code_of(await tried(vault, PASSWORD, client=browser)) == "IN"
    assert code_of(await tried(vault, PASSWORD, client=STRANGER, by=person)) == "IN"
    assert code_of(await tried(vault, PASSWORD)) == "ACCOUNT_LOCKED"


async def test_a_known_browser_and_a_session_have_a_count_of_their_own(vault: World) -> None:
    person = await vault.signed_up(EMAIL)
    browser = await browser_of(vault, person)
    other = await browser_of(vault, person, replace(BROWSER, user_agent="another browser"))
    here: list[dict[str, Any]] = [{"client": browser}, {"by": person}]
    for where in here:
        assert await failed(vault, 6, **where) == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]
        assert code_of(await tried(vault, PASSWORD, **where)) == "ACCOUNT_LOCKED"
    assert code_of(await tried(vault, PASSWORD, client=other)) == "IN"
    assert code_of(await tried(vault, PASSWORD)) == "IN", "strangers' count is another one"
    vault.clock.advance(LOCK_SECONDS)
    assert code_of(await tried(vault, PASSWORD, client=browser)) == "IN"


async def test_only_the_accounts_own_browser_and_session_are_known(vault: World, database: Database) -> None:
    await vault.signed_up(EMAIL)
    mallory = await vault.signed_up("mallory@example.com")
    signed_in = await vault.accounts.log_in.with_password("mallory@example.com", PASSWORD, WISH, BROWSER, None)
    assert isinstance(signed_in, SignedIn)
    await failed(vault, 5)
    forged = {
        "the text that is hashed for programs": f"agent:{CLIENT.address} {CLIENT.user_agent}",
        "its hash": token_hash(f"agent:{CLIENT.address} {CLIENT.user_agent}"),
        "a cookie of another person's browser": signed_in.device_token,
        "an invented cookie": random_token(),
        "an operator": '{"$ne": ""}',
        "nothing": "",
    }
    async with unchanged(database, but=()):
        for what, cookie in forged.items():
            client = replace(CLIENT, is_page=True, device_token=cookie)
            assert code_of(await tried(vault, PASSWORD, client=client)) == "ACCOUNT_LOCKED", what
        assert code_of(await tried(vault, PASSWORD, by=mallory)) == "ACCOUNT_LOCKED"


async def test_a_program_without_cookies_is_no_known_browser_though_it_signed_in_before(vault: World) -> None:
    await vault.signed_up(EMAIL)
    await tried(vault, PASSWORD, client=CLIENT)
    await failed(vault, 5)
    assert code_of(await tried(vault, PASSWORD, client=CLIENT)) == "ACCOUNT_LOCKED"


async def test_of_thirty_guesses_at_once_five_are_looked_at(vault: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await vault.signed_up(EMAIL)
    guesses = Guesses(monkeypatch)
    passwords = [f"guess number {number}" for number in range(29)]
    payloads = await asyncio.gather(*(tried(vault, password) for password in [*passwords, PASSWORD]))
    codes = [code_of(payload) for payload in payloads]
    wrong_before = guesses.seen.index(PASSWORD) if PASSWORD in guesses.seen else 0
    assert codes[-1] == ("IN" if PASSWORD in guesses.seen else "ACCOUNT_LOCKED")
    assert wrong_before < 5, "it is looked at only while the lock is off, and lets the count begin anew"
    assert codes.count("INVALID_CREDENTIALS") == 5 + wrong_before
    assert len(guesses.seen) == 5 + wrong_before + codes.count("IN")
    assert await failures() == 5
    assert code_of(await tried(vault, PASSWORD)) == "ACCOUNT_LOCKED"


async def test_of_guesses_at_once_in_two_processes_each_may_have_one_more_under_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is one for all processes; that each lets one try in at a time is its own matter (services/log_in_guard.py)."""
    clock = ManualClock()
    limits = MemoryRateLimits(clock)
    here, there = World(limits=limits), World(limits=limits)
    for each in (here, there):
        await each.accounts.load()
    await here.signed_up(EMAIL)
    clock.advance(300)  # the sign-up's own log-in does not count
    guesses = Guesses(monkeypatch)
    callers = [(vault, number) for number in range(15) for vault in (here, there)]
    bodies = await asyncio.gather(
        *(
            vault.ask_as(vault.caller(client=STRANGER), LOG_IN, email=EMAIL, password=f"guess number {number}")
            for vault, number in callers
        )
    )
    codes = [
        body["errors"][0]["extensions"]["code"] if "errors" in body else code_of(body["data"]["logIn"])
        for body in bodies
    ]
    assert len(guesses.seen) in (5, 6)
    assert codes.count("INVALID_CREDENTIALS") == len(guesses.seen)
    assert codes.count("RATE_LIMITED") == 20, "both processes count by one store"
    assert await failures() in (5, 6)
    clock.advance(300)
    for vault in (here, there):
        assert code_of(await tried(vault, PASSWORD)) == "ACCOUNT_LOCKED"


async def test_a_success_in_one_process_does_not_lift_the_lock_that_another_has_set_meanwhile(
    database: Database,
) -> None:
    clock = ManualClock()
    here, there = (LogInGuard(Throttles(NoLimits()), clock) for _ in range(2))
    async with here.attempt(EMAIL, STRANGER, known_as=None) as right:
        for _ in range(5):
            async with there.attempt(EMAIL, STRANGER, known_as=None) as wrong:
                locks = await wrong.failed()
        assert locks
        await right.succeeded()
    for guard in (here, there):
        with pytest.raises(AccountLocked):
            async with guard.attempt(EMAIL, STRANGER, known_as=None):
                pass
        assert len(guard._turns) == 0, "no address is remembered in memory"


async def test_guesses_at_a_known_browser_count_apart_when_they_come_at_once(
    vault: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await vault.signed_up(EMAIL)
    browser = await browser_of(vault, person)
    guesses = Guesses(monkeypatch)
    payloads = await asyncio.gather(
        *(tried(vault, WRONG, client=client) for _ in range(10) for client in (browser, STRANGER))
    )
    assert sorted(map(code_of, payloads)) == ["ACCOUNT_LOCKED"] * 10 + ["INVALID_CREDENTIALS"] * 10
    assert len(guesses.seen) == 10


async def test_a_hash_of_another_program_is_checked_and_replaced(vault: World) -> None:
    person = await vault.signed_up(EMAIL)
    old = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    await user.set_password(person.user_id, old, now_ms=vault.clock.now_ms(), held_until_ms=0)
    assert await failed(vault, 1) == ["INVALID_CREDENTIALS"]
    assert await stored_hash(person) == old
    assert code_of(await tried(vault, PASSWORD)) == "IN"
    new = await stored_hash(person)
    assert new.startswith("$argon2id$")
    assert await failed(vault, 1) == ["INVALID_CREDENTIALS"]
    assert code_of(await tried(vault, PASSWORD)) == "IN"
    assert await stored_hash(person) == new, "replaced once"
    await user.upgrade_password_hash(person.user_id, old_hash=old, new_hash="$argon2id$of another password")
    assert await stored_hash(person) == new, "a password that was changed meanwhile stays"


async def test_a_suspended_account_is_refused_and_a_stranger_does_not_learn_it(
    vault: World, database: Database
) -> None:
    person = await vault.signed_up(EMAIL)
    await set_status(vault, person, UserStatus.SUSPENDED)
    async with unchanged(database, but=()):
        assert code_of(await tried(vault, PASSWORD, client=BROWSER)) == "ACCOUNT_FROZEN"
    assert await failed(vault, 1) == ["INVALID_CREDENTIALS"]


async def test_a_frozen_account_may_sign_in(vault: World) -> None:
    person = await vault.signed_up(EMAIL)
    await set_status(vault, person, UserStatus.FROZEN)
    payload = await tried(vault, PASSWORD)
    assert code_of(payload) == "IN"
    assert (await vault.person(payload["tokens"])).viewer.status is UserStatus.FROZEN


async def test_a_deleted_account_is_as_none(vault: World, database: Database) -> None:
    person = await vault.signed_up(EMAIL)
    await vault.accounts.accounts.delete(person.viewer, CLIENT)
    async with unchanged(database, but=("log_in_locks",)):
        assert code_of(await tried(vault, PASSWORD)) == "INVALID_CREDENTIALS"


async def test_an_address_may_be_tried_ten_times_in_five_minutes(database: Database) -> None:
    vault = await limited_world()
    await vault.signed_up(EMAIL)
    vault.clock.advance(300)
    for number in range(10):
        await tried(vault, WRONG, client=replace(STRANGER, address=f"198.51.100.{number}"))
    body = await vault.ask_as(vault.caller(client=STRANGER), LOG_IN, email=EMAIL, password=PASSWORD)
    (error,) = body["errors"]
    assert body["data"] is None
    assert error["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 300, "requestId": STRANGER.request_id}
    vault.clock.advance(300)
    assert code_of(await tried(vault, PASSWORD)) == "ACCOUNT_LOCKED"


async def test_what_is_throttled_is_not_looked_at(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = await limited_world()
    await vault.signed_up(EMAIL)
    guesses = Guesses(monkeypatch)
    for number in range(70):
        with_limits = vault.ask_as(vault.caller(client=STRANGER), LOG_IN, email=f"{number}@example.com", password=WRONG)
        body = await with_limits
        assert ("errors" in body) is (number >= 60)
    assert len(guesses.seen) == 60, "sixty tries from one address in five minutes"
    with pytest.raises(RateLimited):
        await vault.accounts.log_in.with_password(EMAIL, PASSWORD, WISH, STRANGER, None)
    assert code_of(await tried(vault, PASSWORD, client=replace(STRANGER, address="203.0.113.67"))) == "IN"


async def test_an_ipv6_subscriber_is_throttled_as_one_address(database: Database) -> None:
    vault = await limited_world()
    await vault.signed_up(EMAIL)
    for number in range(60):
        await tried(
            vault, WRONG, email=f"{number}@example.com", client=replace(STRANGER, address=f"2001:db8::{number:x}")
        )
    body = await vault.ask_as(
        vault.caller(client=replace(STRANGER, address="2001:db8::ffff")), LOG_IN, email=EMAIL, password=PASSWORD
    )
    assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert code_of(await tried(vault, PASSWORD, client=replace(STRANGER, address="2001:db8:0:1::1"))) == "IN"


async def test_strangers_do_not_use_up_the_tries_of_a_known_browser(database: Database) -> None:
    vault = await limited_world()
    person = await vault.signed_up(EMAIL)
    browser = await browser_of(vault, person)
    for number in range(15):
        client = replace(STRANGER, address=f"198.51.100.{number}")
        await vault.ask_as(vault.caller(client=client), LOG_IN, email=EMAIL, password=WRONG)
    assert code_of(await tried(vault, PASSWORD, client=browser)) == "IN"
    assert code_of(await tried(vault, PASSWORD, client=STRANGER, by=person)) == "IN"


async def test_a_new_device_is_news_once_and_the_first_is_none(vault: World) -> None:
    async def news() -> int:
        return (await subjects(vault)).count("Log-in from a new device")

    person = await vault.signed_up(EMAIL)
    assert await news() == 0, "the first device of an account"
    await tried(vault, PASSWORD, client=CLIENT)
    assert await news() == 0, "the same program from the same address"
    await failed(vault, 1, client=STRANGER)
    assert await news() == 0, "nobody signed in"
    await tried(vault, PASSWORD, client=STRANGER)
    assert await news() == 1
    browser = await browser_of(vault, person)
    assert await news() == 2
    await tried(vault, PASSWORD, client=replace(browser, address="198.51.100.1", user_agent="the same after an update"))
    assert await news() == 2, "a browser is known by its cookie, wherever it is"
    again = await vault.accounts.log_in.with_password(EMAIL, PASSWORD, WISH, browser, None)
    assert isinstance(again, SignedIn)
    assert again.device_token == browser.device_token


async def test_a_page_that_asks_for_values_gets_no_cookie_and_is_news_once(vault: World) -> None:
    await vault.signed_up(EMAIL)
    page = replace(BROWSER, address="198.51.100.9")
    for _ in range(3):
        await tried(vault, PASSWORD, client=page)
    assert (await subjects(vault)).count("Log-in from a new device") == 1


@pytest.mark.parametrize("what", ["the password is changed", "the account is suspended", "the account is deleted"])
async def test_a_log_in_does_not_outlive_what_happens_while_it_is_under_way(
    vault: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The password is being looked at, for seconds if many wait, while the owner or an operator ends all sessions."""
    person = await vault.signed_up(EMAIL)
    verify = PasswordHasher.verify

    async def overtaken(hasher: PasswordHasher, password: str, stored_hash: str | None) -> Verified:
        verified = await verify(hasher, password, stored_hash)
        match what:
            case "the password is changed":
                await vault.accounts.password_changes.change(person.viewer, "another day for sailing", CLIENT)
            case "the account is suspended":
                await set_status(vault, person, UserStatus.SUSPENDED)
            case _:
                await vault.accounts.accounts.delete(person.viewer, CLIENT)
        return verified

    vault.clock.advance(1)
    monkeypatch.setattr(PasswordHasher, "verify", overtaken)
    assert code_of(await tried(vault, PASSWORD)) == "TOKEN_INVALID"
    left = await vault.accounts.sessions.of_user(person.user_id)
    assert [row.id for row in left if row.id != person.viewer.session_id] == []
    assert "Log-in from a new device" not in await subjects(vault)


async def test_a_wish_for_a_name_is_cut_and_shown(vault: World) -> None:
    await vault.signed_up(EMAIL)
    for name, shown in (("  my laptop ", "my laptop"), ("x" * 100, "x" * 60), (" ", None), (None, None)):
        wish = Wish(TokenDelivery.VALUES, name)
        found = await vault.accounts.log_in.with_password(EMAIL, PASSWORD, wish, CLIENT, None)
        assert isinstance(found, SignedIn)
        assert found.opened.session.device_name == shown


async def test_a_question_for_the_second_factor_ends_with_the_password_it_was_asked_after(
    vault: World, database: Database
) -> None:
    """Whoever knew the old password has not begun to sign in when it is changed."""
    person = await vault.signed_up(EMAIL)
    app = await enrolled(vault, person)
    asked = (await tried(vault, PASSWORD))["challenge"]["token"]
    vault.clock.advance(30)
    await vault.data(
        "mutation($email: String!) { requestPasswordReset(input: {email: $email}) { errors { code } } }", email=EMAIL
    )
    await vault.data(
        "mutation($token: String!, $password: String!) { resetPassword(input: {token: $token, password: $password}) "
        "{ errors { code } } }",
        token=await vault.token("reset-password"),
        password="another day for sailing",
    )
    async with unchanged(database):
        done = (await vault.data(COMPLETE, challenge=asked, proof={"totp": app.code()}))["completeTwoFactor"]
        assert done["tokens"] is None
        assert [error["code"] for error in done["errors"]] == ["CHALLENGE_EXPIRED"]


class Stopwatch:
    """Time that passes only where this says so: while a password is looked at, and while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = ManualClock()
        self.checking = 0.1
        self.share = 0.0
        verify = PasswordHasher.verify

        async def slow(hasher: PasswordHasher, password: str, stored_hash: str | None) -> Verified:
            self.clock.advance(self.checking)
            return await verify(hasher, password, stored_hash)

        async def sleep(seconds: float) -> None:
            self.clock.advance(seconds)

        monkeypatch.setattr(PasswordHasher, "verify", slow)
        monkeypatch.setattr(even_time, "asyncio", SimpleNamespace(sleep=sleep))
        monkeypatch.setattr(even_time, "random_share", lambda: self.share)

    async def seconds(self, accounts: AccountServices, email: str, password: str) -> float:
        """How long a log-in took."""
        before = self.clock.monotonic()
        with contextlib.suppress(AuthRefused, RateLimited):
            await accounts.log_in.with_password(email, password, WISH, STRANGER, None)
        return round(self.clock.monotonic() - before, 9)


async def test_failures_are_answered_at_multiples_of_a_quarter_second(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Stopwatch(monkeypatch)
    rules = replace(RULES, even_seconds=0.25)
    accounts = build_accounts(clock=watch.clock, rules=rules, limits=MemoryRateLimits(watch.clock))
    await accounts.load()
    person = await signed_up_in(accounts)
    for taken, checked in ((0.1, 0.25), (0.24, 0.25), (0.26, 0.5), (0.9, 1.0)):
        watch.checking = taken
        for email in (person.email or "", f"nobody at {taken}"):
            assert await watch.seconds(accounts, email, WRONG) == checked + 0.25  # for noting the failure
    watch.checking = 0.1
    for email in (person.email or "", "nobody"):
        tries = [await watch.seconds(accounts, email, WRONG) for _ in range(10)]
        assert tries[-1] == 0, "behind a lock and a throttle no password is looked at"


async def test_who_came_together_does_not_go_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch(monkeypatch)
    watch.share = 0.5
    before = watch.clock.monotonic()
    async with even_time.even_time(watch.clock, 0.25):
        watch.clock.advance(0.1)
    assert watch.clock.monotonic() - before == pytest.approx(0.25 + 0.125)


async def test_who_has_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch(monkeypatch)
    with pytest.raises(asyncio.CancelledError):
        async with even_time.even_time(watch.clock, 0.25):
            raise asyncio.CancelledError
    assert watch.clock.monotonic() == ManualClock().monotonic()


async def signed_up_in(accounts: AccountServices) -> UserDocument:
    """A person with the password of these tests, in services of their own."""
    found = await build_accounts().log_in._hasher.hash(PASSWORD)
    now_ms = 1_600_000_000_000
    person = UserDocument(
        id="alice", email=EMAIL, email_key=EMAIL, locale="en", quote_asset="USD", password_hash=found,
        created_ms=now_ms, authority_ms=now_ms,
    )  # fmt: skip
    await user.insert(person)
    return person


async def set_status(vault: World, person: Person, status: UserStatus) -> None:
    await vault.accounts.freezes.by_operator(person.viewer, person.user_id, status, "a test", CLIENT)


async def stored_hash(person: Person) -> str:
    row = await user.by_id(person.user_id)
    assert row is not None
    assert row.password_hash is not None
    return row.password_hash


async def failures() -> int:
    """What is counted against strangers who name the address."""
    row = await LogInLockDocument.find_one({"_id": key_digest(EMAIL)})
    assert row is not None
    return row.failures
