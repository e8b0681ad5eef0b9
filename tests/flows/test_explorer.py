"""The explorer as a person opens it: a real browser on a running server, with nothing else in reach."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, WebSocketRoute, expect

from tests import components

DIST = components.ROOT / "server" / "graphiql" / "dist" / "manifest.json"
pytestmark = pytest.mark.asyncio(loop_scope="module")
WAIT_MS = 30_000
OPERATION = ".graphiql-query-editor .view-lines"
RESPONSE = ".graphiql-response .view-lines"
NOTICE = re.compile(r"SIMULATED|REPLAY|live", re.IGNORECASE)
TABS = sorted((components.ROOT / "server" / "graphiql" / "tabs").glob("*.graphql"))


@dataclass
class Watched:
    """A browser page and everything that went wrong on it."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._request)
        self.page.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url}"))
        self.page.on("response", self._response)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss"):
            self.hosts.add(address.netloc)

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text}")


@pytest_asyncio.fixture(loop_scope="module")
async def watched(browser: Browser) -> AsyncIterator[Watched]:
    """A page in a fresh profile of a headless Chromium."""
    if not DIST.exists():
        components.missing("server/graphiql/dist (npm run build)")
    profile = await browser.new_context(viewport={"width": 1440, "height": 900})
    yield Watched(await profile.new_page())
    await profile.close()


async def run_tab(page: Page, name: str) -> None:
    """Bring a tab to the front, once the page is there, and run it."""
    await expect(page.locator(OPERATION)).to_contain_text("Markets", timeout=WAIT_MS)
    await run(page, name)


async def run(page: Page, name: str) -> None:
    await page.get_by_role("tab", name=name).click()
    await expect(page.locator(OPERATION)).to_contain_text(name, timeout=WAIT_MS)
    await page.get_by_role("button", name="Execute query").click()


async def shown(page: Page, pattern: str) -> str:
    """Wait until the response shows the pattern; returns its first group."""
    answer = page.locator(RESPONSE)
    await expect(answer).to_contain_text(re.compile(pattern), timeout=WAIT_MS)
    match = re.search(pattern, await answer.inner_text())
    assert match is not None
    return match.group(1)


async def test_first_tab_says_what_is_simulated_and_shows_markets(live_server: str, watched: Watched) -> None:
    page = watched.page
    await page.goto(f"{live_server}/graphql")
    await expect(page.locator(OPERATION)).to_contain_text(NOTICE, timeout=WAIT_MS)
    await expect(page.locator(".cryptovault-notice")).to_contain_text(NOTICE)
    await run_tab(page, "Markets")
    assert await shown(page, r'"symbol":\s"([A-Z]+-[A-Z]+)"')
    assert await shown(page, r'"status":\s"(SIMULATED|REPLAY|LIVE|DEGRADED)"')
    assert watched.hosts == {urlsplit(live_server).netloc}
    assert watched.problems == []


async def test_ticker_tab_shows_changing_prices(live_server: str, watched: Watched) -> None:
    page = watched.page
    await page.goto(f"{live_server}/graphql")
    await run_tab(page, "LivePrices")
    prices: set[str] = set()
    async with asyncio.timeout(WAIT_MS / 1000):
        while len(prices) < 5:
            prices.add(await shown(page, r'"price":\s"(\d+(?:\.\d+)?)"'))
            before = await page.locator(RESPONSE).inner_text()
            await expect(page.locator(RESPONSE)).not_to_have_text(before, timeout=WAIT_MS, use_inner_text=True)
    await page.get_by_role("button", name="Stop").click()
    assert watched.hosts == {urlsplit(live_server).netloc}
    assert watched.problems == []


async def test_the_other_tabs_answer(live_server: str, watched: Watched) -> None:
    await watched.page.goto(f"{live_server}/graphql")
    await expect(watched.page.locator(OPERATION)).to_contain_text("Markets", timeout=WAIT_MS)
    for tab, pattern in (
        ("LiveTickers", r'"last":\s"([\d.]+)"'),
        ("LiveOrderBook", r'"previousSequence":\s(\d+)'),
        ("CandlesAndIndicators", r'"close":\s"([\d.]+)"'),
        ("MyAccount", r'"viewer":\s(null)'),
    ):
        await run(watched.page, tab)
        assert await shown(watched.page, pattern)
    assert watched.problems == []


async def test_a_page_kept_by_the_browser_says_what_is_simulated_now(live_server: str, watched: Watched) -> None:
    page = watched.page
    await page.goto(f"{live_server}/graphql")
    await expect(page.locator(OPERATION)).to_contain_text(NOTICE, timeout=WAIT_MS)
    stale = "#! Prices are LIVE.\n"
    await page.evaluate(
        """(stale) => {
            const old = (text) => stale + text.replace(/^#!.*\\n/gm, '') + '# mine\\n';
            const state = JSON.parse(localStorage.getItem('graphiql:tabState'));
            state.tabs[0].query = old(state.tabs[0].query);
            localStorage.setItem('graphiql:tabState', JSON.stringify(state));
            localStorage.setItem('graphiql:query', state.tabs[0].query);
        }""",
        stale,
    )
    await page.reload()
    await expect(page.locator(OPERATION)).to_contain_text(NOTICE, timeout=WAIT_MS)
    stored = await page.evaluate("JSON.parse(localStorage.getItem('graphiql:tabState')).tabs.map((tab) => tab.query)")
    assert len(stored) == len(TABS)
    assert stale not in stored[0]
    assert stored[0].endswith("# mine\n")


async def test_stored_tabs_that_cannot_be_read_are_replaced(live_server: str, watched: Watched) -> None:
    page = watched.page
    await page.goto(f"{live_server}/graphql")
    await expect(page.locator(OPERATION)).to_contain_text("Markets", timeout=WAIT_MS)
    await page.evaluate("localStorage.setItem('graphiql:tabState', '{broken')")
    await page.reload()
    await expect(page.get_by_role("tab", name="LivePrices")).to_be_visible(timeout=WAIT_MS)


async def test_a_link_with_a_query_opens_it_in_front_of_the_tabs(live_server: str, watched: Watched) -> None:
    link = urlencode(
        {
            "query": "query Linked($symbol: String!) { market(symbol: $symbol) { id } }",
            "variables": '{"symbol": "BTC-USD"}',
        }
    )
    await watched.page.goto(f"{live_server}/graphql?{link}")
    await expect(watched.page.locator(OPERATION)).to_contain_text("Linked", timeout=WAIT_MS)
    await watched.page.get_by_role("button", name="Execute query").click()
    assert await shown(watched.page, r'"id":\s"([^"]+)"')
    assert watched.problems == []


async def test_a_socket_that_cannot_be_opened_is_explained(live_server: str, watched: Watched) -> None:
    await watched.page.goto(f"{live_server}/graphql")
    await expect(watched.page.locator(OPERATION)).to_contain_text("Markets", timeout=WAIT_MS)
    await watched.page.context.set_offline(True)
    await run_tab(watched.page, "LivePrices")
    assert await shown(watched.page, r"(ws://\S+)\scannot\sbe\sopened")


async def test_a_lost_socket_is_opened_again(live_server: str, watched: Watched) -> None:
    page = watched.page
    sockets: asyncio.Queue[WebSocketRoute] = asyncio.Queue()

    async def connect(route: WebSocketRoute) -> None:
        route.connect_to_server()
        sockets.put_nowait(route)

    await page.route_web_socket("**/graphql", connect)
    await page.goto(f"{live_server}/graphql")
    await run_tab(page, "LivePrices")
    await shown(page, r'"price":\s"([\d.]+)"')
    first = sockets.get_nowait()
    await first.close(code=1012, reason="restart")
    await asyncio.wait_for(sockets.get(), WAIT_MS / 1000)
    before = await page.locator(RESPONSE).inner_text()
    await expect(page.locator(RESPONSE)).not_to_have_text(before, timeout=WAIT_MS, use_inner_text=True)
    assert await shown(page, r'"price":\s"([\d.]+)"')
    assert watched.problems == []
