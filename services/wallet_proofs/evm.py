"""Signatures of Ethereum's kind: of a key (EIP-191, EIP-2), of a contract wallet (ERC-1271), of one that is not deployed yet (ERC-6492).

A key's signature is 65 bytes, r, s and v, as `personal_sign` gives it. EIP-2098's 64 bytes are not taken for a key's: no wallet gives them here.
"""

import re

from coincurve import PublicKey
from eth_account.messages import defunct_hash_message
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from models.chain import ChainEntry
from services.wallet_proofs.contract_wallets import ContractCalls, is_wrapped, verify_contract
from services.wallet_proofs.refusals import SignatureInvalid

MOST_BYTES = 8_192
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half the order of secp256k1: of the two s that would do, EIP-2 leaves the lower one."""
_KEY_BYTES = 65
_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)", re.ASCII)


async def verify_evm(calls: ContractCalls, chain: ChainEntry, address: str, message: str, signature: str) -> bool:
    """Whether the proof is a contract's; False: the address's own key has signed.

    The address's own key is asked first: that a signature recovers to the very address leaves nothing open. (ERC-6492 asks contracts first
    because a signature may recover to the key of *another* address, which here decides nothing.)
    Raises SignatureInvalid, and WalletRefused with CONTRACT_WALLET_REFUSED, PROVIDER_UNAVAILABLE or PROVIDER_LYING.
    """
    data = _bytes_of(signature)
    digest = bytes(defunct_hash_message(text=message))
    if not is_wrapped(data) and recovered_address(digest, data) == address:
        return False
    await verify_contract(calls, chain, address, digest, data, looks_like_key=len(data) <= _KEY_BYTES)
    return True


def recovered_address(digest: bytes, signature: bytes) -> str | None:
    """The address whose key has signed; None for what no key gives, the second of two equal signatures (high s) included."""
    if not _is_of_a_key(signature):
        return None
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except ValueError:
        return None
    return str(to_checksum_address(keccak(key.format(compressed=False)[1:])[-20:]))


def _is_of_a_key(signature: bytes) -> bool:
    return (
        len(signature) == _KEY_BYTES
        and signature[64] in (27, 28)
        and 0 < int.from_bytes(signature[32:64], "big") <= HALF_ORDER
    )


def _bytes_of(signature: str) -> bytes:
    found = _HEX.fullmatch(signature) if len(signature) <= 2 * MOST_BYTES + 2 else None
    if found is None:
        raise SignatureInvalid("expected a signature as hexadecimal digits, at most {most} bytes", {"most": MOST_BYTES})
    return bytes.fromhex(found[1])
