"""GraphiQL for browsers: its page, its assets, and the policies that keep both on this server.

The bundle in `graphiql/dist` is built by npm and needs no other host. Where it was not built, the same page loads its libraries from a
CDN, with the looser policy that needs, and says so.
"""

import base64
import hashlib
import json
import os
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

ASSETS_PATH = "/graphiql/assets"
"""Where `Explorer.assets` is to be mounted."""
_FOLDER = Path(__file__).parent / "graphiql"
_CDN = "https://esm.sh"
_COMMENT_WIDTH = 53
_ASSET_HEADERS = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
_IMMUTABLE = "public, max-age=31536000, immutable"


def accepts_page(method: str, accept: str) -> bool:
    """Whether a request for /graphql comes from a browser's address bar: a GET that names text/html and not JSON.

    `accept` is the Accept header, several joined by commas. Clients of the API name application/json,
    application/graphql-response+json or only */*.
    """
    types = {part.split(";", 1)[0].strip().lower() for part in accept.split(",")}
    return method == "GET" and "text/html" in types and not any(name.endswith("json") for name in types)


class Explorer:
    """GraphiQL with tabs that show the product.

    Args:
        notice: what is simulated or replayed at this moment, in plain sentences; asked for every page.
        folder: the npm package with `tabs/`, `src/` and, once built, `dist/`.
    """

    assets: StaticFiles

    def __init__(self, notice: Callable[[], str], folder: Path = _FOLDER) -> None:
        self._notice = notice
        self._tabs = [tab.read_text() for tab in sorted((folder / "tabs").glob("*.graphql"))]
        manifest = folder / "dist" / "manifest.json"
        if manifest.exists():
            files: dict[str, str] = json.loads(manifest.read_bytes())
            self._head = _bundle_head(files)
            self._policy = _content_policy()
            self.assets = _Assets(folder / "dist", cache_control=_IMMUTABLE)
        else:
            package: dict[str, dict[str, str]] = json.loads((folder / "package.json").read_bytes())
            imports = _import_map(package["devDependencies"])
            self._head = _cdn_head(imports, package["devDependencies"])
            self._policy = _cdn_content_policy(imports)
            self.assets = _Assets(folder / "src", cache_control="no-cache")

    def page(self) -> Response:
        """The page for a request that `accepts_page`."""
        return HTMLResponse(
            _PAGE.format(head=self._head, data=self._data()),
            headers={
                "Content-Security-Policy": self._policy,
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
                "Vary": "Accept",
                "X-Content-Type-Options": "nosniff",
            },
        )

    def _data(self) -> str:
        """The JSON the page reads, safe inside a script element."""
        notice = " ".join(self._notice().split())
        comment = "".join(f"#! {line}\n" for line in textwrap.wrap(notice, _COMMENT_WIDTH))
        first, *others = self._tabs
        data = {"notice": notice, "comment": comment, "tabs": [comment + first, *others]}
        return json.dumps(data).replace("<", "\\u003c")


class _Assets(StaticFiles):
    """Static files with their own policy and caching."""

    def __init__(self, directory: Path, *, cache_control: str) -> None:
        super().__init__(directory=directory)
        self._headers = {**_ASSET_HEADERS, "Cache-Control": cache_control}

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(self._headers)
        return response


_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>CryptoVault API</title>
    <link rel="icon" href="data:,">
    <script type="application/json" id="cryptovault">{data}</script>
{head}
  </head>
  <body>
    <div id="graphiql"></div>
  </body>
</html>
"""


def _bundle_head(files: Mapping[str, str]) -> str:
    return (
        f'    <link rel="stylesheet" href="{ASSETS_PATH}/{files["style"]}">\n'
        f'    <script type="module" src="{ASSETS_PATH}/{files["script"]}"></script>'
    )


def _content_policy(*, scripts: str = "", styles: str = "", workers: str = "'self'", connections: str = "") -> str:
    """What the page may load. The editor (Monaco) sets style attributes and has its icons and fonts in its style sheet."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self'{scripts}",
            f"style-src 'self' 'unsafe-inline'{styles}",
            "font-src 'self' data:",
            "img-src 'self' data:",
            f"connect-src 'self'{connections}",
            f"worker-src {workers}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _import_map(versions: Mapping[str, str]) -> str:
    """Where the browser finds the libraries `src/explorer.js` names, in the versions of package.json."""
    shared = "standalone&external=react,react-dom,graphql"
    return json.dumps(
        {
            "imports": {
                "react": f"{_CDN}/react@{versions['react']}",
                "react/": f"{_CDN}/react@{versions['react']}/",
                "react-dom": f"{_CDN}/react-dom@{versions['react-dom']}",
                "react-dom/": f"{_CDN}/react-dom@{versions['react-dom']}/",
                "graphql": f"{_CDN}/graphql@{versions['graphql']}",
                "graphql-ws": f"{_CDN}/graphql-ws@{versions['graphql-ws']}?external=graphql",
                "graphiql": f"{_CDN}/graphiql@{versions['graphiql']}?{shared},@graphiql/react",
                "graphiql/": f"{_CDN}/graphiql@{versions['graphiql']}/",
                "@graphiql/react": f"{_CDN}/@graphiql/react@{versions['@graphiql/react']}?{shared},@graphiql/toolkit",
                "@graphiql/toolkit": f"{_CDN}/@graphiql/toolkit@{versions['@graphiql/toolkit']}?standalone&external=graphql",
            }
        }
    )


def _cdn_head(imports: str, versions: Mapping[str, str]) -> str:
    return (
        f"    <!-- {_FOLDER.name}/dist was not built (npm ci && npm run build), so the libraries come from a CDN, {_CDN}. -->\n"
        f'    <link rel="stylesheet" href="{_CDN}/graphiql@{versions["graphiql"]}/dist/style.css">\n'
        f'    <link rel="stylesheet" href="{ASSETS_PATH}/page.css">\n'
        f'    <script type="importmap">{imports}</script>\n'
        f'    <script type="module" src="{_CDN}/graphiql@{versions["graphiql"]}/setup-workers/esm.sh"></script>\n'
        f'    <script type="module" src="{ASSETS_PATH}/explorer.js"></script>'
    )


def _cdn_content_policy(imports: str) -> str:
    digest = base64.b64encode(hashlib.sha256(imports.encode()).digest()).decode()
    return _content_policy(
        scripts=f" 'sha256-{digest}' {_CDN} blob:", styles=f" {_CDN}", workers="'self' blob:", connections=f" {_CDN}"
    )
