"""Rules over several settings, and what production refuses. Each gives the problem, or nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from core.settings_fields import Mode, SettingsFields
from core.settings_keys import SignerKind
from core.settings_values import key_bytes, openid_entries
from core.vocabulary import PriceSource
from core.wallet_vocabulary import ChainNetwork


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """A variable, what is wrong with it and what would be right. `others`: the fields it was judged by."""

    field: str
    wrong: str
    right: str
    others: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return self.field.upper()

    def __str__(self) -> str:
        return f"{self.variable}: {self.wrong}; expected {self.right}"


DEVELOPMENT_WORDS = frozenset(
    {
        "admin",
        "cryptovault",
        "dev",
        "guest",
        "mongo",
        "mongodb",
        "postgres",
        "redis",
        "root",
        "sandbox",
        "secret",
        "test",
        "token",
    }
)
DEVELOPMENT_PARTS = ("changeme", "change-me", "change_me", "development", "example", "insecure", "password")
FEWEST_DISTINCT_BYTES = 12
"""32 random bytes have fewer different ones in less than one of 10^24 keys."""


def problems(settings: SettingsFields) -> Iterator[SettingsProblem]:
    """Everything wrong with these settings taken together."""
    yield from _price_problems(settings)
    yield from _mail_problems(settings)
    yield from _identity_problems(settings)
    yield from _signer_problems(settings)
    if settings.session_idle_days > settings.session_max_days:
        right = f"at most SESSION_MAX_DAYS, which is {settings.session_max_days}"
        yield SettingsProblem(
            "session_idle_days", f"{settings.session_idle_days} days are too many", right, ("session_max_days",)
        )
    if settings.mongo_min_pool_size > settings.mongo_max_pool_size:
        right = f"at most MONGO_MAX_POOL_SIZE, which is {settings.mongo_max_pool_size}"
        wrong = f"{settings.mongo_min_pool_size} connections are too many"
        yield SettingsProblem("mongo_min_pool_size", wrong, right, ("mongo_max_pool_size",))
    if settings.binance_api_secret is not None and settings.binance_api_key is None:
        yield SettingsProblem("binance_api_key", "missing", "the key of BINANCE_API_SECRET", ("binance_api_secret",))
    if settings.mode is Mode.PRODUCTION:
        yield from _production_problems(settings)


def _price_problems(settings: SettingsFields) -> Iterator[SettingsProblem]:
    sources = settings.price_sources
    for alone in (PriceSource.REPLAY, PriceSource.SIMULATED):
        if alone in sources and len(sources) > 1:
            name = alone.value.lower()
            yield SettingsProblem(
                "price_sources", f"{name} does not mix with other sources", f"{name} alone, or without it"
            )
    if PriceSource.REPLAY not in sources:
        return
    if settings.replay_file is None:
        wrong = "missing, while PRICE_SOURCES is replay"
        yield SettingsProblem("replay_file", wrong, "the path of a trades CSV", ("price_sources",))
    elif not settings.replay_file.is_file():
        wrong = f"there is no file {str(settings.replay_file)!r}"
        yield SettingsProblem("replay_file", wrong, "the path of a trades CSV", ("price_sources",))


def _mail_problems(settings: SettingsFields) -> Iterator[SettingsProblem]:
    needs = {"smtp": "smtp_url", "sendgrid": "sendgrid_api_key"}
    needed = needs.get(settings.email_provider)
    if needed is not None and getattr(settings, needed) is None:
        wrong = f"missing, while EMAIL_PROVIDER is {settings.email_provider}"
        right = "the mail server's URL" if needed == "smtp_url" else "a SendGrid key"
        yield SettingsProblem(needed, wrong, right, ("email_provider",))


def _identity_problems(settings: SettingsFields) -> Iterator[SettingsProblem]:
    groups = (
        ("google_client_id", "google_client_secret"),
        ("github_client_id", "github_client_secret"),
        ("apple_client_id", "apple_team_id", "apple_key_id", "apple_private_key"),
    )
    for group in groups:
        missing = [name for name in group if getattr(settings, name) is None]
        if missing and len(missing) < len(group):
            names = " and ".join(name.upper() for name in group if name not in missing)
            yield SettingsProblem(missing[0], f"missing, while {names} is set", "all of them, or none", group)


def _signer_problems(settings: SettingsFields) -> Iterator[SettingsProblem]:
    keys = settings.withdrawal_keys or ()
    kinds = {key.kind for key in keys}
    if SignerKind.KEYSTORE in kinds and settings.keystore_passphrase is None:
        wrong = "missing, while WITHDRAWAL_KEYS names a keystore"
        yield SettingsProblem(
            "keystore_passphrase", wrong, "the passphrase its file was made with", ("withdrawal_keys",)
        )
    if SignerKind.KMS in kinds and settings.aws_region is None:
        wrong = "missing, while WITHDRAWAL_KEYS names a key of AWS KMS"
        yield SettingsProblem("aws_region", wrong, "the region of that key", ("withdrawal_keys",))
    for key in keys:
        if key.kms_region is not None and settings.aws_region not in (None, key.kms_region):
            wrong = (
                f"the key of {key.family.value.lower()} is in {key.kms_region}, and AWS_REGION is {settings.aws_region}"
            )
            yield SettingsProblem("withdrawal_keys", wrong, "keys of one region", ("aws_region",))


def _production_problems(settings: SettingsFields) -> Iterator[SettingsProblem]:
    refused = (
        (
            settings.mongo_url is None,
            "mongo_url",
            "missing: the embedded database is for development",
            "a MongoDB replica set",
        ),
        (
            settings.blockchain_network is not ChainNetwork.MAINNET,
            "blockchain_network",
            "coins of a test network are worth nothing",
            "mainnet",
        ),
        (settings.redis_url is None, "redis_url", "missing: a bus in memory is for one process", "a Redis server"),
        (
            settings.encryption_key is None,
            "encryption_key",
            "missing",
            "32 bytes in base64 (`openssl rand -base64 32`)",
        ),
        (
            settings.email_provider == "console",
            "email_provider",
            "printed mail reaches nobody",
            "smtp or sendgrid",
        ),
        (
            settings.mail_from.rstrip(">").endswith("@localhost"),
            "mail_from",
            "the sender is a development address",
            "an address of your own domain",
        ),
        (
            "*" in settings.cors_origins,
            "cors_origins",
            "* lets every site use the API",
            "the origins of your own pages",
        ),
        (
            settings.simulated_fallback,
            "simulated_fallback",
            "simulated prices must not stand in for real ones",
            "false",
        ),
        (
            any(key.kind is SignerKind.KEYSTORE for key in settings.withdrawal_keys or ()),
            "withdrawal_keys",
            "a keystore is for development",
            "keys in AWS KMS, such as evm=kms:alias/hot-evm",
        ),
        (
            settings.aws_kms_url is not None and not settings.aws_kms_url.startswith("https://"),
            "aws_kms_url",
            "the endpoint is not encrypted",
            "an https:// URL",
        ),
        (not settings.app_url.startswith("https://"), "app_url", "the public URL is not encrypted", "an https:// URL"),
        (
            not {PriceSource.REPLAY, PriceSource.SIMULATED}.isdisjoint(settings.price_sources),
            "price_sources",
            "replayed and simulated prices are not real",
            "live sources",
        ),
    )
    if settings.openid_providers is not None:
        for entry in openid_entries(settings.openid_providers):
            if not entry.issuer.startswith("https://"):
                wrong = f"the issuer of {entry.key} is not encrypted (MODE is PRODUCTION)"
                yield SettingsProblem("openid_providers", wrong, "an https:// issuer", ("mode",))
    for is_refused, field, wrong, right in refused:
        if is_refused:
            yield SettingsProblem(field, f"{wrong} (MODE is PRODUCTION)", right, ("mode",))
    for field in type(settings).model_fields:
        value = getattr(settings, field)
        if isinstance(value, SecretStr) and _is_development_secret(field, value):
            wrong = "the value is a development secret (MODE is PRODUCTION)"
            yield SettingsProblem(field, wrong, "a secret of your own, made at random", ("mode",))


def _is_development_secret(field: str, secret: SecretStr) -> bool:
    if field == "encryption_old_keys":
        return False
    if field == "encryption_key":
        return _is_development_key(key_bytes(secret))
    if field == "openid_providers":
        return any(_names_development(entry.client_secret.get_secret_value()) for entry in openid_entries(secret))
    text = secret.get_secret_value()
    if "://" not in text:
        return _names_development(text)
    userinfo, at, _ = urlsplit(text).netloc.rpartition("@")
    password = userinfo.partition(":")[2]
    return bool(at and password) and _names_development(unquote(password))


def _is_development_key(key: bytes) -> bool:
    return len(set(key)) < FEWEST_DISTINCT_BYTES or _names_development(key.decode("latin-1"))


def _names_development(text: str) -> bool:
    lower = text.lower()
    return len(set(lower)) < 3 or lower in DEVELOPMENT_WORDS or any(part in lower for part in DEVELOPMENT_PARTS)
