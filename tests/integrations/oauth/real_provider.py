"""npm's oidc-provider as a process of its own, and the browser that goes through it."""

import json
import selectors
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx

from tests import components

FOLDER = components.ROOT / "tests" / "node"
REDIRECT = "http://127.0.0.1:9/callback"
SECRET = "a secret: 100% local+only"


def node() -> str:
    """The node executable; the test is skipped where it or the package is absent."""
    binary = shutil.which("node")
    if binary is None:
        components.missing("node")
        raise RuntimeError("components.missing() returned")
    if not (FOLDER / "node_modules" / "oidc-provider").is_dir():
        components.missing("`npm ci` in tests/node")
    return binary


@contextmanager
def running(*redirect_uris: str) -> Iterator[str]:
    """The provider on a free port; yields its issuer."""
    process = subprocess.Popen(
        [node(), str(FOLDER / "oidc" / "provider.mjs"), "0", *(redirect_uris or (REDIRECT,))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _issuer(process)
    finally:
        process.kill()
        process.communicate()


async def code_for(url: str, account: str) -> dict[str, str]:
    """The parameters a browser brings back from an authorization URL after signing in as this account."""
    url = f"{url}&login_hint={account}"
    async with httpx.AsyncClient() as browser:
        while not url.startswith(REDIRECT):
            answer = await browser.get(url)
            if not answer.is_redirect:
                raise RuntimeError(f"the provider answered with status {answer.status_code}: {answer.text[:500]}")
            url = str(answer.url.join(answer.headers["location"]))
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _issuer(process: "subprocess.Popen[bytes]") -> str:
    if process.stdout is None:
        raise RuntimeError("the provider was started without a pipe")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(components.START_SECONDS):
            raise RuntimeError("the provider did not start in time")
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the provider ended with status {process.wait()} before it listened")
    issuer: str = json.loads(line)["issuer"]
    return issuer
