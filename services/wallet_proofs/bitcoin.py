"""Signatures of Bitcoin's kind: BIP-322 for every address of one key, and the older 65 bytes of BIP-137 where wallets still make them."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from models.chain import BitcoinParameters
from services.wallet_proofs.bip137 import signer_matches
from services.wallet_proofs.bip322 import FULL_VERSIONS, Signed, read_full, read_simple, satisfies
from services.wallet_proofs.bitcoin_addresses import AddressKind, BitcoinAddress
from services.wallet_proofs.bytes_reading import Malformed
from services.wallet_proofs.refusals import SignatureInvalid

MOST_CHARACTERS = 2_000
_SIMPLE, _FULL = "smp", "ful"
"""What newer texts of BIP-322 put before the Base64, by which nothing else begins: it would be no signature of any form."""
_LEGACY_BYTES = 65


def verify_bitcoin(parameters: BitcoinParameters, address: BitcoinAddress, message: str, signature: str) -> None:
    """Check that the address's key has signed the message. Raises SignatureInvalid."""
    prefix = next((each for each in (_SIMPLE, _FULL) if signature.startswith(each)), "")
    raw = _bytes_of(signature.removeprefix(prefix))
    if len(raw) == _LEGACY_BYTES and not prefix:
        accepted = address.kind is not AddressKind.P2TR and signer_matches(parameters, address, message, raw)
    else:
        accepted = satisfies(address, message.encode(), _read(raw, address, message.encode(), prefix))
    if not accepted:
        raise SignatureInvalid("the signature is not of this address")


def _read(raw: bytes, address: BitcoinAddress, message: bytes, prefix: str) -> Signed:
    """The parts of a BIP-322 signature. Without a prefix a full one is known by its version, with which no witness begins."""
    try:
        if prefix == _FULL or (not prefix and raw[:4] in FULL_VERSIONS):
            return read_full(raw, address, message)
        return read_simple(raw)
    except Malformed as error:
        raise SignatureInvalid("expected a signature as BIP-322 has it, of this message and address") from error


def _bytes_of(text: str) -> bytes:
    """Base64 in its one proper form."""
    try:
        raw = b64decode(text, validate=True) if 0 < len(text) <= MOST_CHARACTERS else b""
    except (ValueError, Base64Error):
        raw = b""
    if not raw or b64encode(raw).decode() != text:
        raise SignatureInvalid("expected a signature in Base64, as BIP-322 or BIP-137 has it")
    return raw
