"""GitHub: OAuth with PKCE and a REST API; it has no OpenID, so nothing is signed and the nonce stays unused.

The subject is the account's number, which stays when its login changes. The address is the primary one, and None unless
GitHub has verified it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from integrations.oauth.base import (
    AuthorizationRequest,
    ExternalProfile,
    ProviderConfig,
    ProviderRefused,
    ProviderUnavailable,
    email_of,
    name_of,
)
from integrations.oauth.grant import POST, authorization_request, bearer, exchange
from integrations.oauth.http import OAuthHttp

_MEDIA = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubConfig(ProviderConfig):
    """An OAuth app of GitHub, or of a GitHub Enterprise server."""

    key: str = "github"
    name: str = "GitHub"
    client_secret: SecretStr
    web_url: str = "https://github.com"
    api_url: str = "https://api.github.com"


class GitHubProvider:
    """GitHub."""

    def __init__(self, config: GitHubConfig, *, http: OAuthHttp) -> None:
        self._config = config
        self._http = http

    @property
    def key(self) -> str:
        return self._config.key

    @property
    def name(self) -> str:
        return self._config.name

    async def begin(self, redirect_uri: str) -> AuthorizationRequest:
        """Start a sign-in that comes back to `redirect_uri`."""
        return authorization_request(
            f"{self._config.web_url}/login/oauth/authorize",
            client_id=self._config.client_id,
            redirect_uri=redirect_uri,
            scope="user:email",
            with_nonce=False,
        )

    async def finish(
        self,
        code: str,
        *,
        redirect_uri: str,
        code_verifier: str,
        nonce: str,  # noqa: ARG002
        issuer: str | None = None,  # noqa: ARG002
    ) -> ExternalProfile:
        """Whose code this is. Raises ProviderUnavailable, ProviderRefused."""
        given = await exchange(
            self._http,
            f"{self._config.web_url}/login/oauth/access_token",
            code,
            client_id=self._config.client_id,
            client_secret=self._config.client_secret.get_secret_value(),
            method=POST,
            redirect_uri=redirect_uri,
            code_verifier=code_verifier,
        )
        headers = {**_MEDIA, **bearer(self.name, given)}
        user = await self._user(headers)
        email = await self._email(headers)
        return ExternalProfile(
            provider=self.key,
            subject=_subject(self.name, user),
            email=email,
            email_verified=email is not None,
            display_name=name_of(user.get("name")) or name_of(user.get("login")),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _user(self, headers: Mapping[str, str]) -> Mapping[str, object]:
        answer = await self._http.get(f"{self._config.api_url}/user", headers)
        if answer.status == 401:
            raise ProviderRefused(self.name, "its access token does not hold")
        if answer.status != 200:
            raise ProviderUnavailable(self.name, f"its user answered with status {answer.status}")
        return answer.document()

    async def _email(self, headers: Mapping[str, str]) -> str | None:
        """The primary address if it is verified; None too for an app that may not read addresses (403, 404)."""
        answer = await self._http.get(f"{self._config.api_url}/user/emails?per_page=100", headers)
        if answer.status in (403, 404):
            return None
        if answer.status != 200 or not isinstance(answer.body, list):
            raise ProviderUnavailable(self.name, f"its e-mail addresses answered with status {answer.status}")
        for entry in answer.body:
            if isinstance(entry, dict) and entry.get("primary") is True and entry.get("verified") is True:
                return email_of(entry.get("email"))
        return None


def _subject(provider: str, user: Mapping[str, object]) -> str:
    number = user.get("id")
    if isinstance(number, bool) or not isinstance(number, int) or number <= 0:
        raise ProviderUnavailable(provider, "its user has no number")
    return str(number)
