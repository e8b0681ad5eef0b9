"""An OpenID provider's description of itself (OpenID Connect Discovery 1.0), as far as it is used here."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from integrations.oauth.base import text_of
from integrations.oauth.grant import BASIC, POST

_PATH = "/.well-known/openid-configuration"


class UnusableDocument(ValueError):
    """The description cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """Where to ask what, and how a client with a secret shows it there; None: in no way that is known here."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    secret_method: str | None


def discovery_url(issuer: str) -> str:
    """Where an issuer describes itself."""
    return issuer.rstrip("/") + _PATH


def is_http_url(url: str, *, secure: bool) -> bool:
    """Whether this is an https URL, or an http one where that is allowed, without a user in it."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError when it is none
    except ValueError:
        return False
    allowed = ("https",) if secure else ("https", "http")
    return parts.scheme in allowed and bool(parts.hostname) and "@" not in parts.netloc and url.isprintable()


def read_discovery(document: Mapping[str, object], issuer: str) -> Discovery:
    """The description, when it is this issuer's own. Its addresses are https, unless the issuer's own is http.

    Raises:
        UnusableDocument: it describes another issuer, or lacks something.
    """
    if document.get("issuer") != issuer:
        raise UnusableDocument("its discovery document names another issuer")
    secure = urlsplit(issuer).scheme == "https"
    return Discovery(
        authorization_endpoint=_address(document, "authorization_endpoint", secure=secure),
        token_endpoint=_address(document, "token_endpoint", secure=secure),
        jwks_uri=_address(document, "jwks_uri", secure=secure),
        userinfo_endpoint=(
            _address(document, "userinfo_endpoint", secure=secure) if "userinfo_endpoint" in document else None
        ),
        secret_method=_secret_method(document.get("token_endpoint_auth_methods_supported", [BASIC])),
    )


def _address(document: Mapping[str, object], name: str, *, secure: bool) -> str:
    url = text_of(document.get(name))
    if url is None or not is_http_url(url, secure=secure):
        raise UnusableDocument(f"its discovery document has no {name} that can be used")
    return url


def _secret_method(supported: object) -> str | None:
    methods = supported if isinstance(supported, list) else []
    return next((method for method in (BASIC, POST) if method in methods), None)
