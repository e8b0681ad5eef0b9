"""Deposits and withdrawals as they stand, and the log of their changes, which each account has of its own.

Amounts are in whole units of the asset, times epoch milliseconds. `version` rises with every change of the same transfer.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.wallet_vocabulary import DepositStatus, WithdrawalStatus


def transfers_topic(account: str) -> str:
    """Where hints about an account's transfers are published, for its owner's streams."""
    return f"transfers.{account}"


@dataclass(frozen=True, slots=True)
class DepositState:
    """What came in, or is coming in. `required` confirmations credit it. `sequence`: the place in the exchange's journal from which on the balance has what the
    ledger last did for it; 0: nothing yet."""

    id: str
    account: str
    version: int
    asset: str
    chain: str
    address: str
    amount: Decimal
    hash: str
    confirmations: int
    required: int
    status: DepositStatus
    time_ms: int
    credited_ms: int | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class WithdrawalStep:
    """A status the withdrawal came to."""

    status: WithdrawalStatus
    time_ms: int
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class WithdrawalState:
    """What goes out. `amount` leaves the balance; `fee` of it stays with the house."""

    id: str
    account: str
    version: int
    client_id: str
    asset: str
    chain: str
    address: str
    amount: Decimal
    fee: Decimal
    status: WithdrawalStatus
    hash: str | None
    reason: str | None
    cancelable: bool
    timeline: tuple[WithdrawalStep, ...]
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class TransferLogged:
    """The account's log of transfers reaches to this number now: a hint, the log is in the database."""

    account: str
    number: int
