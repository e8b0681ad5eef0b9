"""Any OpenID Connect provider: found by discovery, asked with code and PKCE, believed when the ID token's signature and
claims hold.

Google is one of them. The e-mail address comes from the ID token or, where that has none, from the UserInfo endpoint;
address and `email_verified` always from the same of the two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from joserfc.jwk import KeySet
from pydantic import SecretStr

from core.clock import Clock
from integrations.oauth.base import (
    AuthorizationRequest,
    ExternalProfile,
    ProviderConfig,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderUnavailable,
    email_of,
    name_of,
    text_of,
)
from integrations.oauth.discovery import Discovery, UnusableDocument, discovery_url, is_http_url, read_discovery
from integrations.oauth.fetched import Fetched
from integrations.oauth.grant import BASIC, POST, PUBLIC, authorization_request, bearer, exchange
from integrations.oauth.http import OAuthHttp
from integrations.oauth.id_token import InvalidToken, UnknownKey, key_set, verified_claims

GOOGLE_ISSUER = "https://accounts.google.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdConfig(ProviderConfig):
    """An OpenID provider. Without a secret this server is a public client, protected by PKCE alone."""

    issuer: str
    client_secret: SecretStr | None
    scope: str = "openid email profile"
    response_mode: str | None = None


class OpenIdProvider:
    """One OpenID provider."""

    def __init__(
        self, config: OpenIdConfig, *, clock: Clock, http: OAuthHttp, secret: Callable[[], str] | None = None
    ) -> None:
        """`secret` makes a new client secret for every use; without it the configured one serves.

        Raises ProviderMisconfigured.
        """
        if not is_http_url(config.issuer, secure=False):
            raise ProviderMisconfigured(f"{config.key}: the issuer is no URL such as https://accounts.google.com")
        if "openid" not in config.scope.split():
            raise ProviderMisconfigured(f"{config.key}: the scope does not name openid, so there would be no ID token")
        self._config = config
        self._clock = clock
        self._http = http
        self._secret = secret or (config.client_secret.get_secret_value if config.client_secret else None)
        self._discovery = Fetched(self._fetch_discovery, clock)
        self._keys = Fetched(self._fetch_keys, clock)

    @property
    def key(self) -> str:
        return self._config.key

    @property
    def name(self) -> str:
        return self._config.name

    async def begin(self, redirect_uri: str) -> AuthorizationRequest:
        """Start a sign-in that comes back to `redirect_uri`. Raises ProviderUnavailable."""
        discovery = await self._discovery.get()
        return authorization_request(
            discovery.authorization_endpoint,
            client_id=self._config.client_id,
            redirect_uri=redirect_uri,
            scope=self._config.scope,
            with_nonce=True,
            response_mode=self._config.response_mode,
        )

    async def finish(
        self, code: str, *, redirect_uri: str, code_verifier: str, nonce: str, issuer: str | None = None
    ) -> ExternalProfile:
        """Whose code this is. Raises ProviderUnavailable, ProviderRefused."""
        if issuer is not None and issuer != self._config.issuer:
            raise ProviderRefused(self.name, "the answer comes from another issuer")
        discovery = await self._discovery.get()
        given = await exchange(
            self._http,
            discovery.token_endpoint,
            code,
            client_id=self._config.client_id,
            client_secret=self._secret() if self._secret else "",
            method=self._method(discovery),
            redirect_uri=redirect_uri,
            code_verifier=code_verifier,
        )
        claims = await self._claims(given, nonce)
        details = claims
        if discovery.userinfo_endpoint and "email" in self._config.scope.split() and "email" not in claims:
            details = await self._userinfo(discovery.userinfo_endpoint, given, claims["sub"])
        email = email_of(details.get("email"))
        return ExternalProfile(
            provider=self.key,
            subject=str(claims["sub"]),
            email=email,
            email_verified=email is not None and _is_true(details.get("email_verified")),
            display_name=name_of(claims.get("name")) or name_of(details.get("name")),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _method(self, discovery: Discovery) -> str:
        if self._secret is None:
            return PUBLIC
        if discovery.secret_method is None:
            raise ProviderUnavailable(self.name, f"it takes a secret neither by {BASIC} nor by {POST}")
        return discovery.secret_method

    async def _claims(self, given: Mapping[str, object], nonce: str) -> Mapping[str, object]:
        """The claims of the ID token; the keys are renewed once when it is signed with an unknown one."""
        token = text_of(given.get("id_token"))
        if token is None:
            raise ProviderUnavailable(self.name, "it gave no ID token")
        try:
            return self._verified(token, await self._keys.get(), given, nonce)
        except UnknownKey:
            keys = await self._keys.renewed()
        try:
            return self._verified(token, keys, given, nonce)
        except UnknownKey:
            raise ProviderRefused(self.name, "the ID token is signed with a key it does not publish") from None

    def _verified(self, token: str, keys: KeySet, given: Mapping[str, object], nonce: str) -> Mapping[str, object]:
        try:
            return verified_claims(
                token,
                keys,
                issuer=self._config.issuer,
                client_id=self._config.client_id,
                nonce=nonce,
                access_token=text_of(given.get("access_token")),
                now_s=self._clock.now_ms() // 1000,
            )
        except InvalidToken as error:
            raise ProviderRefused(self.name, str(error)) from None

    async def _userinfo(self, url: str, given: Mapping[str, object], subject: object) -> Mapping[str, object]:
        """Claims about the subject of the ID token and nobody else (OpenID Connect Core, 5.3.2)."""
        answer = await self._http.get(url, bearer(self.name, given))
        if answer.status != 200:
            raise ProviderUnavailable(self.name, f"its UserInfo answered with status {answer.status}")
        if answer.document().get("sub") != subject:
            raise ProviderRefused(self.name, "its UserInfo is about somebody else")
        return answer.document()

    async def _fetch_discovery(self) -> Discovery:
        answer = await self._http.get(discovery_url(self._config.issuer))
        if answer.status != 200:
            raise ProviderUnavailable(self.name, f"its discovery answered with status {answer.status}")
        try:
            return read_discovery(answer.document(), self._config.issuer)
        except UnusableDocument as error:
            raise ProviderUnavailable(self.name, str(error)) from None

    async def _fetch_keys(self) -> KeySet:
        discovery = await self._discovery.get()
        answer = await self._http.get(discovery.jwks_uri)
        if answer.status != 200:
            raise ProviderUnavailable(self.name, f"its keys answered with status {answer.status}")
        try:
            return key_set(answer.document())
        except ValueError as error:
            raise ProviderUnavailable(self.name, f"its key set cannot be used: {error}") from None


def google(client_id: str, client_secret: SecretStr) -> OpenIdConfig:
    """Google, found by its issuer."""
    return OpenIdConfig(
        key="google", name="Google", client_id=client_id, client_secret=client_secret, issuer=GOOGLE_ISSUER
    )


def _is_true(value: object) -> bool:
    """A claim that is true; Apple writes it as text."""
    return value is True or value == "true"
