"""The pages that mailed links lead to: complete in every language, and shut off from everything but this server."""

import tomllib
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette

from core.settings import Settings
from core.translations import LOCALES
from server import account_pages
from server.account_pages import ACTIONS, account_routes, pages_url
from tests.components import schema_text

FOLDER = Path(account_pages.__file__).parent / "pages"


def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Starlette(routes=account_routes()))
    return httpx.AsyncClient(transport=transport, base_url="http://vault.example")


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ({}, "http://localhost:8000/account"),
        ({"port": 9000}, "http://localhost:9000/account"),
        ({"port": 0}, "http://localhost:8000/account"),
        ({"port": 9000, "app_url": "http://localhost:8000"}, "http://localhost:8000/account"),
        ({"app_url": "https://vault.example/"}, "https://vault.example/account"),
        ({"app_url": "https://vault.example", "account_pages_url": "https://app.example/a"}, "https://app.example/a"),
    ],
)
def test_links_lead_to_where_the_pages_are(said: dict[str, object], url: str) -> None:
    assert pages_url(Settings(_env_file=None, **said)) == url  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("locale", LOCALES)
async def test_each_page_speaks_the_readers_language(action: str, locale: str) -> None:
    async with client() as browser:
        page = await browser.get(f"/account/{action}", headers={"accept-language": f"{locale}-XX"})
    texts = tomllib.loads((FOLDER / f"{locale}.toml").read_text())
    assert page.status_code == 200
    assert f'<html lang="{locale}">' in page.text
    assert texts[action]["title"] in page.text
    assert ('type="password"' in page.text) is (action == "reset-password")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in page.text
    assert "style=" not in page.text


def test_all_languages_have_the_same_texts() -> None:
    shapes = [
        {name: sorted(value) if isinstance(value, dict) else "" for name, value in texts.items()}
        for texts in (tomllib.loads((FOLDER / f"{locale}.toml").read_text()) for locale in LOCALES)
    ]
    assert all(shape == shapes[0] for shape in shapes)


async def test_nothing_else_of_the_folder_is_served() -> None:
    async with client() as browser:
        assert (await browser.get("/account/assets/page.js")).headers["content-type"].startswith("text/javascript")
        assert (await browser.get("/account/assets/page.css")).status_code == 200
        for name in ("en.toml", "page.html", "../account_pages.py", "..%2faccount_pages.py", ""):
            assert (await browser.get(f"/account/assets/{name}")).status_code == 404
        assert (await browser.get("/account/other")).status_code == 404


def test_the_mutations_in_the_script_are_valid() -> None:
    script = (FOLDER / "page.js").read_text()
    schema = build_schema(schema_text())
    documents = [line.strip().strip('",') for line in script.splitlines() if "mutation " in line]
    documents = [document[document.index("mutation ") :] for document in documents]
    assert len(documents) == len(ACTIONS)
    assert [validate(schema, parse(document)) for document in documents] == [[]] * len(ACTIONS)
