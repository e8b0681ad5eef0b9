"""GitHub, against a server that speaks its documented messages (web application flow; REST: users, emails)."""

from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from integrations.oauth.base import ExternalProfile, ProviderRefused, ProviderUnavailable
from integrations.oauth.github import GitHubConfig, GitHubProvider
from integrations.oauth.http import OAuthHttp
from tests.integrations.feeds.venues.web import Reply
from tests.integrations.oauth.issuer import CLIENT_SECRET, CODE, REDIRECT
from tests.integrations.oauth.web import FormVenue

USER = {"login": "octocat", "id": 583231, "type": "User", "name": "The Octocat", "email": "public@example.com"}
EMAILS = [
    {"email": "old@example.com", "verified": True, "primary": False, "visibility": None},
    {"email": "octocat@example.com", "verified": True, "primary": True, "visibility": "private"},
    {"email": "octocat@users.noreply.github.com", "verified": True, "primary": False, "visibility": None},
]


def always(body: object, status: int = 200) -> Callable[[object], Reply]:
    return lambda _: Reply(body, status=status)


@pytest.fixture
async def web() -> AsyncIterator[FormVenue]:
    venue = FormVenue(
        {
            "/login/oauth/access_token": always(
                {"access_token": "gho_16C7e42F292c6912E7", "scope": "user:email", "token_type": "bearer"}
            ),
            "/user": always(USER),
            "/user/emails": always(EMAILS),
        }
    )
    async with venue.listening():
        yield venue


def github(web: FormVenue) -> GitHubProvider:
    config = GitHubConfig(
        client_id="Iv1.8a61f9b3a7aba766", client_secret=SecretStr(CLIENT_SECRET), web_url=web.url, api_url=web.url
    )
    return GitHubProvider(config, http=OAuthHttp(config.name))


async def finish(web: FormVenue) -> ExternalProfile:
    provider = github(web)
    profile = await provider.finish(CODE, redirect_uri=REDIRECT, code_verifier="v" * 64, nonce="unused")
    await provider.close()
    return profile


async def test_a_code_becomes_a_profile(web: FormVenue) -> None:
    assert await finish(web) == ExternalProfile("github", "583231", "octocat@example.com", True, "The Octocat")
    assert web.form("/login/oauth/access_token") == {
        "client_id": "Iv1.8a61f9b3a7aba766",
        "client_secret": CLIENT_SECRET,
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": REDIRECT,
        "code_verifier": "v" * 64,
    }
    assert web.requests[0].headers["accept"] == "application/json"
    for request in web.requests[1:]:
        assert request.headers["authorization"] == "Bearer gho_16C7e42F292c6912E7"
        assert request.headers["accept"] == "application/vnd.github+json"
        assert request.headers["x-github-api-version"] == "2022-11-28"
        assert request.headers["user-agent"] == "CryptoVault"


async def test_the_request_asks_for_addresses_with_a_challenge(web: FormVenue) -> None:
    request = await github(web).begin(REDIRECT)
    parts = urlsplit(request.url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert parts.path == "/login/oauth/authorize"
    assert (query["scope"], query["code_challenge_method"], query["state"]) == ("user:email", "S256", request.state)
    assert "nonce" not in query
    assert not web.requests


@pytest.mark.parametrize(
    "emails",
    [
        always([]),
        always([{**EMAILS[1], "verified": False}, EMAILS[0]]),
        always([{**EMAILS[1], "verified": "true"}]),
        always(["x", 7, {}]),
        always({"message": "Resource not accessible by integration"}, 403),
        always({"message": "Not Found"}, 404),
    ],
    ids=["none", "unverified", "text", "nonsense", "forbidden", "hidden"],
)
async def test_without_a_verified_primary_address_there_is_none(
    web: FormVenue, emails: Callable[[object], Reply]
) -> None:
    web.routes["/user/emails"] = emails
    profile = await finish(web)
    assert (profile.subject, profile.email, profile.email_verified) == ("583231", None, False)


async def test_who_gives_no_name_is_called_by_the_login(web: FormVenue) -> None:
    web.routes["/user"] = always({**USER, "name": None})
    assert (await finish(web)).display_name == "octocat"


@pytest.mark.parametrize("error", ["bad_verification_code", "unverified_user_email"])
async def test_refusals_have_status_200(web: FormVenue, error: str) -> None:
    web.routes["/login/oauth/access_token"] = always({"error": error, "error_description": "The code passed is …"})
    with pytest.raises(ProviderRefused) as caught:
        await finish(web)
    assert caught.value.reason == f"it refused the code: {error}"
    assert len(web.requests) == 1


@pytest.mark.parametrize("error", ["incorrect_client_credentials", "redirect_uri_mismatch"])
async def test_a_wrong_registration_is_our_fault(web: FormVenue, error: str) -> None:
    web.routes["/login/oauth/access_token"] = always({"error": error})
    with pytest.raises(ProviderUnavailable) as caught:
        await finish(web)
    assert caught.value.reason.endswith(error)


@pytest.mark.parametrize(
    ("path", "reply", "error"),
    [
        ("/login/oauth/access_token", always({"token_type": "bearer"}), ProviderUnavailable),
        ("/user", always({"message": "Bad credentials"}, 401), ProviderRefused),
        ("/user", always({"message": "API rate limit exceeded"}, 403), ProviderUnavailable),
        ("/user", always({**USER, "id": "583231"}), ProviderUnavailable),
        ("/user", always({**USER, "id": True}), ProviderUnavailable),
        ("/user", always([]), ProviderUnavailable),
        ("/user/emails", always({}), ProviderUnavailable),
        ("/user/emails", always({}, 401), ProviderUnavailable),
    ],
)
async def test_answers_that_cannot_be_used(
    web: FormVenue, path: str, reply: Callable[[object], Reply], error: type[Exception]
) -> None:
    web.routes[path] = reply
    with pytest.raises(error):
        await finish(web)
