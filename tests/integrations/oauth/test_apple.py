"""Sign in with Apple, against an issuer that speaks Apple's documented messages ("Token validation")."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from pydantic import SecretStr

from integrations.oauth.apple import SECRET_SECONDS, AppleConfig, apple_provider
from integrations.oauth.base import ExternalProfile, ProviderMisconfigured, ProviderRefused
from integrations.oauth.http import OAuthHttp
from integrations.oauth.openid import OpenIdProvider
from tests.integrations.feeds.venues.web import Reply
from tests.integrations.oauth.issuer import REDIRECT, FakeIssuer, ec_key, rsa_key

SERVICES_ID = "com.example.web"
SUBJECT = "000544.5e201aec537347aeb79d23cbc345170a.1321"


def config(issuer: FakeIssuer) -> AppleConfig:
    return AppleConfig(
        client_id=SERVICES_ID,
        team_id="TEAM123456",
        key_id="KEY1234567",
        private_key=SecretStr(ec_key().as_pem(private=True).decode()),
        issuer=issuer.url,
    )


def apple(issuer: FakeIssuer) -> OpenIdProvider:
    issuer.discovery = {
        "authorization_endpoint": f"{issuer.url}/auth/authorize",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "scopes_supported": ["openid", "email", "name"],
    }
    issuer.claims = {"aud": SERVICES_ID, "sub": SUBJECT, "auth_time": 1_600_000_000, "nonce_supported": True}
    issuer.token_response = {"expires_in": 3600, "refresh_token": "r"}
    return apple_provider(config(issuer), clock=issuer.clock, http=OAuthHttp("Apple"))


def secret_claims(issuer: FakeIssuer) -> dict[str, object]:
    token = jwt.decode(issuer.web.form("/token")["client_secret"], ec_key(), algorithms=["ES256"])
    assert (token.header["alg"], token.header["kid"]) == ("ES256", "KEY1234567")
    return dict(token.claims)


async def test_openid_alone_is_asked_for_and_comes_back_by_get(issuer: FakeIssuer) -> None:
    request = await apple(issuer).begin(REDIRECT)
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    assert (query["scope"], query["response_mode"], query["response_type"]) == ("openid", "query", "code")
    assert query["client_id"] == SERVICES_ID
    assert query["code_challenge_method"] == "S256"


async def test_the_subject_is_all_that_is_promised(issuer: FakeIssuer) -> None:
    profile = await issuer.sign_in(apple(issuer))
    assert profile == ExternalProfile("apple", SUBJECT, None, False, None)


@pytest.mark.parametrize("verified", ["true", True])
async def test_an_address_in_the_token_is_read(issuer: FakeIssuer, verified: object) -> None:
    provider = apple(issuer)
    issuer.claims |= {"email": "x@privaterelay.appleid.com", "email_verified": verified, "is_private_email": "true"}
    profile = await issuer.sign_in(provider)
    assert (profile.email, profile.email_verified) == ("x@privaterelay.appleid.com", True)


async def test_every_secret_is_new_and_holds_five_minutes(issuer: FakeIssuer) -> None:
    provider = apple(issuer)
    for _ in range(2):
        await issuer.sign_in(provider)
        now_s = issuer.clock.now_ms() // 1000
        assert secret_claims(issuer) == {
            "iss": "TEAM123456",
            "sub": SERVICES_ID,
            "aud": issuer.url,
            "iat": now_s,
            "exp": now_s + SECRET_SECONDS,
        }
        issuer.clock.advance(SECRET_SECONDS)


async def test_a_used_code_is_refused(issuer: FakeIssuer) -> None:
    provider = apple(issuer)
    issuer.web.routes["/token"] = lambda _: Reply({"error": "invalid_grant"}, status=400)
    with pytest.raises(ProviderRefused):
        await issuer.sign_in(provider)


async def test_a_key_may_come_on_one_line(issuer: FakeIssuer) -> None:
    pem = ec_key().as_pem(private=True).decode().replace("\n", "\\n")
    apple_provider(replace(config(issuer), private_key=SecretStr(pem)), clock=issuer.clock, http=OAuthHttp("Apple"))


def pem(key: ECKey | RSAKey, *, private: bool = True, password: str | None = None) -> str:
    return key.as_pem(private=private, password=password).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "secret",
        pem(ec_key(), private=False),
        pem(rsa_key()),
        pem(ec_key("other", "P-384")),
        pem(ec_key(), password="x"),
    ],
    ids=["empty", "no-key", "public", "rsa", "p384", "encrypted"],
)
def test_a_key_that_cannot_sign_is_said_at_the_start(issuer: FakeIssuer, wrong: str) -> None:
    with pytest.raises(ProviderMisconfigured) as caught:
        apple_provider(replace(config(issuer), private_key=SecretStr(wrong)), clock=issuer.clock, http=OAuthHttp("A"))
    assert str(caught.value) == ("apple: the private key is no P-256 key in PEM; expected the text of Apple's .p8 file")
