"""Passkeys: registered, found without a name, renamed, deleted; and everything an authenticator may say that is not true."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.account_vocabulary import AuditAction, AuditOutcome, AuthFactor, UserStatus
from core.database import Database
from models import passkey, session, user
from services.passkeys import MOST_PASSKEYS, PasskeyInvalid
from tests.accounts import PAGE, Person, World, world
from tests.factors import (
    BEGIN_PASSKEY_LOG_IN,
    BEGIN_REGISTRATION,
    FINISH_PASSKEY_LOG_IN,
    FINISH_REGISTRATION,
    PRESENT,
    VERIFIED,
    Authenticator,
    b64,
    codes,
    completed,
    enrolled,
    limited_world,
    registered,
    registration_begun,
)
from tests.stored import audited, unchanged

ANNA, BELA = "anna@example.com", "bela@example.com"
PASSKEYS = "{ viewer { security { passwordSet passkeys { id name lastUsedAt } withdrawalsHeldUntil } } }"
RENAME = """mutation($id: ID!, $name: String!) {
  renamePasskey(input: {id: $id, name: $name}) { passkey { id name } errors { code field } }
}"""
DELETE = """mutation($input: DeletePasskeyInput!) {
  deletePasskey(input: $input) { passkey { id } errors { code field stepUp { factors passkeyOptions } } }
}"""
Json = dict[str, Any]
LIES: dict[str, Json] = {
    "another page": {"said": {"origin": "https://evil.example"}},
    "a page of the domain that is not listed": {"said": {"origin": "https://vault.example"}},
    "a page of a lookalike": {"said": {"origin": f"{PAGE}.evil.example"}},
    "plain HTTP": {"said": {"origin": PAGE.replace("https", "http")}},
    "another challenge": {"said": {"challenge": b64(bytes(32))}},
    "for something else": {},
    "another domain": {"domain": "evil.example"},
    "user not verified": {"flags": PRESENT},
    "user not present": {"flags": VERIFIED},
}
GARBAGE: list[object] = [
    {},
    [],
    "text",
    5,
    True,
    {"id": None},
    {"id": 5, "rawId": 5, "type": 5, "response": 5},
    {"id": "ä", "rawId": "ä", "type": "public-key", "response": {}},
    {"id": "AA", "rawId": "AA", "type": "public-key", "response": []},
    {"response": {"clientDataJSON": "!!!"}},
    {"response": {"clientDataJSON": "ä"}},
    {"response": {"clientDataJSON": b64(b"[" * 9_000)}},
    {"response": {"clientDataJSON": b64(b'{"challenge": "\\ud800"}')}},
    {"response": {"clientDataJSON": b64(b'{"challenge": ["x"]}')}},
    {"padding": "x" * 20_000},
]
UNUSABLE_KEYS: list[object] = [
    {},
    [],
    5,
    [2] * 10,
    {1: 2, 3: -7},
    {1: 2, 3: -7, -1: 1, -2: "text", -3: "text"},
    {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)},
    {1: 2, 3: -7, -1: 99, -2: bytes([1]), -3: bytes([1])},
    {1: 3, 3: -257, -1: b"\x03", -2: b"\x03"},
    {1: 99, 3: -7},
]


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def anna_with_passkey(vault: World) -> tuple[Person, Authenticator]:
    anna, authenticator = await vault.signed_up(ANNA), Authenticator()
    assert codes(await registered(vault, anna, authenticator)) == []
    return anna, authenticator


async def asked_to_sign_in(vault: World) -> Json:
    begun: Json = (await vault.data(BEGIN_PASSKEY_LOG_IN))["beginPasskeyLogIn"]
    return begun


async def finished(vault: World, challenge: str, credential: object) -> Json:
    """The payload of a log-in by passkey."""
    data = await vault.data(FINISH_PASSKEY_LOG_IN, challenge=challenge, credential=credential)
    payload: Json = data["finishPasskeyLogIn"]
    return payload


async def signed_in(vault: World, authenticator: Authenticator, **lies: Any) -> Json:
    """The payload of a log-in by the authenticator's newest passkey."""
    begun = await asked_to_sign_in(vault)
    return await finished(vault, begun["challenge"], authenticator.get(begun["options"], **lies))


async def without_password(person: Person) -> None:
    """As an account that was made by an external identity or a wallet."""
    await user.UserDocument.get_pymongo_collection().update_one(
        {"_id": person.user_id}, {"$unset": {"password_hash": ""}}
    )


class TestRegistration:
    async def test_options_ask_for_what_is_promised(self, vault: World) -> None:
        anna = await vault.signed_up(ANNA)
        begun = await registration_begun(vault, anna)
        options = begun["options"]
        assert options["challenge"] == begun["challenge"]
        assert options["rp"] == {"name": "CryptoVault", "id": "vault.example"}
        assert options["user"] == {"id": b64(anna.user_id.encode()), "name": ANNA, "displayName": ANNA}
        selection = options["authenticatorSelection"]
        assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
        assert options["excludeCredentials"] == []
        assert {"type": "public-key", "alg": -7} in options["pubKeyCredParams"]

    async def test_several_for_one_account_each_with_its_name(self, vault: World) -> None:
        anna, authenticator = await anna_with_passkey(vault)
        vault.clock.advance(1)
        phone = Authenticator()
        payload = await registered(vault, anna, phone, " Téléphone ")
        assert payload["errors"] == []
        assert payload["passkey"]["name"] == "Téléphone"
        assert payload["passkey"]["lastUsedAt"] is None
        shown = (await vault.data(PASSKEYS, anna))["viewer"]["security"]
        assert [each["name"] for each in shown["passkeys"]] == ["Laptop", "Téléphone"]
        assert shown["withdrawalsHeldUntil"] is not None
        third = await registration_begun(vault, anna)
        excluded = [each["id"] for each in third["options"]["excludeCredentials"]]
        assert sorted(excluded) == sorted(b64(each.keys[0].credential_id) for each in (authenticator, phone))
        assert await audited(anna.user_id, AuditAction.PASSKEY_ADDED) == [
            (AuditOutcome.ALLOWED, {"name": "Laptop"}),
            (AuditOutcome.ALLOWED, {"name": "Téléphone"}),
        ]
        assert "Téléphone" in (await vault.mail("passkey was added")).text

    async def test_step_up_and_a_proven_address_are_needed(self, vault: World, database: Database) -> None:
        anna, bela = await vault.signed_up(ANNA), await vault.signed_up(BELA, verified=False)
        async with unchanged(database):
            refused = (await vault.data(BEGIN_REGISTRATION, anna))["beginPasskeyRegistration"]
            assert codes(refused) == ["STEP_UP_REQUIRED"]
            assert (refused["options"], refused["challenge"]) == (None, None)
            assert codes((await vault.data(BEGIN_REGISTRATION, bela))["beginPasskeyRegistration"]) == [
                "EMAIL_NOT_VERIFIED"
            ]

    async def test_a_name_is_looked_at_before_the_authenticator_is_asked(
        self, vault: World, database: Database
    ) -> None:
        anna = await vault.signed_up(ANNA)
        given = {"name": "x" * 61}
        proof = await vault.proof(anna, "beginPasskeyRegistration", given)
        async with unchanged(database):
            begun = await vault.data(BEGIN_REGISTRATION, anna, input={**given, "stepUpProof": proof})
            assert codes(begun["beginPasskeyRegistration"]) == ["NAME_INVALID"]

    async def test_a_name_that_cannot_be_used_does_not_use_up_the_challenge(
        self, vault: World, database: Database
    ) -> None:
        anna, authenticator = await vault.signed_up(ANNA), Authenticator()
        begun = await registration_begun(vault, anna)
        credential = authenticator.create(begun["options"])
        given = {"challenge": begun["challenge"], "credential": credential}
        async with unchanged(database, but=()):
            for name in ("", "   ", "x" * 61, "a\x00b", "two\nlines", "x" * 10_000):
                data = await vault.data(FINISH_REGISTRATION, anna, **given, name=name)
                payload = data["finishPasskeyRegistration"]
                assert codes(payload) == ["NAME_INVALID"], name
                assert payload["errors"][0]["field"] == ["name"]
        again = (await vault.data(FINISH_REGISTRATION, anna, **given, name="Laptop"))["finishPasskeyRegistration"]
        assert codes(again) == []

    async def test_what_is_said_must_be_true(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        for lie, changes in LIES.items():
            authenticator = Authenticator(domain=changes.get("domain", "vault.example"))
            authenticator.flags = changes.get("flags", PRESENT | VERIFIED)
            begun = await registration_begun(vault, anna)
            said = {"type": "webauthn.get"} if lie == "for something else" else changes.get("said", {})
            credential = authenticator.create(begun["options"], **said)
            async with unchanged(database):
                assert codes(await register(vault, anna, begun["challenge"], credential)) == ["PASSKEY_INVALID"], lie

    async def test_a_challenge_does_once_for_its_owner_and_for_five_minutes(
        self, vault: World, database: Database
    ) -> None:
        anna, bela = await vault.signed_up(ANNA), await vault.signed_up(BELA)
        authenticator = Authenticator()
        used, stolen, late = [(await registration_begun(vault, anna)) for _ in range(3)]
        assert codes(await register(vault, anna, used["challenge"], authenticator.create(used["options"]))) == []
        async with unchanged(database):
            twice = await register(vault, anna, used["challenge"], authenticator.create(used["options"]))
            assert codes(twice) == ["CHALLENGE_EXPIRED"]
            theirs = await register(vault, bela, stolen["challenge"], authenticator.create(stolen["options"]))
            assert codes(theirs) == ["PASSKEY_INVALID"]
            log_in = await asked_to_sign_in(vault)
            other_kind = await register(
                vault, anna, log_in["challenge"], authenticator.create(late["options"], challenge=log_in["challenge"])
            )
            assert codes(other_kind) == ["CHALLENGE_EXPIRED"]
            vault.clock.advance(300)
            over = await register(vault, anna, late["challenge"], authenticator.create(late["options"]))
            assert codes(over) == ["CHALLENGE_EXPIRED"]

    async def test_a_registration_sent_five_times_at_once_is_stored_once(self, vault: World) -> None:
        anna, authenticator = await vault.signed_up(ANNA), Authenticator()
        begun = await registration_begun(vault, anna)
        credential = authenticator.create(begun["options"])
        payloads = await asyncio.gather(*(register(vault, anna, begun["challenge"], credential) for _ in range(5)))
        assert sorted(code for payload in payloads for code in codes(payload)) == ["CHALLENGE_EXPIRED"] * 4
        assert len(await passkey.of_user(anna.user_id)) == 1

    async def test_a_credential_belongs_to_one_account(self, vault: World, database: Database) -> None:
        anna, authenticator = await anna_with_passkey(vault)
        bela = await vault.signed_up(BELA)
        key = authenticator.keys[0]
        for person in (bela, anna):
            begun = await registration_begun(vault, person)
            credential = authenticator.registration_of(key, challenge=begun["challenge"])
            async with unchanged(database):
                assert codes(await register(vault, person, begun["challenge"], credential)) == ["PASSKEY_INVALID"]
        assert (await signed_in(vault, authenticator))["viewer"]["email"] == ANNA

    async def test_twenty_and_no_more_even_when_begun_before(self, vault: World, database: Database) -> None:
        anna, authenticator = await vault.signed_up(ANNA), Authenticator()
        for number in range(MOST_PASSKEYS - 1):
            await passkey.insert(
                passkey.PasskeyDocument(
                    id=f"k{number}",
                    user_id=anna.user_id,
                    name="one of many",
                    credential_id=f"c{number}",
                    public_key="",
                    sign_count=0,
                    created_ms=number,
                )
            )
        twentieth, surplus = await registration_begun(vault, anna), await registration_begun(vault, anna)
        first = await register(vault, anna, twentieth["challenge"], authenticator.create(twentieth["options"]))
        assert codes(first) == []
        proof = await vault.proof(anna, "beginPasskeyRegistration", {})
        async with unchanged(database):
            one_more = await register(vault, anna, surplus["challenge"], authenticator.create(surplus["options"]))
            assert codes(one_more) == ["PASSKEY_INVALID"]
            begun = await vault.data(BEGIN_REGISTRATION, anna, input={"stepUpProof": proof})
            assert codes(begun["beginPasskeyRegistration"]) == ["PASSKEY_INVALID"]


class TestLogIn:
    async def test_nobody_is_named(self, vault: World) -> None:
        await anna_with_passkey(vault)
        named = "mutation($email: String) { beginPasskeyLogIn(input: {email: $email}) { options challenge } }"
        answers = [
            (await vault.data(named, email=email))["beginPasskeyLogIn"] for email in (ANNA, "nobody@example.com", None)
        ]
        for answer in answers:
            assert answer["options"].pop("challenge") == answer["challenge"]
            assert answer["options"].get("allowCredentials", []) == []
        assert answers[0]["options"] == answers[1]["options"] == answers[2]["options"]

    async def test_a_passkey_is_two_factors(self, vault: World) -> None:
        anna, authenticator = await anna_with_passkey(vault)
        payload = await signed_in(vault, authenticator)
        assert payload["errors"] == []
        assert payload["viewer"]["email"] == ANNA
        assert payload["session"]["method"] == "PASSKEY"
        assert payload["challenge"] is None
        person = await vault.person(payload["tokens"])
        row = await session.by_id(person.viewer.session_id or "")
        assert row is not None
        assert row.factors == (AuthFactor.PASSKEY,)
        shown = (await vault.data(PASSKEYS, anna))["viewer"]["security"]["passkeys"]
        assert shown[0]["lastUsedAt"] is not None

    async def test_it_skips_the_challenge_for_codes(self, vault: World) -> None:
        anna, authenticator = await anna_with_passkey(vault)
        await enrolled(vault, anna)
        assert (await signed_in(vault, authenticator))["tokens"] is not None

    async def test_each_of_several_signs_in(self, vault: World) -> None:
        anna, laptop = await anna_with_passkey(vault)
        phone = Authenticator()
        phone.counts = False
        await registered(vault, anna, phone, "Phone")
        for authenticator in (laptop, phone, laptop, phone):
            assert codes(await signed_in(vault, authenticator)) == []

    async def test_what_is_said_must_be_true(self, vault: World, database: Database) -> None:
        _, authenticator = await anna_with_passkey(vault)
        for lie, changes in LIES.items():
            authenticator.domain = changes.get("domain", "vault.example")
            authenticator.flags = changes.get("flags", PRESENT | VERIFIED)
            said = {"type": "webauthn.create"} if lie == "for something else" else changes.get("said", {})
            async with unchanged(database):
                assert codes(await signed_in(vault, authenticator, **said)) == ["PASSKEY_INVALID"], lie
        authenticator.domain, authenticator.flags = "vault.example", PRESENT | VERIFIED
        assert codes(await signed_in(vault, authenticator)) == []

    async def test_other_keys_do_not_sign_in(self, vault: World, database: Database) -> None:
        _, authenticator = await anna_with_passkey(vault)
        stranger, forger = Authenticator(), Authenticator()
        for each in (stranger, forger):
            each.create({"user": {"id": ""}, "challenge": ""})
        forger.keys[0].credential_id = authenticator.keys[0].credential_id
        async with unchanged(database):
            assert codes(await signed_in(vault, stranger)) == ["PASSKEY_INVALID"]
            assert codes(await signed_in(vault, forger)) == ["PASSKEY_INVALID"]

    async def test_a_copied_authenticator_is_refused(self, vault: World, database: Database) -> None:
        _, authenticator = await anna_with_passkey(vault)
        authenticator.keys[0].count = 4
        assert codes(await signed_in(vault, authenticator)) == []
        authenticator.counts = False
        for shown in (5, 4, 0):
            authenticator.keys[0].count = shown
            async with unchanged(database):
                assert codes(await signed_in(vault, authenticator)) == ["PASSKEY_INVALID"], shown
        authenticator.keys[0].count = 6
        assert codes(await signed_in(vault, authenticator)) == []

    @pytest.mark.parametrize("counts", [True, False])
    async def test_a_signature_does_once(self, vault: World, database: Database, counts: bool) -> None:
        _, authenticator = await anna_with_passkey(vault)
        authenticator.counts = counts
        begun = await asked_to_sign_in(vault)
        signed = authenticator.get(begun["options"])
        assert codes(await finished(vault, begun["challenge"], signed)) == []
        fresh = await asked_to_sign_in(vault)
        async with unchanged(database):
            assert codes(await finished(vault, begun["challenge"], signed)) == ["CHALLENGE_EXPIRED"]
            assert codes(await finished(vault, fresh["challenge"], signed)) == ["PASSKEY_INVALID"]

    async def test_of_ten_with_one_signature_one_signs_in(self, vault: World) -> None:
        anna, authenticator = await anna_with_passkey(vault)
        authenticator.counts = False
        begun = await asked_to_sign_in(vault)
        signed = authenticator.get(begun["options"])
        payloads = await asyncio.gather(*(finished(vault, begun["challenge"], signed) for _ in range(10)))
        assert [codes(payload) for payload in payloads].count([]) == 1
        assert len(await session.open_of(anna.user_id)) == 2

    async def test_a_challenge_is_over_after_five_minutes_and_does_for_nothing_else(
        self, vault: World, database: Database
    ) -> None:
        anna, authenticator = await anna_with_passkey(vault)
        begun, registration = await asked_to_sign_in(vault), await registration_begun(vault, anna)
        signed = authenticator.get(begun["options"])
        other = authenticator.get({"challenge": registration["challenge"]})
        async with unchanged(database):
            assert codes(await finished(vault, registration["challenge"], other)) == ["CHALLENGE_EXPIRED"]
            assert codes(await completed(vault, begun["challenge"], passkey=signed)) == ["CHALLENGE_EXPIRED"]
            vault.clock.advance(300)
            assert codes(await finished(vault, begun["challenge"], signed)) == ["CHALLENGE_EXPIRED"]

    async def test_suspended_and_deleted_accounts_are_not_signed_in(self, vault: World, database: Database) -> None:
        anna, authenticator = await anna_with_passkey(vault)
        await user.set_status(
            anna.user_id, UserStatus.SUSPENDED, was=[UserStatus.ACTIVE], now_ms=vault.clock.now_ms(), frozen_ms=None
        )
        assert codes(await signed_in(vault, authenticator)) == ["ACCOUNT_FROZEN"]
        await user.erase(anna.user_id, vault.clock.now_ms())
        assert codes(await signed_in(vault, authenticator)) == ["PASSKEY_INVALID"]
        assert len(await session.open_of(anna.user_id)) == 1

    async def test_tries_are_throttled_by_address(self, database: Database) -> None:
        vault = await limited_world()
        answers = [await vault.ask(BEGIN_PASSKEY_LOG_IN) for _ in range(61)]
        assert [each.get("errors") for each in answers[:60]] == [None] * 60
        assert answers[60]["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


class TestKeeping:
    async def test_names_can_be_changed_by_the_owner_alone(self, vault: World, database: Database) -> None:
        anna, _ = await anna_with_passkey(vault)
        bela = await vault.signed_up(BELA)
        key = (await vault.data(PASSKEYS, anna))["viewer"]["security"]["passkeys"][0]["id"]
        renamed = (await vault.data(RENAME, anna, id=key, name="Work"))["renamePasskey"]
        assert (renamed["passkey"]["name"], renamed["errors"]) == ("Work", [])
        async with unchanged(database):
            assert codes((await vault.data(RENAME, bela, id=key, name="Mine"))["renamePasskey"]) == ["UNKNOWN"]
            assert codes((await vault.data(RENAME, anna, id=key, name=" "))["renamePasskey"]) == ["NAME_INVALID"]
            assert codes((await vault.data(RENAME, anna, id="nonsense", name="Work"))["renamePasskey"]) == ["UNKNOWN"]

    async def test_a_deleted_passkey_does_not_sign_in(self, vault: World) -> None:
        anna, authenticator = await anna_with_passkey(vault)
        key = (await vault.data(PASSKEYS, anna))["viewer"]["security"]["passkeys"][0]["id"]
        begun = await asked_to_sign_in(vault)
        signed = authenticator.get(begun["options"])
        assert codes(await delete(vault, anna, key)) == []
        assert codes(await finished(vault, begun["challenge"], signed)) == ["PASSKEY_INVALID"]
        assert (await vault.data(PASSKEYS, anna))["viewer"]["security"]["passkeys"] == []
        assert await audited(anna.user_id, AuditAction.PASSKEY_REMOVED) == [(AuditOutcome.ALLOWED, {"name": "Laptop"})]
        assert "Laptop" in (await vault.mail("passkey was removed")).text

    async def test_only_the_owner_deletes_and_only_with_step_up(self, vault: World, database: Database) -> None:
        anna, _ = await anna_with_passkey(vault)
        bela = await vault.signed_up(BELA)
        key = (await vault.data(PASSKEYS, anna))["viewer"]["security"]["passkeys"][0]["id"]
        async with unchanged(database):
            refused = (await vault.data(DELETE, anna, input={"id": key}))["deletePasskey"]
            assert codes(refused) == ["STEP_UP_REQUIRED"]
            assert codes(await delete(vault, bela, key)) == ["UNKNOWN"]

    async def test_the_last_way_in_stays(self, vault: World, database: Database) -> None:
        anna, laptop = await anna_with_passkey(vault)
        vault.clock.advance(1)
        phone = Authenticator()
        await registered(vault, anna, phone, "Phone")
        await without_password(anna)
        first, last = [each["id"] for each in (await vault.data(PASSKEYS, anna))["viewer"]["security"]["passkeys"]]
        assert codes(await delete(vault, anna, first, phone)) == []
        proof = await step_up_by_passkey(vault, anna, last, phone)
        async with unchanged(database):
            payload = (await vault.data(DELETE, anna, input={"id": last, "stepUpProof": proof}))["deletePasskey"]
        assert codes(payload) == ["LAST_FACTOR"]
        assert codes(await signed_in(vault, phone)) == []
        assert codes(await signed_in(vault, laptop)) == ["PASSKEY_INVALID"]


class TestGarbage:
    """Whatever is sent as a credential: one code, nothing stored, and never a fault of ours."""

    async def test_of_every_shape(self, vault: World, database: Database) -> None:
        anna, _ = await anna_with_passkey(vault)
        for credential in GARBAGE:
            begun, log_in = await registration_begun(vault, anna), await asked_to_sign_in(vault)
            async with unchanged(database):
                refused = (
                    await register(vault, anna, begun["challenge"], credential),
                    await finished(vault, log_in["challenge"], credential),
                    await stepped_up(vault, anna, credential),
                )
            assert [codes(each) for each in refused] == [["PASSKEY_INVALID"]] * 3, str(credential)[:80]

    async def test_nested_deeper_than_anything_reads(self, vault: World, database: Database) -> None:
        anna, _ = await anna_with_passkey(vault)
        begun, log_in = await registration_begun(vault, anna), await asked_to_sign_in(vault)
        deep: object = []
        for _ in range(1_000):
            deep = [deep]
        async with unchanged(database):
            assert codes(await register(vault, anna, begun["challenge"], {"id": deep})) == ["PASSKEY_INVALID"]
            assert codes(await finished(vault, log_in["challenge"], {"id": deep})) == ["PASSKEY_INVALID"]
            assert codes(await stepped_up(vault, anna, {"id": deep})) == ["PASSKEY_INVALID"]

    async def test_transports_of_any_shape_are_left_out(self, vault: World) -> None:
        anna, authenticator = await vault.signed_up(ANNA), Authenticator()
        begun = await registration_begun(vault, anna)
        credential = authenticator.create(begun["options"])
        credential["response"]["transports"] = [{}, [], None, 5, "internal", "carrier pigeon"]
        assert codes(await register(vault, anna, begun["challenge"], credential)) == []
        assert (await passkey.of_user(anna.user_id))[0].transports == ("internal",)

    async def test_a_key_that_could_never_sign_is_not_stored(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        for public_key in UNUSABLE_KEYS:
            authenticator = Authenticator()
            begun = await registration_begun(vault, anna)
            credential = authenticator.create(begun["options"], public_key=public_key)
            async with unchanged(database):
                refused = await register(vault, anna, begun["challenge"], credential)
            assert codes(refused) == ["PASSKEY_INVALID"], public_key

    async def test_anything_in_the_place_of_any_part(self, vault: World, database: Database) -> None:
        """Real credentials with one part changed: as they are, or refused with the one code."""
        anna, authenticator = await anna_with_passkey(vault)
        found = (await passkey.of_user(anna.user_id))[0]
        begun = await registration_begun(vault, anna)
        registration = authenticator.create(begun["options"])
        assertion = authenticator.get({"challenge": begun["challenge"]})
        passkeys = vault.accounts.passkeys

        @settings(
            max_examples=400,
            deadline=None,
            database=None,
            print_blob=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def attack(data: st.DataObject) -> None:
            known = data.draw(st.booleans())
            whole = json.loads(json.dumps(assertion if known else registration))
            changed = _with_one_change(whole, data.draw)
            judge: Callable[[Json], object] = (
                (lambda value: passkeys._signed(value, begun["challenge"], found))
                if known
                else (lambda value: passkeys._registered(value, begun["challenge"]))
            )
            try:
                judge(changed)
            except PasskeyInvalid:
                return
            left = (changed["id"], changed["response"].get("signature"), changed["type"])
            assert left == (whole["id"], whole["response"].get("signature"), "public-key")

        attack()


def _with_one_change(whole: Json, draw: Callable[..., Any]) -> Json:
    changed: Json = json.loads(json.dumps(whole))
    part = draw(st.sampled_from([changed, changed["response"]]))
    name = draw(st.sampled_from(sorted(part)))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=80).map(b64),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=4,
    )
    old = part[name]
    if isinstance(old, str) and draw(st.booleans()):
        raw = bytearray(_bytes(old))
        place = draw(st.integers(0, max(0, len(raw) - 1)))
        raw[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        part[name] = b64(bytes(raw))
    else:
        part[name] = draw(anything)
    return changed


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "==")
    except ValueError:
        return text.encode()


async def register(vault: World, person: Person, challenge: str, credential: object) -> Json:
    """The payload of a registration."""
    data = await vault.data(FINISH_REGISTRATION, person, challenge=challenge, credential=credential, name="Laptop")
    payload: Json = data["finishPasskeyRegistration"]
    return payload


async def delete(vault: World, person: Person, key: str, authenticator: Authenticator | None = None) -> Json:
    """The payload of a deletion, stepped up by password or by a passkey."""
    if authenticator is None:
        proof = await vault.proof(person, "deletePasskey", {"id": key})
    else:
        proof = await step_up_by_passkey(vault, person, key, authenticator)
    payload: Json = (await vault.data(DELETE, person, input={"id": key, "stepUpProof": proof}))["deletePasskey"]
    return payload


async def step_up_by_passkey(vault: World, person: Person, key: str, authenticator: Authenticator) -> str:
    """A proof for the deletion of a passkey, by a passkey."""
    demand = (await vault.data(DELETE, person, input={"id": key}))["deletePasskey"]["errors"][0]["stepUp"]
    signed = authenticator.get(demand["passkeyOptions"])
    return await vault.proof(person, "deletePasskey", {"id": key}, passkey=signed)


async def stepped_up(vault: World, person: Person, credential: object) -> Json:
    """The payload of a step-up by this credential."""
    document = """mutation($passkey: JSON!) { reauthenticate(input: {
      operation: "disableTotp", parameters: {}, proof: {passkey: $passkey}}) { stepUpProof errors { code field } } }"""
    payload: Json = (await vault.data(document, person, passkey=credential))["reauthenticate"]
    return payload
