"""What a node of Solana answered, checked field by field. Everything that does not fit is `ProviderFailed(MALFORMED)`.

Source: https://solana.com/docs/rpc (HTTP methods).
"""

import base64
import binascii
from collections.abc import Sequence
from itertools import pairwise

from solders.hash import Hash, ParseHashError
from solders.signature import Signature

from integrations.chains.shapes import JsonObject, as_int, as_list, as_object, as_text, malformed
from integrations.chains.solana.addresses import InvalidAddress, associated_token_address, parse
from integrations.chains.solana.errors import problem_of
from integrations.chains.solana.messages import (
    Account,
    Block,
    Blockhash,
    Commitment,
    SignatureRecord,
    SignatureStatus,
    Simulation,
    Tip,
    TokenHolding,
)

MOST_U64 = 2**64 - 1
MOST_DECIMALS = 255


def as_u64(value: object, what: str) -> int:
    """A whole number that fits in 64 bits."""
    found = as_int(value, what)
    if found > MOST_U64:
        raise malformed(what, "a number of 64 bits")
    return found


def as_amount(value: object, what: str) -> int:
    """A number of 64 bits that stands in a text."""
    text = as_text(value, what)
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise malformed(what, "digits")
    return as_u64(int(text), what)


def as_address(value: object, what: str) -> str:
    """An address, on the curve or off it."""
    text = as_text(value, what)
    try:
        parse(text)
    except InvalidAddress:
        raise malformed(what, "an address") from None
    return text


def as_signature(value: object, what: str) -> str:
    """A signature in base58."""
    text = as_text(value, what)
    try:
        Signature.from_string(text)
    except ValueError:
        raise malformed(what, "a signature") from None
    return text


def as_blockhash(value: object, what: str) -> str:
    """A hash in base58."""
    text = as_text(value, what)
    try:
        Hash.from_string(text)
    except ParseHashError:
        raise malformed(what, "a hash") from None
    return text


def as_bytes(value: object, what: str) -> bytes:
    """The bytes of `[text, "base64"]`."""
    pair = as_list(value, what)
    if len(pair) != 2 or pair[1] != "base64":
        raise malformed(what, "base64")
    try:
        return base64.b64decode(as_text(pair[0], what), validate=True)
    except (ValueError, binascii.Error):
        raise malformed(what, "base64") from None


def as_time_ms(value: object, what: str) -> int | None:
    """Epoch milliseconds of a block time in seconds."""
    return None if value is None else as_u64(value, what) * 1000


def in_context(answer: object, what: str) -> tuple[int, object]:
    """Slot and value of an answer with a context."""
    found = as_object(answer, what)
    slot = as_u64(as_object(found.get("context"), f"{what}.context").get("slot"), f"{what}.context.slot")
    if "value" not in found:
        raise malformed(what, "a value")
    return slot, found["value"]


def blockhash(answer: object) -> Blockhash:
    """Of getLatestBlockhash."""
    slot, value = in_context(answer, "blockhash")
    found = as_object(value, "blockhash")
    height = as_u64(found.get("lastValidBlockHeight"), "blockhash.lastValidBlockHeight")
    return Blockhash(as_blockhash(found.get("blockhash"), "blockhash.blockhash"), height, slot)


def tip(answer: object) -> Tip:
    """Of getEpochInfo, which tells slot and height of one and the same block."""
    found = as_object(answer, "epoch")
    slot = as_u64(found.get("absoluteSlot"), "epoch.absoluteSlot")
    height = as_u64(found.get("blockHeight"), "epoch.blockHeight")
    if height > slot:
        raise malformed("epoch", "no more blocks than slots")
    return Tip(slot, height)


def account(value: object, what: str = "account") -> Account | None:
    """An account in base64; None where there is none."""
    if value is None:
        return None
    found = as_object(value, what)
    executable = found.get("executable")
    if not isinstance(executable, bool):
        raise malformed(f"{what}.executable", "true or false")
    lamports = as_u64(found.get("lamports"), f"{what}.lamports")
    return Account(
        lamports, as_address(found.get("owner"), f"{what}.owner"), executable, as_bytes(found.get("data"), what)
    )


def token_holdings(answer: object, owner: str, program: str) -> tuple[int, list[TokenHolding]]:
    """Slot and accounts of getTokenAccountsByOwner in jsonParsed: all must be the owner's, and of that program."""
    slot, value = in_context(answer, "tokens")
    return slot, [_holding(each, owner, program) for each in as_list(value, "tokens")]


def _holding(value: object, owner: str, program: str) -> TokenHolding:
    entry = as_object(value, "token account")
    stored = as_object(entry.get("account"), "token account")
    data = as_object(stored.get("data"), "token account.data")
    info = as_object(as_object(data.get("parsed"), "token account.parsed").get("info"), "token account.info")
    if info.get("owner") != owner or stored.get("owner") != program:
        raise malformed("token account", "an account of the owner who was asked for")
    amount = as_object(info.get("tokenAmount"), "token account.tokenAmount")
    address = as_address(entry.get("pubkey"), "token account.pubkey")
    mint = as_address(info.get("mint"), "token account.mint")
    return TokenHolding(
        account=address,
        program=program,
        mint=mint,
        amount=as_amount(amount.get("amount"), "token account.amount"),
        decimals=as_decimals(amount.get("decimals")),
        frozen=info.get("state") == "frozen",
        associated=address == associated_token_address(owner, mint, program),
    )


def as_decimals(value: object) -> int:
    """A token's decimals: one byte."""
    found = as_int(value, "decimals")
    if found > MOST_DECIMALS:
        raise malformed("decimals", "a byte")
    return found


def priority_fees(answer: object) -> list[int]:
    """Micro-lamports per unit of recent slots, of getRecentPrioritizationFees."""
    entries = [as_object(each, "fee") for each in as_list(answer, "fees")]
    return [as_u64(each.get("prioritizationFee"), "fee.prioritizationFee") for each in entries]


def simulation(answer: object, programs: Sequence[str]) -> Simulation:
    """Of simulateTransaction."""
    _, value = in_context(answer, "simulation")
    found = as_object(value, "simulation")
    if "err" not in found:
        raise malformed("simulation", "err")
    error = found["err"]
    logs = found.get("logs")
    units = found.get("unitsConsumed")
    return Simulation(
        problem=None if error is None else problem_of(error, programs),
        units=0 if units is None else as_u64(units, "simulation.unitsConsumed"),
        logs=() if logs is None else tuple(as_text(line, "log")[:500] for line in as_list(logs, "logs")[:200]),
    )


def statuses(answer: object, asked: int) -> tuple[int, list[SignatureStatus | None]]:
    """Slot and statuses of getSignatureStatuses, in the order asked; None for a signature that is not known."""
    slot, value = in_context(answer, "statuses")
    entries = as_list(value, "statuses")
    if len(entries) != asked:
        raise malformed("statuses", f"{asked} of them")
    return slot, [None if each is None else _status(as_object(each, "status")) for each in entries]


def _status(found: JsonObject) -> SignatureStatus:
    if "err" not in found:
        raise malformed("status", "err")
    error = found["err"]
    slot = as_u64(found.get("slot"), "status.slot")
    try:
        commitment = Commitment(as_text(found.get("confirmationStatus"), "status.confirmationStatus"))
    except ValueError:
        raise malformed("status.confirmationStatus", "a commitment") from None
    return SignatureStatus(slot, commitment, None if error is None else problem_of(error))


def signature_records(answer: object) -> list[SignatureRecord]:
    """Of getSignaturesForAddress: newest first, none twice."""
    found = [_record(as_object(each, "signature")) for each in as_list(answer, "signatures")]
    if any(earlier.slot < later.slot for earlier, later in pairwise(found)):
        raise malformed("signatures", "the newest first")
    if len({each.signature for each in found}) != len(found):
        raise malformed("signatures", "each once")
    return found


def _record(found: JsonObject) -> SignatureRecord:
    memo = found.get("memo")
    if "err" not in found:
        raise malformed("signature", "err")
    return SignatureRecord(
        signature=as_signature(found.get("signature"), "signature"),
        slot=as_u64(found.get("slot"), "signature.slot"),
        failed=found["err"] is not None,
        memo=None if memo is None else as_text(memo, "signature.memo"),
        time_ms=as_time_ms(found.get("blockTime"), "signature.blockTime"),
    )


def block(answer: object, slot: int) -> Block:
    """Of getBlock with its signatures only."""
    found = as_object(answer, "block")
    height = found.get("blockHeight")
    parent = as_u64(found.get("parentSlot"), "block.parentSlot")
    if parent >= slot > 0:
        raise malformed("block.parentSlot", "an earlier slot")
    signatures = as_list(found.get("signatures"), "block.signatures")
    return Block(
        slot=slot,
        parent_slot=parent,
        hash=as_blockhash(found.get("blockhash"), "block.blockhash"),
        parent_hash=as_blockhash(found.get("previousBlockhash"), "block.previousBlockhash"),
        height=None if height is None else as_u64(height, "block.blockHeight"),
        time_ms=as_time_ms(found.get("blockTime"), "block.blockTime"),
        signatures=tuple(as_signature(each, "block.signature") for each in signatures),
    )
