"""The explorer's page, policies and assets, without a browser."""

import base64
import hashlib
import html.parser
import json
import re
import shutil
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette
from starlette.routing import Mount

from graph.limits import DocumentLimits, parse_document
from server.explorer import ASSETS_PATH, Explorer, accepts_page
from tests import components

PACKAGE = components.ROOT / "server" / "graphiql"
TABS = sorted((PACKAGE / "tabs").glob("*.graphql"))
SCRIPT = "bundle-ABC.js"
STYLE = "bundle-DEF.css"


class Elements(html.parser.HTMLParser):
    """Every element of a page, and the text of its scripts by type."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.comments: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.found[-1] if self.found else ("", {})
        if tag == "script" and data.strip():
            self.scripts.setdefault(attributes["type"] or "", data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def addresses(self) -> list[str]:
        """What the page loads."""
        return [value for _, attrs in self.found for name in ("src", "href") if (value := attrs.get(name))]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the npm package that was never built."""
    for name in ("src", "tabs"):
        shutil.copytree(PACKAGE / name, tmp_path / name)
    shutil.copy(PACKAGE / "package.json", tmp_path)
    return tmp_path


@pytest.fixture
def built(package: Path) -> Path:
    """The same with a bundle."""
    dist = package / "dist"
    dist.mkdir()
    (dist / SCRIPT).write_text("1;")
    (dist / STYLE).write_text("p {}")
    (dist / "manifest.json").write_text(json.dumps({"script": SCRIPT, "style": STYLE}))
    return package


def text_of(explorer: Explorer) -> str:
    return bytes(explorer.page().body).decode()


def assets(explorer: Explorer) -> httpx.AsyncClient:
    application = Starlette(routes=[Mount(ASSETS_PATH, explorer.assets)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://localhost")


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.stem)
def test_tabs_are_valid_documents_of_the_schema(tab: Path) -> None:
    assert validate(build_schema(components.schema_text()), parse(tab.read_text())) == []


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.stem)
def test_tabs_keep_to_the_limits_of_documents(tab: Path) -> None:
    parse_document(tab.read_text(), DocumentLimits())


def test_tabs_show_markets_ticker_book_and_candles() -> None:
    text = "".join(tab.read_text() for tab in TABS)
    for field in ("markets(", "priceTicks(", "tickers(", "orderBook(", "candles(", "indicators("):
        assert field in text


@pytest.mark.parametrize(
    ("method", "accept", "expected"),
    [
        ("GET", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", True),
        ("GET", "TEXT/HTML; charset=utf-8", True),
        ("GET", "*/*", False),
        ("GET", "", False),
        ("GET", "application/json", False),
        ("GET", "application/graphql-response+json, text/html;q=0.5", False),
        ("GET", "text/event-stream", False),
        ("POST", "text/html", False),
        ("HEAD", "text/html", False),
    ],
)
def test_only_an_address_bar_gets_the_page(method: str, accept: str, expected: bool) -> None:
    assert accepts_page(method, accept) is expected


def test_the_page_says_what_is_simulated_each_time_anew(built: Path) -> None:
    notices = iter(["All prices are SIMULATED.", "Prices are LIVE."])
    explorer = Explorer(lambda: next(notices), built)
    first = json.loads(Elements(text_of(explorer)).scripts["application/json"])
    second = json.loads(Elements(text_of(explorer)).scripts["application/json"])
    assert first["notice"] == "All prices are SIMULATED."
    assert first["tabs"][0] == "#! All prices are SIMULATED.\n" + TABS[0].read_text()
    assert first["tabs"][1:] == [tab.read_text() for tab in TABS[1:]]
    assert second["tabs"][0].startswith("#! Prices are LIVE.\n")


def test_a_notice_is_text_whatever_it_holds(built: Path) -> None:
    notice = "</script><script>alert(1)</script>\n}query Evil { x }\n" + "word " * 40
    page = text_of(Explorer(lambda: notice, built))
    data = json.loads(Elements(page).scripts["application/json"])
    assert "<script>alert" not in page
    assert data["notice"] == " ".join(notice.split())
    assert all(line.startswith("#! ") for line in data["comment"].splitlines())
    assert data["tabs"][0] == data["comment"] + TABS[0].read_text()
    assert max(map(len, data["comment"].splitlines())) <= 60


def test_the_built_page_loads_from_this_server_alone(built: Path) -> None:
    explorer = Explorer(lambda: "", built)
    page = Elements(text_of(explorer))
    assert set(page.addresses()) == {"data:,", f"{ASSETS_PATH}/{SCRIPT}", f"{ASSETS_PATH}/{STYLE}"}
    policy = explorer.page().headers["content-security-policy"]
    assert "https:" not in policy
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert explorer.page().headers["cache-control"] == "no-store"


async def test_assets_are_typed_kept_for_ever_and_confined(built: Path) -> None:
    client = assets(Explorer(lambda: "", built))
    script = await client.get(f"{ASSETS_PATH}/{SCRIPT}")
    style = await client.get(f"{ASSETS_PATH}/{STYLE}")
    assert re.match(r"(text|application)/javascript", script.headers["content-type"])
    assert style.headers["content-type"].startswith("text/css")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["x-content-type-options"] == "nosniff"
    assert script.headers["content-security-policy"] == "default-src 'none'"
    again = await client.get(f"{ASSETS_PATH}/{SCRIPT}", headers={"If-None-Match": script.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["nothing.js", "../package.json", "%2e%2e/package.json", "..%2f..%2fexplorer.py", ""])
async def test_nothing_else_is_served(built: Path, path: str) -> None:
    response = await assets(Explorer(lambda: "", built)).get(f"{ASSETS_PATH}/{path}")
    assert response.status_code == 404


async def test_without_a_bundle_the_page_uses_a_cdn_and_says_so(package: Path) -> None:
    explorer = Explorer(lambda: "", package)
    page = Elements(text_of(explorer))
    assert any("CDN" in comment for comment in page.comments)
    policy = explorer.page().headers["content-security-policy"]
    digest = base64.b64encode(hashlib.sha256(page.scripts["importmap"].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert {address.split("/")[2] for address in page.addresses() if address.startswith("https://")} == {"esm.sh"}
    client = assets(explorer)
    for address in page.addresses():
        if address.startswith(ASSETS_PATH):
            assert (await client.get(address)).status_code == 200


def test_the_cdn_knows_every_library_in_the_version_of_the_bundle(package: Path) -> None:
    imports = json.loads(Elements(text_of(Explorer(lambda: "", package))).scripts["importmap"])["imports"]
    wanted = re.findall(
        r"^import .* from '([^./'][^']*)';", (PACKAGE / "src" / "explorer.js").read_text(), re.MULTILINE
    )
    assert "graphiql" in wanted
    for name in wanted:
        prefixes = [known for known in imports if name == known or (known.endswith("/") and name.startswith(known))]
        assert prefixes, name
    versions = json.loads((PACKAGE / "package.json").read_text())["devDependencies"]
    assert f"graphiql@{versions['graphiql']}" in imports["graphiql"]


def test_lock_files_name_no_host_to_download_from() -> None:
    for lock in (PACKAGE / "package-lock.json", components.ROOT / "tests" / "node" / "package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert all("integrity" in entry for name, entry in packages.items() if name)
        assert not any("resolved" in entry for entry in packages.values())
