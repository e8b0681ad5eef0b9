"""The small pages that links in mails lead to, for installations without a frontend of their own (ACCOUNT_PAGES_URL).

They do one thing each, by one mutation, after somebody presses a button. Their policy allows nothing but this server's own two files.
"""

import tomllib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from core.settings import Settings
from core.translations import LOCALES, accepted_locale

ACTIONS = ("verify-email", "reset-password", "confirm-withdrawal", "freeze")
PATHS = frozenset(f"/account/{action}" for action in ACTIONS)
_FOLDER = Path(__file__).parent / "pages"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cache-control": "public, max-age=300",
    "vary": "Accept-Language",
    "cross-origin-opener-policy": "same-origin",
}


def pages_url(settings: Settings) -> str:
    """Where links in mails lead: ACCOUNT_PAGES_URL, or this server's own pages below APP_URL; without that either, below its port of this machine."""
    if settings.account_pages_url is not None:
        return settings.account_pages_url
    is_said = "app_url" in settings.model_fields_set or settings.port == 0
    return f"{settings.app_url.rstrip('/') if is_said else f'http://localhost:{settings.port}'}/account"


def account_routes() -> list[BaseRoute]:
    """A page for each action in each language, and their two files."""
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("page.html")
    pages: dict[tuple[str, str], str] = {}
    for locale in LOCALES:
        texts = tomllib.loads((_FOLDER / f"{locale}.toml").read_text())
        shared = {name: texts.pop(name) for name in ("failed", "no_token", "no_script")}
        for action in ACTIONS:
            text = {"password": None, **texts[action]}
            pages[action, locale] = template.render(locale=locale, action=action, text=text, **shared)

    def page(request: Request) -> Response:
        locale = accepted_locale(request.headers.get("accept-language", ""))
        return HTMLResponse(pages[request.url.path.rpartition("/")[2], locale], headers=_HEADERS)

    return [*(Route(path, page) for path in sorted(PATHS)), Mount("/account/assets", _Assets(directory=_FOLDER))]


class _Assets(StaticFiles):
    """The script and the style, nothing else of the folder."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        name = path if path in ("page.js", "page.css") else "absent"
        response = await super().get_response(name, scope)
        response.headers.update(
            {"content-security-policy": "default-src 'none'", "cache-control": "public, max-age=300"}
        )
        return response
