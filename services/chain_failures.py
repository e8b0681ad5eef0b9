"""What goes wrong with a chain, in the codes and words of people: the one place that turns `ChainError` into a refusal."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode as Code
from integrations.chains.errors import ChainError, ChainUnavailable, NodeRefused, NodesContradict
from integrations.chains.evm.errors import Refusal, meaning

_CODES = {
    Refusal.NONCE_TOO_LOW: Code.NONCE_TOO_LOW,
    Refusal.ALREADY_KNOWN: Code.ALREADY_KNOWN,
    Refusal.UNDERPRICED: Code.UNDERPRICED,
    Refusal.INSUFFICIENT_GAS: Code.INSUFFICIENT_GAS,
    Refusal.REVERTED: Code.SIMULATION_REVERTED,
    Refusal.OTHER: Code.TRANSACTION_REFUSED,
}
_REFUSAL_TEXTS: Mapping[Refusal, str] = {
    Refusal.NONCE_TOO_LOW: "the sender has used this nonce already",
    Refusal.ALREADY_KNOWN: "the chain knows this transaction already",
    Refusal.UNDERPRICED: "the fee is too low to be taken, or to replace another transaction",
    Refusal.INSUFFICIENT_GAS: "the sender cannot pay for the amount and the fee together",
    Refusal.REVERTED: "the contract refuses the call",
    Refusal.OTHER: "the chain does not take it",
}
_SAYING_TEXTS: Mapping[Refusal, str] = {
    Refusal.REVERTED: "the contract refuses the call: {said}",
    Refusal.OTHER: "the chain does not take it: {said}",
}
_AWAY_TEXTS: Mapping[str, str] = {
    "away": "no node of this chain answers at the moment; try again",
    "none": "this server has no node of this chain",
    "contradict": "the nodes of this chain contradict each other; nothing is done until they agree",
}


class FailureText(NamedTuple):
    """A code, and its words: an English template and what stands in it."""

    code: Code
    text: str
    values: dict[str, str | int]


def failure_of(error: ChainError) -> FailureText:
    """What people are told of this error; a node's refusal is read as one of an EVM chain."""
    if isinstance(error, NodesContradict):
        return FailureText(Code.PROVIDER_LYING, _AWAY_TEXTS["contradict"], {})
    if isinstance(error, NodeRefused):
        found = meaning(error)
        if found.said is None or found.kind not in _SAYING_TEXTS:
            return FailureText(_CODES[found.kind], _REFUSAL_TEXTS[found.kind], {})
        return FailureText(_CODES[found.kind], _SAYING_TEXTS[found.kind], {"said": found.said})
    no_nodes = isinstance(error, ChainUnavailable) and not error.reasons
    return FailureText(Code.PROVIDER_UNAVAILABLE, _AWAY_TEXTS["none" if no_nodes else "away"], {})


def refused(error: ChainError, *, field: Sequence[str] | None = None) -> WalletRefused:
    """The refusal for a mutation's payload, or the error of a query."""
    code, text, values = failure_of(error)
    return WalletRefused(text, values, reason=code, field=field)
