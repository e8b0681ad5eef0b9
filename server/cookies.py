"""Our cookies: `__Host-`, HttpOnly, Secure, SameSite=Strict (RFC 6265bis). A page's script never sees them, another site never sends them."""

from collections.abc import Iterable

from core.clock import Clock
from graph.request import Outgoing

ACCESS = "__Host-access"
REFRESH = "__Host-refresh"
DEVICE = "__Host-device"
BROWSER = "__Host-browser"
_DEVICE_SECONDS = 365 * 86_400
_BROWSER_SECONDS = 600
_LONGEST_HEADER = 16_384
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"

Header = tuple[bytes, bytes]


def read_cookies(headers: Iterable[Header]) -> dict[str, str]:
    """The cookies a client shows, the first of each name."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name == b"cookie" and len(value) <= _LONGEST_HEADER:
            for part in value.decode("latin-1").split(";"):
                key, equals, text = part.strip().partition("=")
                if equals:
                    found.setdefault(key, text.strip('"'))
    return found


def set_cookies(outgoing: Outgoing, clock: Clock) -> list[Header]:
    """The headers that carry what an operation wants sent back."""
    headers = []
    if outgoing.signs_out:
        headers += [_gone(ACCESS), _gone(REFRESH)]
    if outgoing.tokens is not None:
        tokens, now_ms = outgoing.tokens, clock.now_ms()
        headers.append(_cookie(ACCESS, tokens.access, (tokens.expires_ms - now_ms) // 1000))
        headers.append(_cookie(REFRESH, tokens.refresh, (tokens.refresh_expires_ms - now_ms) // 1000))
    if outgoing.device_token is not None:
        headers.append(_cookie(DEVICE, outgoing.device_token, _DEVICE_SECONDS))
    if outgoing.browser_token is not None:
        headers.append(_cookie(BROWSER, outgoing.browser_token, _BROWSER_SECONDS))
    return headers


def _cookie(name: str, value: str, seconds: int) -> Header:
    return b"set-cookie", f"{name}={value}; Max-Age={max(0, seconds)}; {_ATTRIBUTES}".encode()


def _gone(name: str) -> Header:
    return _cookie(name, "", 0)
