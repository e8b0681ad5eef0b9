"""What deposits, debts and withdrawals do to balances, and movements of the house's own funds. Called by `State.evolve` alone; nothing here
refuses.

Invariants: every event's postings sum to zero; nobody has less than nothing; what people owe of an asset is what `House.CHAIN_LOSS` lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import InvariantBroken
from events import journal
from events.commands import MOVEMENTS
from exchange.accounts import Account, House, Withdrawal

if TYPE_CHECKING:
    from exchange.state import State


def funds_moved(state: State, event: journal.FundsMoved) -> None:
    """A house account and a person's balance moved against each other."""
    account = state.account(event.account)
    state.house_account(event.house)[event.asset] -= event.units
    _make_available(account, event.asset, event.units)
    _done(state, account, event.key, event.digest)


def deposit_credited(state: State, event: journal.DepositCredited) -> None:
    """A debt of the asset is repaid first."""
    account = state.account(event.account)
    state.house_account(event.house)[event.asset] -= event.units
    _make_available(account, event.asset, event.units - event.repaid)
    _owe(state, account, event.asset, -event.repaid)
    _done(state, account, event.key, event.digest)


def deposit_reversed(state: State, event: journal.DepositReversed) -> None:
    """What cannot be taken back is owed."""
    account = state.account(event.account)
    state.house_account(event.house)[event.asset] += event.units
    _make_available(account, event.asset, event.owed - event.units)
    _owe(state, account, event.asset, event.owed)
    _done(state, account, event.key, event.digest)


def debt_repaid(state: State, event: journal.DebtRepaid) -> None:
    """The house loses less."""
    account = state.account(event.account)
    _make_available(account, event.asset, -event.units)
    _owe(state, account, event.asset, -event.units)
    account.sequence = state.sequence


def withdrawal_held(state: State, event: journal.WithdrawalHeld) -> None:
    """A withdrawal begins."""
    account = state.account(event.account)
    _make_available(account, event.asset, -event.units)
    account.balance(event.asset).held += event.units
    withdrawal = Withdrawal(state.sequence, account.id, event.asset, event.units)
    state.withdrawals[withdrawal.id] = account.withdrawals[withdrawal.id] = withdrawal
    _done(state, account, event.key, event.digest)


def withdrawal_settled(state: State, event: journal.WithdrawalSettled) -> None:
    """A withdrawal ends with what it held outside."""
    account, withdrawal = _ended(state, event.account, event.withdrawal)
    state.house_account(event.house)[withdrawal.asset] += withdrawal.units - event.fee
    state.house[House.FEES][withdrawal.asset] += event.fee
    _done(state, account, event.key, event.digest)


def withdrawal_released(state: State, event: journal.WithdrawalReleased) -> None:
    """A withdrawal ends as if it had never been."""
    account, withdrawal = _ended(state, event.account, event.withdrawal)
    _make_available(account, withdrawal.asset, withdrawal.units)
    _done(state, account, event.key, event.digest)


def house_funds_moved(state: State, event: journal.HouseFundsMoved) -> None:
    """Two accounts of the house moved against each other."""
    state.house_account(event.source)[event.asset] -= event.units
    state.house_account(event.target)[event.asset] += event.units
    _done(state, state.account(MOVEMENTS), event.key, event.digest)


def _ended(state: State, account_id: str, withdrawal_id: int) -> tuple[Account, Withdrawal]:
    """Let a withdrawal hold nothing any more."""
    account = state.accounts[account_id]
    withdrawal = account.withdrawals.pop(withdrawal_id)
    del state.withdrawals[withdrawal_id]
    account.balance(withdrawal.asset).held -= withdrawal.units
    return account, withdrawal


def _make_available(account: Account, asset: str, units: int) -> None:
    balance = account.balance(asset)
    balance.available += units
    if balance.available < 0:
        raise InvariantBroken(f"{account.id} would have less than nothing of {asset}")


def _owe(state: State, account: Account, asset: str, units: int) -> None:
    """Let an account owe so many units more (negative: fewer)."""
    debt = account.debts.pop(asset, 0) + units
    if debt < 0:
        raise InvariantBroken(f"{account.id} would owe less than nothing of {asset}")
    if debt:
        account.debts[asset] = debt
    state.house[House.CHAIN_LOSS][asset] -= units


def _done(state: State, account: Account, key: str, digest: str) -> None:
    state.remember(account, key, digest)
    account.sequence = state.sequence
