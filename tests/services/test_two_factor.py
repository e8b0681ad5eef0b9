"""Codes by app and recovery codes: enrolled, sealed, each good once, and asked for at log-in."""

import asyncio
import re
from collections.abc import AsyncIterator
from xml.etree import ElementTree

import pyotp
import pytest
import segno

from core.account_vocabulary import AuditAction, AuditOutcome, AuthFactor, UserStatus
from core.database import Database
from core.secret_box import SealBroken
from models import session, user
from tests.accounts import CLIENT, LOG_IN, PASSWORD, Person, World, world
from tests.factors import (
    BEGIN_PASSKEY_LOG_IN,
    COMPLETE,
    CONFIRM,
    ENROLL,
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
from tests.stored import audited, everything, unchanged

ANNA, BELA = "anna@example.com", "bela@example.com"
SECURITY = "{ viewer { security { totpEnabled recoveryCodesLeft withdrawalsHeldUntil } } }"
DISABLE = "mutation($input: DisableTotpInput!) { disableTotp(input: $input) { viewer { id } errors { code field } } }"
REGENERATE = """mutation($input: RegenerateRecoveryCodesInput!) {
  regenerateRecoveryCodes(input: $input) { recoveryCodes errors { code } }
}"""
RECOVERY_CODE = re.compile(r"([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}")


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def anna_with_app(vault: World) -> tuple[Person, App]:
    """Anna, whose app shows a code that was not used yet."""
    anna = await vault.signed_up(ANNA)
    app = await enrolled(vault, anna)
    vault.clock.advance(STEP_SECONDS)
    return anna, app


async def pending_app(vault: World, person: Person) -> App:
    """An app whose secret is not confirmed."""
    proof = await vault.proof(person, "enrollTotp", {})
    payload = (await vault.data(ENROLL, person, input={"stepUpProof": proof}))["enrollTotp"]
    return App(payload["secret"], vault.clock)


def dark_modules(svg: str) -> set[tuple[int, int]]:
    """Column and row of every dark module that the path of a QR image draws, its border left out."""
    path = ElementTree.fromstring(svg).find("{*}path")  # noqa: S314 - our own image
    assert path is not None
    dark, x, y = set(), 0.0, 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", path.attrib["d"]):
        values = [float(number) for number in numbers.split()]
        if command == "h":
            dark |= {(int(x) + step - 2, int(y) - 2) for step in range(int(values[0]))}
            x += values[0]
        else:
            x, y = (values[0], values[1]) if command == "M" else (x + values[0], y + values[1])
    return dark


class TestEnrolment:
    async def test_the_secret_comes_in_three_forms(self, vault: World) -> None:
        anna = await vault.signed_up(ANNA)
        proof = await vault.proof(anna, "enrollTotp", {})
        payload = (await vault.data(ENROLL, anna, input={"stepUpProof": proof}))["enrollTotp"]
        read = pyotp.parse_uri(payload["otpauthUri"])
        assert isinstance(read, pyotp.TOTP)
        assert (read.issuer, read.name, read.secret) == ("CryptoVault", ANNA, payload["secret"])
        assert (read.digits, read.interval) == (6, STEP_SECONDS)
        assert len(payload["secret"]) == 32
        expected = segno.make(payload["otpauthUri"], error="m").matrix
        drawn = {(column, row) for row, line in enumerate(expected) for column, dark in enumerate(line) if dark}
        assert dark_modules(payload["qrSvg"]) == drawn

    async def test_every_enrolment_has_its_own_secret_and_only_the_newest_can_be_confirmed(self, vault: World) -> None:
        anna = await vault.signed_up(ANNA)
        first, second = await pending_app(vault, anna), await pending_app(vault, anna)
        assert first.secret != second.secret
        assert codes((await vault.data(CONFIRM, anna, code=first.code()))["confirmTotp"]) == ["CODE_INVALID"]
        assert codes((await vault.data(CONFIRM, anna, code=second.code()))["confirmTotp"]) == []

    async def test_a_proven_address_is_needed(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA, verified=False)
        proof = await vault.proof(anna, "enrollTotp", {})
        async with unchanged(database, but=()):
            payload = (await vault.data(ENROLL, anna, input={"stepUpProof": proof}))["enrollTotp"]
        assert codes(payload) == ["EMAIL_NOT_VERIFIED"]
        assert payload["secret"] is None

    async def test_step_up_is_needed_however_fresh_the_session_is(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        async with unchanged(database):
            payload = (await vault.data(ENROLL, anna))["enrollTotp"]
        assert codes(payload) == ["STEP_UP_REQUIRED"]
        assert payload["errors"][0]["stepUp"]["factors"] == ["PASSWORD"]

    async def test_an_unconfirmed_secret_counts_for_nothing(self, vault: World) -> None:
        anna = await vault.signed_up(ANNA)
        await pending_app(vault, anna)
        assert await vault.logged_in(ANNA)
        assert (await vault.data(SECURITY, anna))["viewer"]["security"]["totpEnabled"] is False

    async def test_only_the_right_code_confirms(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        app = await pending_app(vault, anna)
        forms = ("", "12345", "1234567", "abcdef", "１２３４５６", "1234５6", "-12345")
        async with unchanged(database):
            for code in (*forms, app.wrong_code(), app.code(-2), app.code(2)):
                payload = (await vault.data(CONFIRM, anna, code=code))["confirmTotp"]
                assert codes(payload) == ["CODE_INVALID"], code
                assert payload["recoveryCodes"] is None

    async def test_guesses_at_an_unconfirmed_secret_are_audited_and_throttled(self, database: Database) -> None:
        vault = await limited_world()
        anna = await vault.signed_up(ANNA)
        app = await pending_app(vault, anna)
        answers = [await vault.ask(CONFIRM, anna, code=app.wrong_code()) for _ in range(11)]
        assert [body.get("errors") for body in answers[:10]] == [None] * 10
        assert answers[10]["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        refusals = await audited(anna.user_id, AuditAction.TWO_FACTOR)
        assert refusals == [(AuditOutcome.REFUSED, {"factor": "TOTP"})] * 10

    async def test_nothing_to_confirm_and_nothing_to_confirm_twice(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        assert codes((await vault.data(CONFIRM, anna, code="123456"))["confirmTotp"]) == ["TOTP_NOT_ENABLED"]
        app = await enrolled(vault, anna)
        vault.clock.advance(STEP_SECONDS)
        async with unchanged(database):
            again = (await vault.data(CONFIRM, anna, code=app.code()))["confirmTotp"]
        assert codes(again) == ["TOTP_ALREADY_ENABLED"]

    async def test_of_two_confirmations_at_once_one_gives_codes(self, vault: World) -> None:
        anna = await vault.signed_up(ANNA)
        app = await pending_app(vault, anna)
        answers = await asyncio.gather(*(vault.data(CONFIRM, anna, code=app.code()) for _ in range(5)))
        given = [answer["confirmTotp"]["recoveryCodes"] for answer in answers if answer["confirmTotp"]["recoveryCodes"]]
        assert len(given) == 1
        vault.clock.advance(STEP_SECONDS)
        challenge = await challenged(vault, ANNA)
        assert codes(await completed(vault, challenge["token"], recoveryCode=given[0][0])) == []

    async def test_enabled_codes_are_not_replaced_by_enrolling_again(self, vault: World, database: Database) -> None:
        anna, app = await anna_with_app(vault)
        proof = await vault.proof(anna, "enrollTotp", {}, totp=app.code())
        async with unchanged(database):
            payload = (await vault.data(ENROLL, anna, input={"stepUpProof": proof}))["enrollTotp"]
        assert codes(payload) == ["TOTP_ALREADY_ENABLED"]

    async def test_enabling_is_audited_mailed_and_holds_withdrawals(self, vault: World) -> None:
        anna, _ = await anna_with_app(vault)
        assert await audited(anna.user_id, AuditAction.TOTP_ENABLED) == [(AuditOutcome.ALLOWED, {})]
        assert (await vault.mail("authenticator")).to == ANNA
        security = (await vault.data(SECURITY, anna))["viewer"]["security"]
        assert security["totpEnabled"] is True
        assert security["withdrawalsHeldUntil"] is not None


class TestSecrecy:
    async def test_secret_and_recovery_codes_stand_nowhere_in_the_database(
        self, vault: World, database: Database
    ) -> None:
        anna = await vault.signed_up(ANNA)
        pending = await pending_app(vault, anna)
        held = str(await everything(database))
        app = await enrolled(vault, anna)
        vault.clock.advance(STEP_SECONDS)
        await vault.proof(anna, "disableTotp", {}, recoveryCode=app.recovery_codes.pop())
        held += str(await everything(database))
        for secret in (pending.secret, app.secret, *app.recovery_codes):
            assert secret not in held
            assert secret.replace("-", "") not in held

    async def test_a_sealed_secret_does_not_open_for_another_account(self, vault: World, database: Database) -> None:
        anna, app = await anna_with_app(vault)
        await vault.signed_up(BELA)
        mine = await user.by_id(anna.user_id)
        assert mine is not None
        assert mine.totp is not None
        bela = await user.by_email_key(BELA)
        assert bela is not None
        assert await user.set_pending_totp(bela.id, mine.totp.secret)
        person = await user.by_id(bela.id)
        assert person is not None
        async with unchanged(database):
            with pytest.raises(SealBroken):
                await vault.accounts.two_factor.confirm(person, app.code(), CLIENT)


class TestCodes:
    async def test_one_step_of_drift_either_way(self, vault: World) -> None:
        _, app = await anna_with_app(vault)
        for steps, accepted in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
            vault.clock.advance(10 * STEP_SECONDS)
            challenge = await challenged(vault, ANNA)
            payload = await completed(vault, challenge["token"], totp=app.code(steps))
            assert codes(payload) == ([] if accepted else ["CODE_INVALID"]), steps
            assert (payload["tokens"] is not None) is accepted

    async def test_a_code_may_be_typed_with_blanks(self, vault: World) -> None:
        _, app = await anna_with_app(vault)
        challenge, code = await challenged(vault, ANNA), app.code()
        assert codes(await completed(vault, challenge["token"], totp=f" {code[:3]} {code[3:]} ")) == []

    async def test_the_code_that_confirmed_does_not_sign_in(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        app = await enrolled(vault, anna)
        challenge = await challenged(vault, ANNA)
        async with unchanged(database):
            payload = await completed(vault, challenge["token"], totp=app.code())
        assert codes(payload) == ["CODE_REUSED"]

    async def test_a_code_does_once_and_an_older_one_not_after_it(self, vault: World, database: Database) -> None:
        anna, app = await anna_with_app(vault)
        vault.clock.advance(10 * STEP_SECONDS)
        first, second = await challenged(vault, ANNA), await challenged(vault, ANNA)
        assert codes(await completed(vault, first["token"], totp=app.code())) == []
        async with unchanged(database):
            assert codes(await completed(vault, second["token"], totp=app.code())) == ["CODE_REUSED"]
            assert codes(await completed(vault, second["token"], totp=app.code(-1))) == ["CODE_REUSED"]
        with pytest.raises(AssertionError, match="CODE_REUSED"):
            await vault.proof(anna, "disableTotp", {}, totp=app.code())
        assert codes(await completed(vault, second["token"], totp=app.code(1))) == []

    async def test_of_ten_with_one_code_one_signs_in(self, vault: World) -> None:
        anna, app = await anna_with_app(vault)
        before = len(await session.open_of(anna.user_id))
        challenges = [(await challenged(vault, ANNA))["token"] for _ in range(10)]
        payloads = await asyncio.gather(*(completed(vault, each, totp=app.code()) for each in challenges))
        assert sorted(code for payload in payloads for code in codes(payload)) == ["CODE_REUSED"] * 9
        assert len(await session.open_of(anna.user_id)) == before + 1

    async def test_another_accounts_code_is_worth_nothing(self, vault: World) -> None:
        await anna_with_app(vault)
        bela = await vault.signed_up(BELA)
        others = await enrolled(vault, bela)
        vault.clock.advance(STEP_SECONDS)
        challenge = await challenged(vault, ANNA)
        assert codes(await completed(vault, challenge["token"], totp=others.code())) == ["CODE_INVALID"]
        answer = await completed(vault, challenge["token"], recoveryCode=others.recovery_codes[0])
        assert codes(answer) == ["CODE_INVALID"]

    async def test_wrong_ones_are_audited(self, vault: World) -> None:
        anna, app = await anna_with_app(vault)
        challenge = await challenged(vault, ANNA)
        await completed(vault, challenge["token"], totp=app.wrong_code())
        await completed(vault, challenge["token"], recoveryCode="0000-0000-0000-0000")
        await completed(vault, challenge["token"], passkey={"id": "none"})
        await completed(vault, challenge["token"], totp=app.code())
        assert await audited(anna.user_id, AuditAction.TWO_FACTOR) == [
            (AuditOutcome.REFUSED, {"factor": "TOTP"}),
            (AuditOutcome.REFUSED, {"factor": "RECOVERY_CODE"}),
            (AuditOutcome.REFUSED, {"factor": "PASSKEY"}),
            (AuditOutcome.ALLOWED, {"factor": "TOTP"}),
        ]

    async def test_tries_are_throttled_over_all_challenges(self, database: Database) -> None:
        vault = await limited_world()
        _, app = await anna_with_app(vault)
        vault.clock.advance(3_600)
        first, second, third = [(await challenged(vault, ANNA))["token"] for _ in range(3)]
        for challenge in [first] * 5 + [second] * 5:
            assert codes(await completed(vault, challenge, totp=app.wrong_code())) == ["CODE_INVALID"]
        body = await vault.ask(COMPLETE, challenge=third, proof={"totp": app.code()})
        assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert body["errors"][0]["extensions"]["retryAfter"] > 0
        assert "Somebody knows your password" in (await vault.mail("Somebody knows")).subject
        vault.clock.advance(3_601)
        late = await challenged(vault, ANNA)
        assert codes(await completed(vault, late["token"], totp=app.code())) == []


class TestRecoveryCodes:
    async def test_ten_of_the_promised_form_are_shown_once(self, vault: World) -> None:
        anna, app = await anna_with_app(vault)
        assert len(set(app.recovery_codes)) == 10
        assert all(RECOVERY_CODE.fullmatch(code) for code in app.recovery_codes)
        assert (await vault.data(SECURITY, anna))["viewer"]["security"]["recoveryCodesLeft"] == 10

    async def test_each_does_once_however_it_is_typed(self, vault: World, database: Database) -> None:
        anna, app = await anna_with_app(vault)
        code = app.recovery_codes[3]
        first, second = await challenged(vault, ANNA), await challenged(vault, ANNA)
        typed = f" {code.replace('-', ' ').upper()} "
        assert codes(await completed(vault, first["token"], recoveryCode=typed)) == []
        assert (await vault.data(SECURITY, anna))["viewer"]["security"]["recoveryCodesLeft"] == 9
        async with unchanged(database):
            assert codes(await completed(vault, second["token"], recoveryCode=code)) == ["CODE_INVALID"]
        assert codes(await completed(vault, second["token"], recoveryCode=app.recovery_codes[4])) == []

    async def test_of_ten_with_one_recovery_code_one_signs_in(self, vault: World) -> None:
        anna, app = await anna_with_app(vault)
        challenges = [(await challenged(vault, ANNA))["token"] for _ in range(10)]
        payloads = await asyncio.gather(
            *(completed(vault, each, recoveryCode=app.recovery_codes[0]) for each in challenges)
        )
        assert sorted(code for payload in payloads for code in codes(payload)) == ["CODE_INVALID"] * 9
        assert (await vault.data(SECURITY, anna))["viewer"]["security"]["recoveryCodesLeft"] == 9

    async def test_the_owner_is_told_of_a_use(self, vault: World) -> None:
        _, app = await anna_with_app(vault)
        challenge = await challenged(vault, ANNA)
        await completed(vault, challenge["token"], recoveryCode=app.recovery_codes[0])
        assert "9" in (await vault.mail("recovery code was used")).text

    async def test_new_ones_replace_all_old_ones(self, vault: World) -> None:
        anna, app = await anna_with_app(vault)
        proof = await vault.proof(anna, "regenerateRecoveryCodes", {}, totp=app.code())
        payload = (await vault.data(REGENERATE, anna, input={"stepUpProof": proof}))["regenerateRecoveryCodes"]
        assert len(set(payload["recoveryCodes"])) == 10
        assert not set(payload["recoveryCodes"]) & set(app.recovery_codes)
        challenge = await challenged(vault, ANNA)
        old = await completed(vault, challenge["token"], recoveryCode=app.recovery_codes[0])
        assert codes(old) == ["CODE_INVALID"]
        assert codes(await completed(vault, challenge["token"], recoveryCode=payload["recoveryCodes"][9])) == []
        assert await audited(anna.user_id, AuditAction.RECOVERY_CODES) == [(AuditOutcome.ALLOWED, {})]

    async def test_without_codes_by_app_there_are_none(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        proof = await vault.proof(anna, "regenerateRecoveryCodes", {})
        async with unchanged(database):
            payload = (await vault.data(REGENERATE, anna, input={"stepUpProof": proof}))["regenerateRecoveryCodes"]
        assert codes(payload) == ["TOTP_NOT_ENABLED"]


class TestLogIn:
    async def test_the_right_password_gives_a_challenge_and_no_session(self, vault: World) -> None:
        anna, _ = await anna_with_app(vault)
        before = len(await session.open_of(anna.user_id))
        payload = (await vault.data(LOG_IN, email=ANNA, password=PASSWORD))["logIn"]
        assert (payload["viewer"], payload["session"], payload["tokens"]) == (None, None, None)
        assert payload["challenge"]["factors"] == ["TOTP", "RECOVERY_CODE"]
        assert payload["challenge"]["passkeyOptions"] is None
        assert len(await session.open_of(anna.user_id)) == before
        wrong = (await vault.data(LOG_IN, email=ANNA, password="not this one"))["logIn"]
        assert codes(wrong) == ["INVALID_CREDENTIALS"]
        assert wrong["challenge"] is None

    async def test_what_the_first_half_asked_for_is_remembered(self, vault: World) -> None:
        _, app = await anna_with_app(vault)
        document = """mutation { logIn(input: {email: "anna@example.com", password: "a fine day for sailing",
          delivery: VALUES, deviceName: "Kitchen"}) { challenge { token } } }"""
        token = (await vault.data(document))["logIn"]["challenge"]["token"]
        payload = await completed(vault, token, totp=app.code())
        assert payload["session"] == {"method": "PASSWORD", "deviceName": "Kitchen"}
        someone = await vault.person(payload["tokens"])
        row = await session.by_id(someone.viewer.session_id or "")
        assert row is not None
        assert row.factors == (AuthFactor.PASSWORD, AuthFactor.TOTP)

    async def test_a_passkey_completes_it(self, vault: World) -> None:
        anna, app = await anna_with_app(vault)
        authenticator = Authenticator()
        await registered(vault, anna, authenticator, totp=app.code())
        challenge = await challenged(vault, ANNA)
        assert challenge["factors"] == ["TOTP", "RECOVERY_CODE", "PASSKEY"]
        assert challenge["passkeyOptions"]["userVerification"] == "required"
        signed = authenticator.get(challenge["passkeyOptions"])
        payload = await completed(vault, challenge["token"], passkey=signed)
        assert codes(payload) == []
        assert payload["session"]["method"] == "PASSWORD"

    async def test_another_persons_passkey_does_not_complete_it(self, vault: World, database: Database) -> None:
        _, app = await anna_with_app(vault)
        bela, authenticator = await vault.signed_up(BELA), Authenticator()
        await registered(vault, bela, authenticator)
        challenge = await challenged(vault, ANNA)
        signed = authenticator.get({"challenge": challenge["token"]})
        async with unchanged(database):
            assert codes(await completed(vault, challenge["token"], passkey=signed)) == ["PASSKEY_INVALID"]
        assert codes(await completed(vault, challenge["token"], totp=app.code())) == []

    async def test_five_tries_and_no_more(self, vault: World, database: Database) -> None:
        _, app = await anna_with_app(vault)
        challenge = await challenged(vault, ANNA)
        for _ in range(5):
            assert codes(await completed(vault, challenge["token"], totp=app.wrong_code())) == ["CODE_INVALID"]
        async with unchanged(database):
            answer = await completed(vault, challenge["token"], totp=app.code())
        assert codes(answer) == ["CHALLENGE_EXPIRED"]
        assert answer["errors"][0]["field"] == ["challenge"]

    async def test_the_fifth_try_may_be_the_right_one(self, vault: World) -> None:
        _, app = await anna_with_app(vault)
        challenge = await challenged(vault, ANNA)
        for _ in range(4):
            await completed(vault, challenge["token"], totp=app.wrong_code())
        assert codes(await completed(vault, challenge["token"], totp=app.code())) == []

    async def test_a_challenge_is_over_after_five_minutes(self, vault: World, database: Database) -> None:
        _, app = await anna_with_app(vault)
        early, late = await challenged(vault, ANNA), await challenged(vault, ANNA)
        vault.clock.advance(299.999)
        assert codes(await completed(vault, early["token"], totp=app.code())) == []
        vault.clock.advance(0.001)
        async with unchanged(database):
            answer = await completed(vault, late["token"], recoveryCode=app.recovery_codes[0])
        assert codes(answer) == ["CHALLENGE_EXPIRED"]

    async def test_a_challenge_does_once_even_with_two_right_answers_at_a_time(self, vault: World) -> None:
        anna, app = await anna_with_app(vault)
        before = len(await session.open_of(anna.user_id))
        challenge = (await challenged(vault, ANNA))["token"]
        payloads = await asyncio.gather(
            completed(vault, challenge, totp=app.code()),
            completed(vault, challenge, recoveryCode=app.recovery_codes[0]),
            completed(vault, challenge, recoveryCode=app.recovery_codes[1]),
        )
        assert sorted(code for payload in payloads for code in codes(payload)) == ["CHALLENGE_EXPIRED"] * 2
        assert len(await session.open_of(anna.user_id)) == before + 1

    async def test_a_challenge_of_another_kind_is_none(self, vault: World, database: Database) -> None:
        anna, app = await anna_with_app(vault)
        passkey_log_in = (await vault.data(BEGIN_PASSKEY_LOG_IN))["beginPasskeyLogIn"]["challenge"]
        proof = await vault.proof(anna, "disableTotp", {}, recoveryCode=app.recovery_codes[0])
        async with unchanged(database):
            for token in (passkey_log_in, proof, anna.access, anna.refresh, "", "x" * 43, "x" * 10_000):
                assert codes(await completed(vault, token, totp=app.code())) == ["CHALLENGE_EXPIRED"]

    async def test_a_suspended_account_is_not_signed_in(self, vault: World, database: Database) -> None:
        anna, app = await anna_with_app(vault)
        challenge = await challenged(vault, ANNA)
        await user.set_status(
            anna.user_id, UserStatus.SUSPENDED, was=[UserStatus.ACTIVE], now_ms=vault.clock.now_ms(), frozen_ms=None
        )
        payload = await completed(vault, challenge["token"], totp=app.code())
        assert codes(payload) == ["ACCOUNT_FROZEN"]
        assert payload["tokens"] is None

    async def test_a_deleted_account_is_not_signed_in(self, vault: World, database: Database) -> None:
        anna, app = await anna_with_app(vault)
        challenge = await challenged(vault, ANNA)
        await user.erase(anna.user_id, vault.clock.now_ms())
        async with unchanged(database):
            payload = await completed(vault, challenge["token"], totp=app.code())
        assert codes(payload) == ["INVALID_CREDENTIALS"]


class TestDisabling:
    async def test_step_up_is_needed_and_a_password_alone_is_none(self, vault: World, database: Database) -> None:
        anna, _ = await anna_with_app(vault)
        async with unchanged(database):
            assert codes((await vault.data(DISABLE, anna, input={}))["disableTotp"]) == ["STEP_UP_REQUIRED"]
            with pytest.raises(AssertionError, match="STEP_UP_INVALID"):
                await vault.proof(anna, "disableTotp", {}, password=PASSWORD)

    async def test_after_it_the_password_alone_signs_in(self, vault: World) -> None:
        anna, app = await anna_with_app(vault)
        challenge = await challenged(vault, ANNA)
        proof = await vault.proof(anna, "disableTotp", {}, totp=app.code())
        assert codes((await vault.data(DISABLE, anna, input={"stepUpProof": proof}))["disableTotp"]) == []
        assert await vault.logged_in(ANNA)
        vault.clock.advance(STEP_SECONDS)
        assert codes(await completed(vault, challenge["token"], totp=app.code())) == ["TOTP_NOT_ENABLED"]
        recovery = await completed(vault, challenge["token"], recoveryCode=app.recovery_codes[0])
        assert codes(recovery) == ["CODE_INVALID"]
        security = (await vault.data(SECURITY, anna))["viewer"]["security"]
        assert (security["totpEnabled"], security["recoveryCodesLeft"]) == (False, 0)
        assert await audited(anna.user_id, AuditAction.TOTP_DISABLED) == [(AuditOutcome.ALLOWED, {})]

    async def test_what_is_not_enabled_cannot_be_disabled(self, vault: World, database: Database) -> None:
        anna = await vault.signed_up(ANNA)
        proof = await vault.proof(anna, "disableTotp", {})
        async with unchanged(database):
            payload = (await vault.data(DISABLE, anna, input={"stepUpProof": proof}))["disableTotp"]
        assert codes(payload) == ["TOTP_NOT_ENABLED"]

    async def test_enrolling_again_makes_everything_new(self, vault: World) -> None:
        anna, old = await anna_with_app(vault)
        proof = await vault.proof(anna, "disableTotp", {}, totp=old.code())
        await vault.data(DISABLE, anna, input={"stepUpProof": proof})
        new = await enrolled(vault, anna)
        vault.clock.advance(STEP_SECONDS)
        assert new.secret != old.secret
        challenge = await challenged(vault, ANNA)
        assert codes(await completed(vault, challenge["token"], totp=old.code())) == ["CODE_INVALID"]
        answer = await completed(vault, challenge["token"], recoveryCode=old.recovery_codes[0])
        assert codes(answer) == ["CODE_INVALID"]
        assert codes(await completed(vault, challenge["token"], totp=new.code())) == []
