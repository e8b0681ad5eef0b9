"""Solana's transactions that one key signs: it pays the fee and nobody else has to sign."""

from solders.message import Message, MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import SanitizeError, VersionedTransaction

from integrations.signers.base import SIGNATURE_BYTES, Curve, SignedTransaction, Signer, SignerRefused, require

MOST_TRANSACTION_BYTES = 1232
"""What fits into a packet: https://solana.com/docs/core/transactions."""


async def sign_solana(signer: Signer, message: bytes) -> SignedTransaction:
    """The signed transaction of a compiled message (legacy or version 0), as `sendTransaction` takes it; its hash is the signature in base 58.

    Raises:
        SignerRefused: the message cannot be read, is too long, or somebody else has to sign it, too.
        SignerError: as the signer says.
    """
    require(signer, Curve.ED25519)
    payer = Pubkey.from_bytes(await signer.public_key())
    parsed = _read(message)
    if parsed.header.num_required_signatures != 1 or parsed.account_keys[0] != payer:
        raise SignerRefused(f"the message has to be signed by {payer} alone, who pays its fee")
    if 1 + SIGNATURE_BYTES + len(message) > MOST_TRANSACTION_BYTES:
        raise SignerRefused(f"the transaction would be longer than {MOST_TRANSACTION_BYTES} bytes")
    signature = Signature.from_bytes(await signer.sign_message(message))
    transaction = VersionedTransaction.populate(parsed, [signature])
    if not all(transaction.verify_with_results()):
        raise SignerRefused(f"the signed transaction is not of {payer}")
    return SignedTransaction(bytes(transaction), str(signature))


def solana_address(public_key: bytes) -> str:
    """The address of an Ed25519 key: itself in base 58."""
    return str(Pubkey.from_bytes(public_key))


def _read(message: bytes) -> Message | MessageV0:
    try:
        parsed = from_bytes_versioned(message)
        unsigned = [Signature.default()] * parsed.header.num_required_signatures
        VersionedTransaction.populate(parsed, unsigned).sanitize()
    except (ValueError, SanitizeError):
        raise SignerRefused("the message cannot be read") from None
    if not isinstance(parsed, Message | MessageV0):
        raise SignerRefused("the message is of a version that is not signed here; expected legacy or 0")
    if to_bytes_versioned(parsed) != message:
        raise SignerRefused("the message has bytes that belong to none of its fields")
    return parsed
