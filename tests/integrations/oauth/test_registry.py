"""Which providers a configuration makes."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from core.clock import ManualClock
from integrations.oauth.apple import AppleConfig
from integrations.oauth.base import ProviderMisconfigured
from integrations.oauth.github import GitHubConfig
from integrations.oauth.openid import OpenIdConfig, google
from integrations.oauth.registry import build_providers
from tests.integrations.oauth.issuer import ec_key

SECRET = SecretStr("not-to-be-shown")
GOOGLE = google("id", SECRET)
GITHUB = GitHubConfig(client_id="id", client_secret=SECRET)
APPLE = AppleConfig(
    client_id="com.example.web",
    team_id="TEAM123456",
    key_id="KEY1234567",
    private_key=SecretStr(ec_key().as_pem(private=True).decode()),
)
COMPANY = OpenIdConfig(
    key="company-sso", name="Company", client_id="id", client_secret=None, issuer="https://id.example.com"
)


async def test_one_of_each_in_order() -> None:
    providers = build_providers([GOOGLE, GITHUB, APPLE, COMPANY], ManualClock())
    assert {key: provider.name for key, provider in providers.items()} == {
        "google": "Google",
        "github": "GitHub",
        "apple": "Apple",
        "company-sso": "Company",
    }
    assert [provider.key for provider in providers.values()] == list(providers)
    for provider in providers.values():
        await provider.close()


def test_none_at_all() -> None:
    assert build_providers([], ManualClock()) == {}


@pytest.mark.parametrize("key", ["", "Google", "a b", "1a", "a" * 33, "ä", "a\n"])
def test_a_malformed_key(key: str) -> None:
    with pytest.raises(ProviderMisconfigured, match="no key"):
        build_providers([replace(COMPANY, key=key)], ManualClock())


def test_two_of_one_key() -> None:
    with pytest.raises(ProviderMisconfigured, match="two providers are called google"):
        build_providers([GOOGLE, replace(COMPANY, key="google")], ManualClock())


def test_no_secret_is_printed() -> None:
    assert "not-to-be-shown" not in f"{GOOGLE!r} {GITHUB!r}"
    assert "PRIVATE KEY" not in repr(APPLE)
