"""Accounts and mail of a process: made from its settings, closed with it."""

from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.bus import Bus
from core.cache import Cache
from core.clock import Clock
from core.message_seal import MessageSeal
from core.rate_limits import RateLimits
from core.secret_box import SealBroken, SecretBox
from core.settings import Settings
from core.settings_values import openid_entries
from integrations.breaches.pwned_passwords import PwnedPasswords
from integrations.mail.registry import build_provider
from integrations.oauth.apple import AppleConfig
from integrations.oauth.base import ProviderMisconfigured
from integrations.oauth.github import GitHubConfig
from integrations.oauth.openid import OpenIdConfig, google
from integrations.oauth.registry import AnyConfig, build_providers
from models.chain import ChainEntry
from server.account_pages import pages_url
from server.errors import CannotRun
from server.origins import own_origin, page_origins
from services import even_time
from services.account_services import AccountParts, AccountRules, AccountServices, build_account_services
from services.exchange_gateway import ExchangeGateway
from services.identities import redirect_rule
from services.mail_content import MailContent
from services.mail_delivery import MailDelivery
from services.passkeys import PasskeySite
from services.passwords import PasswordHasher
from services.sessions import SessionLife
from services.wallet_challenges import WalletSite
from services.wallet_proofs.contract_wallets import ContractCalls


@dataclass(frozen=True, slots=True)
class AccountGround:
    """What accounts stand on."""

    clock: Clock
    bus: Bus
    cache: Cache
    cache_seal: MessageSeal
    box: SecretBox
    limits: RateLimits
    quote_assets: Collection[str]
    gateway: ExchangeGateway
    chains: Mapping[str, ChainEntry]
    contracts: ContractCalls


async def open_accounts(settings: Settings, ground: AccountGround, stack: AsyncExitStack) -> AccountServices:
    """Everything about accounts, loaded. Raises CannotRun."""
    try:
        providers = build_providers(_provider_configs(settings), ground.clock)
    except ProviderMisconfigured as error:
        raise CannotRun(str(error)) from None
    for provider in providers.values():
        stack.push_async_callback(provider.close)
    hasher = PasswordHasher(
        memory_kib=settings.password_hash_kib,
        passes=settings.password_hash_passes,
        workers=settings.password_hash_threads,
    )
    stack.push_async_callback(hasher.close)
    breaches = PwnedPasswords(
        settings.breached_passwords_url if settings.breached_password_check else None, clock=ground.clock
    )
    stack.push_async_callback(breaches.close)
    parts = AccountParts(
        clock=ground.clock,
        bus=ground.bus,
        cache=ground.cache,
        cache_seal=ground.cache_seal,
        box=ground.box,
        limits=ground.limits,
        hasher=hasher,
        breaches=breaches,
        providers=providers,
        gateway=ground.gateway,
        chains=ground.chains,
        contracts=ground.contracts,
    )
    accounts = build_account_services(_rules(settings, ground), parts)
    try:
        await accounts.load()
    except SealBroken as error:
        raise CannotRun(f"stored secrets cannot be read ({error}): ENCRYPTION_KEY is not the one they need") from None
    return accounts


async def open_mail(settings: Settings, clock: Clock, box: SecretBox, stack: AsyncExitStack) -> MailDelivery:
    """What sends mail."""
    provider = build_provider(settings)
    stack.push_async_callback(provider.close)
    return MailDelivery(
        provider=provider,
        box=box,
        clock=clock,
        content=MailContent(),
        sender=settings.mail_from,
        pages_url=pages_url(settings),
    )


def _rules(settings: Settings, ground: AccountGround) -> AccountRules:
    origins = page_origins(settings)
    return AccountRules(
        issuer=settings.app_url,
        passkey_site=PasskeySite(
            settings.passkey_domain or urlsplit(settings.app_url).hostname or "localhost", origins.listed
        ),
        session_life=SessionLife(settings.session_idle_days, settings.session_max_days),
        withdrawal_hold_hours=settings.withdrawal_hold_hours,
        quote_assets=ground.quote_assets,
        allows_redirect=redirect_rule(settings.oauth_redirect_uris, origins.allows_credentials),
        wallet_site=WalletSite(own_origin(settings.app_url), origins.allows_credentials),
        even_seconds=even_time.STEP_SECONDS,
    )


def _provider_configs(settings: Settings) -> list[AnyConfig]:
    configs: list[AnyConfig] = []
    if settings.google_client_id is not None and settings.google_client_secret is not None:
        configs.append(google(settings.google_client_id, settings.google_client_secret))
    if settings.github_client_id is not None and settings.github_client_secret is not None:
        configs.append(GitHubConfig(client_id=settings.github_client_id, client_secret=settings.github_client_secret))
    apple = (settings.apple_client_id, settings.apple_team_id, settings.apple_key_id)
    if all(apple) and settings.apple_private_key is not None:
        client_id, team_id, key_id = (part or "" for part in apple)
        configs.append(
            AppleConfig(client_id=client_id, team_id=team_id, key_id=key_id, private_key=settings.apple_private_key)
        )
    if settings.openid_providers is not None:
        configs += [
            OpenIdConfig(
                key=entry.key,
                name=entry.name,
                issuer=entry.issuer,
                client_id=entry.client_id,
                client_secret=entry.client_secret,
            )
            for entry in openid_entries(settings.openid_providers)
        ]
    return configs
