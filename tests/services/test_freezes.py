"""The emergency lock and the operators' one: what ends, what is refused meanwhile, and who lifts it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from core.account_vocabulary import Role, UserStatus
from core.database import Database
from core.ids import encode_id
from graph.access import Access, Guard
from models import api_key, user
from services.one_time_tokens import LIFE_MS, TokenPurpose
from tests.account_life import (
    MUTATIONS,
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
from tests.attacks import surface
from tests.attacks.people import as_operator, as_program, codes_of
from tests.attacks.surface import Site
from tests.stored import PASSING, unchanged

ANNA = "anna@example.com"
FROZEN = "Your account is frozen"
LIFTED = "Your account can be used again"
SUSPENDED = "Your account was suspended"
UNHEARD = 61.0
"""For so long a key may be remembered where nobody hears the bus, as in these tests."""
INVALID = [("TOKEN_INVALID", ["token"])]
NOT_FROZEN = [("ACCOUNT_FROZEN", None)]


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def freeze_link(here: World, email: str = ANNA) -> str:
    """The link to freeze the account, from a mail about it."""
    await done(here, "requestPasswordReset", email=email)
    return await here.token("freeze")


async def logs_in(here: World) -> list[str]:
    """The codes a log-in is refused with."""
    return codes_of(await here.ask(LOG_IN, email=ANNA, password=PASSWORD))


# By its owner


async def test_a_freeze_ends_sessions_and_keys(here: World) -> None:
    mine, other = await here.signed_up(ANNA), await here.logged_in(ANNA)
    program = await as_program(here, mine)
    here.clock.advance(60)
    assert (await done(here, "freezeAccount", mine))["viewer"] is None
    row = await row_of(mine.user_id)
    assert (row.status, row.frozen_ms) == (UserStatus.FROZEN, here.clock.now_ms())
    here.clock.advance(UNHEARD)
    for person in (mine, other, program):
        assert not await is_signed_in(here, person)
    assert await api_key.of_user(mine.user_id) == []
    assert (await subjects(here, ANNA))[-1] == FROZEN
    noted = (await log_of(mine.user_id))[-1]
    assert (noted.action, noted.actor, noted.ip) == ("FROZEN", "OWNER", "192.0.2.1")


async def test_a_stranger_freezes_nobody(database: Database, here: World) -> None:
    await here.signed_up(ANNA)
    async with unchanged(database, but=()):
        assert codes_of(await asked(here, "freezeAccount")) == ["UNAUTHENTICATED"]
        assert refusals(await payload(here, "freezeAccount", token="guess")) == INVALID


async def test_an_api_key_freezes_nobody(database: Database, here: World) -> None:
    program = await as_program(here, await here.signed_up(ANNA))
    async with unchanged(database, but=()):
        assert codes_of(await asked(here, "freezeAccount", program)) == ["FORBIDDEN"]


async def test_the_owner_signs_in_to_a_frozen_account_and_lifts_it(here: World) -> None:
    mine = await here.signed_up(ANNA)
    await done(here, "freezeAccount", mine)
    mine = await here.logged_in(ANNA)
    data = await here.data("{ viewer { status security { frozenAt } } }", mine)
    assert data["viewer"] == {"status": "FROZEN", "security": {"frozenAt": "2026-09-21T14:13:20.000Z"}}
    assert [code for code, _ in refusals(await payload(here, "unfreezeAccount", mine, stepUpProof="guess"))] == [
        "STEP_UP_INVALID"
    ]
    found = await proven(here, "unfreezeAccount", mine)
    assert refusals(found) == []
    assert (found["viewer"]["status"], found["viewer"]["security"]["frozenAt"]) == ("ACTIVE", None)
    assert await is_signed_in(here, mine)
    assert (await subjects(here, ANNA))[-1] == LIFTED
    assert [row.action for row in await log_of(mine.user_id)][-1] == "UNFROZEN"


async def test_there_is_nothing_to_lift_of_an_active_account(database: Database, here: World) -> None:
    mine = await here.signed_up(ANNA)
    async with unchanged(database, but=(*PASSING, "sessions")):
        assert refusals(await proven(here, "unfreezeAccount", mine)) == NOT_FROZEN


async def test_frozen_twice_is_frozen_once(here: World) -> None:
    mine, other = await here.signed_up(ANNA), await here.logged_in(ANNA)
    answers = await asyncio.gather(*(asked(here, "freezeAccount", person) for person in (mine, other) * 4))
    assert [codes_of(body) for body in answers] == [[]] * 8
    assert [row.action for row in await log_of(mine.user_id)].count("FROZEN") == 1  # type: ignore[arg-type]
    assert (await subjects(here, ANNA)).count(FROZEN) == 1


async def test_a_new_session_of_a_frozen_account_can_freeze_it_again(here: World) -> None:
    await done(here, "freezeAccount", await here.signed_up(ANNA))
    intruder = await here.logged_in(ANNA)
    mine = await here.logged_in(ANNA)
    await done(here, "freezeAccount", mine)
    assert not await is_signed_in(here, intruder)


async def test_a_freeze_forgets_a_change_of_address(here: World) -> None:
    mine = await here.signed_up(ANNA)
    assert refusals(await proven(here, "changeEmail", mine, email="mallory@example.com")) == []
    await here.deliver()
    moved = await here.token("verify-email")
    await done(here, "freezeAccount", mine)
    assert refusals(await payload(here, "verifyEmail", token=moved)) == INVALID
    assert (await row_of(mine.user_id)).pending_email is None


# What a frozen account does not do


def _accesses() -> dict[str, Access]:
    """Who may use each mutation, as its guard knows it."""
    found = {}
    for name, site in MUTATIONS.items():
        extensions = site.field.extensions["strawberry-definition"].extensions
        (guard,) = [each for each in extensions if isinstance(each, Guard)]
        found[name] = guard.access
    return found


ACCESSES = _accesses()
STOPPED = sorted(name for name, access in ACCESSES.items() if access in (Access.ACTIVE, Access.VERIFIED))


def test_what_a_frozen_account_may_still_do_was_judged() -> None:
    """Whoever adds a mutation decides whether an account that is locked may use it."""
    assert {name for name, access in ACCESSES.items() if access is Access.SESSION} == {
        *("changePassword", "deletePasskey", "disableTotp", "reauthenticate", "regenerateRecoveryCodes"),
        *("removeWithdrawalAddress", "renamePasskey", "renameWallet", "revokeApiKey", "revokeSession"),
        *("unfreezeAccount", "unlinkOAuth", "unlinkWallet", "updateProfile"),
    }
    assert {name for name, access in ACCESSES.items() if access is Access.ACTIVE} == {"changeEmail", "deleteAccount"}
    assert {name for name, access in ACCESSES.items() if access is Access.VERIFIED} == {
        *("beginPasskeyRegistration", "confirmTotp", "createApiKey", "enrollTotp", "finishPasskeyRegistration"),
        *("addWithdrawalAddress", "broadcastTransaction", "createDepositAddress", "createLinkChallenge", "linkWallet"),
        *("prepareContractCall", "prepareSwap", "prepareTransfer", "updateApiKey"),
    }


@pytest.mark.parametrize("status", [UserStatus.FROZEN, UserStatus.SUSPENDED])
async def test_a_locked_account_does_nothing_that_needs_an_active_one(
    database: Database, here: World, status: UserStatus
) -> None:
    mine = await here.signed_up(ANNA)
    await set_status(here, mine, status)
    mine = await here.current(mine)
    async with unchanged(database, but=(*PASSING, "sessions")):
        for name in STOPPED:
            body = await _called(here, mine, MUTATIONS[name])
            assert codes_of(body) == ["ACCOUNT_FROZEN"], f"{name}: {body}"


async def test_an_unproven_account_does_nothing_that_needs_a_proven_one(database: Database, here: World) -> None:
    mine = await here.signed_up(ANNA, verified=False)
    needing = [name for name in STOPPED if ACCESSES[name] is Access.VERIFIED]
    async with unchanged(database, but=(*PASSING, "sessions")):
        for name in needing:
            body = await _called(here, mine, MUTATIONS[name])
            assert codes_of(body) == ["EMAIL_NOT_VERIFIED"], f"{name}: {body}"


async def _called(here: World, person: Person, site: Site) -> dict[str, Any]:
    """The answer to a call that lacks nothing, a proof included."""
    document, variables = surface.call(site)
    given = variables.get("input") or {}
    if site.needs_step_up:
        given = {**given, "stepUpProof": ""}
        proof = await here.proof(
            person, site.name, {name: each for name, each in given.items() if name != "stepUpProof"}
        )
        given["stepUpProof"] = proof
    return await here.ask(document, person, input=given)


# By the link of a mail


async def test_the_link_of_a_mail_freezes_without_a_log_in(here: World) -> None:
    mine = await here.signed_up(ANNA)
    program = await as_program(here, mine)
    token = await freeze_link(here)
    assert (await done(here, "freezeAccount", token=token))["viewer"] is None
    assert (await row_of(mine.user_id)).status is UserStatus.FROZEN
    here.clock.advance(UNHEARD)
    assert not await is_signed_in(here, mine)
    assert not await is_signed_in(here, program)
    noted = (await log_of(mine.user_id))[-1]
    assert (noted.action, noted.actor) == ("FROZEN", "MAIL_LINK")
    assert (await subjects(here, ANNA))[-1] == FROZEN


async def test_a_link_freezes_once(here: World) -> None:
    mine = await here.signed_up(ANNA)
    token = await freeze_link(here)
    await done(here, "freezeAccount", token=token)
    mine = await here.logged_in(ANNA)
    assert refusals(await proven(here, "unfreezeAccount", mine)) == []
    assert refusals(await payload(here, "freezeAccount", token=token)) == INVALID
    assert (await row_of(mine.user_id)).status is UserStatus.ACTIVE
    assert await is_signed_in(here, mine)


async def test_a_link_is_not_used_up_by_a_failure(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = await here.signed_up(ANNA)
    token = await freeze_link(here)
    with monkeypatch.context() as patched:

        async def fails(*_given: object, **_named: object) -> bool:
            raise AutoReconnect("the database went away")

        patched.setattr(user, "set_status", fails)
        assert codes_of(await asked(here, "freezeAccount", token=token)) == ["DATABASE_UNAVAILABLE"]
    await done(here, "freezeAccount", token=token)
    assert (await row_of(mine.user_id)).status is UserStatus.FROZEN


async def test_every_security_mail_has_a_link_of_its_own(here: World) -> None:
    await here.signed_up(ANNA)
    first, second = await freeze_link(here), await freeze_link(here)
    assert first != second
    await done(here, "freezeAccount", token=first)
    await done(here, "freezeAccount", token=second)


async def test_a_link_freezes_for_thirty_days(here: World) -> None:
    mine = await here.signed_up(ANNA)
    token = await freeze_link(here)
    here.clock.advance(LIFE_MS[TokenPurpose.FREEZE] / 1000)
    assert refusals(await payload(here, "freezeAccount", token=token)) == [("TOKEN_EXPIRED", ["token"])]
    assert (await row_of(mine.user_id)).status is UserStatus.ACTIVE


async def test_a_link_freezes_its_own_account_whoever_opens_it(here: World) -> None:
    await here.signed_up(ANNA)
    ben = await here.signed_up("ben@example.com")
    await done(here, "freezeAccount", ben, token=await freeze_link(here))
    assert (await row_of(ben.user_id)).status is UserStatus.ACTIVE
    assert await is_signed_in(here, ben)


@pytest.mark.parametrize("status", [UserStatus.SUSPENDED, UserStatus.DELETED])
async def test_a_link_changes_nothing_of_an_account_that_is_suspended_or_gone(here: World, status: UserStatus) -> None:
    mine = await here.signed_up(ANNA)
    token = await freeze_link(here)
    await set_status(here, mine, status)
    await done(here, "freezeAccount", token=token)
    assert (await row_of(mine.user_id)).status is status


# By an operator


async def _decided(here: World, operator: Person, person: Person, status: str, reason: str = "a court asks") -> Any:
    given = {"id": encode_id("User", person.user_id), "status": status, "reason": reason}
    return await proven(here, "setUserStatus", operator, **given)


async def test_an_operator_suspends_and_only_an_operator_lifts_it(here: World) -> None:
    operator = await as_operator(here, await here.signed_up("ops@example.com"))
    mine = await here.signed_up(ANNA)
    program = await as_program(here, mine)
    found = await _decided(here, operator, mine, "SUSPENDED")
    assert (refusals(found), found["user"]["status"], found["user"]["email"]) == ([], "SUSPENDED", ANNA)
    here.clock.advance(UNHEARD)
    assert not await is_signed_in(here, mine)
    assert not await is_signed_in(here, program)
    assert await logs_in(here) == ["ACCOUNT_FROZEN"]
    assert (await subjects(here, ANNA))[-1] == SUSPENDED
    assert refusals(await _decided(here, operator, mine, "ACTIVE")) == []
    assert await logs_in(here) == []
    assert (await subjects(here, ANNA))[-1] == LIFTED
    assert (await row_of(mine.user_id)).frozen_ms is None


async def test_the_owner_does_not_lift_a_suspension(database: Database, here: World) -> None:
    mine = await here.signed_up(ANNA)
    await set_status(here, mine, UserStatus.SUSPENDED)
    async with unchanged(database, but=(*PASSING, "sessions")):
        assert refusals(await proven(here, "unfreezeAccount", await here.current(mine))) == NOT_FROZEN


async def test_a_decision_is_noted_in_both_logs(here: World) -> None:
    operator = await as_operator(here, await here.signed_up("ops@example.com"))
    mine = await here.signed_up(ANNA)
    await _decided(here, operator, mine, "SUSPENDED", "  a court asks  ")
    hers, his = (await log_of(mine.user_id))[-1], (await log_of(operator.user_id))[-1]
    reason = {"status": "SUSPENDED", "reason": "a court asks"}
    assert (hers.action, hers.actor, hers.ip, hers.detail) == ("FROZEN", "OPERATOR", None, reason)
    assert (his.action, his.actor, his.ip) == ("OPERATED", "OWNER", "192.0.2.1")
    assert his.detail == {"account": mine.user_id, **reason}


async def test_an_operator_freezes_and_the_owner_lifts_it(here: World) -> None:
    operator = await as_operator(here, await here.signed_up("ops@example.com"))
    mine = await here.signed_up(ANNA)
    assert refusals(await _decided(here, operator, mine, "FROZEN")) == []
    assert (await subjects(here, ANNA))[-1] == FROZEN
    assert refusals(await proven(here, "unfreezeAccount", await here.logged_in(ANNA))) == []


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("DELETED", "a reason", "NOT_FOUND"),
        ("ACTIVE", "a reason", "NOT_FOUND"),
        ("SUSPENDED", "   ", "BAD_USER_INPUT"),
        ("SUSPENDED", "x" * 501, "BAD_USER_INPUT"),
    ],
)
async def test_a_decision_that_is_none_changes_nothing(
    database: Database, here: World, status: str, reason: str, code: str
) -> None:
    operator = await as_operator(here, await here.signed_up("ops@example.com"))
    mine = await here.signed_up(ANNA)
    given: dict[str, Any] = {"id": encode_id("AdminUser", mine.user_id), "status": status, "reason": reason}
    proof = await here.proof(operator, "setUserStatus", given)
    async with unchanged(database):
        assert codes_of(await asked(here, "setUserStatus", operator, **given, stepUpProof=proof)) == [code]
    assert await is_signed_in(here, mine)


@pytest.mark.parametrize("role", [Role.USER, Role.SUPPORT])
async def test_nobody_but_an_administrator_decides(database: Database, here: World, role: Role) -> None:
    person = await as_operator(here, await here.signed_up("ops@example.com"), role)
    mine = await here.signed_up(ANNA)
    given: dict[str, Any] = {"id": encode_id("User", mine.user_id), "status": "SUSPENDED", "reason": "a grudge"}
    proof = await here.proof(person, "setUserStatus", given)
    async with unchanged(database):
        assert codes_of(await asked(here, "setUserStatus", person, **given, stepUpProof=proof)) == ["FORBIDDEN"]


async def test_an_administrator_decides_only_with_a_second_factor_and_a_proof(database: Database, here: World) -> None:
    operator = await as_operator(here, await here.signed_up("ops@example.com"))
    weak = await here.logged_in("ops@example.com")
    mine = await here.signed_up(ANNA)
    given: dict[str, Any] = {"id": encode_id("User", mine.user_id), "status": "SUSPENDED", "reason": "a reason"}
    async with unchanged(database):
        assert codes_of(await asked(here, "setUserStatus", operator, **given)) == ["STEP_UP_REQUIRED"]
        assert codes_of(await asked(here, "setUserStatus", weak, **given)) == ["FORBIDDEN"]
    program = await as_program(here, operator)
    async with unchanged(database):
        assert codes_of(await asked(here, "setUserStatus", program, **given)) == ["FORBIDDEN"]
