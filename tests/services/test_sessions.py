"""Sessions: refresh tokens and their families, how sessions end, and what of them is stored."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from core.account_vocabulary import AuditAction, AuditActor, AuditOutcome, TokenDelivery, UserStatus
from core.database import Database
from core.ids import encode_id, random_token
from graph.request import Caller, Outgoing, ShownCookies
from models import audit_event, session
from models.session import SessionDocument
from services.authority import CredentialRejected
from services.log_in import SignedIn, Wish
from services.sessions import MOST_SESSIONS
from services.viewer import Client
from tests.accounts import CLIENT, PASSWORD, Person, World, world
from tests.factors import challenged, enrolled, limited_world
from tests.stored import audited, everything, unchanged

EMAIL = "alice@example.com"
DAY = 86_400.0
TABS = 20
ELSEWHERE = Client(address="203.0.113.66", request_id="request-2", locale="en", user_agent="another program")
REFRESH = """mutation($token: String) {
  refreshSession(input: {refreshToken: $token}) {
    viewer { email }
    session { id current method }
    tokens { accessToken refreshToken expiresAt refreshExpiresAt }
    errors { code field message }
  }
}"""
LOG_OUT = "mutation($everywhere: Boolean! = false) { logOut(input: {everywhere: $everywhere}) { errors { code } } }"
REVOKE = "mutation($id: ID!) { revokeSession(input: {id: $id}) { viewer { sessions { id } } errors { code field } } }"
REUSED_SUBJECT = "We ended a session of yours"


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def alice(vault: World) -> Person:
    return await vault.signed_up(EMAIL)


async def refreshed(vault: World, token: str | None, *, client: Client = CLIENT) -> dict[str, Any]:
    """The payload of a refresh with this token."""
    body = await vault.ask_as(vault.caller(client=client), REFRESH, token=token)
    assert "errors" not in body, body
    payload: dict[str, Any] = body["data"]["refreshSession"]
    return payload


async def successor(vault: World, token: str, **where: Any) -> str:
    """The refresh token that comes after this one."""
    payload = await refreshed(vault, token, **where)
    assert payload["errors"] == [], payload
    return str(payload["tokens"]["refreshToken"])


def code_of(payload: dict[str, Any]) -> str:
    """The refusal's code."""
    assert (payload["session"], payload["tokens"], payload["viewer"]) == (None, None, None)
    (error,) = payload["errors"]
    assert error["field"] in (None, ["refreshToken"])
    return str(error["code"])


async def row_of(person: Person) -> SessionDocument:
    row = await session.by_id(person.viewer.session_id or "")
    assert row is not None
    return row


async def is_in(vault: World, person: Person) -> bool:
    """Whether the access token is still believed."""
    try:
        await vault.current(person)
    except CredentialRejected:
        return False
    return True


async def told_of_reuse(vault: World) -> int:
    """How many mails said that a session was ended because its token was used twice."""
    await vault.deliver()
    return [mail.subject for mail in vault.letters.mails].count(REUSED_SUBJECT)


async def test_a_refresh_gives_new_tokens_for_the_same_session(vault: World, alice: Person) -> None:
    before = await row_of(alice)
    vault.clock.advance(600)
    payload = await refreshed(vault, alice.refresh, client=ELSEWHERE)
    assert payload["viewer"] == {"email": EMAIL}
    again = await vault.person(payload["tokens"])
    assert again.viewer.session_id == alice.viewer.session_id
    assert payload["session"] == {
        "id": encode_id("Session", before.id),
        "current": True,
        "method": "PASSWORD",
    }
    assert again.refresh != alice.refresh
    assert again.viewer.expires_ms == vault.clock.now_ms() + 900_000
    after = await row_of(again)
    assert (after.last_seen_ms, after.ip) == (vault.clock.now_ms(), ELSEWHERE.address)
    assert after.expires_ms == vault.clock.now_ms() + 7 * 86_400_000
    assert await is_in(vault, alice), "the access token before it lasts to its own end"


@pytest.mark.parametrize("processes", [1, 2])
async def test_tabs_that_refresh_together_all_get_the_same_successor(
    vault: World, alice: Person, processes: int
) -> None:
    vaults = [vault, *[World() for _ in range(processes - 1)]]
    for other in vaults[1:]:
        await other.accounts.load()
    payloads = await asyncio.gather(*(refreshed(vaults[number % processes], alice.refresh) for number in range(TABS)))
    assert {tuple(payload["errors"]) for payload in payloads} == {()}
    successors = {payload["tokens"]["refreshToken"] for payload in payloads}
    assert len(successors) == 1
    assert successors != {alice.refresh}
    for payload in payloads:
        assert (await vault.person(payload["tokens"])).viewer.session_id == alice.viewer.session_id
    assert await successor(vaults[-1], successors.pop())
    assert await told_of_reuse(vault) == 0


async def test_the_token_before_does_for_ten_seconds_to_the_millisecond(
    vault: World, alice: Person, database: Database
) -> None:
    second = await successor(vault, alice.refresh)
    vault.clock.advance(10)
    async with unchanged(database, but=()):
        assert await successor(vault, alice.refresh) == second
    vault.clock.advance(0.001)
    assert code_of(await refreshed(vault, alice.refresh, client=ELSEWHERE)) == "REFRESH_REUSED"


async def test_a_token_used_again_ends_the_session_and_tells_its_owner(vault: World, alice: Person) -> None:
    bystander = await vault.logged_in(EMAIL)
    second = await successor(vault, alice.refresh)
    vault.clock.advance(10.001)
    assert code_of(await refreshed(vault, alice.refresh, client=ELSEWHERE)) == "REFRESH_REUSED"

    assert not await is_in(vault, alice), "its access token is not believed any more, at once"
    for token in (second, alice.refresh):
        assert code_of(await refreshed(vault, token)) == "TOKEN_INVALID"
    row = await row_of(alice)
    assert (row.ended_ms, row.successor) == (vault.clock.now_ms(), None)
    assert await is_in(vault, bystander), "other sessions are not touched"
    (event,) = [
        each for each in await audit_event.between(alice.user_id, 1, 100) if each.action is AuditAction.REFRESH_REUSED
    ]
    assert (event.outcome, event.actor, event.ip) == (
        AuditOutcome.REFUSED,
        AuditActor.STRANGER,
        ELSEWHERE.address,
    )
    assert event.detail == {"session": row.id}
    assert await told_of_reuse(vault) == 1
    assert ELSEWHERE.address in (await vault.mail(REUSED_SUBJECT)).text


async def test_a_token_used_again_by_many_at_once_is_told_once(vault: World, alice: Person) -> None:
    await successor(vault, alice.refresh)
    vault.clock.advance(11)
    payloads = await asyncio.gather(*(refreshed(vault, alice.refresh) for _ in range(TABS)))
    assert {code_of(payload) for payload in payloads} <= {"REFRESH_REUSED", "TOKEN_INVALID"}
    assert await told_of_reuse(vault) == 1
    assert len(await audited(alice.user_id, AuditAction.REFRESH_REUSED)) == 1


async def test_a_token_before_the_one_before_ends_the_session_even_at_once(vault: World, alice: Person) -> None:
    third = await successor(vault, await successor(vault, alice.refresh))
    assert code_of(await refreshed(vault, alice.refresh)) == "REFRESH_REUSED"
    assert code_of(await refreshed(vault, third)) == "TOKEN_INVALID"


async def test_whoever_knows_the_family_has_had_a_token(vault: World, alice: Person) -> None:
    head, _, _ = alice.refresh.rpartition(".")
    assert code_of(await refreshed(vault, f"{head}.{random_token()}")) == "REFRESH_REUSED"
    assert code_of(await refreshed(vault, alice.refresh)) == "TOKEN_INVALID"


GUESSES: dict[str, Callable[[Person], str]] = {
    "the session's id with an invented family": lambda person: (
        f"cvr_{person.viewer.session_id}.{random_token()}.{random_token()}"
    ),
    "the session's id with the right secret": lambda person: (
        f"cvr_{person.viewer.session_id}.{random_token()}.{person.refresh.rpartition('.')[2]}"
    ),
    "the session's id with no family": lambda person: f"cvr_{person.viewer.session_id}..{random_token()}",
    "no session's id": lambda person: f"cvr_{random_token()}.{random_token()}.{random_token()}",
    "an operator as the id": lambda person: 'cvr_{"$ne": ""}.a.b',
    "two parts": lambda person: person.refresh.rpartition(".")[0],
    "four parts": lambda person: person.refresh + ".more",
    "without its beginning": lambda person: person.refresh.removeprefix("cvr_"),
    "with a space": lambda person: f" {person.refresh}",
    "in capitals": lambda person: person.refresh.upper(),
    "an access token": lambda person: person.access,
    "too long": lambda person: person.refresh + "x" * 200,
    "a megabyte less": lambda person: "x" * 100_000,
    "another alphabet": lambda person: "cvr_ä.ö.ü",
    "a NUL": lambda person: "cvr_a\0.b.c",
    "dots": lambda person: "cvr_..",
}


async def test_whoever_only_guesses_changes_nothing(vault: World, alice: Person, database: Database) -> None:
    async with unchanged(database, but=()):
        for what, guess in GUESSES.items():
            assert code_of(await refreshed(vault, guess(alice))) == "TOKEN_INVALID", what
        for none in (None, ""):
            assert code_of(await refreshed(vault, none)) == "TOKEN_INVALID"
    assert await is_in(vault, alice)
    assert await successor(vault, alice.refresh)


async def test_a_session_ends_after_a_week_without_use(vault: World, alice: Person, database: Database) -> None:
    vault.clock.advance(7 * DAY - 0.001)
    await vault.accounts.load()  # the signing keys of the day
    second = await successor(vault, alice.refresh)
    vault.clock.advance(7 * DAY)
    await vault.accounts.load()
    async with unchanged(database, but=()):
        assert code_of(await refreshed(vault, second)) == "TOKEN_EXPIRED"
        assert code_of(await refreshed(vault, alice.refresh)) == "TOKEN_EXPIRED", (
            "nobody is told of what is over anyhow"
        )
    assert await told_of_reuse(vault) == 0


async def test_a_session_ends_after_thirty_days_however_often_it_is_used(vault: World, alice: Person) -> None:
    token = alice.refresh
    for _ in range(5):
        vault.clock.advance(5 * DAY)
        await vault.accounts.load()
        token = await successor(vault, token)
    vault.clock.advance(5 * DAY - 60)
    await vault.accounts.load()
    payload = await refreshed(vault, token)
    last = await vault.person(payload["tokens"])
    assert last.viewer.expires_ms == vault.clock.now_ms() + 60_000, "its access token does not outlive it"
    assert payload["tokens"]["refreshExpiresAt"] == payload["tokens"]["expiresAt"]
    vault.clock.advance(60)
    assert not await is_in(vault, last)
    assert code_of(await refreshed(vault, last.refresh)) == "TOKEN_EXPIRED"


async def test_a_log_out_ends_both_tokens_of_this_session_and_no_other(vault: World, alice: Person) -> None:
    other = await vault.logged_in(EMAIL)
    caller = vault.caller(alice)
    await vault.ask_as(caller, LOG_OUT)
    assert caller.outgoing is not None
    assert caller.outgoing.signs_out
    assert not await is_in(vault, alice)
    assert code_of(await refreshed(vault, alice.refresh)) == "TOKEN_INVALID"
    assert await is_in(vault, other)
    assert await audited(alice.user_id, AuditAction.LOG_OUT) == [(AuditOutcome.ALLOWED, {"everywhere": False})]


async def test_a_log_out_everywhere_ends_all_sessions_of_this_person(vault: World, alice: Person) -> None:
    other, bystander = await vault.logged_in(EMAIL), await vault.signed_up("bob@example.com")
    await vault.data(LOG_OUT, alice, everywhere=True)
    for person in (alice, other):
        assert not await is_in(vault, person)
        assert code_of(await refreshed(vault, person.refresh)) == "TOKEN_INVALID"
    assert await is_in(vault, bystander)
    assert await vault.accounts.sessions.of_user(alice.user_id) == []
    assert await audited(alice.user_id, AuditAction.LOG_OUT) == [(AuditOutcome.ALLOWED, {"everywhere": True})]


def with_refresh_cookie(vault: World, token: str) -> Caller:
    """A page whose access token is over."""
    return replace(vault.caller(), cookies=ShownCookies(refresh_token=token), outgoing=Outgoing())


async def test_a_log_out_with_nothing_but_the_refresh_cookie_ends_its_session(vault: World, alice: Person) -> None:
    other = await vault.logged_in(EMAIL)
    caller = with_refresh_cookie(vault, alice.refresh)
    assert "errors" not in await vault.ask_as(caller, LOG_OUT)
    assert caller.outgoing is not None
    assert caller.outgoing.signs_out
    assert not await is_in(vault, alice)
    assert await is_in(vault, other)
    assert await audited(alice.user_id, AuditAction.LOG_OUT) == [(AuditOutcome.ALLOWED, {"everywhere": False})]


async def test_a_log_out_with_a_wrong_cookie_or_none_ends_nothing_and_clears_the_cookies(
    vault: World, alice: Person, database: Database
) -> None:
    async with unchanged(database, but=()):
        for token in (random_token(), f"cvr_{alice.viewer.session_id}.{random_token()}.{random_token()}"):
            caller = with_refresh_cookie(vault, token)
            assert (await vault.ask_as(caller, LOG_OUT))["data"]["logOut"]["errors"] == []
            assert caller.outgoing is not None
            assert caller.outgoing.signs_out
        await vault.data(LOG_OUT)
    assert await is_in(vault, alice)


async def test_a_refresh_with_the_cookie_gives_cookies_and_no_values(vault: World, alice: Person) -> None:
    caller = with_refresh_cookie(vault, alice.refresh)
    body = await vault.ask_as(
        caller, "mutation { refreshSession { session { current } tokens { accessToken } errors { code } } }"
    )
    assert body["data"]["refreshSession"] == {"session": {"current": True}, "tokens": None, "errors": []}
    assert caller.outgoing is not None
    assert caller.outgoing.tokens is not None
    assert await successor(vault, caller.outgoing.tokens.refresh)


async def test_the_owner_revokes_one_session_and_keeps_the_others(vault: World, alice: Person) -> None:
    other = await vault.logged_in(EMAIL)
    others_id = encode_id("Session", other.viewer.session_id or "")
    payload = (await vault.data(REVOKE, alice, id=others_id))["revokeSession"]
    assert payload["errors"] == []
    own = encode_id("Session", alice.viewer.session_id or "")
    assert own in [each["id"] for each in payload["viewer"]["sessions"]]
    assert others_id not in [each["id"] for each in payload["viewer"]["sessions"]]
    assert not await is_in(vault, other)
    assert code_of(await refreshed(vault, other.refresh)) == "TOKEN_INVALID"
    assert await is_in(vault, alice)
    assert await audited(alice.user_id, AuditAction.SESSION_REVOKED) == [
        (AuditOutcome.ALLOWED, {"session": other.viewer.session_id})
    ]


async def test_nobody_revokes_what_is_not_theirs_or_not_there(vault: World, alice: Person, database: Database) -> None:
    bob = await vault.signed_up("bob@example.com")
    ended = await vault.logged_in(EMAIL)
    await vault.data(LOG_OUT, ended)
    ids = [
        encode_id("Session", bob.viewer.session_id or ""),
        encode_id("Session", ended.viewer.session_id or ""),
        encode_id("Session", "nothing"),
        encode_id("User", alice.user_id),
        bob.viewer.session_id,
        "",
    ]
    async with unchanged(database, but=()):
        for id_ in ids:
            payload = (await vault.data(REVOKE, alice, id=id_))["revokeSession"]
            assert payload == {"viewer": None, "errors": [{"code": "UNKNOWN", "field": ["id"]}]}
    assert await is_in(vault, bob)


async def test_the_fifty_first_session_ends_the_oldest(vault: World, alice: Person) -> None:
    people = [await opened(vault) for _ in range(MOST_SESSIONS - 1 - 1)]  # beside those of signing up
    assert len(await vault.accounts.sessions.of_user(alice.user_id)) == MOST_SESSIONS - 1
    people.append(await opened(vault))
    assert await is_in(vault, alice)
    people.append(await opened(vault))
    assert not await is_in(vault, alice)
    assert code_of(await refreshed(vault, alice.refresh)) == "TOKEN_INVALID"
    alive = {row.id for row in await vault.accounts.sessions.of_user(alice.user_id)}
    assert alive == {person.viewer.session_id for person in people}


async def opened(vault: World) -> Person:
    """One more session, a second later."""
    vault.clock.advance(1)
    return await vault.logged_in(EMAIL)


@pytest.mark.parametrize("status", [UserStatus.SUSPENDED, UserStatus.DELETED])
async def test_an_account_that_may_not_sign_in_cannot_go_on_either(
    vault: World, alice: Person, status: UserStatus, database: Database
) -> None:
    """Even where its sessions were not ended, as when the process died in between."""
    users = database.handle["users"]
    await users.update_one({"_id": alice.user_id}, {"$set": {"status": status.value}})
    async with unchanged(database, but=()):
        assert code_of(await refreshed(vault, alice.refresh)) == "TOKEN_INVALID"


async def test_a_frozen_account_goes_on_so_that_it_can_be_unfrozen(vault: World, alice: Person) -> None:
    await vault.accounts.freezes.by_owner(alice.viewer, CLIENT)
    assert code_of(await refreshed(vault, alice.refresh)) == "TOKEN_INVALID", "the freeze itself ends all sessions"
    again = await vault.logged_in(EMAIL)
    assert await successor(vault, again.refresh)


async def test_a_session_may_be_refreshed_sixty_times_in_five_minutes(database: Database) -> None:
    vault = await limited_world()
    alice = await vault.signed_up(EMAIL)
    token = alice.refresh
    for _ in range(60):
        token = await successor(vault, token)
    async with unchanged(database, but=()):
        body = await vault.ask_as(vault.caller(), REFRESH, token=token)
    assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert body["errors"][0]["extensions"]["retryAfter"] == 300
    bob = await vault.signed_up("bob@example.com")
    assert await successor(vault, bob.refresh), "another session has a count of its own"
    vault.clock.advance(300)
    assert await successor(vault, token), "the token that was not tried still does"


async def test_a_dump_of_the_database_holds_no_token_and_opens_nothing(
    vault: World, alice: Person, database: Database
) -> None:
    tokens = {"access": alice.access, "refresh": alice.refresh, "second refresh": await successor(vault, alice.refresh)}
    page = replace(CLIENT, is_page=True)
    signed_in = await vault.accounts.log_in.with_password(EMAIL, PASSWORD, Wish(TokenDelivery.COOKIE, None), page, None)
    assert isinstance(signed_in, SignedIn)
    tokens |= {"device": signed_in.device_token or "", "another refresh": signed_in.opened.tokens.refresh}
    key = {"name": "a program", "scopes": ["READ"]}
    proof = await vault.proof(alice, "createApiKey", key)
    created = await vault.data(
        "mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) { secret } }",
        alice,
        input={**key, "stepUpProof": proof},
    )
    tokens |= {"proof": proof, "API key": created["createApiKey"]["secret"]}
    await enrolled(vault, alice)
    tokens["challenge"] = (await challenged(vault, EMAIL))["token"]
    await vault.data('mutation { requestPasswordReset(input: {email: "alice@example.com"}) { errors { code } } }')
    tokens["reset"] = await vault.token("reset-password")

    dump = repr(await everything(database))
    secrets = {name: _secret_parts(token) for name, token in tokens.items()}
    assert all(parts for parts in secrets.values())
    assert [name for name, parts in secrets.items() if any(part in dump for part in parts)] == []

    texts = sorted(set(re.findall(r"'([^']{16,})'", dump)))
    assert len(texts) > 50
    row = await row_of(alice)
    shown = [f"cvr_{row.id}.{row.family_hash}.{text}" for text in texts] + [
        f"cvr_{row.id}.{text}.{text}" for text in texts
    ]
    for text in [*texts, *shown]:
        with pytest.raises(Exception, match="no refresh token"):
            await vault.accounts.sessions.refresh(text, CLIENT)
    for text in [*texts, *(f"cvk_{created['createApiKey']['secret'].split('_')[1]}_{text}" for text in texts)]:
        with pytest.raises(CredentialRejected):
            await vault.accounts.authority.viewer_of(text, CLIENT)
    assert await successor(vault, tokens["second refresh"]), "and the guessing has ended nothing"


def _secret_parts(token: str) -> list[str]:
    """What of a token must stand nowhere: its parts of 43 characters, or of a signature's length."""
    return [part for part in re.split(r"[._]", token) if len(part) >= 43] or [token]
