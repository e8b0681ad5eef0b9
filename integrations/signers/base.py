"""The protocol of those who sign withdrawals, and what they have in common.

A signer stands for one key, which it may not even hold. Whatever it gives out was verified against the key's own public key first. Errors name keys,
never what is in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from coincurve import PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.vocabulary import ChainFamily

DIGEST_BYTES = 32
SIGNATURE_BYTES = 64
MOST_MESSAGE_BYTES = 4096
"""What AWS KMS takes; Solana's largest transaction has 1,232."""
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_PROOF_MESSAGE = b"\xffCryptoVault asks whether this key signs"
"""Nothing that a chain takes: no version of Solana's messages begins so."""
_PROOF_DIGEST = _PROOF_MESSAGE[:DIGEST_BYTES]
"""Nobody can find a transaction with this hash."""


class Curve(StrEnum):
    """What kind of key it is."""

    SECP256K1 = "SECP256K1"
    ED25519 = "ED25519"


CURVES: Mapping[ChainFamily, Curve] = {
    ChainFamily.EVM: Curve.SECP256K1,
    ChainFamily.BITCOIN: Curve.SECP256K1,
    ChainFamily.SOLANA: Curve.ED25519,
}
"""The kind of key that each family of chains needs."""


class SignerError(Exception):
    """Nothing was signed; the message is safe to show to an operator."""


class SignerUnavailable(SignerError):
    """Whoever holds the key does not answer, or not usably; the same may work later."""


class SignerRefused(SignerError):
    """This will not be signed however often it is asked for: denied, disabled, of another curve, or nothing that this key may sign."""


class SignerMisconfigured(SignerError):
    """The key is not what the configuration says, or cannot be opened; an operator has to mend it."""


@dataclass(frozen=True, slots=True)
class RecoverableSignature:
    """An ECDSA signature over secp256k1: `s` is in the lower half (BIP-62, EIP-2), `y_parity` is 0 or 1 (of the point R)."""

    r: int
    s: int
    y_parity: int


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """What a node takes (`raw`), and the name by which its chain knows it (`hash`: 0x… on EVM chains, txid, Solana's signature)."""

    raw: bytes
    hash: str


class Signer(Protocol):
    """One key that signs."""

    @property
    def key_name(self) -> str:
        """Where the key is, as WITHDRAWAL_KEYS names it."""
        ...

    @property
    def curve(self) -> Curve: ...

    async def public_key(self) -> bytes:
        """33 bytes, compressed (SEC 1), for secp256k1; 32 bytes for Ed25519 (RFC 8032). Raises SignerError."""
        ...

    async def sign_digest(self, digest: bytes) -> RecoverableSignature:
        """Sign 32 bytes that are a hash already, with a secp256k1 key. Raises SignerError."""
        ...

    async def sign_message(self, message: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature over 1 to 4,096 bytes. Raises SignerError."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


async def prove(signer: Signer) -> None:
    """Have the key sign something that is worth nothing. Raises SignerError when it does not."""
    if signer.curve is Curve.SECP256K1:
        await signer.sign_digest(_PROOF_DIGEST)
    else:
        await signer.sign_message(_PROOF_MESSAGE)


def require(signer: Signer, curve: Curve) -> None:
    """Raises SignerRefused when the key is of another curve than what is asked of it needs."""
    if signer.curve is not curve:
        raise wrong_curve(signer, curve)


def wrong_curve(signer: Signer, expected: Curve) -> SignerRefused:
    """Why this key does not do what it was asked for."""
    return SignerRefused(f"{signer.key_name} is a key of {signer.curve}; expected {expected}")


def check_digest(digest: bytes) -> None:
    """Raises SignerRefused for what is no digest."""
    if len(digest) != DIGEST_BYTES:
        raise SignerRefused(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")


def check_message(message: bytes) -> None:
    """Raises SignerRefused for an empty or too long message."""
    if not 0 < len(message) <= MOST_MESSAGE_BYTES:
        raise SignerRefused(f"a message has 1 to {MOST_MESSAGE_BYTES} bytes, not {len(message)}")


def recoverable(key_name: str, digest: bytes, r: int, s: int, public_key: bytes) -> RecoverableSignature:
    """This signature with its low `s` and its parity: both are tried against the public key.

    Raises:
        SignerUnavailable: `r` or `s` are out of range.
        SignerMisconfigured: the signature is another key's, or of something else.
    """
    if not (0 < r < SECP256K1_ORDER and 0 < s < SECP256K1_ORDER):
        raise SignerUnavailable(f"{key_name} answered with numbers that are no signature")
    s = min(s, SECP256K1_ORDER - s)
    for y_parity in (0, 1):
        if _recovered(digest, r, s, y_parity) == public_key:
            return RecoverableSignature(r, s, y_parity)
    raise _foreign(key_name)


def verified(key_name: str, message: bytes, signature: bytes, public_key: bytes) -> bytes:
    """This Ed25519 signature, when it is the key's over the message.

    Raises:
        SignerUnavailable: it has another length than a signature.
        SignerMisconfigured: the signature is another key's, or of something else.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise SignerUnavailable(f"{key_name} answered with {len(signature)} bytes, which are no signature")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        raise _foreign(key_name) from None
    return signature


def _foreign(key_name: str) -> SignerMisconfigured:
    return SignerMisconfigured(
        f"{key_name} signs with another key than the one it showed; when its alias was moved, restart with the new key"
    )


def _recovered(digest: bytes, r: int, s: int, y_parity: int) -> bytes | None:
    """The compressed public key; None where there is none."""
    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([y_parity])
    try:
        return PublicKey.from_signature_and_message(signature, digest, hasher=None).format()
    except ValueError:
        return None
