"""What a node's refusal of a transaction or call means. Nodes agree on codes as little as on words, so both are read.

Words of geth (core/error.go, core/txpool/errors.go), Erigon, Nethermind, Besu, Reth and Anvil.
"""

from dataclasses import dataclass
from enum import StrEnum

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from integrations.chains.errors import NodeRefused

REVERTED = 3
"""The code of eth_call and eth_estimateGas for a contract that says no (geth's JSON-RPC errors)."""
_ERROR, _PANIC = bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")
_PANICS = {
    0x01: "an assertion failed",
    0x11: "a number went out of its range",
    0x12: "a division by zero",
    0x21: "a value that its enum does not have",
    0x31: "an empty list",
    0x32: "a place outside of a list",
    0x41: "too much memory",
    0x51: "a function that was never set",
}
"""Codes of Panic(uint256) (Solidity's documentation, "Panic via assert and Error via require")."""


class Refusal(StrEnum):
    """Why a chain does not take a transaction, or a call fails."""

    NONCE_TOO_LOW = "NONCE_TOO_LOW"
    ALREADY_KNOWN = "ALREADY_KNOWN"
    UNDERPRICED = "UNDERPRICED"
    INSUFFICIENT_GAS = "INSUFFICIENT_GAS"
    REVERTED = "REVERTED"
    OTHER = "OTHER"


_WORDS: tuple[tuple[Refusal, tuple[str, ...]], ...] = (
    (Refusal.ALREADY_KNOWN, ("already known", "known transaction", "alreadyknown", "already imported", "transaction already in pool")),
    (Refusal.NONCE_TOO_LOW, ("nonce too low", "nonce is too low", "oldnonce", "old nonce", "nonce_too_low", "invalid nonce")),
    (
        Refusal.UNDERPRICED,
        (
            *("underpriced", "fee too low", "feetoolow", "gas price too low", "less than block base fee", "below base fee"),
            *("fee cap less than", "max fee per gas less than", "tip cap below", "below minimum", "below configured minimum"),
        ),
    ),
    (
        Refusal.INSUFFICIENT_GAS,
        ("insufficient funds", "insufficientfunds", "insufficient balance", "upfront cost exceeds", "insufficient eth"),
    ),
    (Refusal.REVERTED, ("execution reverted", "revert", "vm execution error", "out of gas", "gas required exceeds")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a refusal is, and what a contract said, in words; None: nothing that can be read."""

    kind: Refusal
    said: str | None = None


def meaning(refused: NodeRefused) -> Meaning:
    """What the node means."""
    if refused.code == REVERTED:
        return Meaning(Refusal.REVERTED, revert_reason(refused.data) or _after_colon(refused.message))
    words = refused.message.lower()
    kind = next((kind for kind, known in _WORDS if any(each in words for each in known)), Refusal.OTHER)
    if kind is Refusal.REVERTED:
        return Meaning(kind, revert_reason(refused.data) or _after_colon(refused.message))
    return Meaning(kind, _one_line(refused.message) if kind is Refusal.OTHER else None)


def revert_reason(data: object) -> str | None:
    """What a contract gave as its reason: the text of Error(string), the meaning of Panic(uint256), or the selector of its own error. Some nodes put a
    word before the bytes."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if not isinstance(data, str) or "0x" not in data:
        return None
    try:
        raw = bytes.fromhex(data.partition("0x")[2])
        if raw[:4] == _ERROR:
            return _one_line(str(decode(["string"], raw[4:])[0])) or None
        if raw[:4] == _PANIC:
            code = int(decode(["uint256"], raw[4:])[0])
            return _PANICS.get(code, f"panic 0x{code:x}")
    except (ValueError, DecodingError, OverflowError):
        return None
    return f"its own error 0x{raw[:4].hex()}" if len(raw) >= 4 else None


def _after_colon(message: str) -> str | None:
    return _one_line(message.partition(": ")[2]) or None


def _one_line(text: str) -> str:
    visible = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(visible.split())[:200]
