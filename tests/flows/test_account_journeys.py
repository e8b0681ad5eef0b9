"""A whole life of an account over real HTTP and sockets: mail by SMTP, codes by the machine's clock, and a program with a key."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.account_life import MUTATIONS
from tests.attacks import surface
from tests.flows.servers import NO_TLS
from tests.graphql_client import SocketClient
from tests.mail_server import MailServer
from tests.processes import Server, server

ANNA = "anna@example.com"
FIRST, SECOND = "a fine day for sailing", "a different fine day"
CLOSED_SECONDS = 2.0
"""Within so long an ended session's sockets are closed, by the targets of security.md."""
SLACK_SECONDS = 3.0
"""What a busy machine may add."""
_TEXTS = {name: surface.call(site, full=True)[0] for name, site in MUTATIONS.items()}
Json = dict[str, Any]


class Api:
    """Speaks to the server over HTTP, as whoever `credential` is."""

    def __init__(self, http: httpx.AsyncClient, running: Server) -> None:
        self._http = http
        self._running = running
        self.credential: dict[str, str] = {}

    async def post(self, query: str, **variables: Any) -> httpx.Response:
        """The answer to an operation."""
        body = {"query": query, "variables": variables}
        return await self._http.post("/graphql", json=body, headers=self.credential)

    async def viewer(self, fields: str = "id") -> Json | None:
        """What the viewer sees of themselves; None when the credential is refused."""
        answer = await self.post(f"{{ viewer {{ {fields} }} }}")
        if answer.status_code == 401:
            return None
        viewer: Json = answer.json()["data"]["viewer"]
        return viewer

    async def payload(self, name: str, /, **given: Any) -> Json:
        """The payload of a mutation."""
        body = (await self.post(_TEXTS[name], input=given)).json()
        assert "errors" not in body, (body, self._running.err[-20:])
        found: Json = body["data"][name]
        return found

    async def done(self, name: str, /, **given: Any) -> Json:
        """The payload of a mutation that is done."""
        found = await self.payload(name, **given)
        assert found["errors"] == [], (name, found["errors"])
        return found

    async def proven(self, name: str, proof: Json, /, **given: Any) -> Json:
        """The payload of a sensitive mutation, with a proof by this factor."""
        refused = await self.payload(name, **{"stepUpProof": "", **given} if name in NEEDS_SOME_PROOF else given)
        assert [error["code"] for error in refused["errors"]] == ["STEP_UP_REQUIRED"]
        proven = await self.done("reauthenticate", operation=name, parameters=given, proof=proof)
        return await self.done(name, **given, stepUpProof=proven["stepUpProof"])

    async def sign_in(self, password: str, **second: str) -> None:
        """Sign in, with a second factor where one is given, and be that session."""
        self.credential = {}
        found = await self.done("logIn", email=ANNA, password=password, delivery="VALUES", deviceName="a laptop")
        if second:
            assert found["tokens"] is None
            found = await self.done("completeTwoFactor", challenge=found["challenge"]["token"], proof=second)
        self.credential = {"authorization": f"Bearer {found['tokens']['accessToken']}"}


NEEDS_SOME_PROOF = {"unfreezeAccount", "deleteAccount"}
"""Their input has no field but the proof."""


@asynccontextmanager
async def socket(running: Server, credential: str) -> AsyncIterator[tuple[SocketClient, ClientConnection]]:
    """An acknowledged socket of whoever this credential is."""
    url = running.url.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as raw:
        await raw.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {credential}"}}))
        assert json.loads(await raw.recv())["type"] == "connection_ack"
        client = SocketClient(raw)
        reading = asyncio.create_task(client.read())
        try:
            yield client, raw
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def code_now(secret: str, steps: int = 0) -> str:
    """What an authenticator app shows, by the machine's clock."""
    return pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + steps)


@pytest.fixture
async def post_office() -> AsyncIterator[MailServer]:
    async with MailServer().listening() as listening:
        yield listening


@pytest.fixture
async def running(tmp_path: Path, post_office: MailServer) -> AsyncIterator[Server]:
    settings = {
        "BREACHED_PASSWORD_CHECK": "false",
        "EMAIL_PROVIDER": "smtp",
        "MAIL_FROM": "CryptoVault <no-reply@vault.example>",
        "PASSWORD_HASH_KIB": "1024",
        "SMTP_URL": post_office.url(),
    }
    async with server("dev", data_dir=tmp_path, environment=settings) as started:
        await started.wait_until_answering("{ __typename }")
        yield started


async def test_a_whole_life(running: Server, post_office: MailServer) -> None:
    async with httpx.AsyncClient(base_url=running.url, timeout=20, verify=NO_TLS) as http:
        api = Api(http, running)

        # An account, its address proven by the link of a mail
        await api.done("signUp", email=ANNA, password=FIRST, displayName="Anna")
        mail = await post_office.mail_to(ANNA)
        assert (mail.subject, mail.has_link("freeze")) == ("Confirm your e-mail address", False)
        await api.done("verifyEmail", token=mail.token("verify-email"))
        await api.sign_in(FIRST)
        assert await api.viewer("email emailVerified displayName status") == {
            "email": ANNA,
            "emailVerified": True,
            "displayName": "Anna",
            "status": "ACTIVE",
        }

        # Codes by app from now on
        enrolled = await api.proven("enrollTotp", {"password": FIRST})
        secret = enrolled["secret"]
        codes = iter((await api.done("confirmTotp", code=code_now(secret)))["recoveryCodes"])
        first_session = api.credential
        await api.done("logOut")
        assert await api.viewer() is None
        await api.sign_in(FIRST, totp=code_now(secret, 1))
        assert api.credential != first_session

        # A program with a key, over HTTP and over a socket
        made = await api.proven("createApiKey", {"recoveryCode": next(codes)}, name="a bot", scopes=["READ"])
        program = Api(http, running)
        program.credential = {"x-api-key": made["secret"]}
        assert await program.viewer("email") == {"email": ANNA}
        async with socket(running, made["secret"]) as (client, raw):
            asked = await client.subscribe("{ viewer { email } }")
            assert await asked.next() == {"viewer": {"email": ANNA}}
            await _watches_while_another_session_acts(api, client, raw, next(codes))

        # Another password by mail: everything ends, codes by app stay
        async with socket(running, api.credential["authorization"].removeprefix("Bearer ")) as (client, raw):
            await client.subscribe("subscription { accountEvents { time } }")
            await api.done("requestPasswordReset", email=ANNA)
            mail = await _mail_about(post_office, "Choose a new password")
            await api.done("resetPassword", token=mail.token("reset-password"), password=SECOND)
            await _closes(raw)
        assert await api.viewer() is None
        await api.sign_in(SECOND, recoveryCode=next(codes))

        # Frozen by the link of a mail, and lifted by the owner
        mail = await _mail_about(post_office, "Your password was changed")
        stranger = Api(http, running)
        await stranger.done("freezeAccount", token=mail.token("freeze"))
        assert await api.viewer() is None
        await _mail_about(post_office, "Your account is frozen")
        await api.sign_in(SECOND, recoveryCode=next(codes))
        assert await api.viewer("status") == {"status": "FROZEN"}
        lifted = await api.proven("unfreezeAccount", {"recoveryCode": next(codes)})
        assert lifted["viewer"]["status"] == "ACTIVE"

        # The end
        viewer = await api.viewer("auditLog(first: 100) { nodes { action } }")
        assert viewer is not None
        actions = [row["action"] for row in viewer["auditLog"]["nodes"]]
        assert {"PASSWORD_RESET", "TOTP_ENABLED", "API_KEY_REVOKED", "FROZEN", "UNFROZEN"} <= set(actions)
        assert actions[-3:] == ["LOG_IN", "EMAIL_VERIFIED", "SIGN_UP"]
        await api.proven("deleteAccount", {"recoveryCode": next(codes)})
        assert await api.viewer() is None
        await _mail_about(post_office, "Your account was deleted")
        gone = await stranger.payload("logIn", email=ANNA, password=SECOND)
        assert [error["code"] for error in gone["errors"]] == ["INVALID_CREDENTIALS"]


async def _watches_while_another_session_acts(api: Api, client: SocketClient, raw: ClientConnection, code: str) -> None:
    """The key's stream shows what a session does, in order and at once; at last it ends with the key."""
    viewer = await api.viewer("eventCursor apiKeys { id }")
    assert viewer is not None
    events = await client.subscribe(
        "subscription($after: String) { accountEvents(after: $after) { ... on SecurityChanged { event { action } } } }",
        after=viewer["eventCursor"],
    )
    key_id = viewer["apiKeys"][0]["id"]
    await api.proven("updateApiKey", {"recoveryCode": code}, id=key_id, name="the same bot")
    assert (await events.next())["accountEvents"]["event"]["action"] == "STEP_UP"
    await api.done("updateProfile", displayName="Anna S.")
    await api.done("revokeApiKey", id=key_id)
    await _closes(raw)


async def _closes(raw: ClientConnection) -> None:
    async with asyncio.timeout(CLOSED_SECONDS + SLACK_SECONDS):
        await raw.wait_closed()
    assert raw.close_code in {4401, 4403}


async def _mail_about(post_office: MailServer, subject: str) -> Any:
    """The newest mail to Anna about this, as soon as it is there."""
    number = 1
    while True:
        mail = await post_office.mail_to(ANNA, number=number)
        if mail.subject == subject and not any(later.subject == subject for later in post_office.to(ANNA)[number:]):
            return mail
        number += 1
