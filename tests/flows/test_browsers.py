"""Cookies as real browsers keep them: two jars of one account, tabs that refresh together, and pages of other sites."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page

from tests.flows.browser import Tab, tab
from tests.flows.servers import NO_TLS

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAIT_SECONDS = 30.0
PASSWORD = "a fine day for sailing"
SIGN_UP = "mutation($e: String!, $p: String!) { signUp(input: {email: $e, password: $p}) { errors { code } } }"
LOG_IN = """mutation($e: String!, $p: String!, $d: String) { logIn(input: {email: $e, password: $p, deviceName: $d}) {
  viewer { email } tokens { accessToken } errors { code } } }"""
ME = "{ viewer { email displayName } }"
SESSIONS = "{ viewer { sessions { id current deviceName method userAgent } } }"
REVOKE = "mutation($id: ID!) { revokeSession(input: {id: $id}) { errors { code } } }"
REFRESH = "mutation { refreshSession { viewer { email } tokens { accessToken } errors { code } } }"
LOG_OUT = "mutation { logOut { errors { code } } }"
RENAME = 'mutation { updateProfile(input: {displayName: "Mallory"}) { viewer { email } errors { code } } }'
FREEZE = "mutation { freezeAccount(input: {}) { viewer { email } errors { code } } }"
LISTEN = """() => new Promise((resolve) => {
  window.heard = [];
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/graphql", "graphql-transport-ws");
  const send = (message) => socket.send(JSON.stringify(message));
  socket.addEventListener("open", () => send({ type: "connection_init" }));
  socket.addEventListener("close", (event) => { window.ended = event.code; });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    window.heard.push(message);
    if (message.type === "connection_ack") {
      send({ id: "1", type: "subscribe", payload: { query: "subscription { accountEvents { __typename } }" } });
      resolve("acknowledged");
    }
  });
})"""
Json = dict[str, Any]


@dataclass
class Person:
    """Somebody with an account, who signs in from browsers."""

    browser: Browser
    base_url: str
    email: str

    async def signed_in(self, device: str) -> Tab:
        """A new browser of theirs."""
        opened = await tab(self.browser, self.base_url)
        payload = (await opened.data(LOG_IN, e=self.email, p=PASSWORD, d=device))["logIn"]
        assert payload == {"viewer": {"email": self.email}, "tokens": None, "errors": []}
        return opened


async def newcomer(browser: Browser, base_url: str, name: str) -> Person:
    """Somebody new."""
    email = f"{name}@example.com"
    async with httpx.AsyncClient(base_url=base_url, verify=NO_TLS, timeout=30) as program:
        body = {"query": SIGN_UP, "variables": {"e": email, "p": PASSWORD}}
        assert (await program.post("/graphql", json=body)).json()["data"]["signUp"]["errors"] == []
    return Person(browser, base_url, email)


async def sessions(opened: Tab) -> list[Json]:
    shown: list[Json] = (await opened.data(SESSIONS))["viewer"]["sessions"]
    return shown


async def test_a_browser_keeps_cookies_that_no_script_sees(live_server: str, browser: Browser) -> None:
    anna = await newcomer(browser, live_server, "anna")
    laptop = await anna.signed_in("Laptop")
    cookies = await laptop.cookies()
    assert set(cookies) == {"__Host-access", "__Host-refresh", "__Host-device"}
    for cookie in cookies.values():
        kept = (cookie["domain"], cookie["path"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"])
        assert kept == ("localhost", "/", True, True, "Strict")
    assert await laptop.page.evaluate("document.cookie") == ""
    assert await laptop.page.evaluate("cookieStore.getAll().then((all) => all.length)") == 0
    assert (await laptop.data(ME))["viewer"]["email"] == "anna@example.com"
    again = await tab(laptop.page.context, live_server)
    assert (await again.data(ME))["viewer"]["email"] == "anna@example.com"

    phone = await anna.signed_in("Phone")
    shown = await sessions(phone)
    assert [(each["deviceName"], each["current"], each["method"]) for each in shown] == [
        ("Phone", True, "PASSWORD"),
        ("Laptop", False, "PASSWORD"),
    ]
    assert all("Chrome" in each["userAgent"] for each in shown)


async def test_one_browser_signs_the_other_out(live_server: str, browser: Browser) -> None:
    bela = await newcomer(browser, live_server, "bela")
    laptop, phone = await bela.signed_in("Laptop"), await bela.signed_in("Phone")
    assert await phone.page.evaluate(LISTEN) == "acknowledged"
    other = next(each["id"] for each in await sessions(laptop) if not each["current"])
    assert (await laptop.data(REVOKE, id=other))["revokeSession"]["errors"] == []

    assert await phone.data(ME) == {"viewer": None}
    refused = (await phone.data(REFRESH))["refreshSession"]
    assert (refused["viewer"], [each["code"] for each in refused["errors"]]) == (None, ["TOKEN_INVALID"])
    await phone.page.wait_for_function("window.ended !== undefined", timeout=WAIT_SECONDS * 1000)
    assert await phone.page.evaluate("window.ended") == 4403
    assert [each["deviceName"] for each in await sessions(laptop)] == ["Laptop"]


async def test_tabs_that_refresh_together_stay_signed_in(live_server: str, browser: Browser) -> None:
    cora = await newcomer(browser, live_server, "cora")
    first = await cora.signed_in("Laptop")
    second = await tab(first.page.context, live_server)
    seen = {(await first.cookies())["__Host-refresh"]["value"]}
    for _ in range(3):
        answers = await asyncio.gather(*(each.data(REFRESH) for each in (first, second, first, second)))
        assert [each["refreshSession"] for each in answers] == [
            {"viewer": {"email": "cora@example.com"}, "tokens": None, "errors": []}
        ] * 4
        seen.add((await first.cookies())["__Host-refresh"]["value"])
        assert (await first.data(ME)) == (await second.data(ME)) != {"viewer": None}
    assert len(seen) == 4
    assert len(await sessions(first)) == 1


async def test_log_out_clears_the_jar_and_ends_what_was_in_it(live_server: str, browser: Browser) -> None:
    dora = await newcomer(browser, live_server, "dora")
    laptop, phone = await dora.signed_in("Laptop"), await dora.signed_in("Phone")
    old = {name: cookie["value"] for name, cookie in (await laptop.cookies()).items()}
    assert (await laptop.data(LOG_OUT))["logOut"]["errors"] == []
    assert set(await laptop.cookies()) == {"__Host-device"}
    assert await laptop.data(ME) == {"viewer": None}
    assert (await phone.data(ME))["viewer"]["email"] == "dora@example.com"
    kept = "; ".join(f"{name}={value}" for name, value in old.items())
    headers = {"cookie": kept, "origin": live_server}
    async with httpx.AsyncClient(base_url=live_server, headers=headers, verify=NO_TLS, timeout=30) as thief:
        assert (await thief.post("/graphql", json={"query": ME})).json()["data"] == {"viewer": None}
        refreshed = (await thief.post("/graphql", json={"query": REFRESH})).json()["data"]["refreshSession"]
    assert [each["code"] for each in refreshed["errors"]] == ["TOKEN_INVALID"]


# Pages of other sites.


@asynccontextmanager
async def another_site() -> AsyncIterator[int]:
    """A server of somebody else on this machine; yields its port."""
    page = (Path(__file__).parent / "pages" / "elsewhere.html").read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + page)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


class Watch:
    """What a page's requests carried and how they were answered, as the browser's network stack saw it."""

    def __init__(self) -> None:
        self._carried: dict[str, bool] = {}
        self._answered: dict[str, int] = {}

    async def follow(self, page: Page) -> None:
        """Watch this page from now on."""
        session = await page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSentExtraInfo", self._sent)
        session.on("Network.responseReceivedExtraInfo", self._received)
        await session.send("Network.enable")

    def _sent(self, event: Json) -> None:
        headers = {name.lower(): value for name, value in event["headers"].items()}
        self._carried[event["requestId"]] = "__Host-access" in headers.get("cookie", "")

    def _received(self, event: Json) -> None:
        self._answered[event["requestId"]] = event["statusCode"]

    def answers(self, *, with_cookies: bool) -> set[int]:
        """How requests with, or without, a session's cookie were answered."""
        return {
            self._answered[each]
            for each, carried in self._carried.items()
            if carried is with_cookies and each in self._answered
        }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_page_of_another_site_can_neither_read_nor_act(live_server: str, browser: Browser, host: str) -> None:
    """127.0.0.1 is another site to the browser; localhost with another port is the same site, so that it sends the cookies."""
    emil = await newcomer(browser, live_server, f"emil-{host.replace('.', '-')}")
    email, victim = emil.email, await emil.signed_in("Laptop")
    before = (await victim.data(ME), await sessions(victim), await victim.cookies())
    api = f"{live_server}/graphql"
    async with another_site() as port:
        page = await victim.page.context.new_page()
        await page.goto(f"http://{host}:{port}/")
        watch = Watch()
        await watch.follow(page)

        log_in = f'mutation {{ logIn(input: {{email: "{email}", password: "{PASSWORD}"}}) {{ errors {{ code }} }} }}'
        for operation in (ME, RENAME, FREEZE, LOG_OUT, log_in):
            async with asyncio.timeout(WAIT_SECONDS):
                learnt = await page.evaluate("(given) => everyWay(...given)", [api, operation])
            assert set(learnt.values()) <= {"refused: TypeError", "refused", "opaque", "hidden"}, operation
            assert len(learnt) == 13
        async with asyncio.timeout(WAIT_SECONDS):
            assert await page.evaluate("socket", api) == "closed: 1006"
        if host == "localhost":
            assert watch.answers(with_cookies=True) == {403, 415}
            assert watch.answers(with_cookies=False) == {204}
        else:
            assert watch.answers(with_cookies=True) == set()
            assert watch.answers(with_cookies=False) == {200, 204, 405, 415}
        assert (await victim.data(ME), await sessions(victim), await victim.cookies()) == before

        query = "?query=" + RENAME.replace(" ", "%20")
        for address in (api + query, api + "?query=%7Bviewer%7Bemail%7D%7D"):
            await page.goto(f"http://{host}:{port}/")
            await page.evaluate("(address) => { location = address; }", address)
            await page.wait_for_url(lambda url: url.startswith(api))
            assert email not in await page.content()
        assert (await victim.data(ME), await sessions(victim), await victim.cookies()) == before
