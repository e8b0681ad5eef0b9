"""The OpenID provider's side that a real one never shows: wrong documents, wrong tokens, failures, keys that change."""

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from integrations.oauth.base import ExternalProfile, ProviderMisconfigured, ProviderRefused, ProviderUnavailable
from integrations.oauth.fetched import KEEP_SECONDS, RENEW_SECONDS, REST_SECONDS
from integrations.oauth.http import OAuthHttp
from integrations.oauth.openid import GOOGLE_ISSUER, OpenIdProvider, google
from tests.integrations.feeds.venues.web import Reply, Request
from tests.integrations.oauth.issuer import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    CODE,
    REDIRECT,
    FakeIssuer,
    forge,
    hash_of,
    rsa_key,
)

DISCOVERY = "/.well-known/openid-configuration"


async def unavailable(issuer: FakeIssuer, provider: OpenIdProvider | None = None) -> str:
    with pytest.raises(ProviderUnavailable) as caught:
        await issuer.sign_in(provider or issuer.provider())
    assert str(caught.value) == "Fake cannot be reached at the moment. Try again later."
    assert caught.value.code == "PROVIDER_UNAVAILABLE"
    return caught.value.reason


async def refused(issuer: FakeIssuer, provider: OpenIdProvider | None = None) -> str:
    with pytest.raises(ProviderRefused) as caught:
        await issuer.sign_in(provider or issuer.provider())
    assert str(caught.value) == "Fake did not confirm this sign-in. Start it again."
    assert caught.value.code == "PROVIDER_REFUSED"
    return caught.value.reason


async def test_what_is_sent_and_what_is_read(issuer: FakeIssuer) -> None:
    issuer.claims = {"email": "a@example.com", "email_verified": True, "name": " Ann\nLee ", "at_hash": hash_of()}
    provider = issuer.provider()
    request = await provider.begin(REDIRECT)
    parts = urlsplit(request.url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert parts.path == "/authorize"
    assert query.pop("tenant") == "1"
    assert query["scope"] == "openid email profile"
    assert "response_mode" not in query
    profile = await issuer.sign_in(provider, issuer=issuer.url)
    assert profile == ExternalProfile("fake", "subject", "a@example.com", True, "Ann Lee")
    form = issuer.web.form("/token")
    assert {name: form[name] for name in ("grant_type", "code", "redirect_uri")} == {
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": REDIRECT,
    }
    assert 43 <= len(form["code_verifier"]) <= 128
    assert "client_secret" not in form
    assert issuer.web.asked_for("/token")[0].headers["authorization"].startswith("Basic ")
    assert len(issuer.web.requests) == 3
    await provider.close()


@pytest.mark.parametrize(
    ("claim", "verified"),
    [(True, True), ("true", True), (False, False), ("false", False), (1, False), ("True", False), (None, False)],
)
async def test_an_address_is_verified_only_when_it_says_so(issuer: FakeIssuer, claim: object, verified: bool) -> None:
    issuer.claims = {"email": "a@example.com", "email_verified": claim}
    assert (await issuer.sign_in(issuer.provider())).email_verified is verified


@pytest.mark.parametrize(
    "email", [None, "", "no-address", "a b@example.com", "a@b\n", 7, "\u202ea@b", "x" * 320 + "@b"]
)
async def test_what_is_no_address_is_none_and_never_verified(issuer: FakeIssuer, email: object) -> None:
    issuer.claims = {"email": email, "email_verified": True}
    profile = await issuer.sign_in(issuer.provider())
    assert (profile.email, profile.email_verified) == (None, False)


async def test_userinfo_is_asked_only_for_an_address_and_believed_only_about_the_subject(issuer: FakeIssuer) -> None:
    issuer.discovery = {"userinfo_endpoint": f"{issuer.url}/userinfo"}
    issuer.userinfo = {"email": "a@example.com", "email_verified": True, "name": "Ann"}
    profile = await issuer.sign_in(issuer.provider())
    assert (profile.email, profile.email_verified, profile.display_name) == ("a@example.com", True, "Ann")
    assert issuer.web.asked_for("/userinfo")[0].headers["authorization"] == f"Bearer {ACCESS_TOKEN}"
    await issuer.sign_in(issuer.provider(replace(issuer.config(), scope="openid")))
    issuer.claims = {"email": "b@example.com"}
    profile = await issuer.sign_in(issuer.provider())
    assert (profile.email, profile.email_verified) == ("b@example.com", False)
    assert len(issuer.web.asked_for("/userinfo")) == 1
    issuer.claims = {}
    issuer.userinfo = {"sub": "somebody else", "email": "a@example.com"}
    assert await refused(issuer) == "its UserInfo is about somebody else"
    issuer.token_response = {"access_token": "ü"}
    assert await unavailable(issuer) == "it gave no access token that can be used"
    issuer.token_response = {}
    issuer.web.routes["/userinfo"] = lambda _: Reply({}, status=403)
    assert await unavailable(issuer) == "its UserInfo answered with status 403"


@pytest.mark.parametrize(
    ("methods", "places"),
    [
        (None, ("basic", None)),
        (["client_secret_post", "client_secret_basic"], ("basic", None)),
        (["private_key_jwt", "client_secret_post"], (None, CLIENT_SECRET)),
    ],
)
async def test_the_secret_goes_where_the_provider_takes_it(
    issuer: FakeIssuer, methods: list[str] | None, places: tuple[str | None, str | None]
) -> None:
    issuer.discovery = {"token_endpoint_auth_methods_supported": methods}
    await issuer.sign_in(issuer.provider())
    request, form = issuer.web.asked_for("/token")[0], issuer.web.form("/token")
    assert request.headers.get("authorization", "")[:5].lower() == (places[0] or "")
    assert form.get("client_secret") == places[1]


async def test_a_client_without_a_secret_shows_its_id_alone(issuer: FakeIssuer) -> None:
    issuer.discovery = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    assert "client_secret_basic" in await unavailable(issuer)
    await issuer.sign_in(issuer.provider(replace(issuer.config(), client_secret=None)))
    assert issuer.web.form("/token")["client_id"] == CLIENT_ID
    assert "client_secret" not in issuer.web.form("/token")


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://user:password@127.0.0.1/"},
        {"token_endpoint": "http://127.0.0.1:99999/"},
        {"token_endpoint": 7},
        {"userinfo_endpoint": "ftp://x/"},
    ],
    ids=str,
)
async def test_a_discovery_document_that_cannot_be_used(issuer: FakeIssuer, changed: dict[str, object]) -> None:
    issuer.discovery = changed
    assert "discovery document" in await unavailable(issuer)
    assert not issuer.web.asked_for("/token")


async def test_an_answer_from_another_issuer_is_not_taken(issuer: FakeIssuer) -> None:
    provider = issuer.provider()
    with pytest.raises(ProviderRefused):
        await issuer.sign_in(provider, issuer="https://evil.example")
    assert not issuer.web.asked_for("/token")


@pytest.mark.parametrize("code", ["", "x" * 5000, "a\nb", "\ud800", "ü"], ids=range(5))
async def test_what_is_no_code_is_not_sent(issuer: FakeIssuer, code: str) -> None:
    with pytest.raises(ProviderRefused):
        await issuer.provider().finish(code, redirect_uri=REDIRECT, code_verifier="v", nonce="n")
    assert not issuer.web.asked_for("/token")


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"aud": "another"}, "aud"),
        ({"nonce": "another"}, "nonce"),
        ({"exp": 1_500_000_000}, "expired"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"at_hash": hash_of("another token")}, "at_hash"),
    ],
    ids=str,
)
async def test_a_wrong_token_signs_nobody_in(issuer: FakeIssuer, claims: dict[str, object], word: str) -> None:
    issuer.claims = claims
    assert word in await refused(issuer)


async def test_a_token_without_the_providers_signature_signs_nobody_in(issuer: FakeIssuer) -> None:
    for algorithm, secret in (("none", None), ("HS256", rsa_key().as_pem(private=False))):
        issuer.token_response = {"id_token": forge(issuer.standard_claims(), algorithm, secret)}
        assert "not signed as it must be" in await refused(issuer)
    issuer.token_response = {"id_token": None}
    assert await unavailable(issuer) == "it gave no ID token"


async def test_a_new_key_is_fetched_once_a_minute_at_most(issuer: FakeIssuer) -> None:
    provider = issuer.provider()
    await issuer.sign_in(provider)
    issuer.key, issuer.keys = rsa_key("second"), [rsa_key(), rsa_key("second")]
    assert "key it does not publish" in await refused(issuer, provider)
    assert len(issuer.web.asked_for("/jwks")) == 1
    issuer.clock.advance(RENEW_SECONDS)
    await asyncio.gather(*(issuer.sign_in(provider) for _ in range(3)))
    assert len(issuer.web.asked_for("/jwks")) == 2
    issuer.key = rsa_key("third")
    for _ in range(3):
        assert "key it does not publish" in await refused(issuer, provider)
    assert len(issuer.web.asked_for("/jwks")) == 2


async def test_documents_are_kept_for_an_hour(issuer: FakeIssuer) -> None:
    provider = issuer.provider()
    await asyncio.gather(*(provider.begin(REDIRECT) for _ in range(5)))
    await issuer.sign_in(provider)
    issuer.clock.advance(KEEP_SECONDS - 1)
    await issuer.sign_in(provider)
    assert [len(issuer.web.asked_for(path)) for path in (DISCOVERY, "/jwks")] == [1, 1]
    issuer.clock.advance(1)
    await issuer.sign_in(provider)
    assert [len(issuer.web.asked_for(path)) for path in (DISCOVERY, "/jwks")] == [2, 2]


async def test_a_failing_provider_is_left_alone_for_a_while(issuer: FakeIssuer) -> None:
    right = issuer.web.routes[DISCOVERY]
    issuer.web.routes[DISCOVERY] = lambda _: Reply(status=503)
    provider = issuer.provider()
    reasons = await asyncio.gather(*(unavailable(issuer, provider) for _ in range(5)))
    assert set(reasons) == {"it answered with status 503"}
    assert len(issuer.web.requests) == 2
    issuer.web.routes[DISCOVERY] = right
    assert await unavailable(issuer, provider) == "it answered with status 503"
    issuer.clock.advance(REST_SECONDS)
    await issuer.sign_in(provider)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=503), "it answered with status 503"),
        (Reply(status=302, headers={"Location": "/jwks"}), "it answered with status 302"),
        (Reply(b"<html>"), "its answer with status 200 is not JSON"),
        (Reply([]), "its token answer with status 200 cannot be used"),
        (Reply({"detail": CODE}, status=404), "its token answer with status 404 cannot be used"),
        (Reply(b" " * 1_500_000), "its answer is too long"),
        (Reply(silent=True), "it did not answer in time"),
        (
            Reply({"error": "invalid_client"}, status=401),
            "it does not accept this server's registration: invalid_client",
        ),
    ],
    ids=range(8),
)
async def test_a_code_is_sent_once_whatever_comes_back(issuer: FakeIssuer, reply: Reply, reason: str) -> None:
    issuer.web.routes["/token"] = lambda _: reply
    assert await unavailable(issuer, issuer.provider(timeout_seconds=0.2 if reply.silent else 30)) == reason
    assert len(issuer.web.asked_for("/token")) == 1


@pytest.mark.parametrize("error", ["invalid_grant", "<script>", 7, None], ids=str)
async def test_a_refusal_names_its_error_when_it_is_one(issuer: FakeIssuer, error: object) -> None:
    issuer.web.routes["/token"] = lambda _: Reply({"error": error, "error_description": CODE}, status=400)
    named = error if error == "invalid_grant" else "an error without a name"
    assert await refused(issuer) == f"it refused the code: {named}"


async def test_keys_that_cannot_be_had(issuer: FakeIssuer) -> None:
    issuer.keys = []
    assert await unavailable(issuer) == "its key set cannot be used: there is no key in it that can be used"
    issuer.web.routes["/jwks"] = lambda _: Reply({}, status=404)
    assert await unavailable(issuer) == "its keys answered with status 404"


async def test_no_failure_repeats_a_secret(issuer: FakeIssuer) -> None:
    everything = f"{CODE} {CLIENT_SECRET} {ACCESS_TOKEN}"

    def echo(request: Request) -> Reply:
        return Reply({"error": everything, "error_description": f"{request.body} {request.headers}"}, status=400)

    issuer.web.routes["/token"] = echo
    with pytest.raises(ProviderRefused) as caught:
        await issuer.sign_in(issuer.provider())
    said = f"{caught.value!r} {caught.value.reason} {caught.value.details} {issuer.config()!r}"
    assert not any(secret in said for secret in (CODE, CLIENT_SECRET, ACCESS_TOKEN, "code_verifier"))
    assert caught.value.__cause__ is None


def test_what_cannot_work_is_said_at_the_start(issuer: FakeIssuer) -> None:
    for wrong in ("accounts.google.com", "ftp://x", "", "https://user@x"):
        with pytest.raises(ProviderMisconfigured, match="fake: the issuer"):
            issuer.provider(replace(issuer.config(), issuer=wrong))
    with pytest.raises(ProviderMisconfigured, match="openid"):
        issuer.provider(replace(issuer.config(), scope="email"))


def test_google_is_an_issuer_like_any_other() -> None:
    config = google("id", SecretStr("secret"))
    assert (config.key, config.name, config.issuer) == ("google", "Google", GOOGLE_ISSUER)
    assert OAuthHttp(config.name).provider == "Google"
