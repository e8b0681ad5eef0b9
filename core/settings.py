"""Configuration from the environment, `.env` and mounted secret files.

Every field's description and default feed `docs/configuration.md`. A wrong value stops the start with the variable, what is wrong
and what would be right (`describe_problems`).
"""

import os
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.vocabulary import PriceSource


class Mode(StrEnum):
    """How seriously this server is meant."""

    EMBEDDED = "EMBEDDED"
    SANDBOX = "SANDBOX"
    PRODUCTION = "PRODUCTION"


class Settings(BaseSettings):
    """The effective configuration of a process; built once and passed."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    mode: Mode = Field(default=Mode.EMBEDDED, description="EMBEDDED (make dev), SANDBOX or PRODUCTION.")
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the API listens on.")
    app_url: str = Field(default="http://localhost:8000", description="Public URL of this API.")
    data_dir: Path = Field(default=Path("data"), description="Folder of the embedded database.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Log level.")
    log_format: Literal["auto", "json", "console"] = Field(default="auto", description="Log format.")

    sentry_dsn: SecretStr | None = Field(default=None, description="Sentry DSN; unset: no error reports are sent.")
    worker_port: int = Field(
        default=8001, ge=0, le=65535, description="Port of a worker process's health and metrics; 0: any free one."
    )

    mongo_url: SecretStr | None = Field(default=None, description="MongoDB URL; unset: embedded.")
    mongo_database: str = Field(default="cryptovault", description="Database name.")
    mongo_max_pool_size: int = Field(default=50, ge=1, le=1000, description="Connections at most.")
    mongo_min_pool_size: int = Field(default=0, ge=0, le=1000, description="Connections kept open.")
    mongo_timeout_ms: int = Field(default=5000, ge=100, description="Limit of one operation.")
    mongo_connect_timeout_ms: int = Field(default=30_000, ge=100, description="Limit of the first connection.")
    redis_url: SecretStr | None = Field(default=None, description="Redis URL; unset: bus and cache in memory.")

    price_sources: Annotated[tuple[PriceSource, ...], NoDecode] = Field(
        default=(PriceSource.BINANCE, PriceSource.COINBASE, PriceSource.KRAKEN),
        description="Price sources in order of preference, separated by commas.",
    )
    simulated_fallback: bool = Field(
        default=True, description="Serve a simulated feed, labelled, while no source answers."
    )
    simulated_after_seconds: float = Field(default=5.0, ge=0, description="Wait before simulating.")
    simulated_seed: int = Field(default=1, description="Seed of the simulated feed.")
    replay_file: Path | None = Field(default=None, description="Trades CSV for PRICE_SOURCES=replay.")
    replay_speed: str = Field(default="1", description="A factor such as 1 or 10, or max.")
    replay_symbol: str = Field(default="BTC-USDT", description="Market the file is played into.")
    price_max_deviation: Decimal = Field(
        default=Decimal("0.05"), gt=0, lt=1, description="Distance from the median that rejects a source."
    )
    price_stale_seconds: float = Field(default=15.0, gt=0, description="Silence that makes a source stale.")
    rules_refresh_hours: int = Field(
        default=0, ge=0, le=168, description="How often market rules are taken over from the providers; 0: never."
    )
    reference_trade_retention_days: int = Field(
        default=7, ge=1, le=3650, description="Days a reference trade stays stored; its candles stay for good."
    )

    binance_ws_url: str = Field(default="wss://stream.binance.com:9443", description="Binance socket.")
    binance_rest_url: str = Field(default="https://api.binance.com", description="Binance REST.")
    coinbase_ws_url: str = Field(default="wss://advanced-trade-ws.coinbase.com", description="Coinbase socket.")
    kraken_ws_url: str = Field(default="wss://ws.kraken.com/v2", description="Kraken socket, version 2.")
    coingecko_url: str = Field(default="https://api.coingecko.com/api/v3", description="CoinGecko REST.")
    coinmarketcap_url: str = Field(default="https://pro-api.coinmarketcap.com", description="CoinMarketCap REST.")
    binance_api_key: SecretStr | None = Field(default=None, description="Binance key; market data works without.")
    binance_api_secret: SecretStr | None = Field(default=None, description="Secret of the Binance key.")
    coingecko_api_key: SecretStr | None = Field(default=None, description="CoinGecko key, demo or pro.")
    coinmarketcap_api_key: SecretStr | None = Field(
        default=None, description="CoinMarketCap key; required by the source."
    )
    ethereum_rpc_url: SecretStr | None = Field(
        default=None, description="Ethereum mainnet JSON-RPC; required by the source CHAINLINK."
    )

    introspection: bool = Field(default=True, description="Whether clients may ask for the schema.")
    cost_limit_per_request: int = Field(default=10_000, ge=1, description="Points one request may cost.")
    cost_limit_per_minute: int = Field(
        default=120_000, ge=60, multiple_of=60, description="Points a caller may spend in a minute; a multiple of 60."
    )
    sockets_per_address: int = Field(default=2_500, ge=1, description="Sockets one client address may hold open.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()

    @property
    def embedded_database(self) -> bool:
        """Whether this process starts its own database."""
        return self.mongo_url is None


def load_settings() -> Settings:
    """Settings of this process' environment. Raises pydantic.ValidationError."""
    return Settings()


__all__ = ["Mode", "Settings", "load_settings", "os"]
