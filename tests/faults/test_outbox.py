"""A mail that was accepted is sent, whenever the server dies: killed again and again while nobody takes its mail."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pymongo import AsyncMongoClient

from server.data_folder import URL_FILE
from tests.components import free_port
from tests.flows.servers import NO_TLS
from tests.mail_server import MailServer
from tests.processes import Server, gone, server

SIGN_UPS = 6
STAGGER_SECONDS = 0.5
"""Within so long the sign-ups of a round begin; one is answered after half a second."""
LATEST_SECONDS = 1.2
ARRIVAL_SECONDS = 30.0
SIGN_UP = """mutation($email: String!) {
  signUp(input: {email: $email, password: "a fine day for sailing"}) { errors { code } }
}"""
VERIFY = "mutation($token: String!) { verifyEmail(input: {token: $token}) { errors { code } } }"


@asynccontextmanager
async def started(folder: Path, mail_port: int) -> AsyncIterator[Server]:
    """The server with all its data in this folder, and its mail server at this port, whether one listens or not."""
    settings = {
        "BREACHED_PASSWORD_CHECK": "false",
        "EMAIL_PROVIDER": "smtp",
        "MAIL_FROM": "CryptoVault <no-reply@vault.example>",
        "PASSWORD_HASH_KIB": "8",
        "SMTP_URL": f"smtp://127.0.0.1:{mail_port}",
    }
    async with server("dev", data_dir=folder, environment=settings) as running:
        await running.wait_until_answering("{ __typename }")
        yield running


async def test_no_accepted_mail_is_lost_by_a_kill(tmp_path: Path) -> None:
    """Killed as soon as a sign-up is answered, in the middle of several, and while the mail server holds what it was given."""
    seed = random.randrange(10**6)
    chance, told = random.Random(seed), f"seed {seed}"
    post_office, port = MailServer(), free_port()
    accepted: set[str] = set()
    asked: set[str] = set()
    for number, at_once in enumerate((True, False)):
        emails = [f"person-{number}-{each}@example.com" for each in range(SIGN_UPS)]
        asked |= set(emails)
        async with started(tmp_path, port) as running:
            accepted |= await _killed_while_signing_up(running, emails, chance, at_once=at_once)
    assert accepted, told
    async with post_office.listening(port):
        post_office.open.clear()
        async with started(tmp_path, port) as running:
            await _time_passes(tmp_path)
            await _held(post_office)
            await asyncio.sleep(chance.uniform(0, 0.2))
            await _kill(running)
        post_office.open.set()
        async with started(tmp_path, port) as running:
            await _time_passes(tmp_path)
            async with asyncio.timeout(ARRIVAL_SECONDS):
                for email in sorted(accepted):
                    mail = await post_office.mail_to(email)
                    assert await _verifies(running, mail.token("verify-email")), (told, email)
    recipients = {mail.recipient for mail in post_office.received}
    assert accepted <= recipients <= asked, told
    for email in recipients:  # whether a held mail was taken is not known, so it may come again
        again = post_office.to(email)
        assert len({mail.message["Message-ID"] for mail in again}) == 1, (told, email)
        assert len({mail.token("verify-email") for mail in again}) == 1, (told, email)


async def _killed_while_signing_up(
    running: Server, emails: list[str], chance: random.Random, *, at_once: bool
) -> set[str]:
    """Kill the server in the middle of these sign-ups, or as soon as the first was answered; gives those that were answered."""
    answered: set[str] = set()
    first = asyncio.Event()

    async def sign_up(email: str, delay: float) -> None:
        await asyncio.sleep(delay)
        with contextlib.suppress(httpx.TransportError):
            await _signs_up(running, email)
            answered.add(email)
            first.set()

    async with asyncio.TaskGroup() as people:
        for email in emails:
            people.create_task(sign_up(email, chance.uniform(0, STAGGER_SECONDS)))
        if at_once:
            await first.wait()
        else:
            await asyncio.sleep(chance.uniform(STAGGER_SECONDS, LATEST_SECONDS))
        await _kill(running)
    return answered


async def _kill(running: Server) -> None:
    """SIGKILL; its database goes with it."""
    children = running.children()
    assert children, "the embedded database is a child"
    await running.end(signal.SIGKILL)
    await gone(children)


async def _time_passes(folder: Path) -> None:
    """Until the dead server's lease is over and every try is due again: what is stored is as after minutes."""
    url = (folder / URL_FILE).read_text()
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        database = client["cryptovault"]
        await database["mails"].update_many({"state": "QUEUED"}, {"$set": {"next_ms": 1}})
        await database["leases"].delete_many({"_id": "mail"})


async def _signs_up(running: Server, email: str) -> None:
    body = await _post(running, SIGN_UP, email=email)
    assert body["data"]["signUp"]["errors"] == []


async def _verifies(running: Server, token: str) -> bool:
    body = await _post(running, VERIFY, token=token)
    return bool(body["data"]["verifyEmail"]["errors"] == [])


async def _post(running: Server, query: str, **variables: str) -> Any:
    async with httpx.AsyncClient(base_url=running.url, timeout=20, verify=NO_TLS) as http:
        return (await http.post("/graphql", json={"query": query, "variables": variables})).json()


async def _held(post_office: MailServer) -> None:
    async with asyncio.timeout(ARRIVAL_SECONDS):
        while not post_office.holding:
            await asyncio.sleep(0.01)
