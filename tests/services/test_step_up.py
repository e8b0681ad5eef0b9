"""Step-up: which factors are asked for, what a proof is bound to, and what a wrong factor leaves behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from core.account_vocabulary import AuditAction, AuditOutcome, AuthFactor
from core.database import Database
from models import api_key, session, user
from tests.accounts import PASSWORD, Person, World, world
from tests.factors import (
    BEGIN_PASSKEY_LOG_IN,
    FINISH_PASSKEY_LOG_IN,
    STEP_SECONDS,
    App,
    Authenticator,
    challenged,
    codes,
    completed,
    enrolled,
    limited_world,
    registered,
)
from tests.stored import audited, unchanged

ANNA, BELA = "anna@example.com", "bela@example.com"
BOT: dict[str, Any] = {"name": "bot", "scopes": ["READ"]}
CREATE_KEY = """mutation($input: CreateApiKeyInput!) {
  createApiKey(input: $input) {
    apiKey { id } secret errors { code field message stepUp { operation factors passkeyOptions expiresAt } }
  }
}"""
PROVE = """mutation($operation: String!, $parameters: JSON!, $proof: StepUpFactorInput!) {
  reauthenticate(input: {operation: $operation, parameters: $parameters, proof: $proof}) {
    stepUpProof expiresAt errors { code field message }
  }
}"""
CHANGE_PASSWORD = """mutation($input: ChangePasswordInput!) {
  changePassword(input: $input) { viewer { id } errors { code field stepUp { factors } } }
}"""
REFRESH = """mutation($token: String!) {
  refreshSession(input: {refreshToken: $token}) { tokens { accessToken refreshToken } errors { code } }
}"""
DISABLE = "mutation($proof: String) { disableTotp(input: {stepUpProof: $proof}) { errors { code } } }"
NEW_PASSWORD = "another day for sailing"
Json = dict[str, Any]


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def create_key(vault: World, person: Person | None, proof: str | None = None, **parameters: Any) -> Json:
    """The payload of a sensitive mutation that leaves something behind."""
    given = {**BOT, **parameters, **({} if proof is None else {"stepUpProof": proof})}
    payload: Json = (await vault.data(CREATE_KEY, person, input=given))["createApiKey"]
    return payload


async def prove(
    vault: World, person: Person, parameters: Json = BOT, operation: str = "createApiKey", **factor: Any
) -> Json:
    """The payload of `reauthenticate`."""
    data = await vault.data(PROVE, person, operation=operation, parameters=parameters, proof=factor)
    payload: Json = data["reauthenticate"]
    return payload


async def demanded(vault: World, person: Person, **parameters: Any) -> Json:
    """What is asked for instead of a key."""
    payload = await create_key(vault, person, **parameters)
    assert codes(payload) == ["STEP_UP_REQUIRED"]
    demand: Json = payload["errors"][0]["stepUp"]
    return demand


async def change_password(vault: World, person: Person, **given: Any) -> Json:
    payload: Json = (await vault.data(CHANGE_PASSWORD, person, input=given))["changePassword"]
    return payload


async def without_password(person: Person) -> None:
    """As an account that was made by an external identity."""
    await user.UserDocument.get_pymongo_collection().update_one(
        {"_id": person.user_id}, {"$unset": {"password_hash": ""}}
    )


class Household:
    """Anna with one kind of account and what she holds."""

    def __init__(self, anna: Person) -> None:
        self.anna = anna
        self.authenticator = Authenticator()
        self.app: App | None = None


async def by_password(vault: World) -> Household:
    return Household(await vault.signed_up(ANNA))


async def by_totp(vault: World) -> Household:
    home = await by_password(vault)
    home.app = await enrolled(vault, home.anna)
    vault.clock.advance(STEP_SECONDS)
    return home


async def by_totp_and_passkey(vault: World) -> Household:
    home = await by_totp(vault)
    assert home.app is not None
    await registered(vault, home.anna, home.authenticator, totp=home.app.code())
    vault.clock.advance(STEP_SECONDS)
    return home


async def by_password_and_passkey(vault: World) -> Household:
    home = await by_password(vault)
    await registered(vault, home.anna, home.authenticator)
    return home


async def by_passkey(vault: World) -> Household:
    home = await by_password_and_passkey(vault)
    await without_password(home.anna)
    return home


async def by_nothing(vault: World) -> Household:
    home = await by_password(vault)
    await without_password(home.anna)
    return home


def named(value: object) -> str:
    """How a parameter reads in a test's name."""
    return getattr(value, "__name__", str(value))


class TestDemand:
    @pytest.mark.parametrize(
        ("kind", "factors"),
        [
            (by_password, ["PASSWORD"]),
            (by_password_and_passkey, ["PASSWORD", "PASSKEY"]),
            (by_totp, ["TOTP", "RECOVERY_CODE"]),
            (by_totp_and_passkey, ["TOTP", "RECOVERY_CODE", "PASSKEY"]),
            (by_passkey, ["PASSKEY"]),
        ],
    )
    async def test_names_the_factors_of_each_kind_of_account(
        self, vault: World, database: Database, kind: Callable[[World], Awaitable[Household]], factors: list[str]
    ) -> None:
        home = await kind(vault)
        async with unchanged(database):
            payload = await create_key(vault, home.anna)
        assert codes(payload) == ["STEP_UP_REQUIRED"]
        assert (payload["apiKey"], payload["secret"]) == (None, None)
        demand = payload["errors"][0]["stepUp"]
        assert (demand["operation"], demand["factors"]) == ("createApiKey", factors)
        assert (demand["passkeyOptions"] is not None) is ("PASSKEY" in factors)
        if demand["passkeyOptions"] is not None:
            assert len(demand["passkeyOptions"]["allowCredentials"]) == 1
            assert demand["passkeyOptions"]["userVerification"] == "required"

    async def test_without_recovery_codes_left_none_is_asked_for(self, vault: World) -> None:
        home = await by_totp(vault)
        await user.set_recovery_hashes(home.anna.user_id, [])
        assert (await demanded(vault, home.anna))["factors"] == ["TOTP"]

    async def test_an_account_without_any_factor_needs_a_fresh_session(self, vault: World, database: Database) -> None:
        home = await by_nothing(vault)
        vault.clock.advance(600)
        assert codes(await create_key(vault, home.anna, name="within ten minutes")) == []
        vault.clock.advance(0.001)
        refreshed = await vault.data(REFRESH, token=home.anna.refresh)
        later = await vault.person(refreshed["refreshSession"]["tokens"])
        async with unchanged(database):
            payload = await create_key(vault, later)
        assert codes(payload) == ["STEP_UP_REQUIRED"]
        assert payload["errors"][0]["stepUp"] is None
        assert payload["errors"][0]["message"] == "sign in again first, or set a password by mail"
        assert codes(await prove(vault, later, password=PASSWORD)) == ["STEP_UP_INVALID"]

    async def test_a_fresh_session_is_not_enough_where_there_is_a_factor(self, vault: World) -> None:
        home = await by_passkey(vault)
        assert (await demanded(vault, home.anna))["factors"] == ["PASSKEY"]

    async def test_strangers_and_api_keys_are_asked_for_a_session(self, vault: World, database: Database) -> None:
        home = await by_password(vault)
        proof = await vault.proof(home.anna, "createApiKey", BOT)
        secret = (await create_key(vault, home.anna, proof))["secret"]
        viewer = await vault.accounts.authority.viewer_of(secret, vault.caller().client)
        program = Person(viewer.user_id, viewer, "", "")
        given = {"operation": "createApiKey", "parameters": BOT, "proof": {"password": PASSWORD}}
        async with unchanged(database):
            for person, code in ((None, "UNAUTHENTICATED"), (program, "FORBIDDEN")):
                for body in (
                    await vault.ask(CREATE_KEY, person, input=BOT),
                    await vault.ask(PROVE, person, **given),
                ):
                    assert [each["extensions"]["code"] for each in body["errors"]] == [code]


class TestProof:
    async def test_it_does_for_what_it_was_given_for(self, vault: World) -> None:
        home = await by_password(vault)
        payload = await prove(vault, home.anna, password=PASSWORD)
        assert payload["errors"] == []
        made = await create_key(vault, home.anna, payload["stepUpProof"])
        assert made["errors"] == []
        assert [key.name for key in await api_key.of_user(home.anna.user_id)] == ["bot"]

    async def test_it_is_of_one_operation_with_these_parameters(self, vault: World, database: Database) -> None:
        home = await by_password(vault)
        other_operation = await vault.proof(home.anna, "disableTotp", {})
        other_name = await vault.proof(home.anna, "createApiKey", {**BOT, "name": "Bot"})
        more = await vault.proof(home.anna, "createApiKey", {**BOT, "scopes": ["READ", "TRADE"]})
        listed = await vault.proof(home.anna, "createApiKey", {**BOT, "ipAllowlist": ["192.0.2.1"]})
        async with unchanged(database):
            for proof in (other_operation, other_name, more, listed):
                payload = await create_key(vault, home.anna, proof)
                assert codes(payload) == ["STEP_UP_INVALID"]
                assert payload["errors"][0]["field"] == ["stepUpProof"]

    async def test_it_is_of_one_operation_though_another_has_the_same_parameters(
        self, vault: World, database: Database
    ) -> None:
        home = await by_totp(vault)
        assert home.app is not None
        harmless = await vault.proof(home.anna, "regenerateRecoveryCodes", {}, totp=home.app.code())
        async with unchanged(database):
            payload = (await vault.data(DISABLE, home.anna, proof=harmless))["disableTotp"]
        assert codes(payload) == ["STEP_UP_INVALID"]

    async def test_it_is_of_one_person_in_one_session(self, vault: World, database: Database) -> None:
        home, bela = await by_password(vault), await vault.signed_up(BELA)
        elsewhere = await vault.logged_in(ANNA)
        async with unchanged(database, but=("audit_events", "audit_heads", "challenges", "sessions")):
            for thief in (elsewhere, bela):
                proof = await vault.proof(home.anna, "createApiKey", BOT)
                assert codes(await create_key(vault, thief, proof)) == ["STEP_UP_INVALID"]
                assert codes(await create_key(vault, home.anna, proof)) == ["STEP_UP_INVALID"]

    async def test_it_does_once(self, vault: World, database: Database) -> None:
        home = await by_password(vault)
        proof = await vault.proof(home.anna, "createApiKey", BOT)
        assert codes(await create_key(vault, home.anna, proof)) == []
        async with unchanged(database):
            assert codes(await create_key(vault, home.anna, proof)) == ["STEP_UP_INVALID"]

    async def test_of_ten_with_one_proof_one_succeeds(self, vault: World) -> None:
        home = await by_password(vault)
        proof = await vault.proof(home.anna, "createApiKey", BOT)
        payloads = await asyncio.gather(*(create_key(vault, home.anna, proof) for _ in range(10)))
        assert sorted(code for payload in payloads for code in codes(payload)) == ["STEP_UP_INVALID"] * 9
        assert len(await api_key.of_user(home.anna.user_id)) == 1

    async def test_it_lasts_five_minutes(self, vault: World, database: Database) -> None:
        home = await by_password(vault)
        early = await vault.proof(home.anna, "createApiKey", BOT)
        late = await vault.proof(home.anna, "createApiKey", BOT)
        vault.clock.advance(299.999)
        assert codes(await create_key(vault, home.anna, early)) == []
        vault.clock.advance(0.001)
        async with unchanged(database):
            assert codes(await create_key(vault, home.anna, late)) == ["STEP_UP_INVALID"]

    async def test_nothing_else_is_one(self, vault: World, database: Database) -> None:
        home = await by_password_and_passkey(vault)
        options = (await demanded(vault, home.anna))["passkeyOptions"]
        log_in = (await vault.data(BEGIN_PASSKEY_LOG_IN))["beginPasskeyLogIn"]
        async with unchanged(database):
            for text in (options["challenge"], log_in["challenge"], home.anna.access, " ", "x" * 43, "x" * 5_000):
                assert codes(await create_key(vault, home.anna, text)) == ["STEP_UP_INVALID"]
            assert codes(await create_key(vault, home.anna, "")) == ["STEP_UP_REQUIRED"]

    async def test_it_is_noted_in_the_session_and_in_the_log(self, vault: World) -> None:
        home = await by_totp(vault)
        assert home.app is not None
        vault.clock.advance(60)
        payload = await prove(vault, home.anna, totp=home.app.code())
        assert payload["errors"] == []
        row = await session.by_id(home.anna.viewer.session_id or "")
        assert row is not None
        assert (row.factors, row.authenticated_ms) == (
            (AuthFactor.PASSWORD, AuthFactor.TOTP),
            vault.clock.now_ms(),
        )
        assert (await audited(home.anna.user_id, AuditAction.STEP_UP))[-1] == (
            AuditOutcome.ALLOWED,
            {"operation": "createApiKey", "factor": "TOTP"},
        )


class TestFactors:
    @pytest.mark.parametrize(
        ("kind", "wrong"),
        [
            (
                by_password,
                [
                    ({"password": "not this one"}, "STEP_UP_INVALID"),
                    ({"password": ""}, "STEP_UP_INVALID"),
                    ({"totp": "123456"}, "STEP_UP_INVALID"),
                    ({"recoveryCode": "0000-0000-0000-0000"}, "STEP_UP_INVALID"),
                    ({"passkey": {"id": "x"}}, "STEP_UP_INVALID"),
                ],
            ),
            (
                by_totp,
                [
                    ({"password": PASSWORD}, "STEP_UP_INVALID"),
                    ({"recoveryCode": "0000-0000-0000-0000"}, "CODE_INVALID"),
                    ({"totp": "no code"}, "CODE_INVALID"),
                ],
            ),
            (by_passkey, [({"password": PASSWORD}, "STEP_UP_INVALID"), ({"passkey": {"id": "x"}}, "PASSKEY_INVALID")]),
        ],
        ids=named,
    )
    async def test_a_wrong_one_gives_nothing_and_is_audited(
        self,
        vault: World,
        database: Database,
        kind: Callable[[World], Awaitable[Household]],
        wrong: list[tuple[Json, str]],
    ) -> None:
        home = await kind(vault)
        names = {"password": "PASSWORD", "totp": "TOTP", "recoveryCode": "RECOVERY_CODE", "passkey": "PASSKEY"}
        for factor, code in wrong:
            async with unchanged(database):
                payload = await prove(vault, home.anna, **factor)
            assert codes(payload) == [code], factor
            assert payload["stepUpProof"] is None
            assert (await audited(home.anna.user_id, AuditAction.STEP_UP))[-1] == (
                AuditOutcome.REFUSED,
                {"operation": "createApiKey", "factor": names[next(iter(factor))]},
            )

    async def test_a_code_that_was_used_before_is_told_so(self, vault: World) -> None:
        home = await by_totp(vault)
        assert home.app is not None
        assert codes(await prove(vault, home.anna, totp=home.app.code())) == []
        assert codes(await prove(vault, home.anna, totp=home.app.code())) == ["CODE_REUSED"]

    async def test_a_recovery_code_does_once(self, vault: World) -> None:
        home = await by_totp(vault)
        assert home.app is not None
        code = home.app.recovery_codes[0]
        assert codes(await prove(vault, home.anna, recoveryCode=code)) == []
        assert codes(await prove(vault, home.anna, recoveryCode=code)) == ["CODE_INVALID"]

    async def test_exactly_one_is_shown(self, vault: World, database: Database) -> None:
        home = await by_password(vault)
        async with unchanged(database, but=()):
            for given in ({}, {"password": None}, {"password": PASSWORD, "totp": "123456"}):
                body = await vault.ask(PROVE, home.anna, operation="createApiKey", parameters=BOT, proof=given)
                assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", given

    async def test_tries_are_throttled_by_account(self, database: Database) -> None:
        vault = await limited_world()
        home = await by_password(vault)
        for _ in range(20):
            assert codes(await prove(vault, home.anna, password="not this one")) == ["STEP_UP_INVALID"]
        given = {"operation": "createApiKey", "parameters": BOT, "proof": {"password": PASSWORD}}
        body = await vault.ask(PROVE, home.anna, **given)
        assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert body["errors"][0]["extensions"]["retryAfter"] > 0
        by_current = {"password": NEW_PASSWORD, "current": PASSWORD}
        body = await vault.ask(CHANGE_PASSWORD, home.anna, input=by_current)
        assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        vault.clock.advance(301)
        assert codes(await prove(vault, home.anna, password=PASSWORD)) == []


class TestPasskeys:
    async def test_the_options_of_a_demand_give_a_proof(self, vault: World) -> None:
        home = await by_totp_and_passkey(vault)
        demand = await demanded(vault, home.anna)
        signed = home.authenticator.get(demand["passkeyOptions"])
        payload = await prove(vault, home.anna, passkey=signed)
        assert payload["errors"] == []
        assert codes(await create_key(vault, home.anna, payload["stepUpProof"])) == []

    async def test_they_are_of_one_deed_in_one_session(self, vault: World, database: Database) -> None:
        home, bela = await by_passkey(vault), await vault.signed_up(BELA)
        theirs = Authenticator()
        await registered(vault, bela, theirs)
        begun = (await vault.data(BEGIN_PASSKEY_LOG_IN))["beginPasskeyLogIn"]
        data = await vault.data(
            FINISH_PASSKEY_LOG_IN,
            challenge=begun["challenge"],
            credential=home.authenticator.get(begun["options"]),
        )
        elsewhere = await vault.person(data["finishPasskeyLogIn"]["tokens"])

        async def signed_for_bot() -> Json:
            return home.authenticator.get((await demanded(vault, home.anna))["passkeyOptions"])

        wrong = ["STEP_UP_INVALID"]
        async with unchanged(database):
            other_name = await prove(vault, home.anna, {**BOT, "name": "other"}, passkey=await signed_for_bot())
            assert codes(other_name) == wrong
            assert other_name["errors"][0]["field"] == ["proof", "passkey"]
            other_deed = await prove(vault, home.anna, {}, "disableTotp", passkey=await signed_for_bot())
            assert codes(other_deed) == wrong
            assert codes(await prove(vault, elsewhere, passkey=await signed_for_bot())) == wrong
            assert codes(await prove(vault, bela, passkey=await signed_for_bot())) == wrong
            options = (await demanded(vault, home.anna))["passkeyOptions"]
            by_bela = theirs.get(options, key=theirs.keys[0])
            assert codes(await prove(vault, home.anna, passkey=by_bela)) == ["PASSKEY_INVALID"]

    async def test_they_do_once_and_for_five_minutes(self, vault: World) -> None:
        home = await by_passkey(vault)
        used, late = await demanded(vault, home.anna), await demanded(vault, home.anna)
        signed = home.authenticator.get(used["passkeyOptions"])
        assert codes(await prove(vault, home.anna, passkey=signed)) == []
        assert codes(await prove(vault, home.anna, passkey=signed)) == ["CHALLENGE_EXPIRED"]
        vault.clock.advance(300)
        signed = home.authenticator.get(late["passkeyOptions"])
        assert codes(await prove(vault, home.anna, passkey=signed)) == ["CHALLENGE_EXPIRED"]

    async def test_other_questions_give_no_proof_and_these_sign_nobody_in(
        self, vault: World, database: Database
    ) -> None:
        home = await by_totp_and_passkey(vault)
        log_in = (await vault.data(BEGIN_PASSKEY_LOG_IN))["beginPasskeyLogIn"]["options"]
        second = (await challenged(vault, ANNA))["passkeyOptions"]
        invented = {"challenge": "x" * 43}
        demand = (await demanded(vault, home.anna))["passkeyOptions"]
        expired = ["CHALLENGE_EXPIRED"]
        async with unchanged(database):
            for options in (log_in, second, invented):
                signed = home.authenticator.get(options)
                assert codes(await prove(vault, home.anna, passkey=signed)) == expired
            signed = home.authenticator.get(demand)
            data = await vault.data(FINISH_PASSKEY_LOG_IN, challenge=demand["challenge"], credential=signed)
            assert codes(data["finishPasskeyLogIn"]) == expired
            assert codes(await completed(vault, demand["challenge"], passkey=signed)) == expired


class TestPresentPassword:
    async def test_it_does_instead_of_a_proof(self, vault: World) -> None:
        home = await by_password(vault)
        assert codes(await change_password(vault, home.anna, password=NEW_PASSWORD, current=PASSWORD)) == []
        assert await vault.logged_in(ANNA, password=NEW_PASSWORD)

    async def test_a_wrong_one_changes_nothing_and_is_audited(self, vault: World, database: Database) -> None:
        home = await by_password(vault)
        async with unchanged(database):
            for current in ("not this one", ""):
                payload = await change_password(vault, home.anna, password=NEW_PASSWORD, current=current)
                assert codes(payload) == ["STEP_UP_INVALID"]
                assert payload["errors"][0]["field"] == ["current"]
        assert (
            await audited(home.anna.user_id, AuditAction.STEP_UP)
            == [(AuditOutcome.REFUSED, {"operation": "changePassword", "factor": "PASSWORD"})] * 2
        )

    @pytest.mark.parametrize(("kind", "factors"), [(by_totp, ["TOTP", "RECOVERY_CODE"]), (by_passkey, ["PASSKEY"])])
    async def test_it_does_not_where_the_password_is_no_factor(
        self, vault: World, database: Database, kind: Callable[[World], Awaitable[Household]], factors: list[str]
    ) -> None:
        home = await kind(vault)
        async with unchanged(database):
            payload = await change_password(vault, home.anna, password=NEW_PASSWORD, current=PASSWORD)
        assert codes(payload) == ["STEP_UP_REQUIRED"]
        assert payload["errors"][0]["stepUp"]["factors"] == factors

    async def test_a_proof_does_as_well_and_is_of_the_new_password(self, vault: World, database: Database) -> None:
        home = await by_totp(vault)
        assert home.app is not None
        proof = await vault.proof(home.anna, "changePassword", {"password": NEW_PASSWORD}, totp=home.app.code())
        async with unchanged(database):
            other = await change_password(vault, home.anna, password="what a thief likes", stepUpProof=proof)
        assert codes(other) == ["STEP_UP_INVALID"]
        vault.clock.advance(STEP_SECONDS)
        proof = await vault.proof(home.anna, "changePassword", {"password": NEW_PASSWORD}, totp=home.app.code())
        assert codes(await change_password(vault, home.anna, password=NEW_PASSWORD, stepUpProof=proof)) == []

    async def test_elsewhere_it_is_no_proof(self, vault: World) -> None:
        home = await by_password(vault)
        body = await vault.ask(CREATE_KEY, home.anna, input={**BOT, "current": PASSWORD})
        assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
