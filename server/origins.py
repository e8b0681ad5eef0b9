"""Which web origins may use this API from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from core.settings import Mode, Settings

ANY = "*"
_METHODS = b"GET, POST, OPTIONS"
_HEADERS = (
    b"accept, apollo-require-preflight, authorization, content-type, x-api-key, x-apollo-operation-name, "
    b"x-exchange-sequence, x-request-id, x-requested-with"
)
_EXPOSED = b"ratelimit, ratelimit-policy, retry-after, x-exchange-sequence, x-request-id"
_PREFLIGHT_SECONDS = b"600"
Header = tuple[bytes, bytes]


class Origins:
    """The allow-list. `*` allows every origin, for development only."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """`allowed`: origins such as `https://app.example.com`. Raises ValueError naming one that is none."""
        self._allowed = frozenset(_normalised(origin) for origin in allowed)

    @property
    def listed(self) -> list[str]:
        """The origins on the list, without `*`."""
        return sorted(self._allowed - {ANY})

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may read answers and open sockets. `null` never may, unless everybody does.

        A browser does not ask before it opens a socket, so this check is what stands between another site and a visitor's session.
        The Host header proves nothing: a name of another site may resolve to this server.
        """
        return ANY in self._allowed or origin.lower() in self._allowed

    def allows_credentials(self, origin: str) -> bool:
        """Whether pages of this origin may act with a visitor's cookies: only those on the list, never everybody's."""
        return origin.lower() in self._allowed and origin != ANY

    def response_headers(self, origin: str | None) -> list[Header]:
        """CORS headers for an answer to a page of this origin; none for others."""
        if origin is None or not self.allows(origin):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED),
            *self._credentials(origin),
        ]

    def preflight_headers(self, origin: str | None) -> list[Header]:
        """CORS headers for a preflight of this origin; none for others, so that the browser refuses."""
        if origin is None or not self.allows(origin):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _HEADERS),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
            *self._credentials(origin),
        ]

    def _credentials(self, origin: str) -> list[Header]:
        return [(b"access-control-allow-credentials", b"true")] if self.allows_credentials(origin) else []


def own_origin(app_url: str) -> str:
    """The origin of the public URL."""
    parts = urlsplit(app_url)
    return f"{parts.scheme}://{parts.netloc}"


def own_origins(*, app_url: str, port: int, embedded: bool) -> list[str]:
    """Origins of the pages this server itself serves: the public URL's, and in development the loopback ones."""
    own = [own_origin(app_url)]
    if embedded:
        own += [f"http://{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]")]
    return own


def page_origins(settings: Settings) -> Origins:
    """Origins whose pages may use this API: its own, and those that are configured."""
    own = own_origins(app_url=settings.app_url, port=settings.port, embedded=settings.mode is Mode.EMBEDDED)
    return Origins([*own, *settings.cors_origins])


def _normalised(origin: str) -> str:
    if origin == ANY:
        return ANY
    parts = urlsplit(origin)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{origin!r} is no origin such as https://app.example.com")
    return f"{parts.scheme}://{parts.netloc}".lower()
