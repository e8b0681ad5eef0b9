"""The providers that a configuration asks for."""

import re
from collections.abc import Mapping, Sequence

from core.clock import Clock
from integrations.oauth.apple import AppleConfig, apple_provider
from integrations.oauth.base import IdentityProvider, ProviderMisconfigured
from integrations.oauth.github import GitHubConfig, GitHubProvider
from integrations.oauth.http import OAuthHttp
from integrations.oauth.openid import OpenIdConfig, OpenIdProvider

AnyConfig = OpenIdConfig | GitHubConfig | AppleConfig

_KEY = re.compile(r"[a-z][a-z0-9-]{0,31}")


def build_providers(configs: Sequence[AnyConfig], clock: Clock) -> Mapping[str, IdentityProvider]:
    """One provider for every configuration, by its key, in the given order. Nothing is asked yet.

    Raises:
        ProviderMisconfigured: a key is malformed or taken, or a provider cannot work as it is configured.
    """
    providers: dict[str, IdentityProvider] = {}
    for config in configs:
        if _KEY.fullmatch(config.key) is None:
            raise ProviderMisconfigured(
                f"{config.key!r} is no key; expected up to 32 of a-z, 0-9 and -, a letter first"
            )
        if config.key in providers:
            raise ProviderMisconfigured(f"two providers are called {config.key}")
        providers[config.key] = _build(config, clock)
    return providers


def _build(config: AnyConfig, clock: Clock) -> IdentityProvider:
    http = OAuthHttp(config.name)
    match config:
        case GitHubConfig():
            return GitHubProvider(config, http=http)
        case AppleConfig():
            return apple_provider(config, clock=clock, http=http)
        case OpenIdConfig():
            return OpenIdProvider(config, clock=clock, http=http)
