"""External identities: whom they sign in, what is never taken over, and an answer that does for its own browser alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from core.account_vocabulary import AuditAction, AuditOutcome, AuthFactor, UserStatus
from core.database import Database
from graph.request import Caller, Outgoing, ShownCookies
from integrations.oauth.base import (
    AuthorizationRequest,
    ExternalProfile,
    ProviderRefused,
    ProviderUnavailable,
    random_text,
)
from models import identity, session, user
from models.identity import IdentityDocument
from services.identities import MOST_IDENTITIES, redirect_rule
from services.viewer import Client
from tests.accounts import CLIENT, PAGE, PASSWORD, SIGN_UP, Person, World, world
from tests.factors import (
    STEP_SECONDS,
    Authenticator,
    codes,
    completed,
    enrolled,
    limited_world,
    registered,
)
from tests.stored import audited, unchanged

ANNA, BELA = "anna@example.com", "bela@example.com"
BACK = f"{PAGE}/signed-in"
BROWSER = replace(CLIENT, is_page=True, user_agent="Chromium")
BEGIN = """mutation($input: BeginOAuthInput!) {
  beginOAuth(input: $input) { authorizationUrl state errors { code field message stepUp { operation factors } } }
}"""
FINISH = """mutation($state: String!, $code: String!) {
  finishOAuth(input: {state: $state, code: $code, delivery: VALUES}) {
    viewer { id email emailVerified displayName } session { method } tokens { accessToken refreshToken }
    challenge { token factors } errors { code field message }
  }
}"""
UNLINK = "mutation($input: UnlinkOAuthInput!) { unlinkOAuth(input: $input) { viewer { id } errors { code field } } }"
IDENTITIES = "{ viewer { security { identities { id provider subject email } passwordSet } } }"
Json = dict[str, Any]


class Provider:
    """A provider whose codes mean what the test says; it believes only who has begun there."""

    key, name = "acme", "Acme"

    def __init__(self) -> None:
        self.away = False
        self.refuses = False
        self.profiles: dict[str, ExternalProfile] = {}
        self._begun: list[tuple[str, str, str]] = []

    def knows(self, subject: str, email: str | None, *, verified: bool = True, name: str | None = None) -> str:
        """A code for this profile."""
        code = random_text()
        self.profiles[code] = ExternalProfile(self.key, subject, email, verified, name)
        return code

    async def begin(self, redirect_uri: str) -> AuthorizationRequest:
        if self.away:
            raise ProviderUnavailable(self.name, "it is away")
        state, nonce, verifier = random_text(), random_text(), random_text()
        self._begun.append((redirect_uri, nonce, verifier))
        return AuthorizationRequest(f"https://acme.example/authorize?state={state}", state, nonce, verifier)

    async def finish(
        self, code: str, *, redirect_uri: str, code_verifier: str, nonce: str, issuer: str | None = None
    ) -> ExternalProfile:
        if self.away:
            raise ProviderUnavailable(self.name, "it is away")
        if self.refuses or code not in self.profiles or (redirect_uri, nonce, code_verifier) not in self._begun:
            raise ProviderRefused(self.name, "it says no")
        return self.profiles[code]

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class Browser:
    """A browser with its own cookie; or, with another client, a program without one."""

    vault: World
    person: Person | None = None
    client: Client = BROWSER
    cookie: str | None = None

    async def data(self, query: str, **variables: Any) -> Json:
        """The data of an answer; its cookie is kept."""
        outgoing = Outgoing()
        viewer = None if self.person is None else self.person.viewer
        caller = Caller(self.client, "http", viewer, ShownCookies(browser_token=self.cookie), outgoing)
        body = await self.vault.ask_as(caller, query, **variables)
        assert "errors" not in body, body["errors"]
        self.cookie = outgoing.browser_token or self.cookie
        data: Json = body["data"]
        return data

    async def begin(self, **changes: Any) -> Json:
        """The payload of a beginning."""
        given = {"provider": "acme", "redirectUri": BACK, **changes}
        payload: Json = (await self.data(BEGIN, input=given))["beginOAuth"]
        return payload

    async def finish(self, state: str, code: str) -> Json:
        """The payload of an end."""
        payload: Json = (await self.data(FINISH, state=state, code=code))["finishOAuth"]
        return payload

    async def sign_in(self, code: str) -> Json:
        """From the beginning to the end."""
        return await self.finish((await self.begin())["state"], code)

    async def begin_link(self, **factor: Any) -> Json:
        """The payload of the beginning of a link, with step-up by password unless a factor is given."""
        assert self.person is not None
        given = {"provider": "acme", "redirectUri": BACK, "purpose": "LINK"}
        proof = await self.vault.proof(self.person, "beginOAuth", given, **factor)
        return await self.begin(purpose="LINK", stepUpProof=proof)

    async def link(self, code: str, **factor: Any) -> Json:
        """The payload of a whole link."""
        return await self.finish((await self.begin_link(**factor))["state"], code)


@pytest.fixture
def acme() -> Provider:
    return Provider()


@pytest.fixture
async def vault(database: Database, acme: Provider) -> AsyncIterator[World]:
    async with world(providers={"acme": acme}) as made:
        yield made


async def identities_of(vault: World, person: Person) -> list[Json]:
    shown: list[Json] = (await vault.data(IDENTITIES, person))["viewer"]["security"]["identities"]
    return shown


class TestSigningIn:
    async def test_a_new_identity_makes_a_proven_account(self, vault: World, acme: Provider) -> None:
        payload = await Browser(vault).sign_in(acme.knows("1", "Anna@Example.com", name="Anna Karenina"))
        assert payload["errors"] == []
        viewer = payload["viewer"]
        assert (viewer["email"], viewer["emailVerified"]) == ("Anna@example.com", True)
        assert viewer["displayName"] == "Anna Karenina"
        assert payload["session"]["method"] == "OAUTH"
        anna = await vault.person(payload["tokens"])
        assert [(each["provider"], each["subject"]) for each in await identities_of(vault, anna)] == [("acme", "1")]
        row = await session.by_id(anna.viewer.session_id or "")
        assert row is not None
        assert row.factors == ()
        assert await audited(anna.user_id, AuditAction.SIGN_UP) == [(AuditOutcome.ALLOWED, {})]
        assert await audited(anna.user_id, AuditAction.IDENTITY_LINKED) == [
            (AuditOutcome.ALLOWED, {"provider": "acme"})
        ]

    async def test_it_signs_in_to_the_same_account_ever_after(self, vault: World, acme: Provider) -> None:
        first = await Browser(vault).sign_in(acme.knows("1", ANNA))
        again = await Browser(vault).sign_in(acme.knows("1", "moved@example.com", verified=False))
        assert again["errors"] == []
        assert again["viewer"]["id"] == first["viewer"]["id"]
        assert again["viewer"]["email"] == ANNA
        other = await Browser(vault).sign_in(acme.knows("2", BELA))
        assert other["viewer"]["id"] != first["viewer"]["id"]

    async def test_without_a_confirmed_address_there_is_no_account(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        for email, verified in ((ANNA, False), (None, False), (None, True), ("no address", True), ("a@b@c", True)):
            browser = Browser(vault)
            begun = await browser.begin()
            async with unchanged(database):
                payload = await browser.finish(begun["state"], acme.knows("1", email, verified=verified))
            assert codes(payload) == ["PROVIDER_REFUSED"], email
            assert payload["errors"][0]["message"].startswith("Acme ")
            assert (payload["viewer"], payload["tokens"]) == (None, None)

    async def test_an_account_is_never_taken_over_by_its_address(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        anna = await vault.signed_up(ANNA)
        for written in (ANNA, "ANNA@EXAMPLE.COM", "ａｎｎａ@example.com"):
            browser = Browser(vault)
            begun = await browser.begin()
            async with unchanged(database):
                payload = await browser.finish(begun["state"], acme.knows("1", written))
            assert codes(payload) == ["LINK_REQUIRED"], written
            assert (payload["viewer"], payload["tokens"], payload["challenge"]) == (None, None, None)
        assert await identities_of(vault, anna) == []

    async def test_whoever_proves_an_address_replaces_the_account_that_never_did(
        self, vault: World, acme: Provider
    ) -> None:
        squatter = await vault.signed_up(ANNA, verified=False, password="the password of a squatter")
        payload = await Browser(vault).sign_in(acme.knows("1", ANNA))
        assert payload["errors"] == []
        anna = await vault.person(payload["tokens"])
        assert anna.user_id != squatter.user_id
        replaced = await user.by_id(squatter.user_id)
        assert replaced is not None
        assert (replaced.status, replaced.email) == (UserStatus.DELETED, None)
        ended = await session.by_id(squatter.viewer.session_id or "")
        assert ended is not None
        assert ended.end_reason == "replaced by a new sign-up"
        late = await vault.ask(
            """mutation { logIn(input: {email: "anna@example.com", password: "the password of a squatter",
              delivery: VALUES}) { errors { code } } }"""
        )
        assert codes(late["data"]["logIn"]) == ["INVALID_CREDENTIALS"]

    async def test_codes_by_app_are_asked_for(self, vault: World, acme: Provider) -> None:
        anna = await vault.signed_up(ANNA)
        assert codes(await Browser(vault, anna).link(acme.knows("1", ANNA))) == []
        app = await enrolled(vault, anna)
        vault.clock.advance(STEP_SECONDS)
        payload = await Browser(vault).sign_in(acme.knows("1", ANNA))
        assert (payload["tokens"], payload["viewer"]) == (None, None)
        assert payload["challenge"]["factors"] == ["TOTP", "RECOVERY_CODE"]
        done = await completed(vault, payload["challenge"]["token"], totp=app.code())
        assert done["session"]["method"] == "OAUTH"
        person = await vault.person(done["tokens"])
        row = await session.by_id(person.viewer.session_id or "")
        assert row is not None
        assert row.factors == (AuthFactor.TOTP,)

    async def test_suspended_and_deleted_accounts_are_not_signed_in(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        payload = await Browser(vault).sign_in(acme.knows("1", ANNA))
        anna = await vault.person(payload["tokens"])
        now_ms = vault.clock.now_ms()
        await user.set_status(
            anna.user_id, UserStatus.SUSPENDED, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms
        )
        assert codes(await Browser(vault).sign_in(acme.knows("1", ANNA))) == ["ACCOUNT_FROZEN"]
        await user.erase(anna.user_id, now_ms)
        browser = Browser(vault)
        begun = await browser.begin()
        async with unchanged(database):
            assert codes(await browser.finish(begun["state"], acme.knows("1", ANNA))) == ["PROVIDER_REFUSED"]

    async def test_of_five_first_times_at_once_one_account_comes(self, vault: World, acme: Provider) -> None:
        browsers = [Browser(vault) for _ in range(5)]
        states = [(await browser.begin())["state"] for browser in browsers]
        payloads = await asyncio.gather(
            *(browser.finish(state, acme.knows("1", ANNA)) for browser, state in zip(browsers, states, strict=True))
        )
        refused = [code for payload in payloads for code in codes(payload)]
        assert set(refused) <= {"LINK_REQUIRED", "IDENTITY_IN_USE"}
        people = {payload["viewer"]["id"] for payload in payloads if payload["viewer"]}
        assert len(people) == 1
        found = await identity.by_subject("acme", "1")
        assert found is not None

    async def test_a_name_that_cannot_be_used_is_left_out(self, vault: World, acme: Provider) -> None:
        for number, name in enumerate(["", "x" * 61, "a\u202eb", "two\nlines"]):
            email = f"{number}@example.com"
            payload = await Browser(vault).sign_in(acme.knows(str(number), email, name=name))
            assert (payload["viewer"]["email"], payload["viewer"]["displayName"]) == (email, None)


class TestLinking:
    async def test_the_owner_links_and_signs_in_by_it(self, vault: World, acme: Provider) -> None:
        anna = await vault.signed_up(ANNA)
        payload = await Browser(vault, anna).link(acme.knows("1", "other@example.com"))
        assert payload["errors"] == []
        assert payload["viewer"]["email"] == ANNA
        assert payload["tokens"] is None
        shown = await identities_of(vault, anna)
        assert [(each["provider"], each["subject"], each["email"]) for each in shown] == [
            ("acme", "1", "other@example.com")
        ]
        signed_in = await Browser(vault).sign_in(acme.knows("1", "other@example.com"))
        assert signed_in["viewer"]["email"] == ANNA
        assert "Acme" in (await vault.mail("Another way to log in")).text

    async def test_step_up_is_needed(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        async with unchanged(database):
            payload = await Browser(vault, anna).begin(purpose="LINK")
            assert codes(payload) == ["STEP_UP_REQUIRED"]
            assert payload["errors"][0]["stepUp"] == {"operation": "beginOAuth", "factors": ["PASSWORD"]}
            assert (payload["state"], payload["authorizationUrl"]) == (None, None)
            for_log_in = await vault.proof(anna, "beginOAuth", {"provider": "acme", "redirectUri": BACK})
            refused = await Browser(vault, anna).begin(purpose="LINK", stepUpProof=for_log_in)
            assert codes(refused) == ["STEP_UP_INVALID"]

    async def test_strangers_have_nothing_to_link_to(self, vault: World) -> None:
        caller = vault.caller(None, client=BROWSER)
        given = {"provider": "acme", "redirectUri": BACK, "purpose": "LINK"}
        body = await vault.ask_as(caller, BEGIN, input=given)
        assert body["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"

    async def test_the_account_must_have_proven_its_address(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        """Else whoever squats on an address would keep a way into the account of its owner."""
        squatter = await vault.signed_up(ANNA, verified=False)
        given = {"provider": "acme", "redirectUri": BACK, "purpose": "LINK"}
        proof = await vault.proof(squatter, "beginOAuth", given)
        async with unchanged(database, but=()):
            payload = await Browser(vault, squatter).begin(purpose="LINK", stepUpProof=proof)
        assert codes(payload) == ["EMAIL_NOT_VERIFIED"]

    async def test_what_was_allowed_at_the_beginning_is_asked_again_at_the_end(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        anna = await vault.signed_up(ANNA)
        browser = Browser(vault, anna)
        first, second = await browser.begin_link(), await Browser(vault, anna, client=CLIENT).begin_link()
        people = user.UserDocument.get_pymongo_collection()
        await people.update_one({"_id": anna.user_id}, {"$set": {"status": "FROZEN"}})
        async with unchanged(database):
            assert codes(await browser.finish(first["state"], acme.knows("1", ANNA))) == ["ACCOUNT_FROZEN"]
        unproven = {"$set": {"status": "ACTIVE"}, "$unset": {"email_verified_ms": ""}}
        await people.update_one({"_id": anna.user_id}, unproven)
        browser.client = CLIENT
        async with unchanged(database):
            assert codes(await browser.finish(second["state"], acme.knows("1", ANNA))) == ["EMAIL_NOT_VERIFIED"]

    async def test_the_provider_must_confirm_an_address(self, vault: World, acme: Provider, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        for email, verified in ((ANNA, False), (None, True)):
            browser = Browser(vault, anna)
            begun = await browser.begin_link()
            async with unchanged(database):
                payload = await browser.finish(begun["state"], acme.knows("1", email, verified=verified))
            assert codes(payload) == ["PROVIDER_REFUSED"], email

    async def test_an_identity_belongs_to_one_account(self, vault: World, acme: Provider, database: Database) -> None:
        anna, bela = await vault.signed_up(ANNA), await vault.signed_up(BELA)
        assert codes(await Browser(vault, anna).link(acme.knows("1", ANNA))) == []
        for person in (bela, anna):
            browser = Browser(vault, person)
            begun = await browser.begin_link()
            async with unchanged(database):
                assert codes(await browser.finish(begun["state"], acme.knows("1", ANNA))) == ["IDENTITY_IN_USE"]

    async def test_another_person_or_nobody_cannot_end_what_was_begun(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        anna, bela = await vault.signed_up(ANNA), await vault.signed_up(BELA)
        for person in (bela, None):
            browser = Browser(vault, anna)
            begun = await browser.begin_link()
            browser.person = person
            async with unchanged(database):
                payload = await browser.finish(begun["state"], acme.knows("1", ANNA))
            assert codes(payload) == ["CHALLENGE_EXPIRED"]

    async def test_an_account_has_so_many_at_most(self, vault: World, acme: Provider, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        for number in range(MOST_IDENTITIES):
            row = IdentityDocument(
                id=f"i{number}", user_id=anna.user_id, provider="acme", subject=f"s{number}", linked_ms=number
            )
            assert await identity.insert(row)
        browser = Browser(vault, anna)
        begun = await browser.begin_link()
        async with unchanged(database):
            assert codes(await browser.finish(begun["state"], acme.knows("1", ANNA))) == ["IDENTITY_IN_USE"]


class TestUnlinking:
    async def test_what_is_unlinked_signs_in_no_more(self, vault: World, acme: Provider) -> None:
        anna = await vault.signed_up(ANNA)
        await Browser(vault, anna).link(acme.knows("1", ANNA))
        assert codes(await self.unlink(vault, anna, await self.only_id(vault, anna))) == []
        assert await identities_of(vault, anna) == []
        assert codes(await Browser(vault).sign_in(acme.knows("1", ANNA))) == ["LINK_REQUIRED"]
        assert await audited(anna.user_id, AuditAction.IDENTITY_UNLINKED) == [
            (AuditOutcome.ALLOWED, {"provider": "acme"})
        ]
        assert "Acme" in (await vault.mail("way to log in was removed")).text

    async def test_only_the_owner_unlinks_and_only_with_step_up(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        anna, bela = await vault.signed_up(ANNA), await vault.signed_up(BELA)
        await Browser(vault, anna).link(acme.knows("1", ANNA))
        key = await self.only_id(vault, anna)
        async with unchanged(database):
            refused = (await vault.data(UNLINK, anna, input={"id": key}))["unlinkOAuth"]
            assert codes(refused) == ["STEP_UP_REQUIRED"]
            for person, given in ((bela, key), (anna, "nonsense"), (anna, key[:-2])):
                assert codes(await self.unlink(vault, person, given)) == ["UNKNOWN"]

    async def test_the_last_way_in_stays(self, vault: World, acme: Provider, database: Database) -> None:
        payload = await Browser(vault).sign_in(acme.knows("1", ANNA))
        anna = await vault.person(payload["tokens"])
        key = await self.only_id(vault, anna)
        async with unchanged(database):
            refused = (await vault.data(UNLINK, anna, input={"id": key}))["unlinkOAuth"]
        assert codes(refused) == ["LAST_FACTOR"]
        linked = await Browser(vault, anna).finish(
            (await Browser(vault, anna, client=CLIENT).begin(purpose="LINK"))["state"], acme.knows("2", ANNA)
        )
        assert codes(linked) == ["CHALLENGE_EXPIRED"]
        program = Browser(vault, anna, client=CLIENT)
        begun = await program.begin(purpose="LINK")
        assert codes(await program.finish(begun["state"], acme.knows("2", ANNA))) == []
        assert codes((await vault.data(UNLINK, anna, input={"id": key}))["unlinkOAuth"]) == []

    @pytest.mark.parametrize("other_way", ["password", "passkey"])
    async def test_another_way_in_is_enough(self, vault: World, acme: Provider, other_way: str) -> None:
        anna, authenticator = await vault.signed_up(ANNA), Authenticator()
        await Browser(vault, anna).link(acme.knows("1", ANNA))
        key = await self.only_id(vault, anna)
        if other_way == "passkey":
            await registered(vault, anna, authenticator)
            proof = await vault.proof(anna, "unlinkOAuth", {"id": key})
            await user.UserDocument.get_pymongo_collection().update_one(
                {"_id": anna.user_id}, {"$unset": {"password_hash": ""}}
            )
        else:
            proof = await vault.proof(anna, "unlinkOAuth", {"id": key}, password=PASSWORD)
        payload = (await vault.data(UNLINK, anna, input={"id": key, "stepUpProof": proof}))["unlinkOAuth"]
        assert codes(payload) == []

    async def only_id(self, vault: World, person: Person) -> str:
        (only,) = await identities_of(vault, person)
        return str(only["id"])

    async def unlink(self, vault: World, person: Person, key: str) -> Json:
        proof = await vault.proof(person, "unlinkOAuth", {"id": key})
        payload: Json = (await vault.data(UNLINK, person, input={"id": key, "stepUpProof": proof}))["unlinkOAuth"]
        return payload


class TestAnswer:
    """What comes back from a provider."""

    async def test_it_does_once(self, vault: World, acme: Provider, database: Database) -> None:
        browser, code = Browser(vault), acme.knows("1", ANNA)
        begun = await browser.begin()
        assert codes(await browser.finish(begun["state"], code)) == []
        async with unchanged(database):
            assert codes(await browser.finish(begun["state"], code)) == ["CHALLENGE_EXPIRED"]

    async def test_of_ten_at_once_one_signs_in(self, vault: World, acme: Provider) -> None:
        first = await Browser(vault).sign_in(acme.knows("1", ANNA))
        anna = await vault.person(first["tokens"])
        browser = Browser(vault)
        begun = await browser.begin()
        payloads = await asyncio.gather(*(browser.finish(begun["state"], acme.knows("1", ANNA)) for _ in range(10)))
        assert sorted(code for payload in payloads for code in codes(payload)) == ["CHALLENGE_EXPIRED"] * 9
        assert len(await session.open_of(anna.user_id)) == 2

    async def test_it_does_for_ten_minutes(self, vault: World, acme: Provider, database: Database) -> None:
        early, late = Browser(vault), Browser(vault)
        one, two = await early.begin(), await late.begin()
        vault.clock.advance(599.999)
        assert codes(await early.finish(one["state"], acme.knows("1", ANNA))) == []
        vault.clock.advance(0.001)
        async with unchanged(database):
            assert codes(await late.finish(two["state"], acme.knows("1", ANNA))) == ["CHALLENGE_EXPIRED"]

    async def test_two_tabs_of_a_browser_may_both_be_under_way(self, vault: World, acme: Provider) -> None:
        browser = Browser(vault)
        first, second = await browser.begin(), await browser.begin()
        for begun in (first, second):
            assert codes(await browser.finish(begun["state"], acme.knows("1", ANNA))) == []

    async def test_a_cookie_of_another_form_is_not_kept(self, vault: World, acme: Provider) -> None:
        for cookie in ("", "x", "x" * 44, "\u00e4" * 43, f"{'x' * 42}="):
            browser = Browser(vault, cookie=cookie)
            begun = await browser.begin()
            assert browser.cookie != cookie
            assert codes(await browser.finish(begun["state"], acme.knows("1", ANNA))) == []

    async def test_an_attackers_answer_does_not_sign_a_victim_in(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        """Log-in CSRF: a victim who works in the attacker's account without knowing tells them everything."""
        await Browser(vault).sign_in(acme.knows("attacker", "attacker@example.com"))
        for attacker in (BROWSER, CLIENT):
            for has_begun in (True, False):
                begun = await Browser(vault, client=attacker).begin()
                victim = Browser(vault)
                if has_begun:
                    await victim.begin()
                async with unchanged(database):
                    payload = await victim.finish(begun["state"], acme.knows("attacker", "attacker@example.com"))
                assert codes(payload) == ["CHALLENGE_EXPIRED"]
                assert (payload["viewer"], payload["tokens"]) == (None, None)

    async def test_a_stolen_answer_does_not_sign_the_thief_in(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        await Browser(vault).sign_in(acme.knows("1", ANNA))
        for thief in (BROWSER, CLIENT):
            begun = await Browser(vault).begin()
            stolen = acme.knows("1", ANNA)
            async with unchanged(database):
                payload = await Browser(vault, client=thief).finish(begun["state"], stolen)
            assert codes(payload) == ["CHALLENGE_EXPIRED"]

    async def test_a_program_signs_in_without_cookies(self, vault: World, acme: Provider) -> None:
        program = Browser(vault, client=CLIENT)
        assert codes(await program.sign_in(acme.knows("1", ANNA))) == []
        assert program.cookie is None

    async def test_a_state_of_nobody_is_refused(self, vault: World, acme: Provider, database: Database) -> None:
        browser = Browser(vault)
        await browser.begin()
        async with unchanged(database):
            for state in ("", "x" * 64, "x" * 50_000):
                payload = await browser.finish(state, acme.knows("1", ANNA))
                assert codes(payload) == ["CHALLENGE_EXPIRED"]
                assert payload["errors"][0]["field"] == ["state"]

    async def test_a_code_that_the_provider_refuses_makes_nothing(
        self, vault: World, acme: Provider, database: Database
    ) -> None:
        browser = Browser(vault)
        begun = await browser.begin()
        async with unchanged(database):
            payload = await browser.finish(begun["state"], "made up")
            assert codes(payload) == ["PROVIDER_REFUSED"]
            assert payload["errors"][0]["field"] == ["code"]
            again = await browser.finish(begun["state"], acme.knows("1", ANNA))
            assert codes(again) == ["CHALLENGE_EXPIRED"]


class TestProvider:
    async def test_one_that_is_away_is_named(self, vault: World, acme: Provider, database: Database) -> None:
        browser = Browser(vault)
        begun = await browser.begin()
        acme.away = True
        async with unchanged(database):
            for payload in (await browser.begin(), await browser.finish(begun["state"], acme.knows("1", ANNA))):
                assert codes(payload) == ["PROVIDER_UNAVAILABLE"]
                assert "Acme" in payload["errors"][0]["message"]

    async def test_one_that_is_not_configured_is_refused(self, vault: World, database: Database) -> None:
        async with unchanged(database, but=()):
            for key in ("github", "", "ACME", "acme "):
                payload = await Browser(vault).begin(provider=key)
                assert codes(payload) == ["PROVIDER_UNAVAILABLE"]
                assert payload["errors"][0]["field"] == ["provider"]

    async def test_those_that_are_configured_are_listed(self, vault: World) -> None:
        assert await vault.data("{ oauthProviders { key name } }") == {
            "oauthProviders": [{"key": "acme", "name": "Acme"}]
        }

    async def test_people_are_sent_back_to_allowed_pages_only(self, vault: World, database: Database) -> None:
        async with unchanged(database, but=()):
            for url in (
                "https://evil.example/signed-in",
                "http://app.vault.example/signed-in",
                f"{PAGE}.evil.example/",
                "https://app.vault.example@evil.example/",
                "https://evil.example@app.vault.example/",
                f"{PAGE}:8443/",
                f"{BACK}#fragment",
                "https://app.vault.example\\@evil.example/",
                "https://app.vault.example\\.evil.example/",
            ):
                payload = await Browser(vault).begin(redirectUri=url)
                assert codes(payload) == ["PROVIDER_REFUSED"], url
                assert payload["errors"][0]["field"] == ["redirectUri"]
        assert codes(await Browser(vault).begin(redirectUri=f"{PAGE}/any?page=1")) == []

    async def test_a_list_of_pages_allows_nothing_else(self) -> None:
        allows = redirect_rule((BACK,), lambda _origin: True)
        assert allows(BACK)
        assert not any(allows(url) for url in (f"{BACK}/", f"{BACK}?x=1", PAGE, f"{PAGE}/other"))

    async def test_tries_are_throttled_by_address(self, database: Database) -> None:
        vault = await limited_world()
        given = {"provider": "acme", "redirectUri": BACK}
        answers = [await vault.ask(BEGIN, input=given) for _ in range(61)]
        assert codes(answers[59]["data"]["beginOAuth"]) == ["PROVIDER_UNAVAILABLE"]
        assert answers[60]["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


async def test_sign_up_by_password_does_not_meet_the_account_of_an_identity(
    vault: World, acme: Provider, database: Database
) -> None:
    """The other way round: an address that an identity has proven is not taken by a sign-up."""
    payload = await Browser(vault).sign_in(acme.knows("1", ANNA))
    async with unchanged(database, but=("mails",)):
        await vault.data(SIGN_UP, email=ANNA, password=PASSWORD)
    assert await identities_of(vault, await vault.person(payload["tokens"]))
