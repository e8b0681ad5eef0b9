"""What deposits, debts, withdrawals and other movements of funds mean to those who read: lines of statements, costs, keys and rows to renew."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.order_vocabulary import TransactionKind
from events import journal
from events.commands import MOVEMENTS
from exchange.accounts import House
from services.cost_basis import apply_funds
from services.transfer_keys import transfer_of

if TYPE_CHECKING:
    from services.projection_view import ProjectionView

_KINDS: dict[str, TransactionKind] = {House.TEST_FUNDS: TransactionKind.TEST_FUNDS}
"""What a movement from or to a house account is on a statement; of any other it is an adjustment."""
Line = tuple[TransactionKind, int]
"""Kind and units of a line."""


class FundsFollower:
    """The part of a view that follows them. Each method lets one event have happened."""

    def __init__(self, view: "ProjectionView") -> None:
        self._view = view

    def follows(self) -> dict[type, Callable[[Any], None]]:
        """The events it follows."""
        return {
            journal.FundsMoved: self._funds_moved,
            journal.DepositCredited: self._deposit_credited,
            journal.DepositReversed: self._deposit_reversed,
            journal.DebtRepaid: self._debt_repaid,
            journal.WithdrawalHeld: self._withdrawal_held,
            journal.WithdrawalSettled: self._withdrawal_settled,
            journal.WithdrawalReleased: self._withdrawal_released,
            journal.HouseFundsMoved: self._house_funds_moved,
        }

    def _funds_moved(self, event: journal.FundsMoved) -> None:
        self._view.state.evolve(event)
        self._post(event.account, event.asset, (_KINDS.get(event.house, TransactionKind.ADJUSTMENT), event.units))
        self._view.house_moved(event.house)
        self._view.used(event.account, event.key, event.digest)

    def _deposit_credited(self, event: journal.DepositCredited) -> None:
        self._view.state.evolve(event)
        lines = [(TransactionKind.DEPOSIT, event.units)]
        if event.repaid:
            lines.append((TransactionKind.REVERSAL, -event.repaid))
            self._view.house_moved(House.CHAIN_LOSS)
        self._post(event.account, event.asset, *lines, key=event.key)
        self._view.house_moved(event.house)
        self._view.used(event.account, event.key, event.digest)

    def _deposit_reversed(self, event: journal.DepositReversed) -> None:
        self._view.state.evolve(event)
        taken = event.units - event.owed
        self._post(event.account, event.asset, *([(TransactionKind.REVERSAL, -taken)] if taken else []), key=event.key)
        if event.owed:
            self._view.house_moved(House.CHAIN_LOSS)
        self._view.house_moved(event.house)
        self._view.used(event.account, event.key, event.digest)

    def _debt_repaid(self, event: journal.DebtRepaid) -> None:
        self._view.state.evolve(event)
        self._post(event.account, event.asset, (TransactionKind.REVERSAL, -event.units))
        self._view.house_moved(House.CHAIN_LOSS)

    def _withdrawal_held(self, event: journal.WithdrawalHeld) -> None:
        self._view.state.evolve(event)
        self._post(event.account, event.asset)
        self._view.used(event.account, event.key, event.digest)

    def _withdrawal_settled(self, event: journal.WithdrawalSettled) -> None:
        withdrawal = self._view.state.withdrawals[event.withdrawal]
        self._view.state.evolve(event)
        lines = [(TransactionKind.WITHDRAWAL, event.fee - withdrawal.units), (TransactionKind.FEE, -event.fee)]
        self._post(event.account, withdrawal.asset, *[line for line in lines if line[1]], key=event.key)
        self._view.house_moved(event.house)
        if event.fee:
            self._view.house_moved(House.FEES)
        self._view.used(event.account, event.key, event.digest)

    def _withdrawal_released(self, event: journal.WithdrawalReleased) -> None:
        withdrawal = self._view.state.withdrawals[event.withdrawal]
        self._view.state.evolve(event)
        self._post(event.account, withdrawal.asset)
        self._view.used(event.account, event.key, event.digest)

    def _house_funds_moved(self, event: journal.HouseFundsMoved) -> None:
        self._view.state.evolve(event)
        for house in (event.source, event.target, MOVEMENTS):
            self._view.house_moved(house)
        self._view.used(MOVEMENTS, event.key, event.digest)

    def _post(self, account_id: str, asset: str, *lines: Line, key: str = "") -> None:
        """A balance changed, by these lines of the statement, under a key of the ledger: the last one ends with what there is now. What came in has no known cost, and
        what goes out takes its average cost with it."""
        view = self._view
        account = view.state.accounts[account_id]
        after = view.total(account, asset) - sum(units for _, units in lines)
        for kind, units in lines:
            after += units
            view.line(account, kind, asset, units, after, transfer=transfer_of(key))
            apply_funds(view.lists_of(account_id).positions, asset=asset, units=units, cash=view.cash)
        view.balance_moved(account_id, asset)
