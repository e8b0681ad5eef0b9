"""The audit log: everything that matters is in it, in one chain, whoever writes at once and whatever dies in between."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from core.account_vocabulary import AuditAction, AuditActor, AuditOutcome
from core.bus import BusMessage, MemoryBus
from core.database import Database
from core.errors import InvalidInput
from core.ids import encode_id
from core.paging import PageRequest
from core.secret_box import SecretBox
from core.vocabulary import TimeOrder
from events.account import AuditAppended, account_topic
from integrations.oauth.base import AuthorizationRequest, ExternalProfile
from models import audit_event
from services import audit_check, audit_pages
from services.audit import AuditLog
from services.viewer import Client
from tests.account_life import done, log_of, payload, proven, refusals
from tests.accounts import BOX, CLIENT, LOG_IN, PAGE, PASSWORD, Person, World
from tests.attacks.people import as_operator
from tests.factors import Authenticator, challenged, completed, enrolled, registered
from tests.models import query_guard

ANNA = "anna@example.com"
OTHER = "a different fine day"
LATER = {
    *("ADDRESS_ADDED", "ADDRESS_REMOVED", "EXPORTED", "WALLET_LINKED", "WALLET_UNLINKED", "WITHDRAWAL"),
    "ROLE_CHANGED",  # by the command line: tests/server/test_account_commands.py
}
"""Actions that nothing causes yet, or nothing here."""


class Provider:
    """Says that whoever comes back is Anna."""

    key, name = "acme", "Acme"

    async def begin(self, redirect_uri: str) -> AuthorizationRequest:
        return AuthorizationRequest("https://acme.example/", "state-of-a-sign-in", "nonce", "verifier")

    async def finish(self, code: str, **given: Any) -> ExternalProfile:
        return ExternalProfile(self.key, "anna-at-acme", ANNA, email_verified=True, display_name=None)

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
async def here(database: Database) -> World:
    made = World(providers={"acme": Provider()})
    await made.accounts.load()
    return made


async def problems_of(database: Database, user_id: str) -> list[str]:
    """What the check of an account's log finds."""
    with query_guard.RECORDER.recording(database.handle.name):  # the check reads everything, which no request does
        return (await audit_check.check(BOX, {}, user_id)).problems


# What is in it

Cause = Callable[[World, Person], Awaitable[object]]


async def _nothing(here: World, anna: Person) -> None:
    """Signing up and in has happened already."""


async def _wrong_password(here: World, anna: Person) -> None:
    await here.ask(LOG_IN, email=ANNA, password="not the password")


async def _locked(here: World, anna: Person) -> None:
    for _ in range(5):
        await _wrong_password(here, anna)


async def _second_factor(here: World, anna: Person) -> None:
    app = await enrolled(here, anna)
    here.clock.advance(60)
    assert (await completed(here, (await challenged(here, ANNA))["token"], totp=app.code()))["errors"] == []


async def _wrong_second_factor(here: World, anna: Person) -> None:
    app = await enrolled(here, anna)
    await completed(here, (await challenged(here, ANNA))["token"], totp=app.wrong_code())


async def _reused(here: World, anna: Person) -> None:
    await done(here, "refreshSession", refreshToken=anna.refresh)
    here.clock.advance(60)
    assert refusals(await payload(here, "refreshSession", refreshToken=anna.refresh)) == [("REFRESH_REUSED", None)]


async def _reset(here: World, anna: Person) -> None:
    await done(here, "requestPasswordReset", email=ANNA)
    await done(here, "resetPassword", token=await here.token("reset-password"), password=OTHER)


async def _moved(here: World, anna: Person) -> None:
    await proven(here, "changeEmail", anna, email="anna@new.example")
    await here.deliver()
    await done(here, "verifyEmail", token=await here.token("verify-email"))


async def _without_codes(here: World, anna: Person) -> None:
    app = await enrolled(here, anna)
    proof = await here.proof(anna, "disableTotp", {}, recoveryCode=app.recovery_codes[0])
    await done(here, "disableTotp", anna, stepUpProof=proof)


async def _new_codes(here: World, anna: Person) -> None:
    app = await enrolled(here, anna)
    proof = await here.proof(anna, "regenerateRecoveryCodes", {}, recoveryCode=app.recovery_codes[0])
    await done(here, "regenerateRecoveryCodes", anna, stepUpProof=proof)


async def _passkey(here: World, anna: Person) -> str:
    return str((await registered(here, anna, Authenticator()))["passkey"]["id"])


async def _without_passkey(here: World, anna: Person) -> None:
    assert refusals(await proven(here, "deletePasskey", anna, id=await _passkey(here, anna))) == []


async def _linked(here: World, anna: Person) -> None:
    given = {"provider": "acme", "purpose": "LINK", "redirectUri": f"{PAGE}/back"}
    assert refusals(await proven(here, "beginOAuth", anna, **given)) == []
    await done(here, "finishOAuth", anna, state="state-of-a-sign-in", code="code", delivery="VALUES")


async def _unlinked(here: World, anna: Person) -> None:
    await _linked(here, anna)
    data = await here.data("{ viewer { security { identities { id } } } }", anna)
    identity_id = data["viewer"]["security"]["identities"][0]["id"]
    assert refusals(await proven(here, "unlinkOAuth", anna, id=identity_id)) == []


async def _key(here: World, anna: Person) -> str:
    return str((await proven(here, "createApiKey", anna, name="a bot", scopes=["READ"]))["apiKey"]["id"])


async def _changed_key(here: World, anna: Person) -> None:
    key_id = await _key(here, anna)
    assert refusals(await proven(here, "updateApiKey", anna, id=key_id, ipAllowlist=["192.0.2.0/24"])) == []


async def _without_key(here: World, anna: Person) -> None:
    await done(here, "revokeApiKey", anna, id=await _key(here, anna))


async def _wrong_step_up(here: World, anna: Person) -> None:
    proof = {"password": "not the password"}
    found = await payload(here, "reauthenticate", anna, operation="deleteAccount", parameters={}, proof=proof)
    assert refusals(found) == [("STEP_UP_INVALID", ["proof", "password"])]


async def _wrong_password_beside(here: World, anna: Person) -> None:
    await payload(here, "changePassword", anna, current="not the password", password=OTHER)


async def _unfrozen(here: World, anna: Person) -> None:
    await done(here, "freezeAccount", anna)
    assert refusals(await proven(here, "unfreezeAccount", await here.logged_in(ANNA))) == []


async def _frozen_by_link(here: World, anna: Person) -> None:
    await done(here, "requestPasswordReset", email=ANNA)
    await done(here, "freezeAccount", token=await here.token("freeze"))


async def _suspended(here: World, anna: Person) -> None:
    operator = await as_operator(here, await here.signed_up("ops@example.com"))
    given = {"id": encode_id("User", anna.user_id), "status": "SUSPENDED", "reason": "a court asks"}
    assert refusals(await proven(here, "setUserStatus", operator, **given)) == []


async def _operated(here: World, anna: Person) -> None:
    operator = await as_operator(here, anna)
    ben = await here.signed_up("ben@example.com")
    given = {"id": encode_id("User", ben.user_id), "status": "SUSPENDED", "reason": "a court asks"}
    assert refusals(await proven(here, "setUserStatus", operator, **given)) == []


OWNER, LINK, STRANGER, OPERATOR = AuditActor.OWNER, AuditActor.MAIL_LINK, AuditActor.STRANGER, AuditActor.OPERATOR
CAUSES: list[tuple[str, AuditActor, AuditOutcome, Cause]] = [
    ("SIGN_UP", OWNER, AuditOutcome.ALLOWED, _nothing),
    ("EMAIL_VERIFIED", LINK, AuditOutcome.ALLOWED, _nothing),
    ("LOG_IN", OWNER, AuditOutcome.ALLOWED, _nothing),
    ("LOG_IN_FAILED", STRANGER, AuditOutcome.REFUSED, _wrong_password),
    ("LOCKED", STRANGER, AuditOutcome.REFUSED, _locked),
    ("TWO_FACTOR", OWNER, AuditOutcome.ALLOWED, _second_factor),
    ("TWO_FACTOR", OWNER, AuditOutcome.REFUSED, _wrong_second_factor),
    ("LOG_OUT", OWNER, AuditOutcome.ALLOWED, lambda here, anna: done(here, "logOut", anna)),
    ("LOG_OUT", OWNER, AuditOutcome.ALLOWED, lambda here, anna: done(here, "logOut", anna, everywhere=True)),
    (
        "SESSION_REVOKED",
        OWNER,
        AuditOutcome.ALLOWED,
        lambda here, anna: done(here, "revokeSession", anna, id=encode_id("Session", anna.viewer.session_id or "")),
    ),
    ("REFRESH_REUSED", STRANGER, AuditOutcome.REFUSED, _reused),
    (
        "PASSWORD_CHANGED",
        OWNER,
        AuditOutcome.ALLOWED,
        lambda here, anna: done(here, "changePassword", anna, current=PASSWORD, password=OTHER),
    ),
    ("PASSWORD_RESET", LINK, AuditOutcome.ALLOWED, _reset),
    (
        "EMAIL_CHANGE_ASKED",
        OWNER,
        AuditOutcome.ALLOWED,
        lambda here, anna: proven(here, "changeEmail", anna, email="anna@new.example"),
    ),
    ("EMAIL_CHANGED", LINK, AuditOutcome.ALLOWED, _moved),
    (
        "PROFILE_CHANGED",
        OWNER,
        AuditOutcome.ALLOWED,
        lambda here, anna: done(here, "updateProfile", anna, displayName="Anna", antiPhishingCode="blue"),
    ),
    ("TOTP_ENABLED", OWNER, AuditOutcome.ALLOWED, enrolled),
    ("TOTP_DISABLED", OWNER, AuditOutcome.ALLOWED, _without_codes),
    ("RECOVERY_CODES", OWNER, AuditOutcome.ALLOWED, _new_codes),
    ("PASSKEY_ADDED", OWNER, AuditOutcome.ALLOWED, _passkey),
    ("PASSKEY_REMOVED", OWNER, AuditOutcome.ALLOWED, _without_passkey),
    ("IDENTITY_LINKED", OWNER, AuditOutcome.ALLOWED, _linked),
    ("IDENTITY_UNLINKED", OWNER, AuditOutcome.ALLOWED, _unlinked),
    ("API_KEY_CREATED", OWNER, AuditOutcome.ALLOWED, _key),
    ("API_KEY_CHANGED", OWNER, AuditOutcome.ALLOWED, _changed_key),
    ("API_KEY_REVOKED", OWNER, AuditOutcome.ALLOWED, _without_key),
    ("STEP_UP", OWNER, AuditOutcome.ALLOWED, _key),
    ("STEP_UP", OWNER, AuditOutcome.REFUSED, _wrong_step_up),
    ("STEP_UP", OWNER, AuditOutcome.REFUSED, _wrong_password_beside),
    ("FROZEN", OWNER, AuditOutcome.ALLOWED, lambda here, anna: done(here, "freezeAccount", anna)),
    ("FROZEN", LINK, AuditOutcome.ALLOWED, _frozen_by_link),
    ("FROZEN", OPERATOR, AuditOutcome.ALLOWED, _suspended),
    ("UNFROZEN", OWNER, AuditOutcome.ALLOWED, _unfrozen),
    ("OPERATED", OWNER, AuditOutcome.ALLOWED, _operated),
    ("DELETED", OWNER, AuditOutcome.ALLOWED, lambda here, anna: proven(here, "deleteAccount", anna)),
]


def test_every_action_has_a_cause_or_comes_later() -> None:
    assert {action for action, *_ in CAUSES} | LATER == set(AuditAction)
    assert LATER.isdisjoint(action for action, *_ in CAUSES)


@pytest.mark.parametrize("row", CAUSES, ids=[" ".join(row[:3]) for row in CAUSES])
async def test_what_happens_is_noted(
    database: Database, here: World, row: tuple[str, AuditActor, AuditOutcome, Cause]
) -> None:
    action, actor, outcome, cause = row
    anna = await here.signed_up(ANNA)
    before = 0 if cause is _nothing else len(await log_of(anna.user_id))
    await cause(here, anna)
    log = await log_of(anna.user_id)
    noted = [row for row in log[before:] if (row.action, row.actor, row.outcome) == (action, actor, outcome)]
    assert len(noted) == 1, [(row.action, row.actor, row.outcome) for row in log]
    asked_by = (noted[0].ip, noted[0].user_agent, noted[0].request_id)
    expected = (CLIENT.address, CLIENT.user_agent, CLIENT.request_id)
    assert asked_by == ((None, None, None) if actor is OPERATOR else expected)  # an operator's address is not shown
    assert abs(noted[0].time_ms - here.clock.now_ms()) <= 60_000
    assert PASSWORD not in repr(log)
    assert await problems_of(database, anna.user_id) == []


async def test_an_account_sees_the_log_of_no_other(here: World) -> None:
    anna, ben = await here.signed_up(ANNA), await here.signed_up("ben@example.com")
    for person in (anna, ben):
        data = await here.data("{ viewer { auditLog { nodes { id action } } } }", person)
        ids = [row["id"] for row in data["viewer"]["auditLog"]["nodes"]]
        assert ids == [encode_id("AuditEvent", person.user_id, number) for number in (3, 2, 1)]


async def test_an_owner_proves_the_chain_with_what_is_shown(here: World) -> None:
    """Without our key: each hash is of the row's text, and the text names the hash before it."""
    anna = await here.signed_up(ANNA)
    await _key(here, anna)
    data = await here.data(
        "{ viewer { auditLog(orderBy: OLDEST_FIRST) { nodes { action hash previousHash hashedText } } } }", anna
    )
    previous = "0" * 64
    for row in data["viewer"]["auditLog"]["nodes"]:
        told = json.loads(row["hashedText"])
        assert sha256(row["hashedText"].encode()).hexdigest() == row["hash"]
        assert (told["previous_hash"], row["previousHash"]) == (previous, previous)
        assert (told["action"], told["user_id"]) == (row["action"], anna.user_id)
        previous = row["hash"]


# One chain


@pytest.fixture
def logs(here: World) -> list[AuditLog]:
    """Two processes' logs."""
    return [AuditLog(BOX, MemoryBus(), here.clock) for _ in range(2)]


async def _recorded(log: AuditLog, number: int) -> None:
    await log.record("anna", AuditAction.LOG_OUT, client=CLIENT, detail={"number": number})


@pytest.mark.parametrize("processes", [1, 2])
async def test_many_writers_leave_no_gap_and_no_double(
    database: Database, logs: list[AuditLog], processes: int
) -> None:
    await asyncio.gather(*(_recorded(logs[number % processes], number) for number in range(50)))
    rows = await log_of("anna")
    assert [row.sequence for row in rows] == list(range(1, 51))
    assert sorted(row.detail["number"] for row in rows) == list(range(50))
    assert [row.previous_hash for row in rows] == ["0" * 64, *(row.hash for row in rows[:-1])]
    assert await problems_of(database, "anna") == []


async def test_a_log_goes_on_after_a_crash_between_row_and_head(
    database: Database, logs: list[AuditLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    await _recorded(logs[0], 1)
    with monkeypatch.context() as patched:

        async def fails(_new: object) -> None:
            raise AutoReconnect("the database went away")

        patched.setattr(audit_event, "advance_head", fails)
        for number in (2, 3):
            with pytest.raises(AutoReconnect):
                await _recorded(logs[number % 2], number)
    head = await audit_event.head("anna")
    assert head is not None
    assert head.sequence == 1
    assert await audit_pages.last_number("anna") == 3
    assert await problems_of(database, "anna") == []
    await _recorded(logs[1], 4)
    assert [row.detail["number"] for row in await log_of("anna")] == [1, 2, 3, 4]
    head = await audit_event.head("anna")
    assert head is not None
    assert head.sequence == 4
    assert await problems_of(database, "anna") == []


async def test_a_slow_writer_does_not_turn_the_head_back(here: World, logs: list[AuditLog]) -> None:
    for number in range(3):
        await _recorded(logs[0], number)
    second = await audit_event.by_number("anna", 2)
    assert second is not None
    await audit_event.advance_head(logs[1].head_of(second))
    head = await audit_event.head("anna")
    assert head is not None
    assert head.sequence == 3


async def test_another_servers_key_does_not_seal_for_this_one(database: Database, here: World) -> None:
    foreign = AuditLog(SecretBox([bytes(32)]), MemoryBus(), here.clock)
    await _recorded(foreign, 1)
    assert await problems_of(database, "anna") == [
        "account anna, row 1: it was not written by this server",
        "account anna: the head is missing, or was not made by this server",
    ]


async def test_what_is_told_is_stored(here: World) -> None:
    bus = MemoryBus()
    async with bus.subscribe(account_topic("anna")) as subscription:
        await _recorded(AuditLog(BOX, bus, here.clock), 1)
        told = await anext(aiter(subscription))
    assert isinstance(told, BusMessage)
    assert told.event == AuditAppended("anna", 1)
    assert [row.sequence for row in await log_of("anna")] == [1]


async def test_a_row_holds_so_much_of_a_programs_name(here: World, logs: list[AuditLog]) -> None:
    client = Client(address="::1", request_id="r", locale="en", user_agent="x" * 1_000)
    await logs[0].record("anna", AuditAction.LOG_IN, client=client)
    await logs[0].record("anna", AuditAction.LOG_OUT, client=None)
    named, nameless = await log_of("anna")
    assert named.user_agent == "x" * 256
    assert (nameless.user_agent, nameless.ip, nameless.request_id) == (None, None, None)


# Its pages

PAGE_OF = """query($actions: [AuditAction!], $orderBy: TimeOrder!, $first: Int, $after: String, $last: Int, $before: String) {
  viewer { auditLog(actions: $actions, orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { action } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } }
}"""


@pytest.mark.parametrize("actions", [None, ["LOG_IN"]])
async def test_pages_show_every_row_once_in_both_directions(here: World, actions: list[str] | None) -> None:
    anna = await here.signed_up(ANNA)
    for number in range(20):
        action = AuditAction.LOG_IN if number % 3 == 0 else AuditAction.LOG_OUT
        await here.accounts.audit.record(anna.user_id, action, client=CLIENT)
    expected = [row.sequence for row in await log_of(anna.user_id) if actions is None or row.action in actions]
    for backwards in (False, True):
        assert await _all_pages(here, anna, "OLDEST_FIRST", actions, backwards=backwards) == expected
        assert await _all_pages(here, anna, "NEWEST_FIRST", actions, backwards=backwards) == expected[::-1]


async def _all_pages(
    here: World, person: Person, order: str, actions: list[str] | None, *, backwards: bool
) -> list[int]:
    """The numbers of all rows in the order of the list, read four at a time from its start, or from its end."""
    seen: list[int] = []
    place: dict[str, Any] = {"last": 4} if backwards else {"first": 4}
    while True:
        data = await here.data(PAGE_OF, person, actions=actions, orderBy=order, **place)
        page = data["viewer"]["auditLog"]
        numbers = [int(edge["cursor"]) for edge in page["edges"]]
        assert all(edge["node"]["action"] in (actions or list(AuditAction)) for edge in page["edges"])
        seen = [*numbers, *seen] if backwards else [*seen, *numbers]
        info = page["pageInfo"]
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            return seen
        place = {"last": 4, "before": info["startCursor"]} if backwards else {"first": 4, "after": info["endCursor"]}


NO_PAGES: list[tuple[dict[str, Any], str]] = [
    ({"after": "x"}, "after"),
    ({"after": "-1"}, "after"),
    ({"before": "1 or 1=1"}, "before"),
    ({"first": -1}, "first"),
    ({"first": 501}, "first"),
    ({"last": 501}, "last"),
    ({"first": 1, "last": 1}, "last"),
]


async def test_a_page_that_is_none_is_refused_by_name(here: World) -> None:
    anna = await here.signed_up(ANNA)
    for given, field in NO_PAGES:
        body = await here.ask(PAGE_OF, anna, orderBy="NEWEST_FIRST", **given)
        (error,) = body["errors"]
        assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", [field])
        assert body["data"]["viewer"]["auditLog"] is None


async def test_a_cursor_beyond_the_end_gives_nothing(here: World) -> None:
    anna = await here.signed_up(ANNA)
    page = await audit_pages.page_of_account(
        anna.user_id, None, TimeOrder.OLDEST_FIRST, PageRequest(first=5, after="999999999999999")
    )
    assert (list(page.items), page.has_next, page.has_previous) == ([], False, True)
    with pytest.raises(InvalidInput):
        await audit_pages.page_of_account(anna.user_id, None, TimeOrder.OLDEST_FIRST, PageRequest(after="9" * 40))
