"""The setting WITHDRAWAL_KEYS: which key signs what leaves on the chains of a family."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from core.settings_values import WrongValue, shown
from core.vocabulary import ChainFamily

FEWEST_PASSPHRASE_LETTERS = 16
_RIGHT = (
    "a comma-separated list such as evm=kms:alias/hot-evm,bitcoin=kms:ARN,solana=keystore:data/keys/solana.pem, each "
    "of evm, bitcoin and solana at most once"
)
_KMS_KEY = re.compile(
    r"(arn:[a-z-]{2,20}:kms:(?P<region>[a-z0-9-]{2,30}):[0-9]{12}:)?(alias/[A-Za-z0-9/_-]{1,250}|key/[A-Za-z0-9-]{1,64}|[A-Za-z0-9-]{1,64})",
    re.ASCII,
)
_REGION = re.compile(r"[a-z]{2,8}(-[a-z]{2,12}){1,3}-[0-9]{1,2}", re.ASCII)


class SignerKind(StrEnum):
    """Who holds a key."""

    KMS = "kms"
    KEYSTORE = "keystore"


@dataclass(frozen=True, slots=True)
class WithdrawalKey:
    """A family's key: in AWS KMS by id, alias or ARN; in a keystore by the path of its file."""

    family: ChainFamily
    kind: SignerKind
    place: str

    @property
    def kms_region(self) -> str | None:
        """The region that a KMS key's ARN names; None without an ARN."""
        match = _KMS_KEY.fullmatch(self.place) if self.kind is SignerKind.KMS else None
        return match["region"] if match is not None else None

    def __str__(self) -> str:
        return f"{self.family.value.lower()}={self.kind.value}:{self.place}"


def _withdrawal_keys(value: object) -> object:
    if not isinstance(value, str):
        return value
    keys = tuple(_withdrawal_key(part.strip()) for part in value.split(",") if part.strip())
    if not keys or len({key.family for key in keys}) != len(keys):
        raise WrongValue("a family of chains is named twice" if keys else "no key is named", _RIGHT)
    return keys


def _withdrawal_key(text: str) -> WithdrawalKey:
    family, equals, where = (part.strip() for part in text.partition("="))
    kind, colon, place = (part.strip() for part in where.partition(":"))
    families = {each.value.lower(): each for each in ChainFamily}
    kinds = {each.value: each for each in SignerKind}
    if not equals or family.lower() not in families:
        raise WrongValue(f"{shown(text)} names no family of chains", _RIGHT)
    if not colon or not place or kind.lower() not in kinds:
        raise WrongValue(f"{shown(text)} names no key", _RIGHT)
    key = WithdrawalKey(families[family.lower()], kinds[kind.lower()], place)
    if key.kind is SignerKind.KMS and (_KMS_KEY.fullmatch(place) is None or place.startswith("key/")):
        raise WrongValue(f"{shown(place)} is no key of AWS KMS", "its id, alias/NAME, or ARN")
    return key


def _passphrase(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text) < FEWEST_PASSPHRASE_LETTERS or text != text.strip() or not text.isprintable():
        right = f"at least {FEWEST_PASSPHRASE_LETTERS} letters and no spaces around them, as `openssl rand -base64 32` prints them"
        raise WrongValue("the value is too short, or has spaces or line ends around it", right)
    return secret


def _region(text: str) -> str:
    if _REGION.fullmatch(text) is None:
        raise WrongValue(f"{shown(text)} is no region of AWS", "a region such as eu-central-1")
    return text


WithdrawalKeys = Annotated[tuple[WithdrawalKey, ...], NoDecode, BeforeValidator(_withdrawal_keys)]
Passphrase = Annotated[SecretStr, AfterValidator(_passphrase)]
AwsRegion = Annotated[str, AfterValidator(_region)]
