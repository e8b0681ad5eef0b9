"""What goes wrong with a chain's nodes.

`ProviderFailed`: this node gave nothing usable, another may. `NodeRefused`: a node understood and said no; every other would. `ChainUnavailable`: no
node of the chain gave an answer. Addresses of nodes are never repeated: some hold keys.
"""

from collections.abc import Mapping
from enum import StrEnum


class Failure(StrEnum):
    """How a node failed."""

    UNREACHABLE = "UNREACHABLE"
    TIMED_OUT = "TIMED_OUT"
    RATE_LIMITED = "RATE_LIMITED"
    MALFORMED = "MALFORMED"
    WRONG_CHAIN = "WRONG_CHAIN"
    BEHIND = "BEHIND"
    CONTRADICTS = "CONTRADICTS"


class ChainError(Exception):
    """Anything that went wrong with a chain; the message is safe to show."""


class ProviderFailed(ChainError):
    """A node that cannot be used now. `retry_after_seconds`: how long it asked to be left alone."""

    def __init__(self, failure: Failure, message: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.failure = failure
        self.retry_after_seconds = retry_after_seconds


class NodeRefused(ChainError):
    """A node's error answer: JSON-RPC's `code`, `message` and `data` (of a reverted call: what the contract said), or HTTP's status as code."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class ChainUnavailable(ChainError):
    """No node answered. `reasons`: by its name, what each said."""

    def __init__(self, chain: str, reasons: Mapping[str, str]) -> None:
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "no node is configured"
        super().__init__(f"no node of {chain} answers ({told})")
        self.chain = chain
        self.reasons = dict(reasons)


class NodesContradict(ChainError):
    """Nodes of one chain say different things where there can be only one: one of them lies, or is on another fork."""
