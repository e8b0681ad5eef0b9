"""The kinds of values a setting may hold, and the words for what is wrong with a given one. No value of a secret is ever repeated."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from decimal import Decimal
from email.utils import parseaddr
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_settings import NoDecode
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from core.money import MalformedNumber, parse_decimal
from core.vocabulary import PriceSource

LIQUIDITY_KINDS = ("mirror", "none")
MOST_REPLAY_SPEED = 1_000_000
KEY_BYTES = 32
PROVIDERS = tuple(source for source in PriceSource if source is not PriceSource.EXCHANGE)
_SHOWN = 60
_SYMBOL = re.compile(r"[A-Z0-9]{2,12}-[A-Z0-9]{2,12}", re.ASCII)
_DOMAIN = re.compile(r"localhost|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)
_CONTACT = re.compile(r"mailto:[^\s@]+@[^\s@]+|https://[^\s]+", re.ASCII)
_DATABASE = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)


class WrongValue(ValueError):
    """A setting cannot have this value: what is wrong, and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; expected {right}")
        self.wrong = wrong
        self.right = right


def shown(value: object) -> str:
    """A wrong value as a message may repeat it: quoted and cut short."""
    return repr(str(value)[:_SHOWN])


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    sound = text == text.strip() and " " not in text and bool(parts.hostname) and port != 0
    return sound and parts.scheme in schemes


def _url(example: str, *schemes: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not _is_url(text, schemes):
            raise WrongValue(f"the value is no {' or '.join(schemes)} URL", f"a URL such as {example}")
        if "@" in urlsplit(text).netloc:
            raise WrongValue("this URL is shown in logs and may hold no credentials", f"a URL such as {example}")
        return text

    return check


def _secret_url(example: str, *schemes: str) -> Callable[[SecretStr], SecretStr]:
    def check(secret: SecretStr) -> SecretStr:
        if not _is_url(secret.get_secret_value(), schemes):
            raise WrongValue(f"the value is no {' or '.join(schemes)} URL", f"a URL such as {example}")
        return secret

    return check


def _secret_urls(secret: SecretStr) -> SecretStr:
    found = urls_of(secret)
    if not found or not all(_is_url(url, ("http", "https")) for url in found) or len(set(found)) != len(found):
        right = "one URL or several, each once, separated by commas, such as https://host.example/v3/key"
        raise WrongValue("the value is no list of http or https URLs", right)
    return secret


def urls_of(secret: SecretStr) -> tuple[str, ...]:
    """The URLs of a setting that may list several, in their order."""
    return tuple(part.strip() for part in secret.get_secret_value().split(",") if part.strip())


def _mongo_url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        if not text.startswith("mongodb+srv://"):
            parse_uri(text, validate=False)
        elif not urlsplit(text).hostname:
            raise ValueError(text)
    except (PyMongoError, ValueError):
        right = (
            "mongodb://user:password@host:27017/?replicaSet=rs0 (user and password percent-encoded), or mongodb+srv://…"
        )
        raise WrongValue("the value is no MongoDB URL", right) from None
    return secret


def _encryption_key(secret: SecretStr) -> SecretStr:
    if len(key_bytes(secret)) != KEY_BYTES:
        raise WrongValue(
            "the value is no key", f"{KEY_BYTES} bytes in base64, as `openssl rand -base64 32` prints them"
        )
    return secret


def _encryption_keys(secret: SecretStr) -> SecretStr:
    for part in split_secrets(secret):
        _encryption_key(part)
    return secret


def split_secrets(secret: SecretStr) -> list[SecretStr]:
    """The parts of a secret list."""
    return [SecretStr(part.strip()) for part in secret.get_secret_value().split(",") if part.strip()]


def key_bytes(secret: SecretStr) -> bytes:
    """The bytes of a key in base64, standard or URL-safe; empty for what is neither."""
    standard = secret.get_secret_value().replace("-", "+").replace("_", "/")
    try:
        return b64decode(standard.encode(), validate=True)
    except (Base64Error, ValueError):
        return b""


class OpenIdEntry(BaseModel, frozen=True, extra="forbid"):
    """One OpenID provider of the list."""

    key: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    issuer: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#@]+$")]
    client_id: Annotated[str, StringConstraints(min_length=1)]
    client_secret: SecretStr


_OPENID_ENTRIES = TypeAdapter(list[OpenIdEntry])


def openid_entries(secret: SecretStr) -> list[OpenIdEntry]:
    """The providers in this JSON list. Raises pydantic.ValidationError."""
    return _OPENID_ENTRIES.validate_json(secret.get_secret_value())


def _openid_providers(secret: SecretStr) -> SecretStr:
    right = "a JSON list of objects with key, name, issuer, client_id and client_secret, each key once"
    try:
        keys = [entry.key for entry in openid_entries(secret)]
    except ValidationError:
        raise WrongValue("the value is no list of OpenID providers", right) from None
    if len(set(keys)) != len(keys) or {"google", "github", "apple"} & set(keys):
        raise WrongValue("a provider's key is used twice", right)
    return secret


def _mail_address(text: str) -> str:
    _, address = parseaddr(text)
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        local, _, host = address.partition("@")
        if host != "localhost" or not local or not text.isprintable():
            raise WrongValue(
                f"{shown(text)} is no mail address", "such as CryptoVault <no-reply@example.com>"
            ) from None
    if not text.isprintable():
        raise WrongValue("the value has line ends", "such as CryptoVault <no-reply@example.com>")
    return text


def _not_blank(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.strip() or text != text.strip() or not text.isprintable():
        raise WrongValue("the value is blank, or has spaces or line ends around it", "the bare key")
    return secret


def _private_key(secret: SecretStr) -> SecretStr:
    if "-----BEGIN PRIVATE KEY-----" not in secret.get_secret_value():
        raise WrongValue("the value is no private key", "the content of the .p8 file, line ends as they are or as \\n")
    return secret


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _source_names(value: object) -> object:
    parts = _split(value)
    if not isinstance(parts, tuple):
        return parts
    names = tuple(str(part).upper() for part in parts)
    known = [source.value for source in PROVIDERS]
    right = f"a comma-separated list of {', '.join(known).lower()}"
    unknown = [name for name in names if name not in known]
    if unknown:
        raise WrongValue(f"{shown(unknown[0])} is no price source", right)
    if not names or len(set(names)) != len(names):
        raise WrongValue("a source is named twice" if names else "no source is named", right)
    return names


def _liquidity(value: object) -> object:
    parts = _split(value)
    if not isinstance(parts, tuple):
        return parts
    names = [str(part).rpartition("=") for part in parts]
    for symbol, equals, kind in names:
        if kind.strip().lower() not in LIQUIDITY_KINDS or (equals and not _SYMBOL.fullmatch(symbol.strip())):
            raise WrongValue(
                f"{shown(symbol + equals + kind)} says no liquidity",
                "mirror or none, or a list such as none,BTC-USDT=mirror",
            )
    if not names or len({symbol for symbol, _, _ in names}) != len(names):
        wrong = "a market is named twice" if names else "nothing is said"
        raise WrongValue(wrong, "each market once, and what holds for all others once")
    return tuple(f"{symbol.strip()}{equals}{kind.strip().lower()}" for symbol, equals, kind in names)


def _chain_addresses(value: object) -> object:
    parts = _split(value)
    if not isinstance(parts, tuple):
        return parts
    pairs = tuple(str(part).partition("=") for part in parts)
    if any(not chain.strip() or not address.strip() for chain, _, address in pairs):
        raise WrongValue("an entry has no chain, or no address", "a list such as ethereum=0x…,bitcoin=bc1…")
    return tuple(f"{chain.strip()}={address.strip()}" for chain, _, address in pairs)


FEWEST_WORDS = 12
"""Of a seed phrase (BIP-39)."""


def _deposit_keys(secret: SecretStr) -> SecretStr:
    """What each is worth is judged by who derives from it; a private one is refused here, whatever else is wrong, and never repeated."""
    entries = [entry.partition("=") for entry in secret.get_secret_value().split(",") if entry.strip()]
    families = [family.strip().lower() for family, _, _ in entries]
    right = "a list such as evm=xpub…,bitcoin=zpub…, each family once"
    if not entries or len(set(families)) != len(families) or not set(families) <= {"evm", "bitcoin"}:
        raise WrongValue("the value names no keys, or a family that has none", right)
    if any("prv" in key or len(key.split()) >= FEWEST_WORDS for _, _, key in entries):
        wrong = "there is a PRIVATE key or a seed phrase in the value, which is no secret any more: move what it holds"
        raise WrongValue(wrong, right)
    return secret


def deposit_key_of(secret: SecretStr, family: str) -> str | None:
    """The key of a family in such a list; None: it has none."""
    entries = (entry.partition("=") for entry in secret.get_secret_value().split(","))
    return next((key.strip() for name, _, key in entries if name.strip().lower() == family), None)


def _origin(text: str) -> str:
    if text != "*":
        parts = urlsplit(text) if _is_url(text, ("http", "https")) else None
        if parts is None or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise WrongValue(
                f"{shown(text)} is no origin", "a comma-separated list such as https://app.example.com, or *"
            )
    return text


def _network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise WrongValue(
            f"{shown(text)} is no address or network", "a comma-separated list such as 10.0.0.0/8,192.0.2.7"
        ) from None
    return text


def _speed(text: str) -> str:
    try:
        if text == "max" or 0 < parse_decimal(text) <= MOST_REPLAY_SPEED:
            return text
    except MalformedNumber:
        pass
    raise WrongValue(
        f"{shown(text)} is no speed", f"max, or a factor above 0 and at most {Decimal(MOST_REPLAY_SPEED):,f}"
    )


def _matching(pattern: re.Pattern[str], wrong: str, right: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise WrongValue(f"{shown(text)} {wrong}", right)
        return text

    return check


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


HttpUrl = Annotated[str, AfterValidator(_url("https://host.example", "http", "https"))]
SocketUrl = Annotated[str, AfterValidator(_url("wss://host.example/path", "ws", "wss"))]
SecretHttpUrl = Annotated[SecretStr, AfterValidator(_secret_url("https://host.example/v3/key", "http", "https"))]
SecretHttpUrls = Annotated[SecretStr, AfterValidator(_secret_urls)]
"""Several URLs that stand in for each other, see `urls_of`."""
MongoUrl = Annotated[SecretStr, AfterValidator(_mongo_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_secret_url("redis://user:password@host:6379/0", "redis", "rediss"))]
SmtpUrl = Annotated[SecretStr, AfterValidator(_secret_url("smtp://user:password@host:587", "smtp", "smtps"))]
ApiKey = Annotated[SecretStr, AfterValidator(_not_blank)]
EncryptionKey = Annotated[SecretStr, AfterValidator(_encryption_key)]
EncryptionKeys = Annotated[SecretStr, AfterValidator(_encryption_keys)]
OpenIdProviders = Annotated[SecretStr, AfterValidator(_openid_providers)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
Contact = Annotated[
    str, AfterValidator(_matching(_CONTACT, "is no contact", "mailto:security@example.com, or an https:// URL"))
]
RedirectUris = Annotated[tuple[HttpUrl, ...], NoDecode, BeforeValidator(_split)]
Domain = Annotated[
    str, AfterValidator(_matching(_DOMAIN, "is no domain", "a domain such as example.com, without scheme and port"))
]
PrivateKey = Annotated[SecretStr, AfterValidator(_private_key)]
Sources = Annotated[tuple[PriceSource, ...], NoDecode, BeforeValidator(_source_names)]
Liquidity = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_liquidity)]
"""`mirror` or `none` for all markets, `SYMBOL=mirror` or `SYMBOL=none` for one."""
DepositKeys = Annotated[SecretStr, AfterValidator(_deposit_keys)]
"""Extended public keys by family: no secret to sign with, but whoever has one sees every deposit."""
ChainAddresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_chain_addresses)]
"""`CHAIN=ADDRESS`; a chain may have several."""
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)]
Speed = Annotated[str, AfterValidator(_speed)]
Symbol = Annotated[
    str, AfterValidator(_matching(_SYMBOL, "is no market", "a symbol BASE-QUOTE in capitals, such as BTC-USDT"))
]
DatabaseName = Annotated[
    str, AfterValidator(_matching(_DATABASE, "is no database name", "at most 63 letters, digits, _ and -"))
]
UPPER = BeforeValidator(_upper)
LOWER = BeforeValidator(_lower)
