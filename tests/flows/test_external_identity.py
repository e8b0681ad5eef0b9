"""An external identity from the first sign-in to the last: npm's oidc-provider, our server, and real browsers between them."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests import components
from tests.flows.browser import NO_PRICES, Tab, chromium, tab
from tests.flows.servers import server, until
from tests.integrations.oauth import real_provider
from tests.integrations.oauth.real_provider import REDIRECT, SECRET, code_for
from tests.mail_server import MailServer, ReceivedMail

ALICE, PASSWORD = "alice@example.com", "a fine day for sailing"
PROVIDERS = "{ oauthProviders { key name } }"
BEGIN = """mutation($input: BeginOAuthInput!) {
  beginOAuth(input: $input) { authorizationUrl state errors { code field } } }"""
FINISH = """mutation($state: String!, $code: String!) { finishOAuth(input: {state: $state, code: $code}) {
  viewer { id email emailVerified displayName } session { method } tokens { accessToken } errors { code } } }"""
ME = "{ viewer { id email security { passwordSet identities { id provider subject email } } } }"
LOG_OUT = "mutation { logOut { errors { code } } }"
DELETE = 'mutation { deleteAccount(input: {stepUpProof: ""}) { errors { code } } }'
SIGN_UP = "mutation($e: String!, $p: String!) { signUp(input: {email: $e, password: $p}) { errors { code } } }"
VERIFY = "mutation($token: String!) { verifyEmail(input: {token: $token}) { errors { code } } }"
LOG_IN = "mutation($e: String!, $p: String!) { logIn(input: {email: $e, password: $p}) { errors { code } } }"
PROVE = """mutation($operation: String!, $parameters: JSON!) { reauthenticate(input: {
  operation: $operation, parameters: $parameters, proof: {password: "a fine day for sailing"}}) {
    stepUpProof errors { code } } }"""
UNLINK = "mutation($input: UnlinkOAuthInput!) { unlinkOAuth(input: $input) { errors { code } } }"
Json = dict[str, Any]


@dataclass
class Site:
    """Our server, the browsers that use it, and the mail it sends."""

    base_url: str
    chromium: Browser
    mails: MailServer

    async def browser(self) -> Tab:
        """A page of ours in a new browser."""
        return await tab(self.chromium, self.base_url)

    async def verification(self) -> str:
        """The token of the mail that asks Alice to prove her address, as soon as it is there."""
        asked = await until(self._mails_that_ask, bool)
        return asked[0].token("verify-email")

    async def _mails_that_ask(self) -> list[ReceivedMail]:
        return [mail for mail in self.mails.to(ALICE) if mail.has_link("verify-email")]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    port = components.free_port()
    with real_provider.running(REDIRECT) as issuer:
        entry = {
            "key": "real",
            "name": "Real",
            "issuer": issuer,
            "client_id": "cryptovault-rs256",
            "client_secret": SECRET,
        }
        async with MailServer().listening() as mails, chromium() as browser:
            settings = {
                "APP_URL": f"http://localhost:{port}",
                "EMAIL_PROVIDER": "smtp",
                "SMTP_URL": mails.url(),
                "PASSWORD_HASH_KIB": "8",
                **NO_PRICES,
                "OPENID_PROVIDERS": json.dumps([entry]),
                "OAUTH_REDIRECT_URIS": REDIRECT,
            }
            async with server(tmp_path, "dev", settings=settings, port=port):
                yield Site(f"http://localhost:{port}", browser, mails)


async def begin(page: Tab, **changes: object) -> Json:
    given = {"provider": "real", "redirectUri": REDIRECT, **changes}
    payload: Json = (await page.data(BEGIN, input=given))["beginOAuth"]
    return payload


async def finish(page: Tab, answer: dict[str, str]) -> Json:
    payload: Json = (await page.data(FINISH, state=answer["state"], code=answer["code"]))["finishOAuth"]
    return payload


async def sign_in(page: Tab, account: str) -> Json:
    """Our page, the provider's pages, and back."""
    begun = await begin(page)
    answer = await code_for(begun["authorizationUrl"], account)
    assert answer["state"] == begun["state"]
    return await finish(page, answer)


async def step_up(page: Tab, operation: str, parameters: Json) -> str:
    payload = (await page.data(PROVE, operation=operation, parameters=parameters))["reauthenticate"]
    return str(payload["stepUpProof"])


def codes(payload: Json) -> list[str]:
    return [error["code"] for error in payload["errors"]]


async def test_an_external_identity_in_real_browsers(site: Site) -> None:
    await _nobody_else_profits(site)
    await _sign_up_sign_in_link_and_unlink(site)


async def _sign_up_sign_in_link_and_unlink(site: Site) -> None:
    alice = await site.browser()
    assert (await alice.data(PROVIDERS))["oauthProviders"] == [{"key": "real", "name": "Real"}]
    first = await sign_in(alice, "alice")
    assert first["errors"] == []
    assert (first["viewer"]["email"], first["viewer"]["emailVerified"]) == (ALICE, True)
    assert first["viewer"]["displayName"] == "Alice Example"
    assert (first["session"], first["tokens"]) == ({"method": "OAUTH"}, None)
    await alice.data(LOG_OUT)
    assert await alice.data(ME) == {"viewer": None}
    assert (await sign_in(alice, "alice"))["viewer"]["id"] == first["viewer"]["id"]

    assert codes((await alice.data(DELETE))["deleteAccount"]) == []
    await alice.data(SIGN_UP, e=ALICE, p=PASSWORD)
    assert codes((await alice.data(VERIFY, token=await site.verification()))["verifyEmail"]) == []
    assert codes(await sign_in(alice, "alice")) == ["LINK_REQUIRED"]
    assert await alice.data(ME) == {"viewer": None}

    await alice.data(LOG_IN, e=ALICE, p=PASSWORD)
    deed = {"provider": "real", "redirectUri": REDIRECT, "purpose": "LINK"}
    begun = await begin(alice, purpose="LINK", stepUpProof=await step_up(alice, "beginOAuth", deed))
    linked = await finish(alice, await code_for(begun["authorizationUrl"], "alice"))
    assert (linked["errors"], linked["session"], linked["tokens"]) == ([], None, None)
    (identity,) = (await alice.data(ME))["viewer"]["security"]["identities"]
    assert (identity["provider"], identity["subject"], identity["email"]) == ("real", "alice", ALICE)
    elsewhere = await site.browser()
    assert (await sign_in(elsewhere, "alice"))["viewer"]["id"] == (await alice.data(ME))["viewer"]["id"]

    proof = await step_up(alice, "unlinkOAuth", {"id": identity["id"]})
    assert codes((await alice.data(UNLINK, input={"id": identity["id"], "stepUpProof": proof}))["unlinkOAuth"]) == []
    await elsewhere.data(LOG_OUT)
    assert codes(await sign_in(elsewhere, "alice")) == ["LINK_REQUIRED"]


async def _nobody_else_profits(site: Site) -> None:
    """An answer does for its own browser, and only with a confirmed address."""
    attacker, victim = await site.browser(), await site.browser()
    begun = await begin(attacker)
    answer = await code_for(begun["authorizationUrl"], "alice")
    assert set(await attacker.cookies()) == {"__Host-browser"}
    assert (await attacker.cookies())["__Host-browser"]["httpOnly"] is True
    await begin(victim)
    assert codes(await finish(victim, answer)) == ["CHALLENGE_EXPIRED"]
    assert await victim.data(ME) == {"viewer": None}
    assert codes(await finish(attacker, answer)) == ["CHALLENGE_EXPIRED"]

    for account in ("bob", "carol"):
        assert codes(await sign_in(victim, account)) == ["PROVIDER_REFUSED"]
    begun = await begin(victim)
    declined = await code_for(begun["authorizationUrl"], "nobody")
    assert declined["error"] == "access_denied"
    assert codes(await finish(victim, {"state": declined["state"], "code": ""})) == ["PROVIDER_REFUSED"]
    assert codes(await begin(victim, redirectUri=f"{REDIRECT}/elsewhere")) == ["PROVIDER_REFUSED"]
    assert await victim.data(ME) == {"viewer": None}
