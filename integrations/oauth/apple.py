"""Sign in with Apple: OpenID, with a client secret that this server signs itself, and with the account's subject alone.

What is asked for is `openid` and nothing more. Apple sends its answer by POST to a server (`form_post`) as soon as
`name` or `email` is among the scopes, and this flow ends at a page that is reached by GET. Apple then promises neither
an e-mail address nor a name: `email` is mostly None, so somebody new has to give an address here and confirm it. Should
the ID token have the claim all the same, it is read, with its `email_verified`, which Apple writes as "true". Apple
would tell a name only in that POST, at the first consent, and never in the token: `display_name` is None.

Redirect addresses must be https, with a domain name, and registered for the Services ID, which is the client id.
"""

from collections.abc import Callable
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import SecretStr

from core.clock import Clock
from integrations.oauth.base import ProviderConfig, ProviderMisconfigured
from integrations.oauth.http import OAuthHttp
from integrations.oauth.openid import OpenIdConfig, OpenIdProvider

APPLE_ISSUER = "https://appleid.apple.com"
SECRET_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleConfig(ProviderConfig):
    """Sign in with Apple. The private key is the text of the .p8 file; `\\n` may stand for its line ends."""

    key: str = "apple"
    name: str = "Apple"
    team_id: str
    key_id: str
    private_key: SecretStr
    issuer: str = APPLE_ISSUER


def apple_provider(config: AppleConfig, *, clock: Clock, http: OAuthHttp) -> OpenIdProvider:
    """Apple as an OpenID provider. Raises ProviderMisconfigured."""
    openid = OpenIdConfig(
        key=config.key,
        name=config.name,
        client_id=config.client_id,
        client_secret=None,
        issuer=config.issuer,
        scope="openid",
        response_mode="query",
    )
    return OpenIdProvider(openid, clock=clock, http=http, secret=_secret_maker(config, clock))


def _secret_maker(config: AppleConfig, clock: Clock) -> Callable[[], str]:
    """Makes client secrets that hold for SECRET_SECONDS (Apple allows six months)."""
    pem = config.private_key.get_secret_value().replace("\\n", "\n")
    try:
        key = ECKey.import_key(pem)
        sound = key.is_private and key.curve_name == "P-256"
    except (JoseError, ValueError, TypeError):
        sound = False
    if not sound:
        raise ProviderMisconfigured(
            f"{config.key}: the private key is no P-256 key in PEM; expected the text of Apple's .p8 file"
        )

    def secret() -> str:
        now_s = clock.now_ms() // 1000
        claims: dict[str, object] = {
            "iss": config.team_id,
            "sub": config.client_id,
            "aud": config.issuer,
            "iat": now_s,
            "exp": now_s + SECRET_SECONDS,
        }
        return jwt.encode({"alg": "ES256", "kid": config.key_id}, claims, key)

    return secret
