"""Factors as people use them: a real browser with a virtual authenticator, real mail, and codes by the machine's clock."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tests import components
from tests.flows.browser import NO_PRICES, Tab, authenticator, chromium, created, signed, tab
from tests.flows.servers import server
from tests.mail_server import MailServer

ANNA, PASSWORD = "anna@example.com", "a fine day for sailing"
SIGN_UP = "mutation($e: String!, $p: String!) { signUp(input: {email: $e, password: $p}) { errors { code } } }"
VERIFY = "mutation($token: String!) { verifyEmail(input: {token: $token}) { errors { code } } }"
LOG_IN = """mutation($e: String!, $p: String!) { logIn(input: {email: $e, password: $p}) {
  viewer { email emailVerified } session { method } tokens { accessToken } challenge { token factors passkeyOptions }
  errors { code } } }"""
LOG_OUT = "mutation { logOut { errors { code } } }"
VIEWER = "{ viewer { email security { totpEnabled passkeys { id name lastUsedAt } } } }"
PROVE = """mutation($operation: String!, $parameters: JSON!, $proof: StepUpFactorInput!) {
  reauthenticate(input: {operation: $operation, parameters: $parameters, proof: $proof}) { stepUpProof errors { code } }
}"""
BEGIN = """mutation($input: BeginPasskeyRegistrationInput) {
  beginPasskeyRegistration(input: $input) { options challenge errors { code } } }"""
FINISH = """mutation($challenge: String!, $credential: JSON!) {
  finishPasskeyRegistration(input: {challenge: $challenge, credential: $credential, name: "This laptop"}) {
    passkey { id name } errors { code } } }"""
BEGIN_LOG_IN = "mutation { beginPasskeyLogIn { options challenge errors { code } } }"
FINISH_LOG_IN = """mutation($challenge: String!, $credential: JSON!) {
  finishPasskeyLogIn(input: {challenge: $challenge, credential: $credential}) {
    viewer { email } session { method } tokens { accessToken } errors { code } } }"""
DELETE = """mutation($input: DeletePasskeyInput!) {
  deletePasskey(input: $input) { passkey { id } errors { code stepUp { factors passkeyOptions } } } }"""
ENROLL = "mutation($input: EnrollTotpInput) { enrollTotp(input: $input) { otpauthUri errors { code } } }"
CONFIRM = "mutation($code: String!) { confirmTotp(input: {code: $code}) { recoveryCodes errors { code } } }"
COMPLETE = """mutation($challenge: String!, $proof: SecondFactorInput!) {
  completeTwoFactor(input: {challenge: $challenge, proof: $proof}) {
    viewer { email } session { method } tokens { accessToken } errors { code } } }"""
Json = dict[str, Any]


@pytest.fixture
async def anna(tmp_path: Path) -> AsyncIterator[Tab]:
    """Anna at a page of ours, signed in with a proven address."""
    port = components.free_port()
    async with MailServer().listening() as mails, chromium() as browser:
        settings = {
            "APP_URL": f"http://localhost:{port}",
            "EMAIL_PROVIDER": "smtp",
            "SMTP_URL": mails.url(),
            "PASSWORD_HASH_KIB": "8",
            **NO_PRICES,
        }
        async with server(tmp_path, "dev", settings=settings, port=port):
            page = await tab(browser, f"http://localhost:{port}")
            await page.data(SIGN_UP, e=ANNA, p=PASSWORD)
            token = (await mails.mail_to(ANNA)).token("verify-email")
            assert (await page.data(VERIFY, token=token))["verifyEmail"]["errors"] == []
            assert (await page.data(LOG_IN, e=ANNA, p=PASSWORD))["logIn"] == {
                "viewer": {"email": ANNA, "emailVerified": True},
                "session": {"method": "PASSWORD"},
                "tokens": None,
                "challenge": None,
                "errors": [],
            }
            yield page


async def proof(page: Tab, operation: str, parameters: Json, **factor: object) -> str:
    payload = (await page.data(PROVE, operation=operation, parameters=parameters, proof=factor))["reauthenticate"]
    assert payload["errors"] == [], payload
    return str(payload["stepUpProof"])


async def log_out(page: Tab) -> None:
    await page.data(LOG_OUT)
    assert await page.data("{ viewer { email } }") == {"viewer": None}


async def test_passkeys_and_codes_in_a_real_browser(anna: Tab) -> None:
    await _live_by_a_passkey(anna)
    await anna.data(LOG_IN, e=ANNA, p=PASSWORD)
    await _live_by_codes_and_a_passkey_in_their_place(anna)


async def _live_by_a_passkey(anna: Tab) -> None:
    async with authenticator(anna.page):
        stepped_up = await proof(anna, "beginPasskeyRegistration", {}, password=PASSWORD)
        begun = (await anna.data(BEGIN, input={"stepUpProof": stepped_up}))["beginPasskeyRegistration"]
        credential = await created(anna.page, begun["options"])
        made = (await anna.data(FINISH, challenge=begun["challenge"], credential=credential))[
            "finishPasskeyRegistration"
        ]
        assert (made["passkey"]["name"], made["errors"]) == ("This laptop", [])

        await log_out(anna)
        begun = (await anna.data(BEGIN_LOG_IN))["beginPasskeyLogIn"]
        credential = await signed(anna.page, begun["options"])
        entered = (await anna.data(FINISH_LOG_IN, challenge=begun["challenge"], credential=credential))[
            "finishPasskeyLogIn"
        ]
        assert entered == {
            "viewer": {"email": ANNA},
            "session": {"method": "PASSKEY"},
            "tokens": None,
            "errors": [],
        }
        shown = (await anna.data(VIEWER))["viewer"]["security"]["passkeys"]
        assert [(each["name"], each["lastUsedAt"] is not None) for each in shown] == [("This laptop", True)]
        replayed = await anna.data(FINISH_LOG_IN, challenge=begun["challenge"], credential=credential)
        assert [each["code"] for each in replayed["finishPasskeyLogIn"]["errors"]] == ["CHALLENGE_EXPIRED"]

        deed = {"id": made["passkey"]["id"]}
        demand = (await anna.data(DELETE, input=deed))["deletePasskey"]["errors"][0]["stepUp"]
        assert demand["factors"] == ["PASSWORD", "PASSKEY"]
        credential = await signed(anna.page, demand["passkeyOptions"])
        stepped_up = await proof(anna, "deletePasskey", deed, passkey=credential)
        gone = (await anna.data(DELETE, input={**deed, "stepUpProof": stepped_up}))["deletePasskey"]
        assert gone["errors"] == []

        await log_out(anna)
        begun = (await anna.data(BEGIN_LOG_IN))["beginPasskeyLogIn"]
        credential = await signed(anna.page, begun["options"])
        refused = await anna.data(FINISH_LOG_IN, challenge=begun["challenge"], credential=credential)
        assert [each["code"] for each in refused["finishPasskeyLogIn"]["errors"]] == ["PASSKEY_INVALID"]
        assert await anna.data("{ viewer { email } }") == {"viewer": None}


async def _live_by_codes_and_a_passkey_in_their_place(anna: Tab) -> None:
    stepped_up = await proof(anna, "enrollTotp", {}, password=PASSWORD)
    uri = (await anna.data(ENROLL, input={"stepUpProof": stepped_up}))["enrollTotp"]["otpauthUri"]
    app = pyotp.parse_uri(uri)
    assert isinstance(app, pyotp.TOTP)
    confirmed = (await anna.data(CONFIRM, code=app.now()))["confirmTotp"]
    assert len(confirmed["recoveryCodes"]) == 10

    await log_out(anna)
    challenge = (await anna.data(LOG_IN, e=ANNA, p=PASSWORD))["logIn"]["challenge"]
    assert challenge["factors"] == ["TOTP", "RECOVERY_CODE"]
    assert await anna.data("{ viewer { email } }") == {"viewer": None}
    next_code = app.at(int(time.time()) + 30)
    entered = (await anna.data(COMPLETE, challenge=challenge["token"], proof={"totp": next_code}))["completeTwoFactor"]
    assert (entered["viewer"], entered["tokens"], entered["errors"]) == ({"email": ANNA}, None, [])

    async with authenticator(anna.page):
        recovery_code = confirmed["recoveryCodes"][0]
        stepped_up = await proof(anna, "beginPasskeyRegistration", {}, recoveryCode=recovery_code)
        begun = (await anna.data(BEGIN, input={"stepUpProof": stepped_up}))["beginPasskeyRegistration"]
        credential = await created(anna.page, begun["options"])
        await anna.data(FINISH, challenge=begun["challenge"], credential=credential)
        await log_out(anna)
        challenge = (await anna.data(LOG_IN, e=ANNA, p=PASSWORD))["logIn"]["challenge"]
        assert challenge["factors"] == ["TOTP", "RECOVERY_CODE", "PASSKEY"]
        credential = await signed(anna.page, challenge["passkeyOptions"])
        entered = await anna.data(COMPLETE, challenge=challenge["token"], proof={"passkey": credential})
        assert entered["completeTwoFactor"]["errors"] == []
        assert (await anna.data(VIEWER))["viewer"]["security"]["totpEnabled"] is True
