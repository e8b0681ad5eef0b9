"""Transactions as bytes: read strictly, taken apart into instructions, their signatures checked."""

import base64
import binascii
from collections.abc import Sequence

from solders.message import Message, MessageV0, MessageV1, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import SanitizeError, VersionedTransaction

from integrations.chains.solana.instructions import Other

AnyMessage = Message | MessageV0 | MessageV1
MOST_BYTES = 1232
"""Of a transaction: `PACKET_DATA_SIZE`."""


class UnreadableTransaction(ValueError):
    """Bytes that are no transaction; the message says what is wrong with them."""


def read_transaction(raw: bytes) -> VersionedTransaction:
    """A transaction with exactly one meaning: nothing left over, every index in range. Raises UnreadableTransaction."""
    if len(raw) > MOST_BYTES:
        raise UnreadableTransaction(f"a transaction has at most {MOST_BYTES} bytes, this one {len(raw)}")
    try:
        found = VersionedTransaction.from_bytes(raw)
        found.sanitize()
    except (ValueError, SanitizeError):
        raise UnreadableTransaction("these bytes are no signed transaction") from None
    if bytes(found) != raw or not found.signatures:
        raise UnreadableTransaction("these bytes are no signed transaction")
    return found


def read_message(raw: bytes) -> AnyMessage:
    """A message without signatures. Raises UnreadableTransaction."""
    try:
        found = from_bytes_versioned(raw)
        unsigned(found).sanitize()
    except (ValueError, SanitizeError):
        raise UnreadableTransaction("these bytes are no message of a transaction") from None
    if to_bytes_versioned(found) != raw:
        raise UnreadableTransaction("these bytes are no message of a transaction")
    return found


def from_base64(text: str) -> bytes:
    """The bytes of base64 with its padding. Raises UnreadableTransaction."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise UnreadableTransaction("this is no base64") from None


def to_base64(raw: bytes) -> str:
    """The bytes as base64."""
    return base64.b64encode(raw).decode()


def unsigned(message: AnyMessage) -> VersionedTransaction:
    """The transaction with room for its signatures."""
    return VersionedTransaction.populate(message, [Signature.default()] * message.header.num_required_signatures)


def signature_of(transaction: VersionedTransaction) -> str:
    """What the chain knows the transaction by: the first signature, the fee payer's."""
    return str(transaction.signatures[0])


def signers_of(message: AnyMessage) -> tuple[str, ...]:
    """Who must sign, the fee payer first."""
    return tuple(str(key) for key in message.account_keys[: message.header.num_required_signatures])


def unsigned_by(transaction: VersionedTransaction) -> tuple[str, ...]:
    """Whose signature is missing or wrong."""
    signers = signers_of(transaction.message)
    if len(transaction.signatures) != len(signers):
        return signers
    return tuple(who for who, good in zip(signers, transaction.verify_with_results(), strict=True) if not good)


def uses_lookup_tables(message: AnyMessage) -> bool:
    """Whether some of its accounts are named by tables on the chain only."""
    return isinstance(message, MessageV0) and bool(message.address_table_lookups)


def instructions_of(message: AnyMessage, looked_up: Sequence[Pubkey] = ()) -> list[Other]:
    """Its own instructions (not those that programs call), with addresses instead of indices; `looked_up`: the accounts of lookup tables, writable ones first.

    Raises UnreadableTransaction when an account is in a lookup table and not given.
    """
    keys = [str(key) for key in (*message.account_keys, *looked_up)]
    found = []
    for each in message.instructions:
        indices = [each.program_id_index, *each.accounts]
        if max(indices) >= len(keys):
            raise UnreadableTransaction("the transaction names accounts in a lookup table")
        program, *accounts = (keys[index] for index in indices)
        found.append(Other(program, tuple(accounts), bytes(each.data)))
    return found
