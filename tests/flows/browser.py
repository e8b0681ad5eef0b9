"""Real browsers for flows: cookie jars of their own, pages that ask our API as a page's script does, and a virtual authenticator."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests import components

Json = dict[str, Any]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
PLACE = "/account/verify-email"
"""A small page of ours whose policy lets scripts ask this server."""
NO_PRICES = {"PRICE_SOURCES": "kraken", "KRAKEN_WS_URL": "ws://127.0.0.1:9", "SIMULATED_FALLBACK": "false"}
"""For a server whose accounts are tested: no source answers and none is simulated."""
_ASK = """async ([query, variables]) => {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}"""


@dataclass
class Tab:
    """A page of ours in a browser."""

    page: Page

    async def ask(self, query: str, **variables: object) -> Json:
        """The whole answer to an operation that the page's script sends, with the cookies the browser has."""
        body: Json = await self.page.evaluate(_ASK, [query, variables])
        return body

    async def data(self, query: str, **variables: object) -> Json:
        """The data of an answer without errors."""
        body = await self.ask(query, **variables)
        assert "errors" not in body, body
        data: Json = body["data"]
        return data

    async def cookies(self) -> dict[str, Json]:
        """Every cookie of the browser, by name."""
        return {str(each.get("name")): dict(each) for each in await self.page.context.cookies()}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium; each of its contexts is a browser of its own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        components.missing("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


async def tab(browser: Browser | BrowserContext, base_url: str) -> Tab:
    """A page of ours: in a new browser with an empty jar, or as another tab of one."""
    jar = await browser.new_context() if isinstance(browser, Browser) else browser
    page = await jar.new_page()
    await page.goto(base_url + PLACE)
    return Tab(page)


@asynccontextmanager
async def authenticator(page: Page) -> AsyncIterator[None]:
    """A platform authenticator that always finds its user there, for as long as the block runs."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    await session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    yield
    await session.detach()


async def created(page: Page, options: Json) -> Json:
    """What the page's `navigator.credentials.create` gives for our options."""
    credential: Json = await page.evaluate(
        """async (options) => (await navigator.credentials.create({
          publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options),
        })).toJSON()""",
        options,
    )
    return credential


async def signed(page: Page, options: Json) -> Json:
    """What the page's `navigator.credentials.get` gives for our options."""
    credential: Json = await page.evaluate(
        """async (options) => (await navigator.credentials.get({
          publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
        })).toJSON()""",
        options,
    )
    return credential
