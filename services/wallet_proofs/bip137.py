"""BIP-137, "Signatures of Messages using Private Keys": 65 bytes, from which the key is recovered.

The first byte says for which kind of address. Electrum and those after it write 31 to 34 for witness addresses as well; that is taken too, because
the recovered key has to be the address's in any case.
"""

from hashlib import sha256

from coincurve import PublicKey
from embit.compact import to_bytes
from embit.hashes import hash160

from models.chain import BitcoinParameters
from services.wallet_proofs.bitcoin_addresses import AddressKind, BitcoinAddress
from services.wallet_proofs.evm import HALF_ORDER

_HEADERS = {
    AddressKind.P2PKH: range(27, 35),
    AddressKind.P2SH: range(31, 39),
    AddressKind.P2WPKH: (*range(31, 35), *range(39, 43)),
}
_FIRST_COMPRESSED = 31


def signed_digest(parameters: BitcoinParameters, message: str) -> bytes:
    """What is signed: the double SHA-256 of prefix and message, each after its length."""
    prefix, text = parameters.message_prefix.encode(), message.encode()
    framed = to_bytes(len(prefix)) + prefix + to_bytes(len(text)) + text
    return sha256(sha256(framed).digest()).digest()


def signer_matches(parameters: BitcoinParameters, address: BitcoinAddress, message: str, signature: bytes) -> bool:
    """Whether the key that has signed is the address's."""
    header, s = signature[0], int.from_bytes(signature[33:], "big")
    if header not in _HEADERS[address.kind] or not 0 < s <= HALF_ORDER:
        return False
    recovery = bytes([(header - 27) % 4])
    try:
        key = PublicKey.from_signature_and_message(
            signature[1:] + recovery, signed_digest(parameters, message), hasher=None
        )
    except ValueError:
        return False
    key_hash = hash160(key.format(compressed=header >= _FIRST_COMPRESSED))
    if address.kind is AddressKind.P2SH:
        key_hash = hash160(b"\x00\x14" + key_hash)
    return bool(key_hash == address.payload)
