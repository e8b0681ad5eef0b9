"""Extended public keys (BIP-32) of which addresses are derived by whoever cannot spend. Private keys are refused, and never repeated.

Versions as SLIP-132 lists them (https://github.com/satoshilabs/slips/blob/master/slip-0132.md). Pure.
"""

import hmac
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha512

from coincurve import PublicKey
from embit import base58

HARDENED = 0x80000000
ACCOUNT_DEPTH = 3
"""Of m/purpose'/coin'/account' (BIP-44)."""
_BYTES = 78
_PHRASE_WORDS = 12


class KeyVersion(StrEnum):
    """Kinds of extended public keys, as their first letters tell them."""

    XPUB = "xpub"
    YPUB = "ypub"
    ZPUB = "zpub"
    TPUB = "tpub"
    UPUB = "upub"
    VPUB = "vpub"


_VERSIONS = {
    bytes.fromhex("0488b21e"): KeyVersion.XPUB,
    bytes.fromhex("049d7cb2"): KeyVersion.YPUB,
    bytes.fromhex("04b24746"): KeyVersion.ZPUB,
    bytes.fromhex("043587cf"): KeyVersion.TPUB,
    bytes.fromhex("044a5262"): KeyVersion.UPUB,
    bytes.fromhex("045f1cf6"): KeyVersion.VPUB,
}


class KeyRefused(ValueError):
    """A text that is no extended public key of an account, or not one that belongs here; the message is safe to show."""


class PrivateKeyRefused(KeyRefused):
    """A private key, where only a public one may be."""

    def __init__(self) -> None:
        super().__init__(
            "this is a PRIVATE key or a seed phrase: it must never be given to this server. Take it out of the configuration, move the "
            "funds to another key, since this one may have been seen, and give the account's extended PUBLIC key (xpub…) instead"
        )


@dataclass(frozen=True, slots=True)
class ExtendedPublicKey:
    """A public key (33 bytes, compressed) with its chain code. `child_number` is its own place below its parent."""

    version: KeyVersion
    depth: int
    child_number: int
    chain_code: bytes
    public_key: bytes

    @property
    def account(self) -> int:
        """The number of the account; only of a key of `ACCOUNT_DEPTH`."""
        return self.child_number - HARDENED

    def child(self, index: int) -> "ExtendedPublicKey":
        """The public key below (BIP-32, CKDpub). Raises ValueError for an index that only the private key has."""
        if not 0 <= index < HARDENED:
            raise ValueError("an index that is not hardened is 0 to 2147483647")
        digest = hmac.digest(self.chain_code, self.public_key + index.to_bytes(4, "big"), sha512)
        public_key = PublicKey(self.public_key).add(digest[:32]).format()
        return ExtendedPublicKey(self.version, self.depth + 1, index, digest[32:], public_key)


def parse_account_key(text: str) -> ExtendedPublicKey:
    """The extended public key of an account (m/purpose'/coin'/account').

    Raises:
        PrivateKeyRefused: it is a private key, whatever else is wrong with it, or a seed phrase.
        KeyRefused: it is no extended public key, a letter of it is wrong, or it is not an account's.
    """
    text = text.strip()
    if text[1:4] == "prv" or len(text.split()) >= _PHRASE_WORDS:
        raise PrivateKeyRefused
    found = _parse(text)
    if found.depth != ACCOUNT_DEPTH or found.child_number < HARDENED:
        raise KeyRefused(
            f"this key is of depth {found.depth}; expected an account's key, of depth {ACCOUNT_DEPTH}, such as that of m/84'/0'/0'"
        )
    return found


def _parse(text: str) -> ExtendedPublicKey:
    try:
        data: bytes = base58.decode_check(text) if len(text) <= 2 * _BYTES else b""
    except ValueError:
        data = b""
    if len(data) != _BYTES:
        raise KeyRefused("this is no extended public key, or a letter of it is wrong; expected one such as xpub…")
    if data[45] == 0:
        raise PrivateKeyRefused
    version = _VERSIONS.get(data[:4])
    if version is None:
        raise KeyRefused(
            "this extended key is of a kind that is not known here; expected xpub, ypub, zpub, tpub, upub or vpub"
        )
    try:
        public_key = PublicKey(data[45:]).format()
    except ValueError:
        raise KeyRefused("this extended public key holds no point of the curve") from None
    return ExtendedPublicKey(version, data[4], int.from_bytes(data[9:13], "big"), data[13:45], public_key)
