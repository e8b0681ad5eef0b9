"""Signatures of Solana's kind: Ed25519 over the message itself, or over it in the envelope of off-chain messages.

The library's verification is the strict one that the chain itself uses: keys and points of small order are refused, for which anybody could
otherwise make signatures (OpenSSL's is not).
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error

from solders.pubkey import Pubkey
from solders.signature import Signature

from services.wallet_proofs.refusals import SignatureInvalid

_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{64,88}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{86}==", re.ASCII)
_OFF_CHAIN = b"\xffsolana offchain" + b"\x00"
"""The signing domain and version 0 of off-chain messages."""
_UTF8 = b"\x01"
"""Their format for a text that has line breaks, of at most 1,212 bytes."""


def verify_solana(address: str, message: str, signature: str) -> None:
    """Check that the address's key has signed the message. Raises SignatureInvalid."""
    given, key = _signature_of(signature), Pubkey.from_string(address)
    if not any(given.verify(key, signed) for signed in _signed_forms(key, message.encode())):
        raise SignatureInvalid("the signature is not of this address")


def _signed_forms(key: Pubkey, message: bytes) -> list[bytes]:
    """What wallets sign for a message: itself; or an envelope, as the specification has it, or as Solana's own tools and Ledger made it before."""
    length = len(message).to_bytes(2, "little")
    return [
        message,
        _OFF_CHAIN + bytes(32) + _UTF8 + b"\x01" + bytes(key) + length + message,
        _OFF_CHAIN + _UTF8 + length + message,
    ]


def _signature_of(text: str) -> Signature:
    try:
        if _BASE64.fullmatch(text) is not None:
            return Signature.from_bytes(b64decode(text, validate=True))
        if _BASE58.fullmatch(text) is not None:
            return Signature.from_string(text)
    except (ValueError, Base64Error) as error:
        raise SignatureInvalid("expected a signature of 64 bytes in Base58 or Base64") from error
    raise SignatureInvalid("expected a signature of 64 bytes in Base58 or Base64")
