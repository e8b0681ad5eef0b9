"""A newcomer without a frontend: the links of real mails, opened in a real browser, do what they say."""

import shutil
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, async_playwright, expect

from tests import components
from tests.flows.browser import FLAGS
from tests.flows.servers import NO_TLS, Server, server
from tests.mail_server import MailServer

EMAIL, PASSWORD, OTHER = "ada@example.com", "a fine day for sailing", "another fine day for it"
SIGN_UP = "mutation($e: String!, $p: String!) { signUp(input: {email: $e, password: $p}) { errors { code } } }"
LOG_IN = """mutation($e: String!, $p: String!) { logIn(input: {email: $e, password: $p, delivery: VALUES}) {
  viewer { emailVerified status } errors { code } } }"""
RESET = "mutation($e: String!) { requestPasswordReset(input: {email: $e}) { errors { code } } }"


async def post(running: Server, query: str, **variables: str) -> dict[str, object]:
    async with httpx.AsyncClient(verify=NO_TLS, timeout=20) as client:
        answer = await client.post(running.base_url + "/graphql", json={"query": query, "variables": variables})
    data: dict[str, object] = answer.json()["data"]
    return data


async def link(mails: MailServer, page: str, number: int) -> str:
    """The link to this page in the newest of so many mails."""
    mail = await mails.mail_to(EMAIL, number=number)
    return next(word for word in mail.text.split() if f"/account/{page}#token=" in word)


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        components.missing("chromium")
    return str(found)


async def press(page: Page, url: str, says: str) -> None:
    await page.goto(url)
    await page.wait_for_url(lambda now: "#" not in now)
    await page.click("button")
    await expect(page.locator("#answer")).to_have_text(says)


async def test_confirm_reset_and_freeze_by_mail(tmp_path: Path, chromium: str) -> None:
    port = components.free_port()
    async with MailServer().listening() as mails, async_playwright() as playwright:
        settings = {
            "APP_URL": f"http://localhost:{port}",
            "EMAIL_PROVIDER": "smtp",
            "SMTP_URL": mails.url(),
        }
        async with server(tmp_path, "dev", settings=settings, port=port) as running:
            running.base_url = f"http://localhost:{port}"
            browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            page = await (await browser.new_context(locale="en-GB")).new_page()
            await post(running, SIGN_UP, e=EMAIL, p=PASSWORD)
            confirm = await link(mails, "verify-email", 1)
            await press(page, confirm, "The address is confirmed. You can close this page.")
            await press(page, confirm, "this link is not valid, or was used already; ask for a new one")
            assert (await post(running, LOG_IN, e=EMAIL, p=PASSWORD))["logIn"] == {
                "viewer": {"emailVerified": True, "status": "ACTIVE"},
                "errors": [],
            }
            await post(running, RESET, e=EMAIL)
            await page.goto(await link(mails, "reset-password", 2))
            await page.fill("#password", OTHER)
            await page.click("button")
            await expect(page.locator("#answer")).to_have_text("The password is set. Sign in with it from now on.")
            freeze = await link(mails, "freeze", 3)
            await press(page, freeze, "The account is frozen. Sign in to unfreeze it when it is safe.")
            assert (await post(running, LOG_IN, e=EMAIL, p=OTHER))["logIn"] == {
                "viewer": {"emailVerified": True, "status": "FROZEN"},
                "errors": [],
            }
            await page.goto(running.base_url + "/account/freeze")
            await expect(page.locator("#answer")).to_have_text(
                "This link is not complete. Please open it again from the mail."
            )
            await expect(page.locator("button")).to_be_hidden()
            await browser.close()
