"""Every rule of the configuration, as tables: what is accepted, what is refused and in which words."""

import base64
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from core.settings import Mode, Settings, describe_problems, load_settings, misspelled, redacted
from core.settings_describe import is_secret
from core.settings_keys import SignerKind, WithdrawalKey
from core.vocabulary import ChainFamily, PriceSource

KEY = base64.b64encode(bytes(range(7, 39))).decode()
OPENID = json.dumps(
    [
        {
            "key": "work",
            "name": "Work",
            "issuer": "https://id.work.example",
            "client_id": "a",
            "client_secret": "kX9-wQz41mTb",
        }
    ]
)
PASSPHRASE = "Zq7vL0pX2nB8sT4d"
ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PRODUCTION = {
    "MODE": "production",
    "BLOCKCHAIN_NETWORK": "mainnet",
    "MONGO_URL": "mongodb://app:kX9-wQz41mTb@db1:27017,db2:27017/?replicaSet=rs0",
    "REDIS_URL": "rediss://:f7Jq02LmzXc8@cache:6379/0",
    "APP_URL": "https://api.vault.io",
    "ENCRYPTION_KEY": KEY,
    "EMAIL_PROVIDER": "smtp",
    "SMTP_URL": "smtps://app:kX9-wQz41mTb@mail:465",
    "MAIL_FROM": "Vault <no-reply@vault.io>",
    "SIMULATED_FALLBACK": "false",
}
"""A production configuration without a fault."""


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting in the environment, and a folder without `.env`."""
    names = {name.upper() for name in Settings.model_fields}
    for name in list(os.environ):
        if name.upper().removesuffix("_FILE") in names or name.upper() in names:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refused(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    with pytest.raises(ValidationError) as refusal:
        load(monkeypatch, **environment)
    for line in (lines := describe_problems(refusal.value)):
        assert "\n" not in line
        assert len(line) < 300
    return lines


def test_nothing_set_is_a_development_server() -> None:
    settings = load_settings()
    assert settings.mode is Mode.EMBEDDED
    assert settings.embedded_database
    assert settings.redis_url is None
    assert settings == Settings(_env_file=None)


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("MODE", "sandbox", Mode.SANDBOX),
        ("PORT", "0", 0),
        ("PORT", "65535", 65535),
        ("LOG_LEVEL", "WARNING", "warning"),
        ("DATA_DIR", "/var/lib/vault", Path("/var/lib/vault")),
        ("CORS_ORIGINS", "https://a.example, http://localhost:3000,", ("https://a.example", "http://localhost:3000")),
        ("CORS_ORIGINS", "*", ("*",)),
        ("TRUSTED_PROXIES", "10.0.0.0/8,2001:db8::/32, 192.0.2.7", ("10.0.0.0/8", "2001:db8::/32", "192.0.2.7")),
        ("PRICE_SOURCES", "kraken, Binance", (PriceSource.KRAKEN, PriceSource.BINANCE)),
        ("PRICE_SOURCES", "simulated", (PriceSource.SIMULATED,)),
        ("LIQUIDITY", "Mirror", ("mirror",)),
        ("LIQUIDITY", "none, BTC-USDT=mirror", ("none", "BTC-USDT=mirror")),
        ("HOUSE_EXPOSURE_USD", "0", Decimal(0)),
        ("REPLAY_SPEED", "MAX", "max"),
        ("REPLAY_SPEED", "0.5", "0.5"),
        ("REPLAY_SYMBOL", "eth-usd", "ETH-USD"),
        ("SIMULATED_FALLBACK", "false", False),
        ("APP_URL", "https://api.example.com", "https://api.example.com"),
        ("BINANCE_WS_URL", "ws://127.0.0.1:9443", "ws://127.0.0.1:9443"),
        ("MONGO_URL", "mongodb://h:1", SecretStr("mongodb://h:1")),
        ("MONGO_URL", "mongodb+srv://u:p%40@h.example", SecretStr("mongodb+srv://u:p%40@h.example")),
        ("REDIS_URL", "redis://[::1]:6379/2", SecretStr("redis://[::1]:6379/2")),
        ("ETHEREUM_RPC_URL", "http://127.0.0.1:8545", SecretStr("http://127.0.0.1:8545")),
        ("BLOCKCHAIN_NETWORK", "Mainnet", "mainnet"),
        ("SENTRY_DSN", "https://key@sentry.example/1", SecretStr("https://key@sentry.example/1")),
        ("ENCRYPTION_KEY", KEY, SecretStr(KEY)),
        ("ENCRYPTION_KEY", "-_" * 21 + "8=", SecretStr("-_" * 21 + "8=")),
        (
            "WITHDRAWAL_KEYS",
            "evm=keystore:data/keys/evm.pem, Solana = keystore:/k/a=b:c.pem,",
            (
                WithdrawalKey(ChainFamily.EVM, SignerKind.KEYSTORE, "data/keys/evm.pem"),
                WithdrawalKey(ChainFamily.SOLANA, SignerKind.KEYSTORE, "/k/a=b:c.pem"),
            ),
        ),
        ("AWS_REGION", "us-gov-west-1", "us-gov-west-1"),
        ("AWS_KMS_URL", "http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("ENCRYPTION_OLD_KEYS", f"{KEY}, {KEY}", SecretStr(f"{KEY}, {KEY}")),
        ("MAIL_FROM", "Vault <no-reply@vault.io>", "Vault <no-reply@vault.io>"),
        ("PASSKEY_DOMAIN", "vault.io", "vault.io"),
        ("SECURITY_CONTACT", "mailto:security@vault.io", "mailto:security@vault.io"),
        ("OAUTH_REDIRECT_URIS", "https://a.io/in,https://b.io/in", ("https://a.io/in", "https://b.io/in")),
        ("OPENID_PROVIDERS", OPENID, SecretStr(OPENID)),
        ("MONGO_URL", "", None),
        ("PORT", "", 8000),
    ],
)
def test_what_is_accepted(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: object) -> None:
    monkeypatch.setenv("KEYSTORE_PASSPHRASE", PASSPHRASE)
    assert getattr(load(monkeypatch, **{variable: text}), variable.lower()) == value


HTTP = ": the value is no http or https URL; expected a URL such as https://"
MONGO = "MONGO_URL: the value is no MongoDB URL; expected mongodb://user:password@host:27017/?replicaSet=rs0"
REDIS = "REDIS_URL: the value is no redis or rediss URL; expected a URL such as redis://user:password@host:6379/0"
NO_KEY = "ENCRYPTION_KEY: the value is no key; expected 32 bytes in base64"
SPEED = "; expected max, or a factor above 0 and at most 1,000,000"


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        ("MODE", "prodution", "MODE: 'PRODUTION' cannot be used; expected one of EMBEDDED, SANDBOX, PRODUCTION"),
        ("PORT", "eighty", "PORT: 'eighty' cannot be used; expected a whole number, at least 0, at most 65535"),
        ("PORT", "65536", "PORT: '65536' cannot be used; expected a whole number, at least 0, at most 65535"),
        ("PORT", "-1", "PORT: '-1' cannot be used; expected a whole number"),
        ("PORT", "80.5", "PORT: '80.5' cannot be used; expected a whole number"),
        ("PORT", "9" * 5000, f"PORT: '{'9' * 60}' cannot be used; expected a whole number"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: 'loud' cannot be used; expected one of debug, info, warning, error"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT: 'xml' cannot be used; expected one of auto, json, console"),
        ("SIMULATED_FALLBACK", "maybe", "SIMULATED_FALLBACK: 'maybe' cannot be used; expected true or false"),
        ("PRICE_STALE_SECONDS", "nan", "PRICE_STALE_SECONDS: 'nan' cannot be used; expected a number, above 0"),
        ("PRICE_STALE_SECONDS", "inf", "PRICE_STALE_SECONDS: 'inf' cannot be used; expected a number, above 0"),
        ("PRICE_MAX_DEVIATION", "1", "PRICE_MAX_DEVIATION: '1' cannot be used; expected a number, above 0, below 1"),
        (
            "COST_LIMIT_PER_MINUTE",
            "61",
            "COST_LIMIT_PER_MINUTE: '61' cannot be used; expected a whole number, at least 60",
        ),
        ("APP_URL", "ftp://a.example", "APP_URL" + HTTP),
        ("APP_URL", "api.example.com", "APP_URL" + HTTP),
        ("APP_URL", "http://", "APP_URL" + HTTP),
        ("APP_URL", "http://a.example:99999", "APP_URL" + HTTP),
        ("APP_URL", "http://[::1", "APP_URL" + HTTP),
        ("APP_URL", "https://u:geheim@a.example", "APP_URL: this URL is shown in logs and may hold no credentials"),
        ("BINANCE_WS_URL", "https://x.example", "BINANCE_WS_URL: the value is no ws or wss URL"),
        ("CHAINLINK_RPC_URL", "geheim.example", "CHAINLINK_RPC_URL" + HTTP),
        ("ETHEREUM_RPC_URL", "https://a,geheim", "ETHEREUM_RPC_URL: the value is no list of http or https URLs"),
        ("ETHEREUM_RPC_URL", "https://a,https://a", "ETHEREUM_RPC_URL: the value is no list of http or https URLs"),
        ("SENTRY_DSN", "geheim", "SENTRY_DSN" + HTTP),
        ("MONGO_URL", "postgres://u:geheim@h", MONGO),
        ("MONGO_URL", "mongodb://u:geheim@@h", MONGO),
        ("MONGO_URL", "mongodb://", MONGO),
        ("MONGO_URL", "mongodb://u:geheim@h:99999", MONGO),
        ("MONGO_URL", "mongodb+srv://", MONGO),
        ("REDIS_URL", "http://:geheim@h", REDIS),
        ("REDIS_URL", "redis://:geheim@h:port", REDIS),
        ("REDIS_URL", "redis://h ", REDIS),
        ("MONGO_DATABASE", "a/b", "MONGO_DATABASE: 'a/b' is no database name; expected at most 63 letters"),
        ("REDIS_NAMESPACE", "a:b", "REDIS_NAMESPACE: 'a:b' is no database name"),
        ("CORS_ORIGINS", "https://a.example/path", "CORS_ORIGINS: 'https://a.example/path' is no origin"),
        (
            "CORS_ORIGINS",
            "a.example",
            "CORS_ORIGINS: 'a.example' is no origin; expected a comma-separated list such as",
        ),
        ("CORS_ORIGINS", "null", "CORS_ORIGINS: 'null' is no origin"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "TRUSTED_PROXIES: '10.0.0.0/33' is no address or network"),
        ("TRUSTED_PROXIES", "proxy", "TRUSTED_PROXIES: 'proxy' is no address or network; expected a comma-separated"),
        (
            "PRICE_SOURCES",
            "binance,bitstamp",
            "PRICE_SOURCES: 'BITSTAMP' is no price source; expected a comma-separated",
        ),
        ("LIQUIDITY", "much", "LIQUIDITY: 'much' says no liquidity; expected mirror or none, or a list such as"),
        ("LIQUIDITY", ",", "LIQUIDITY: nothing is said; expected each market once"),
        ("LIQUIDITY", "btc=mirror", "LIQUIDITY: 'btc=mirror' says no liquidity"),
        ("LIQUIDITY", "none,=mirror", "LIQUIDITY: '=mirror' says no liquidity"),
        ("LIQUIDITY", "none,mirror", "LIQUIDITY: a market is named twice; expected each market once"),
        ("HOUSE_EXPOSURE_USD", "-1", "HOUSE_EXPOSURE_USD: '-1' cannot be used; expected a number, at least 0"),
        ("PRICE_SOURCES", "exchange", "PRICE_SOURCES: 'EXCHANGE' is no price source"),
        ("PRICE_SOURCES", "kraken,KRAKEN", "PRICE_SOURCES: a source is named twice"),
        ("PRICE_SOURCES", ",", "PRICE_SOURCES: no source is named"),
        (
            "PRICE_SOURCES",
            "replay",
            "REPLAY_FILE: missing, while PRICE_SOURCES is replay; expected the path of a trades CSV",
        ),
        ("PRICE_SOURCES", "kraken,simulated", "PRICE_SOURCES: simulated does not mix with other sources"),
        ("REPLAY_SPEED", "0", "REPLAY_SPEED: '0' is no speed" + SPEED),
        ("REPLAY_SPEED", "-1", "REPLAY_SPEED: '-1' is no speed" + SPEED),
        ("REPLAY_SPEED", "1e3", "REPLAY_SPEED: '1e3' is no speed" + SPEED),
        ("REPLAY_SPEED", "nan", "REPLAY_SPEED: 'nan' is no speed" + SPEED),
        ("REPLAY_SPEED", "1000001", "REPLAY_SPEED: '1000001' is no speed" + SPEED),
        ("REPLAY_SYMBOL", "BTCUSDT", "REPLAY_SYMBOL: 'BTCUSDT' is no market; expected a symbol BASE-QUOTE"),
        ("BINANCE_API_KEY", "geheim\n", "BINANCE_API_KEY: the value is blank, or has spaces or line ends around it"),
        ("BINANCE_API_SECRET", "geheim", "BINANCE_API_KEY: missing; expected the key of BINANCE_API_SECRET"),
        (
            "BLOCKCHAIN_NETWORK",
            "ropsten",
            "BLOCKCHAIN_NETWORK: 'ropsten' cannot be used; expected one of mainnet, testnet",
        ),
        (
            "EMAIL_PROVIDER",
            "pigeon",
            "EMAIL_PROVIDER: 'pigeon' cannot be used; expected one of console, smtp, sendgrid",
        ),
        ("EMAIL_PROVIDER", "smtp", "SMTP_URL: missing, while EMAIL_PROVIDER is smtp; expected the mail server's URL"),
        ("EMAIL_PROVIDER", "sendgrid", "SENDGRID_API_KEY: missing, while EMAIL_PROVIDER is sendgrid"),
        ("SMTP_URL", "mail.example:25", "SMTP_URL: the value is no smtp or smtps URL"),
        ("MAIL_FROM", "Vault", "MAIL_FROM: 'Vault' is no mail address; expected such as CryptoVault <no-reply@"),
        ("MAIL_FROM", "V\r\nBcc: x <a@b.io>", "MAIL_FROM: the value has line ends"),
        (
            "SECURITY_CONTACT",
            "security@vault.io",
            "SECURITY_CONTACT: 'security@vault.io' is no contact; expected mailto:",
        ),
        ("PASSKEY_DOMAIN", "https://a.io", "PASSKEY_DOMAIN: 'https://a.io' is no domain; expected a domain such as"),
        ("SESSION_IDLE_DAYS", "31", "SESSION_IDLE_DAYS: 31 days are too many; expected at most SESSION_MAX_DAYS"),
        (
            "GOOGLE_CLIENT_SECRET",
            "geheim",
            "GOOGLE_CLIENT_ID: missing, while GOOGLE_CLIENT_SECRET is set; expected all",
        ),
        ("APPLE_KEY_ID", "k", "APPLE_CLIENT_ID: missing, while APPLE_KEY_ID is set; expected all of them, or none"),
        (
            "APPLE_PRIVATE_KEY",
            "geheim",
            "APPLE_PRIVATE_KEY: the value is no private key; expected the content of the .p8",
        ),
        ("OPENID_PROVIDERS", "geheim", "OPENID_PROVIDERS: the value is no list of OpenID providers; expected a JSON"),
        ("OPENID_PROVIDERS", OPENID.replace("work", "apple", 1), "OPENID_PROVIDERS: a provider's key is used twice"),
        ("OPENID_PROVIDERS", OPENID.replace("issuer", "url"), "OPENID_PROVIDERS: the value is no list of OpenID"),
        ("ENCRYPTION_OLD_KEYS", f"{KEY},geheim", "ENCRYPTION_OLD_KEYS: the value is no key; expected 32 bytes"),
        ("ENCRYPTION_KEY", "geheim", NO_KEY),
        ("ENCRYPTION_KEY", base64.b64encode(b"x" * 31).decode(), NO_KEY),
        ("ENCRYPTION_KEY", base64.b64encode(b"x" * 33).decode(), NO_KEY),
        ("ENCRYPTION_KEY", KEY.rstrip("="), NO_KEY),
        ("ENCRYPTION_KEY", "größe", NO_KEY),
        ("WITHDRAWAL_KEYS", ",", "WITHDRAWAL_KEYS: no key is named; expected a comma-separated list such as evm=kms:"),
        ("WITHDRAWAL_KEYS", "doge=kms:alias/a", "WITHDRAWAL_KEYS: 'doge=kms:alias/a' names no family of chains"),
        ("WITHDRAWAL_KEYS", "alias/a", "WITHDRAWAL_KEYS: 'alias/a' names no family of chains"),
        ("WITHDRAWAL_KEYS", "evm=alias/a", "WITHDRAWAL_KEYS: 'evm=alias/a' names no key"),
        ("WITHDRAWAL_KEYS", "evm=kms:", "WITHDRAWAL_KEYS: 'evm=kms:' names no key"),
        ("WITHDRAWAL_KEYS", "evm=vault:a", "WITHDRAWAL_KEYS: 'evm=vault:a' names no key"),
        ("WITHDRAWAL_KEYS", "evm=kms:key/a", "WITHDRAWAL_KEYS: 'key/a' is no key of AWS KMS; expected its id, alias"),
        ("WITHDRAWAL_KEYS", "evm=kms:alias/ä", "WITHDRAWAL_KEYS: 'alias/ä' is no key of AWS KMS; expected its id"),
        (
            "WITHDRAWAL_KEYS",
            "evm=kms:a,EVM=kms:b",
            "WITHDRAWAL_KEYS: a family of chains is named twice; expected a comma-separated list",
        ),
        ("WITHDRAWAL_KEYS", "evm=kms:a", "AWS_REGION: missing, while WITHDRAWAL_KEYS names a key of AWS KMS; expected"),
        (
            "WITHDRAWAL_KEYS",
            "evm=keystore:a.pem",
            "KEYSTORE_PASSPHRASE: missing, while WITHDRAWAL_KEYS names a keystore; expected the passphrase",
        ),
        (
            "DEPOSIT_XPUBS",
            "geheim",
            "DEPOSIT_XPUBS: the value names no keys, or a family that has none; expected a list",
        ),
        ("DEPOSIT_XPUBS", "evm=xpubgeheim,EVM=xpubgeheim", "DEPOSIT_XPUBS: the value names no keys, or a family that"),
        ("DEPOSIT_XPUBS", "evm=xprvgeheim", "DEPOSIT_XPUBS: there is a PRIVATE key or a seed phrase in the value"),
        (
            "DEPOSIT_XPUBS",
            f"evm={'geheim ' * 12}",
            "DEPOSIT_XPUBS: there is a PRIVATE key or a seed phrase in the value",
        ),
        ("KEYSTORE_PASSPHRASE", "geheim", "KEYSTORE_PASSPHRASE: the value is too short, or has spaces or line ends"),
        ("KEYSTORE_PASSPHRASE", "geheim" * 3 + " ", "KEYSTORE_PASSPHRASE: the value is too short, or has spaces"),
        ("AWS_REGION", "Frankfurt", "AWS_REGION: 'Frankfurt' is no region of AWS; expected a region such as"),
        ("AWS_KMS_URL", "kms.example", "AWS_KMS_URL" + HTTP),
        (
            "MONGO_MIN_POOL_SIZE",
            "51",
            "MONGO_MIN_POOL_SIZE: 51 connections are too many; expected at most MONGO_MAX_POOL_SIZE",
        ),
    ],
)
def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, line: str) -> None:
    (only,) = refused(monkeypatch, **{variable: text})
    assert only.startswith(line)
    assert "geheim" not in only


def test_a_replayed_file_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    (line,) = refused(monkeypatch, PRICE_SOURCES="replay", REPLAY_FILE=str(file))
    assert line.startswith(f"REPLAY_FILE: there is no file {str(file)!r}; expected the path of a trades CSV")
    file.touch()
    assert load_settings().replay_file == file


def test_keys_of_kms_are_of_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = f"evm=kms:alias/hot-evm,bitcoin=kms:{ARN}"
    (line,) = refused(monkeypatch, WITHDRAWAL_KEYS=keys, AWS_REGION="us-east-1")
    assert line.startswith(
        "WITHDRAWAL_KEYS: the key of bitcoin is in eu-central-1, and AWS_REGION is us-east-1; expected"
    )
    settings = load(monkeypatch, WITHDRAWAL_KEYS=keys, AWS_REGION="eu-central-1")
    assert redacted(settings)["WITHDRAWAL_KEYS"] == keys
    assert load(monkeypatch, **PRODUCTION) is not None


def test_production_refuses_a_keystore_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"WITHDRAWAL_KEYS": "evm=keystore:a.pem", "KEYSTORE_PASSPHRASE": PASSPHRASE}
    (line,) = refused(monkeypatch, **PRODUCTION, **keys)
    assert line.startswith("WITHDRAWAL_KEYS: a keystore is for development (MODE is PRODUCTION); expected keys in AWS")
    assert load(monkeypatch, MODE="SANDBOX").withdrawal_keys is not None


def test_all_problems_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"PORT": "x", "MONGO_URL": "x", "CORS_ORIGINS": "a,*,b", "PRICE_SOURCES": "replay,kraken"}
    lines = refused(monkeypatch, **environment, MODE="production", APP_URL="x")
    assert sorted(line.partition(":")[0] for line in lines) == [
        "APP_URL",
        "BLOCKCHAIN_NETWORK",
        "CORS_ORIGINS",
        "CORS_ORIGINS",
        "EMAIL_PROVIDER",
        "ENCRYPTION_KEY",
        "MAIL_FROM",
        "MONGO_URL",
        "PORT",
        "PRICE_SOURCES",
        "PRICE_SOURCES",
        "REDIS_URL",
        "REPLAY_FILE",
        "SIMULATED_FALLBACK",
    ]


def test_a_rule_that_depends_on_a_wrong_value_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refused(monkeypatch, MODE="produktion", MONGO_MAX_POOL_SIZE="x", MONGO_MIN_POOL_SIZE="70")
    assert sorted(line.partition(":")[0] for line in lines) == ["MODE", "MONGO_MAX_POOL_SIZE"]


def test_no_error_repeats_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, field in Settings.model_fields.items():
        if is_secret(field):
            monkeypatch.setenv(name.upper(), "geheim ")
    with pytest.raises(ValidationError) as refusal:
        load_settings()
    assert "geheim" not in str(refusal.value)
    assert "geheim" not in "".join(describe_problems(refusal.value))
    assert "geheim" not in str(refusal.value.errors())


def test_a_sound_production_configuration_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, **PRODUCTION).mode is Mode.PRODUCTION


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        ("BLOCKCHAIN_NETWORK", "testnet", "BLOCKCHAIN_NETWORK: coins of a test network are worth nothing"),
        ("MONGO_URL", "", "MONGO_URL: missing: the embedded database is for development (MODE is PRODUCTION)"),
        ("REDIS_URL", "", "REDIS_URL: missing: a bus in memory is for one process (MODE is PRODUCTION)"),
        ("ENCRYPTION_KEY", "", "ENCRYPTION_KEY: missing (MODE is PRODUCTION); expected 32 bytes in base64"),
        ("CORS_ORIGINS", "https://a.example,*", "CORS_ORIGINS: * lets every site use the API (MODE is PRODUCTION)"),
        (
            "EMAIL_PROVIDER",
            "console",
            "EMAIL_PROVIDER: printed mail reaches nobody (MODE is PRODUCTION); expected smtp or",
        ),
        ("MAIL_FROM", "no-reply@localhost", "MAIL_FROM: the sender is a development address (MODE is PRODUCTION)"),
        ("MAIL_FROM", "", "MAIL_FROM: the sender is a development address (MODE is PRODUCTION)"),
        ("OPENID_PROVIDERS", OPENID.replace("https", "http"), "OPENID_PROVIDERS: the issuer of work is not encrypted"),
        (
            "OPENID_PROVIDERS",
            OPENID.replace("kX9-wQz41mTb", "secret"),
            "OPENID_PROVIDERS: the value is a development secret",
        ),
        ("SIMULATED_FALLBACK", "", "SIMULATED_FALLBACK: simulated prices must not stand in for real ones"),
        ("SIMULATED_FALLBACK", "true", "SIMULATED_FALLBACK: simulated prices must not stand in for real ones"),
        (
            "APP_URL",
            "http://api.vault.io",
            "APP_URL: the public URL is not encrypted (MODE is PRODUCTION); expected an https",
        ),
        ("APP_URL", "", "APP_URL: the public URL is not encrypted"),
        ("AWS_KMS_URL", "http://10.0.0.5", "AWS_KMS_URL: the endpoint is not encrypted (MODE is PRODUCTION); expected"),
        ("PRICE_SOURCES", "simulated", "PRICE_SOURCES: replayed and simulated prices are not real"),
        ("MONGO_URL", "mongodb://app:changeme@h", "MONGO_URL: the value is a development secret (MODE is PRODUCTION)"),
        ("MONGO_URL", "mongodb://root:%72oot@h", "MONGO_URL: the value is a development secret"),
        ("REDIS_URL", "redis://:Password1@h", "REDIS_URL: the value is a development secret"),
        ("REDIS_URL", "redis://:xxxxxxxxxxxx@h", "REDIS_URL: the value is a development secret"),
        ("SENDGRID_API_KEY", "secret", "SENDGRID_API_KEY: the value is a development secret"),
        ("BINANCE_API_KEY", "my-example-key", "BINANCE_API_KEY: the value is a development secret"),
        ("ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode(), "ENCRYPTION_KEY: the value is a development secret"),
        (
            "ENCRYPTION_KEY",
            base64.b64encode(b"a development key, not a secret!").decode(),
            "ENCRYPTION_KEY: the value is a development secret (MODE is PRODUCTION); expected a secret of your own",
        ),
    ],
)
def test_what_production_refuses(monkeypatch: pytest.MonkeyPatch, variable: str, text: str, line: str) -> None:
    (only,) = refused(monkeypatch, **(PRODUCTION | {variable: text}))
    assert only.startswith(line)
    monkeypatch.setenv("MODE", "SANDBOX")
    load_settings()


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mongo").write_text("mongodb://u:geheim@h:1\n")
    (tmp_path / ".env").write_text(f"BINANCE_API_KEY_FILE={tmp_path}/binance\n")
    (tmp_path / "binance").write_text("k1\r\n")
    settings = load(monkeypatch, MONGO_URL_FILE=str(tmp_path / "mongo"), BINANCE_API_KEY="")
    assert settings.mongo_url == SecretStr("mongodb://u:geheim@h:1")
    assert settings.binance_api_key == SecretStr("k1")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "cannot be read (No such file or directory); expected a readable text file that holds the secret"),
        (b"", "is empty; expected a readable"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_a_secret_file_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, line: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    (only,) = refused(monkeypatch, MONGO_URL_FILE=str(file))
    assert only.startswith(f"MONGO_URL: the file {str(file)!r} {line}")


def test_a_folder_is_no_secret_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (only,) = refused(monkeypatch, REDIS_URL_FILE=str(tmp_path))
    assert "cannot be read (Is a directory)" in only


def test_a_secret_and_its_file_contradict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mongo").write_text("mongodb://h:1")
    (tmp_path / ".env").write_text("MONGO_URL=mongodb://h:2\n")
    (only,) = refused(monkeypatch, MONGO_URL_FILE=str(tmp_path / "mongo"))
    assert only == "MONGO_URL: both MONGO_URL and MONGO_URL_FILE are set; expected one of the two"


def test_a_wrong_value_in_a_file_is_a_wrong_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mongo").write_text("geheim")
    (only,) = refused(monkeypatch, MONGO_URL_FILE=str(tmp_path / "mongo"))
    assert only.startswith(MONGO)
    assert "geheim" not in only


def test_only_secrets_have_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("9")
    assert load(monkeypatch, PORT_FILE=str(tmp_path / "port")).port == 8000


def test_the_environment_wins_over_the_file_and_the_caller_over_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=1\nWORKER_PORT=2\n# PORT=3\n")
    settings = load(monkeypatch, PORT="4")
    assert (settings.port, settings.worker_port) == (4, 2)
    assert Settings(port=5).port == 5
    assert Settings(_env_file=None).worker_port == 8001


def test_names_that_look_like_ours_are_reported(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "MONGO_URI=x\nREDIS_URL=redis://h\nredis_url_file=x\nBINANCE_APIKEY=x\nMONGO_URL_FIEL=x\nPOSTGRES_HOST=x\nEDITOR=vi\n"
    )
    assert misspelled() == [
        ".env: MONGO_URI is no setting and is ignored; did you mean MONGO_URL?",
        ".env: BINANCE_APIKEY is no setting and is ignored; did you mean BINANCE_API_KEY?",
        ".env: MONGO_URL_FIEL is no setting and is ignored; did you mean MONGO_URL_FILE?",
    ]
    assert misspelled(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("mongo_url", "mongodb://u:geheim@h1:1,h2:2/geheim?replicaSet=rs0", "mongodb://***@h1:1,h2:2/***"),
        ("mongo_url", "mongodb://h:1", "mongodb://h:1"),
        ("redis_url", "redis://:geheim@h:1/", "redis://***@h:1"),
        ("ethereum_rpc_url", "https://mainnet.infura.io/v3/geheim", "https://mainnet.infura.io/***"),
        ("ethereum_rpc_url", "https://h.example?key=geheim", "https://h.example/***"),
        ("bitcoin_rpc_url", "http://u:geheim@a:1, https://b/geheim", "http://***@a:1,https://b/***"),
        ("sentry_dsn", "https://geheim@sentry.example/1", "https://***@sentry.example/***"),
        ("binance_api_key", "geheim", "***"),
        ("price_sources", (PriceSource.KRAKEN, PriceSource.BINANCE), "KRAKEN,BINANCE"),
        ("simulated_fallback", False, "false"),
        ("replay_file", None, ""),
        ("mode", Mode.SANDBOX, "SANDBOX"),
    ],
)
def test_what_is_shown_of_a_value(field: str, value: Any, shown: str) -> None:
    settings = Settings(_env_file=None, **{field: value})
    assert redacted(settings)[field.upper()] == shown
    assert list(redacted(settings))[:2] == ["MODE", "HOST"]
    assert set(redacted(settings)) == {name.upper() for name in Settings.model_fields}
    assert "geheim" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, None),
        ({"infura_api_key": "a/b"}, "https://mainnet.infura.io/v3/a%2Fb"),
        ({"alchemy_api_key": "k"}, "https://eth-mainnet.g.alchemy.com/v2/k"),
        ({"alchemy_api_key": "k", "infura_api_key": "i"}, "https://mainnet.infura.io/v3/i"),
        ({"chainlink_rpc_url": "http://node:8545", "infura_api_key": "i"}, "http://node:8545"),
        ({"ethereum_rpc_url": "http://a:8545,http://b:8545", "blockchain_network": "mainnet"}, "http://a:8545"),
        ({"ethereum_rpc_url": "http://sepolia:8545", "infura_api_key": "i"}, "https://mainnet.infura.io/v3/i"),
    ],
)
def test_where_ethereum_is_asked(given: dict[str, Any], url: str | None) -> None:
    found = Settings(_env_file=None, **given).ethereum_mainnet_url
    assert (found and found.get_secret_value()) == url


def test_settings_do_not_change() -> None:
    settings = Settings(_env_file=None)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
