"""Extended public keys (BIP-32, SLIP-132), from which deposit addresses are derived: the server can make them, and cannot spend from them.

A key is of an account (`m / purpose' / coin_type' / account'`, BIP-44); addresses for receiving stand below it at `0 / index`. Private keys are refused, and
no text of a refusal repeats what was given.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from coincurve import PublicKey
from embit import base58
from embit.bip32 import HDKey
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from integrations.embit_errors import EMBIT_ERRORS

EVM_COIN_TYPE = 60
"""Ether's (SLIP-44), which all EVM chains share."""
MOST_INDEX = 2**31 - 1
_ACCOUNT_DEPTH = 3
_HARDENED = 2**31
_LENGTH = 78
_LONGEST = 200
_ORIGIN = re.compile(r"\[([0-9a-fA-F]{8})((?:/[0-9]{1,10}['hH])*)\](.+)", re.ASCII)
"""Of a key in an output descriptor (BIP-380): fingerprint of the master key and path."""
_PUBLIC = {
    "0488b21e": ("xpub", None, True),
    "049d7cb2": ("ypub", 49, True),
    "04b24746": ("zpub", 84, True),
    "043587cf": ("tpub", None, False),
    "044a5262": ("upub", 49, False),
    "045f1cf6": ("vpub", 84, False),
}
"""Of SLIP-132: the prefix, the purpose that it tells (None: any), and whether it is of a main network."""
_MULTISIG = frozenset({"0295b43f", "02aa7ed3", "024289ef", "02575483"})
_PRIVATE = frozenset(
    {
        *("0488ade4", "049d7878", "04b2430c", "0295b005", "02aa7a99"),
        *("04358394", "044a4e28", "045f18bc", "024285b5", "02575048"),
    }
)


class KeyRefused(ValueError):
    """A text that is no extended public key of an account, or not of the right one. Says what is wrong without repeating any of it."""


class PrivateKeyRefused(KeyRefused):
    """A private key where a public one was expected: whoever put it there must take it for known to others."""


@dataclass(frozen=True)
class AccountKey:
    """The public key of an account. `purpose` as far as the prefix or the origin tells it; `fingerprint`: of the master key, where the origin tells it."""

    key: HDKey
    prefix: str
    purpose: int | None
    coin_type: int | None
    is_main: bool
    fingerprint: str | None

    @property
    def account(self) -> int:
        """The number of the account."""
        return int(self.key.child_number) - _HARDENED

    @cached_property
    def _receiving(self) -> HDKey:
        return self.key.child(0)

    def public_key(self, index: int) -> bytes:
        """The compressed key of the receiving address with this index. Raises ValueError for an index that there is not."""
        if not 0 <= index <= MOST_INDEX:
            raise ValueError(f"an index is between 0 and {MOST_INDEX}")
        found: bytes = self._receiving.child(index).sec()
        return found

    def path(self, purpose: int, coin_type: int, index: int) -> str:
        """Where the private key of that address is found by whoever has the seed."""
        return f"m/{purpose}'/{coin_type}'/{self.account}'/0/{index}"


def parse_account_key(text: str) -> AccountKey:
    """An account's key, with or without its origin in brackets. Raises KeyRefused, PrivateKeyRefused."""
    text = text.strip()
    if len(text) > _LONGEST:
        raise KeyRefused("this is no extended public key; expected one such as xpub…, zpub… or vpub…")
    origin = _ORIGIN.fullmatch(text)
    fingerprint, steps = (None, []) if origin is None else (origin[1].lower(), _steps(origin[2]))
    data = _decode(text if origin is None else origin[3])
    version = data[:4].hex()
    if version in _PRIVATE or data[45] == 0:
        raise PrivateKeyRefused(
            "this is a PRIVATE extended key; expected the public one. The private key is no secret any more: move what it holds"
        )
    if version in _MULTISIG:
        raise KeyRefused("this key is one of several that sign together; expected the key of an account of its own")
    if version not in _PUBLIC:
        raise KeyRefused(
            "this is an extended key of another network; expected one such as xpub…, zpub…, tpub… or vpub…"
        )
    prefix, purpose, is_main = _PUBLIC[version]
    key = _key(data)
    if int(key.depth) != _ACCOUNT_DEPTH or int(key.child_number) < _HARDENED:
        raise KeyRefused("this is not the key of an account; expected that of m / purpose' / coin type' / account'")
    purpose, coin_type = _of_origin(purpose, steps, int(key.child_number) - _HARDENED)
    return AccountKey(key, prefix, purpose, coin_type, is_main, fingerprint)


@dataclass(frozen=True)
class EvmAccount:
    """Addresses of EVM chains below an account's key (BIP-44, `m/44'/60'/account'/0/index`); the same on all of them."""

    key: AccountKey

    def address(self, index: int) -> str:
        """The receiving address, with its checksum (EIP-55)."""
        point = PublicKey(self.key.public_key(index)).format(compressed=False)
        address: str = to_checksum_address(keccak(point[1:])[-20:])
        return address

    def path(self, index: int) -> str:
        """Where its private key is found."""
        return self.key.path(44, EVM_COIN_TYPE, index)


def parse_evm_account(text: str) -> EvmAccount:
    """An account's key for EVM chains. Raises KeyRefused: also for one whose prefix or origin says that it is of another chain."""
    key = parse_account_key(text)
    if key.prefix != "xpub" or key.purpose not in (None, 44) or key.coin_type not in (None, EVM_COIN_TYPE):
        raise KeyRefused("this is an account's key of another chain; expected an xpub… of m/44'/60'/account'")
    return EvmAccount(key)


def _decode(text: str) -> bytes:
    try:
        data: bytes = base58.decode_check(text)
    except ValueError:
        data = b""
    if len(data) != _LENGTH:
        raise KeyRefused(
            "this is no extended public key, or a letter of it is wrong; expected one such as xpub… or zpub…"
        )
    return data


def _key(data: bytes) -> HDKey:
    try:
        return HDKey.parse(data)
    except EMBIT_ERRORS:
        raise KeyRefused("this extended public key is not valid") from None


def _steps(path: str) -> list[int]:
    return [int(each[:-1]) for each in path.split("/")[1:]]


def _of_origin(purpose: int | None, steps: list[int], account: int) -> tuple[int | None, int | None]:
    """Purpose and coin type, which the origin must not contradict."""
    if not steps:
        return purpose, None
    if len(steps) != _ACCOUNT_DEPTH or steps[2] != account or purpose not in (None, steps[0]):
        raise KeyRefused("the key's origin contradicts the key")
    return steps[0], steps[1]
