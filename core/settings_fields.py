"""Every setting, by topic. The descriptions and defaults make `docs/configuration.md` (`python -m core.settings_docs`)."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from core.settings_chains import ChainSettings, CustodySettings, LocalChainSettings, SignerSettings
from core.settings_swaps import SwapSettings
from core.settings_values import (
    LOWER,
    UPPER,
    ApiKey,
    Contact,
    DatabaseName,
    Domain,
    EncryptionKey,
    EncryptionKeys,
    HttpUrl,
    Liquidity,
    MailAddress,
    MongoUrl,
    Networks,
    OpenIdProviders,
    Origins,
    PrivateKey,
    RedirectUris,
    RedisUrl,
    SecretHttpUrl,
    SmtpUrl,
    SocketUrl,
    Sources,
    Speed,
    Symbol,
)
from core.vocabulary import PriceSource


class Mode(StrEnum):
    """How seriously this server is meant."""

    EMBEDDED = "EMBEDDED"
    SANDBOX = "SANDBOX"
    PRODUCTION = "PRODUCTION"


LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]


class ServerSettings(BaseSettings):
    """Server"""

    mode: Annotated[Mode, UPPER] = Field(
        default=Mode.EMBEDDED,
        description="`EMBEDDED` (`make dev`), `SANDBOX` or `PRODUCTION`; production refuses what is unsafe, see below.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address the API listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the API listens on; 0: any free one.")
    api_processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes of `python -m server api` behind `PORT`, one for each core that is left to them (Linux).",
    )
    worker_port: int = Field(
        default=8001,
        ge=0,
        le=65535,
        description="Port of a worker process' health and metrics; 0: any free one. Of several API processes the first has this one, the second the next, and so on.",
    )
    app_url: HttpUrl = Field(default="http://localhost:8000", description="Public URL of this API.")
    security_contact: Contact | None = Field(
        default=None,
        description="Where faults are reported, `mailto:` or `https://`; shown at `/.well-known/security.txt`.",
    )
    cors_origins: Origins = Field(
        default=(), description="Web origins whose pages may use the API; `*`: all of them, for development only."
    )
    trusted_proxies: Networks = Field(
        default=(), description="Addresses or networks of proxies whose `X-Forwarded-For` is believed."
    )
    log_level: Annotated[LogLevel, LOWER] = Field(default="info", description="Lines below this level are not logged.")
    log_format: Annotated[LogFormat, LOWER] = Field(
        default="auto", description="`json`, `console`, or `auto`: console on a terminal of `make dev`, else JSON."
    )
    sentry_dsn: SecretHttpUrl | None = Field(default=None, description="Sentry DSN; unset: no error reports are sent.")


class LimitSettings(BaseSettings):
    """Limits of the API"""

    introspection: bool = Field(default=True, description="Whether clients may ask for the schema.")
    cost_limit_per_request: int = Field(default=10_000, ge=1, description="Points one request may cost.")
    cost_limit_per_minute: int = Field(
        default=120_000, ge=60, multiple_of=60, description="Points a caller may spend in a minute; a multiple of 60."
    )
    sockets_per_address: int = Field(default=2_500, ge=1, description="Sockets one client address may hold open.")
    sockets_per_account: int = Field(default=200, ge=1, description="Sockets one account may hold open.")


class StorageSettings(BaseSettings):
    """Database, bus and cache"""

    mongo_url: MongoUrl | None = Field(
        default=None, description="MongoDB (a replica set); unset: the embedded database, started by `make dev`."
    )
    mongo_database: DatabaseName = Field(default="cryptovault", description="Name of the database.")
    mongo_max_pool_size: int = Field(default=50, ge=1, le=1000, description="Connections at most.")
    mongo_min_pool_size: int = Field(default=0, ge=0, le=1000, description="Connections kept open.")
    mongo_timeout_ms: int = Field(default=5000, ge=100, description="Limit of one operation, in milliseconds.")
    mongo_connect_timeout_ms: int = Field(
        default=30_000, ge=100, description="How long a start waits for the database, in milliseconds."
    )
    redis_url: RedisUrl | None = Field(
        default=None, description="Redis 7 for bus and cache; unset: both in memory, for one process."
    )
    redis_namespace: DatabaseName = Field(
        default="cryptovault", description="First part of keys and channels, for installations that share a Redis."
    )
    data_dir: Path = Field(default=Path("data"), description="Folder of the embedded database.")


class PriceSettings(BaseSettings):
    """Prices"""

    price_sources: Sources = Field(
        default=(PriceSource.BINANCE, PriceSource.COINBASE, PriceSource.KRAKEN),
        description="Sources in order of preference, separated by commas; `replay` and `simulated` stand alone.",
    )
    price_max_deviation: Decimal = Field(
        default=Decimal("0.05"),
        gt=0,
        lt=1,
        description="Distance from the median, as a fraction, that rejects a source.",
    )
    price_stale_seconds: float = Field(default=15.0, gt=0, description="Silence that makes a source stale.")
    rules_refresh_hours: int = Field(
        default=0, ge=0, le=168, description="How often market rules are taken over from the providers; 0: never."
    )
    reference_trade_retention_days: int = Field(
        default=7, ge=1, le=3650, description="Days a reference trade stays stored; its candles stay for good."
    )
    simulated_fallback: bool = Field(
        default=True, description="Serve a simulated feed, labelled as such, while no source answers."
    )
    simulated_after_seconds: float = Field(default=5.0, ge=0, description="Wait for a source before simulating.")
    simulated_seed: int = Field(default=1, description="Seed of the simulated feed.")
    simulated_history_days: int = Field(
        default=400, ge=0, le=400, description="Days before the present of which the simulated feed makes up candles."
    )
    replay_file: Path | None = Field(default=None, description="Trades CSV played by `PRICE_SOURCES=replay`.")
    replay_speed: Annotated[Speed, LOWER] = Field(
        default="1", description="A factor such as `1` or `10`, or `max`: as fast as its readers take it."
    )
    replay_symbol: Annotated[Symbol, UPPER] = Field(default="BTC-USDT", description="Market the file is played into.")


class ProviderSettings(BaseSettings):
    """Price providers"""

    binance_ws_url: SocketUrl = Field(default="wss://stream.binance.com:9443", description="Binance, streams.")
    binance_rest_url: HttpUrl = Field(default="https://api.binance.com", description="Binance, REST.")
    binance_api_key: ApiKey | None = Field(default=None, description="Binance key; market data works without.")
    binance_api_secret: ApiKey | None = Field(default=None, description="Secret of the Binance key.")
    coinbase_ws_url: SocketUrl = Field(
        default="wss://advanced-trade-ws.coinbase.com", description="Coinbase Advanced Trade, streams."
    )
    kraken_ws_url: SocketUrl = Field(default="wss://ws.kraken.com/v2", description="Kraken, streams, version 2.")
    coingecko_url: HttpUrl = Field(default="https://api.coingecko.com/api/v3", description="CoinGecko, REST.")
    coingecko_api_key: ApiKey | None = Field(default=None, description="CoinGecko key, demo or pro.")
    coinmarketcap_url: HttpUrl = Field(default="https://pro-api.coinmarketcap.com", description="CoinMarketCap, REST.")
    coinmarketcap_api_key: ApiKey | None = Field(
        default=None, description="CoinMarketCap key; the source `coinmarketcap` needs it."
    )


class ExchangeSettings(BaseSettings):
    """Exchange"""

    liquidity: Liquidity | None = Field(
        default=None,
        description="Where the house mirrors the reference's book: `mirror` or `none`, markets apart as in "
        "`none,BTC-USDT=mirror`. Unset: `mirror`, with `MODE=PRODUCTION` `none`.",
    )
    house_exposure_usd: Decimal = Field(
        default=Decimal(1_000_000),
        ge=0,
        description="What the house may own or owe of each base asset through its quotes, in US dollars at the reference's price.",
    )
    liability_report_hours: int = Field(
        default=24,
        ge=0,
        le=8760,
        description="How often a proof of liabilities is made, in hours; 0: only by `python -m server liabilities report`.",
    )
    liability_reports_kept: int = Field(
        default=7,
        ge=1,
        le=1000,
        description="Of how many reports, the newest, people's proofs are kept; the reports themselves stay for good.",
    )


class AccountSettings(BaseSettings):
    """Accounts"""

    account_pages_url: HttpUrl | None = Field(
        default=None,
        description="Where links in mails lead: `/verify-email`, `/reset-password` and `/freeze` below it, with the "
        "token in the fragment. Unset: the small pages this server has, `/account` below `APP_URL` (without that: of this "
        "machine at `PORT`).",
    )
    session_idle_days: int = Field(default=7, ge=1, le=90, description="Days without use after which a session ends.")
    session_max_days: int = Field(default=30, ge=1, le=365, description="Days after which a session ends in any case.")
    password_hash_kib: int = Field(
        default=47_104, ge=8, le=4_194_304, description="Memory of one Argon2id password hash, in KiB."
    )
    password_hash_passes: int = Field(default=1, ge=1, le=100, description="Passes of one Argon2id password hash.")
    password_hash_threads: int | None = Field(
        default=None, ge=1, le=64, description="Hashes at a time; unset: one less than there are cores."
    )
    breached_password_check: bool = Field(
        default=True, description="Whether new passwords are looked up among breached ones, while that service answers."
    )
    breached_passwords_url: HttpUrl = Field(
        default="https://api.pwnedpasswords.com",
        description="Range API of breached passwords; five digits of a hash are all that is sent.",
    )
    test_funds_daily_usd: int = Field(
        default=100_000,
        ge=0,
        le=1_000_000_000,
        description="Test funds an account may claim a day (UTC) outside production: of each asset as much as is worth so many USD.",
    )
    withdrawal_hold_hours: int = Field(
        default=24,
        ge=0,
        le=720,
        description="Hours without withdrawals after a change of password, address, factors, linked identities or wallets; none "
        "with `WITH_CHAINS`.",
    )
    passkey_domain: Domain | None = Field(
        default=None, description="Relying party of passkeys, a domain; unset: the host of `APP_URL`."
    )


class IdentityProviderSettings(BaseSettings):
    """External identities"""

    oauth_redirect_uris: RedirectUris = Field(
        default=(),
        description="Pages a provider may send people back to; unset: any path on an allowed web origin.",
    )
    google_client_id: str | None = Field(default=None, description="Google client.")
    google_client_secret: ApiKey | None = Field(default=None, description="Secret of the Google client.")
    github_client_id: str | None = Field(default=None, description="GitHub OAuth app.")
    github_client_secret: ApiKey | None = Field(default=None, description="Secret of the GitHub OAuth app.")
    apple_client_id: str | None = Field(default=None, description="Apple Services ID.")
    apple_team_id: str | None = Field(default=None, description="Apple team of the Services ID.")
    apple_key_id: str | None = Field(default=None, description="Id of the Sign in with Apple key.")
    apple_private_key: PrivateKey | None = Field(default=None, description="That key, the content of the `.p8` file.")
    openid_providers: OpenIdProviders | None = Field(
        default=None,
        description="Further OpenID providers, a JSON list of objects with `key`, `name`, `issuer`, `client_id` and "
        "`client_secret`.",
    )


class MailAndKeySettings(BaseSettings):
    """Mail and keys"""

    email_provider: Annotated[Literal["console", "smtp", "sendgrid"], LOWER] = Field(
        default="console",
        description="Who delivers mail: `console` (printed, for development), `smtp` (needs `SMTP_URL`) or `sendgrid` "
        "(needs its key).",
    )
    mail_from: MailAddress = Field(
        default="CryptoVault <no-reply@localhost>", description="Sender of all mail, `Name <address>`."
    )
    smtp_url: SmtpUrl | None = Field(
        default=None, description="Mail server, `smtp://` (STARTTLS where offered) or `smtps://`."
    )
    sendgrid_api_key: ApiKey | None = Field(default=None, description="SendGrid key.")
    sendgrid_url: HttpUrl = Field(default="https://api.sendgrid.com", description="SendGrid, REST.")
    encryption_key: EncryptionKey | None = Field(
        default=None,
        description="Encrypts stored secrets: 32 bytes in base64 (`openssl rand -base64 32`). Unset, `dev` makes one in "
        "`DATA_DIR`.",
    )
    encryption_old_keys: EncryptionKeys | None = Field(
        default=None, description="Former encryption keys, separated by commas, until `encryption rotate` has run."
    )


TOPICS: tuple[type[BaseSettings], ...] = (
    ServerSettings,
    LimitSettings,
    StorageSettings,
    PriceSettings,
    ProviderSettings,
    ExchangeSettings,
    ChainSettings,
    LocalChainSettings,
    CustodySettings,
    SwapSettings,
    AccountSettings,
    IdentityProviderSettings,
    MailAndKeySettings,
    SignerSettings,
)


class SettingsFields(
    ServerSettings,
    LimitSettings,
    StorageSettings,
    PriceSettings,
    ProviderSettings,
    ExchangeSettings,
    ChainSettings,
    LocalChainSettings,
    CustodySettings,
    SwapSettings,
    AccountSettings,
    IdentityProviderSettings,
    MailAndKeySettings,
    SignerSettings,
):
    """All topics together."""
