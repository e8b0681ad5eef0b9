"""What a node's refusal of a transaction means.

Words of Bitcoin Core (validation.cpp, policy/rbf.cpp, policy/policy.cpp, consensus/tx_verify.cpp, common/messages.cpp) since 0.20, which Esplora passes on.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.errors import ChainError, NodeRefused

_PASSED_ON = re.compile(r"RPC error: (\{.*\})", re.DOTALL)
"""Esplora's electrs quotes the node: `sendrawtransaction RPC error: {"code":-26,"message":"dust"}`."""


class Refusal(StrEnum):
    """Why a chain does not take a transaction."""

    ALREADY_KNOWN = "ALREADY_KNOWN"
    UNDERPRICED = "UNDERPRICED"
    REPLACEMENT_UNDERPRICED = "REPLACEMENT_UNDERPRICED"
    CONFLICT = "CONFLICT"
    INPUTS_MISSING = "INPUTS_MISSING"
    IMMATURE = "IMMATURE"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    DUST = "DUST"
    NON_FINAL = "NON_FINAL"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    FEE_TOO_HIGH = "FEE_TOO_HIGH"
    TOO_MANY_UNCONFIRMED = "TOO_MANY_UNCONFIRMED"
    NOT_READABLE = "NOT_READABLE"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class TransactionProblem:
    """A refusal: what it is, the code that clients see, a text for people (in other languages too), and the node's own word for it."""

    kind: Refusal
    code: WalletErrorCode
    sentence: str
    name: str


class TransactionRefused(ChainError):
    """A node does not take a transaction. It was not sent by this; it may be on the chain already (ALREADY_KNOWN)."""

    def __init__(self, problem: TransactionProblem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


_WORDS: tuple[tuple[Refusal, tuple[str, ...]], ...] = (
    (
        Refusal.ALREADY_KNOWN,
        (
            *("txn-already-in-mempool", "txn-already-known", "txn-same-nonwitness-data-in-mempool"),
            *("already in block chain", "already in utxo set", "already in mempool"),
        ),
    ),
    (
        Refusal.CONFLICT,
        (
            *("txn-mempool-conflict", "too many potential replacements", "bad-txns-spends-conflicting-tx"),
            *("replacement-adds-unconfirmed", "replacement-failed", "bip125-replacement-disallowed"),
        ),
    ),
    (Refusal.REPLACEMENT_UNDERPRICED, ("insufficient fee",)),
    (Refusal.UNDERPRICED, ("min relay fee not met", "mempool min fee not met", "mempool full", "min-fee-not-met")),
    (Refusal.INPUTS_MISSING, ("missing-inputs", "missingorspent", "missing inputs", "inputs-spent")),
    (Refusal.IMMATURE, ("premature-spend-of-coinbase",)),
    (Refusal.INSUFFICIENT_FUNDS, ("in-belowout",)),
    (Refusal.DUST, ("dust",)),
    (Refusal.NON_FINAL, ("non-final", "non-bip68-final")),
    (Refusal.SIGNATURE_INVALID, ("script-verify-flag",)),
    (Refusal.FEE_TOO_HIGH, ("max-fee-exceeded", "absurdly-high-fee", "fee exceeds maximum")),
    (Refusal.TOO_MANY_UNCONFIRMED, ("too-long-mempool-chain", "too-large-cluster")),
    (Refusal.NOT_READABLE, ("decode failed",)),
)
_CODES = {
    Refusal.ALREADY_KNOWN: WalletErrorCode.ALREADY_KNOWN,
    Refusal.UNDERPRICED: WalletErrorCode.UNDERPRICED,
    Refusal.REPLACEMENT_UNDERPRICED: WalletErrorCode.UNDERPRICED,
    Refusal.INSUFFICIENT_FUNDS: WalletErrorCode.INSUFFICIENT_FUNDS,
    Refusal.DUST: WalletErrorCode.AMOUNT_TOO_SMALL,
    Refusal.SIGNATURE_INVALID: WalletErrorCode.SIGNATURE_INVALID,
}
"""Of all others: TRANSACTION_REFUSED."""
_REFUSAL_TEXTS: dict[Refusal, str] = {
    Refusal.ALREADY_KNOWN: "the network knows this transaction already",
    Refusal.UNDERPRICED: "the transaction's fee is lower than the network takes now",
    Refusal.REPLACEMENT_UNDERPRICED: "a transaction that replaces another must pay a higher fee, and a higher rate, than that",
    Refusal.CONFLICT: "another transaction that waits spends the same coins, and cannot be replaced by this one",
    Refusal.INPUTS_MISSING: "the coins that the transaction spends are spent already, or do not exist",
    Refusal.IMMATURE: "the transaction spends newly mined coins, which need 100 confirmations first",
    Refusal.INSUFFICIENT_FUNDS: "the transaction sends more than the coins that it spends",
    Refusal.DUST: "the transaction pays an amount that is too small for the network to carry",
    Refusal.NON_FINAL: "the transaction may not be sent yet: its lock time has not come",
    Refusal.SIGNATURE_INVALID: "a signature of the transaction is missing or wrong",
    Refusal.FEE_TOO_HIGH: "the transaction's fee is so high that nodes take it for an error",
    Refusal.TOO_MANY_UNCONFIRMED: "too many transactions before this one are not confirmed; wait for one of them",
    Refusal.NOT_READABLE: "the nodes cannot read this transaction",
    Refusal.OTHER: "the network does not take this transaction",
}


def problem_of(refused: NodeRefused) -> TransactionProblem:
    """What a node's answer to a broadcast means."""
    message = _said(refused.message)
    words = message.lower()
    kind = next((kind for kind, known in _WORDS if any(each in words for each in known)), Refusal.OTHER)
    code = _CODES.get(kind, WalletErrorCode.TRANSACTION_REFUSED)
    return TransactionProblem(kind, code, _REFUSAL_TEXTS[kind], _one_line(message))


def _said(message: str) -> str:
    """The node's own words, also where Esplora quotes them."""
    quoted = _PASSED_ON.search(message)
    if quoted is None:
        return message
    try:
        told = json.loads(quoted[1])
    except ValueError:
        return message
    text = told.get("message") if isinstance(told, dict) else None
    return text if isinstance(text, str) else message


def _one_line(text: str) -> str:
    visible = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(visible.split())[:200]
