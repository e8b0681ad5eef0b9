"""What paying out on a chain means, whatever its family: promise what is spent, sign it, send it, and learn what became of it.

Whatever a withdrawal spends (a nonce, outpoints, a blockhash) is promised once and written down before anything is signed; every transaction that is ever
signed for it spends the same, so that the chain can take only one of them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from models.hot_wallet import HotWalletDocument
from models.withdrawal import AttemptEntry, WithdrawalDocument
from services.withdrawal_rules import Route


@dataclass(frozen=True, slots=True)
class Promise:
    """What a withdrawal will spend, and on what terms it is to be signed. `next_nonce` is the hot wallet's from then on."""

    spends: str
    terms: dict[str, Any]
    next_nonce: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now, for this reason."""

    reason: str


class FateKind(StrEnum):
    """What the chain says of a withdrawal's transactions."""

    UNKNOWN = "UNKNOWN"
    """No node knows any of them, and what they spend is unspent."""
    PENDING = "PENDING"
    INCLUDED = "INCLUDED"
    FAILED = "FAILED"
    """In a block, where it did nothing but cost its fee."""
    EXPIRED = "EXPIRED"
    """None of them can ever be included any more, and none was."""
    TAKEN = "TAKEN"
    """Something that this server did not sign for it spent the same."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Of one withdrawal. `fee_units`: what the chain took, in units of its coin."""

    kind: FateKind
    hash: str | None = None
    confirmations: int = 0
    fee_units: int = 0


class SendRefused(Exception):
    """The chain's nodes do not take a signed transaction. `underpriced`: a higher fee would do; else it may be tried again as it is."""

    def __init__(self, reason: str, *, underpriced: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.underpriced = underpriced


class Payouts(Protocol):
    """Of one chain. Everything here may raise ChainError; SignerUnavailable where it signs."""

    async def promise(self, row: WithdrawalDocument, way: Route, wallet: HotWalletDocument) -> Promise | Wait:
        """What a withdrawal shall spend, given what was promised before; or why it must wait, such as for want of funds in the hot wallet."""
        ...

    async def sign(self, row: WithdrawalDocument, now_ms: int) -> AttemptEntry:
        """A transaction that spends what was promised; each later one pays a fee that replaces those before."""
        ...

    async def send(self, attempt: AttemptEntry) -> None:
        """Hand a signed transaction to the chain; one that it knows already is fine. Raises SendRefused."""
        ...

    async def fate(self, row: WithdrawalDocument) -> Fate:
        """What became of the attempts."""
        ...

    def is_stuck(self, row: WithdrawalDocument, now_ms: int) -> bool:
        """Whether the newest attempt has waited so long that a higher fee is worth it."""
        ...
