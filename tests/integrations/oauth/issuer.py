"""An issuer of our own: it signs with keys that a test holds and says whatever the test wants."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from pydantic import SecretStr

from core.clock import ManualClock
from integrations.oauth.base import AuthorizationRequest, ExternalProfile
from integrations.oauth.http import OAuthHttp
from integrations.oauth.openid import OpenIdConfig, OpenIdProvider
from tests.integrations.feeds.venues.sockets import to_json
from tests.integrations.feeds.venues.web import Reply, Request
from tests.integrations.oauth.web import FormVenue

CLIENT_ID = "cryptovault"
CLIENT_SECRET = "not-to-be-shown"
ACCESS_TOKEN = "access-token-not-to-be-shown"
CODE = "code-not-to-be-shown"
REDIRECT = "https://app.example.com/callback"


@lru_cache
def rsa_key(kid: str = "first") -> RSAKey:
    """An RSA key, made once per process."""
    return RSAKey.generate_key(2048, {"kid": kid})


@lru_cache
def ec_key(kid: str = "ec", curve: str = "P-256") -> ECKey:
    """A key on an elliptic curve."""
    return ECKey.generate_key("P-384" if curve == "P-384" else "P-256", {"kid": kid})


@lru_cache
def okp_key(kid: str = "okp") -> OKPKey:
    """An Ed25519 key."""
    return OKPKey.generate_key("Ed25519", {"kid": kid})


def sign(claims: Mapping[str, object], key: Key, algorithm: str = "RS256", **header: object) -> str:
    """A token with these claims, however wrong."""
    body = _body({"alg": algorithm, "kid": key.kid, **header}, claims)
    return f"{body}.{_encoded(JWSRegistry.algorithms[algorithm].sign(body.encode(), key))}"


def forge(claims: Mapping[str, object], algorithm: str, secret: bytes | None) -> str:
    """A token without a signature, or with a shared secret's, under the name of the first key."""
    body = _body({"alg": algorithm, "kid": "first"}, claims)
    return f"{body}.{_encoded(hmac.digest(secret, body.encode(), 'sha256') if secret is not None else b'')}"


def hash_of(access_token: str = ACCESS_TOKEN, name: str = "sha256") -> str:
    """An access token's `at_hash`."""
    digest = hashlib.new(name, access_token.encode()).digest()
    return _encoded(digest[: len(digest) // 2])


def _body(header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    return f"{_encoded(to_json(header).encode())}.{_encoded(to_json(claims).encode())}"


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class FakeIssuer:
    """Listens on a free port. `claims`, `discovery`, `token_response` and `keys` are what it says, changed at will."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.key: Key = rsa_key()
        self.keys: list[Key] = [rsa_key()]
        self.claims: dict[str, object] = {}
        self.discovery: dict[str, object] = {}
        self.token_response: dict[str, object] = {}
        self.userinfo: dict[str, object] = {}
        self.web = FormVenue(
            {
                "/.well-known/openid-configuration": lambda _: Reply(self._described()),
                "/jwks": lambda _: Reply({"keys": [key.as_dict(private=False) for key in self.keys]}),
                "/token": self._token,
                "/userinfo": lambda _: Reply({"sub": "subject", **self.userinfo}),
            }
        )
        self._nonces: dict[str, str] = {}

    @property
    def url(self) -> str:
        return self.web.url

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["FakeIssuer"]:
        """Open for as long as the block runs."""
        async with self.web.listening():
            yield self

    def config(self) -> OpenIdConfig:
        """How our client is registered."""
        return OpenIdConfig(
            key="fake",
            name="Fake",
            client_id=CLIENT_ID,
            client_secret=SecretStr(CLIENT_SECRET),
            issuer=self.url,
        )

    def provider(self, config: OpenIdConfig | None = None, *, timeout_seconds: float = 30.0) -> OpenIdProvider:
        """Our client of it, on the issuer's clock."""
        http = OAuthHttp("Fake", timeout_seconds=timeout_seconds)
        return OpenIdProvider(config or self.config(), clock=self.clock, http=http)

    async def sign_in(self, provider: OpenIdProvider, *, issuer: str | None = None) -> ExternalProfile:
        """One whole sign-in."""
        request = await provider.begin(REDIRECT)
        self.expect(request)
        return await provider.finish(
            CODE, redirect_uri=REDIRECT, code_verifier=request.code_verifier, nonce=request.nonce, issuer=issuer
        )

    def expect(self, request: AuthorizationRequest) -> None:
        """Put the nonce of this request into the token for its verifier."""
        query = parse_qs(urlsplit(request.url).query)
        self._nonces[query["code_challenge"][0]] = query["nonce"][0]

    def standard_claims(self, code_verifier: str = "") -> dict[str, object]:
        """A right token's claims."""
        now_s = self.clock.now_ms() // 1000
        challenge = _encoded(hashlib.sha256(code_verifier.encode()).digest())
        return {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": "subject",
            "exp": now_s + 300,
            "iat": now_s,
            "nonce": self._nonces.get(challenge),
        }

    def _described(self) -> dict[str, object]:
        described: dict[str, object] = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=1",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            **self.discovery,
        }
        return {name: value for name, value in described.items() if value is not None}

    def _token(self, request: Request) -> Reply:
        form = request.body if isinstance(request.body, dict) else {}
        claims = {**self.standard_claims(form.get("code_verifier", "")), **self.claims}
        token = sign(claims, self.key)
        return Reply({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": token, **self.token_response})
