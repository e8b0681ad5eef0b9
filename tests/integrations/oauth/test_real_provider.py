"""Whole sign-ins at a real OpenID provider, npm's oidc-provider."""

from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from core.clock import SystemClock
from integrations.oauth.base import AuthorizationRequest, ExternalProfile, ProviderRefused, ProviderUnavailable
from integrations.oauth.http import OAuthHttp
from integrations.oauth.openid import OpenIdConfig, OpenIdProvider
from tests.integrations.oauth.real_provider import REDIRECT, SECRET, code_for


def client(issuer: str, algorithm: str = "rs256", secret: str | None = SECRET) -> OpenIdProvider:
    config = OpenIdConfig(
        key="real",
        name="Real",
        client_id=f"cryptovault-{algorithm}",
        client_secret=SecretStr(secret) if secret else None,
        issuer=issuer,
    )
    return OpenIdProvider(config, clock=SystemClock(), http=OAuthHttp("Real"))


async def finish(
    provider: OpenIdProvider, code: str, request: AuthorizationRequest, *, redirect_uri: str = REDIRECT
) -> ExternalProfile:
    return await provider.finish(
        code, redirect_uri=redirect_uri, code_verifier=request.code_verifier, nonce=request.nonce
    )


@pytest.mark.parametrize(
    ("account", "email", "verified", "name"),
    [
        ("alice", "alice@example.com", True, "Alice Example"),
        ("bob", "bob@example.com", False, "Bob Example"),
        ("carol", None, False, None),
    ],
)
async def test_a_code_becomes_a_profile(
    real_issuer: str, account: str, email: str | None, verified: bool, name: str | None
) -> None:
    provider = client(real_issuer)
    request = await provider.begin(REDIRECT)
    answer = await code_for(request.url, account)
    assert answer["state"] == request.state
    profile = await provider.finish(
        answer["code"],
        redirect_uri=REDIRECT,
        code_verifier=request.code_verifier,
        nonce=request.nonce,
        issuer=answer["iss"],
    )
    assert profile == ExternalProfile("real", account, email, verified, name)
    await provider.close()


@pytest.mark.parametrize(("algorithm", "secret"), [("ps256", SECRET), ("es256", SECRET), ("eddsa", None)])
async def test_every_allowed_signature_and_a_client_without_a_secret(
    real_issuer: str, algorithm: str, secret: str | None
) -> None:
    provider = client(real_issuer, algorithm, secret)
    request = await provider.begin(REDIRECT)
    answer = await code_for(request.url, "alice")
    assert (await finish(provider, answer["code"], request)).subject == "alice"
    await provider.close()


async def test_the_request_has_a_challenge_and_never_the_verifier(real_issuer: str) -> None:
    provider = client(real_issuer)
    first, second = await provider.begin(REDIRECT), await provider.begin(REDIRECT)
    query = {name: values[0] for name, values in parse_qs(urlsplit(first.url).query).items()}
    assert query["code_challenge_method"] == "S256"
    assert (query["response_type"], query["redirect_uri"]) == ("code", REDIRECT)
    assert (query["state"], query["nonce"]) == (first.state, first.nonce)
    assert first.code_verifier not in first.url
    assert len({first.state, first.nonce, first.code_verifier, second.state, second.nonce, second.code_verifier}) == 6
    await provider.close()


async def test_a_code_serves_once_and_only_with_its_own_request(real_issuer: str) -> None:
    provider = client(real_issuer)
    request, other = await provider.begin(REDIRECT), await provider.begin(REDIRECT)
    for wrong in (
        AuthorizationRequest("", "", request.nonce, other.code_verifier),
        AuthorizationRequest("", "", other.nonce, request.code_verifier),
    ):
        code = (await code_for(request.url, "alice"))["code"]
        with pytest.raises(ProviderRefused):
            await finish(provider, code, wrong)
    code = (await code_for(request.url, "alice"))["code"]
    with pytest.raises(ProviderRefused):
        await finish(provider, code, request, redirect_uri="http://127.0.0.1:9/elsewhere")
    code = (await code_for(request.url, "alice"))["code"]
    assert (await finish(provider, code, request)).subject == "alice"
    with pytest.raises(ProviderRefused) as caught:
        await finish(provider, code, request)
    assert caught.value.reason == "it refused the code: invalid_grant"
    await provider.close()


async def test_a_wrong_secret_is_our_fault_and_not_the_persons(real_issuer: str) -> None:
    provider = client(real_issuer, secret="wrong")
    request = await provider.begin(REDIRECT)
    answer = await code_for(request.url, "alice")
    with pytest.raises(ProviderUnavailable) as caught:
        await finish(provider, answer["code"], request)
    assert caught.value.reason == "it does not accept this server's registration: invalid_client"
    await provider.close()


async def test_a_person_who_declines_comes_back_with_an_error(real_issuer: str) -> None:
    provider = client(real_issuer)
    request = await provider.begin(REDIRECT)
    answer = await code_for(request.url, "nobody")
    assert (answer["error"], answer["state"]) == ("access_denied", request.state)
    await provider.close()
