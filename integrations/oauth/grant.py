"""The messages of the authorization code grant with PKCE (RFC 6749, RFC 7636), as Authlib makes them.

Only Authlib's message makers are used, not its AsyncOAuth2Client: that one reads answers of any length, keeps the last
person's token, and warns on import that httpx will no longer do. Authlib has no type hints; this is its typed face.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote_plus

from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from integrations.oauth.base import AuthorizationRequest, ProviderRefused, ProviderUnavailable, random_text, text_of
from integrations.oauth.http import Answer, OAuthHttp

BASIC, POST, PUBLIC = "client_secret_basic", "client_secret_post", "none"
"""How a client proves itself (OpenID Connect Core, 9)."""
_CODE = re.compile(r"[\x20-\x7e]{1,4096}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_ERROR = re.compile(r"[a-z0-9_]{1,40}")
_NOT_THE_PERSONS_FAULT = frozenset(
    {"invalid_client", "unauthorized_client", "incorrect_client_credentials", "redirect_uri_mismatch"}
)
"""The provider does not accept this server's own registration; the last two are GitHub's."""


def authorization_request(
    endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    scope: str,
    with_nonce: bool,
    response_mode: str | None = None,
) -> AuthorizationRequest:
    """A new request, with its own state, nonce and verifier."""
    state, nonce, code_verifier = random_text(), random_text(), random_text()
    url: str = prepare_grant_uri(
        endpoint,
        client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=scope,
        state=state,
        nonce=nonce if with_nonce else None,
        response_mode=response_mode,
        code_challenge=create_s256_code_challenge(code_verifier),
        code_challenge_method="S256",
    )
    return AuthorizationRequest(url, state, nonce, code_verifier)


async def exchange(
    http: OAuthHttp,
    endpoint: str,
    code: str,
    *,
    client_id: str,
    client_secret: str,
    method: str,
    redirect_uri: str,
    code_verifier: str,
) -> Mapping[str, object]:
    """What the provider gives for a code. Raises ProviderUnavailable, ProviderRefused."""
    if _CODE.fullmatch(code) is None:
        raise ProviderRefused(http.provider, "the code is no code")
    body: str = prepare_token_request(
        "authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=code_verifier
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if method == BASIC:  # RFC 6749, 2.3.1: both are form-encoded before they are joined
        client_id, client_secret = quote_plus(client_id), quote_plus(client_secret)
    _, headers, body = ClientAuth(client_id, client_secret, method).prepare("POST", endpoint, headers, body)
    return _granted(http.provider, await http.post(endpoint, headers, body))


def bearer(provider: str, given: Mapping[str, object]) -> dict[str, str]:
    """The header that shows a granted access token. Raises ProviderUnavailable when there is none."""
    token = text_of(given.get("access_token"))
    if token is None or _TOKEN.fullmatch(token) is None:
        raise ProviderUnavailable(provider, "it gave no access token that can be used")
    return {"Authorization": f"Bearer {token}"}


def _granted(provider: str, answer: Answer) -> Mapping[str, object]:
    """The token response. GitHub answers its refusals with status 200, so the error counts, whatever the status."""
    given = answer.document()
    if "error" in given:
        error = given["error"]
        named = error if isinstance(error, str) and _ERROR.fullmatch(error) else "an error without a name"
        if named in _NOT_THE_PERSONS_FAULT:
            raise ProviderUnavailable(provider, f"it does not accept this server's registration: {named}")
        raise ProviderRefused(provider, f"it refused the code: {named}")
    if answer.status != 200 or not given:
        raise ProviderUnavailable(provider, f"its token answer with status {answer.status} cannot be used")
    return given
