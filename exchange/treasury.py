"""Decides about deposits, their reversal, debts, withdrawals and movements of the house's own funds.

What is asked again under its key is given its first result, whatever else has changed since. Anything else is refused in the order of
`OrderErrorCode`: INVALID_INPUT (no such account of the house, or a key that a client could choose), ACCOUNT_FROZEN where a freeze matters,
IDEMPOTENCY_MISMATCH, MALFORMED_NUMBER, QUANTITY_TOO_LARGE, DEBT_OUTSTANDING, INSUFFICIENT_FUNDS, UNKNOWN_WITHDRAWAL. A freeze stops what its
owner asks for, not what a chain has done already.

Nothing is let in that storage could not keep: MALFORMED_NUMBER are units beyond `MOST_UNITS`, QUANTITY_TOO_LARGE what would bring an account there.
"""

from collections.abc import Callable

from core.order_vocabulary import OrderErrorCode
from events import commands, journal
from exchange.accounts import HOUSE, MOST_UNITS, Account, House, Withdrawal, is_house
from exchange.keys import Keys
from exchange.matching import Emit
from exchange.refusal import Refusal
from exchange.reply import Reply
from exchange.state import State

Code = OrderErrorCode
_Ending = commands.SettleWithdrawal | commands.ReleaseWithdrawal
_MALFORMED = Reply(Refusal(Code.MALFORMED_NUMBER, "amount"))
_TOO_LARGE = Reply(Refusal(Code.QUANTITY_TOO_LARGE, "amount"))


class Treasury:
    """What of the core moves funds without a trade."""

    def __init__(self, state: State, keys: Keys, emit: Emit) -> None:
        self._state = state
        self._keys = keys
        self._emit = emit

    def move_funds(self, command: commands.MoveFunds, now_ms: int) -> Reply:  # noqa: ARG002
        """Move funds between the house and a person."""
        judged = self._judge(command.account, command.key, command.digest, house=command.house, stops_frozen=True)
        if isinstance(judged, Reply):
            return judged
        if abs(command.units) > MOST_UNITS:
            return _MALFORMED
        if self._is_too_large(command.asset, command.units, command.house, judged):
            return _TOO_LARGE
        available = _available(judged, command.asset)
        if available + command.units < 0:
            return Reply(Refusal(Code.INSUFFICIENT_FUNDS, "amount", limit=available, actual=-command.units))
        return self._make(journal.FundsMoved(*command))

    def credit_deposit(self, command: commands.CreditDeposit, now_ms: int) -> Reply:  # noqa: ARG002
        """Credit what came in, and repay what is owed."""
        account_id, asset, units, house, key, digest = command
        judged = self._judge(account_id, key, digest, house=house, by_house=True)
        if isinstance(judged, Reply):
            return judged
        if not 0 < units <= MOST_UNITS:
            return _MALFORMED
        if self._is_too_large(asset, units, house, judged):
            return _TOO_LARGE
        repaid = min(units, judged.debts.get(asset, 0))
        return self._make(journal.DepositCredited(account_id, house, asset, units, repaid, key, digest))

    def reverse_deposit(self, command: commands.ReverseDeposit, now_ms: int) -> Reply:  # noqa: ARG002
        """Take back what was credited, or let it be owed."""
        account_id, asset, units, house, key, digest = command
        judged = self._judge(account_id, key, digest, house=house, by_house=True)
        if isinstance(judged, Reply):
            return judged
        if not 0 < units <= MOST_UNITS:
            return _MALFORMED
        if self._is_too_large(asset, -units, house, judged):
            return _TOO_LARGE
        owed = max(0, units - _available(judged, asset))
        return self._make(journal.DepositReversed(account_id, house, asset, units, owed, key, digest))

    def repay_debt(self, command: commands.RepayDebt, now_ms: int) -> Reply:  # noqa: ARG002
        """Repay what is owed as far as possible."""
        account = self._state.accounts.get(command.account)
        if account is None:
            return Reply()
        units = min(account.debts.get(command.asset, 0), _available(account, command.asset))
        return self._make(journal.DebtRepaid(account.id, command.asset, units)) if units else Reply()

    def hold_withdrawal(self, command: commands.HoldWithdrawal, now_ms: int) -> Reply:  # noqa: ARG002
        """Set funds aside. Whoever owes anything withdraws nothing."""
        judged = self._judge(command.account, command.key, command.digest, stops_frozen=True)
        if isinstance(judged, Reply):
            return judged
        if not 0 < command.units <= MOST_UNITS:
            return _MALFORMED
        if judged.debts:
            return Reply(Refusal(Code.DEBT_OUTSTANDING))
        available = _available(judged, command.asset)
        if available < command.units:
            return Reply(Refusal(Code.INSUFFICIENT_FUNDS, "amount", limit=available, actual=command.units))
        return self._make(journal.WithdrawalHeld(*command))

    def settle_withdrawal(self, command: commands.SettleWithdrawal, now_ms: int) -> Reply:  # noqa: ARG002
        """Let what was held be gone."""

        def settled(held: Withdrawal) -> journal.Event | Refusal:
            if not 0 <= command.fee_units <= held.units:
                return Refusal(Code.MALFORMED_NUMBER, "fee")
            if self._house(command.house, held.asset) + held.units - command.fee_units > MOST_UNITS:
                return Refusal(Code.QUANTITY_TOO_LARGE, "withdrawal")
            return journal.WithdrawalSettled(*command)

        return self._end_withdrawal(command, command.house, settled)

    def release_withdrawal(self, command: commands.ReleaseWithdrawal, now_ms: int) -> Reply:  # noqa: ARG002
        """Let what was held be available."""
        return self._end_withdrawal(command, None, lambda _: journal.WithdrawalReleased(*command))

    def move_house_funds(self, command: commands.MoveHouseFunds, now_ms: int) -> Reply:  # noqa: ARG002
        """Move the house's own funds, which may owe."""
        source, target, asset, units, key, digest = command
        if source == target or not _takes_funds(source):
            return Reply(Refusal(Code.INVALID_INPUT, "source"))
        if not _takes_funds(target):
            return Reply(Refusal(Code.INVALID_INPUT, "target"))
        if not key.startswith(commands.HOUSE_KEY):
            return Reply(Refusal(Code.INVALID_INPUT, "key"))
        done = self._done_before(self._account(commands.MOVEMENTS), key, digest, stops_frozen=False)
        if done is not None:
            return done
        if not 0 < units <= MOST_UNITS:
            return _MALFORMED
        if self._house(source, asset) - units < -MOST_UNITS or self._house(target, asset) + units > MOST_UNITS:
            return _TOO_LARGE
        return self._make(journal.HouseFundsMoved(*command))

    def _end_withdrawal(
        self, command: _Ending, house: str | None, end: Callable[[Withdrawal], journal.Event | Refusal]
    ) -> Reply:
        judged = self._judge(command.account, command.key, command.digest, house=house, by_house=True)
        if isinstance(judged, Reply):
            return judged
        withdrawal = judged.withdrawals.get(command.withdrawal)
        if withdrawal is None:
            return Reply(Refusal(Code.UNKNOWN_WITHDRAWAL, "withdrawal"))
        event = end(withdrawal)
        return Reply(event) if isinstance(event, Refusal) else self._make(event)

    def _judge(
        self,
        account_id: str,
        key: str,
        digest: str,
        *,
        house: str | None = None,
        by_house: bool = False,
        stops_frozen: bool = False,
    ) -> Account | Reply:
        """The account, or what comes before a look at amounts. `by_house`: the key must be one that no client can choose."""
        if account_id.startswith(HOUSE):
            return Reply(Refusal(Code.INVALID_INPUT, "account"))
        if house is not None and not _takes_funds(house):
            return Reply(Refusal(Code.INVALID_INPUT, "house"))
        if by_house and not key.startswith(commands.HOUSE_KEY):
            return Reply(Refusal(Code.INVALID_INPUT, "key"))
        account = self._account(account_id)
        done = self._done_before(account, key, digest, stops_frozen=stops_frozen)
        return account if done is None else done

    def _done_before(self, account: Account, key: str, digest: str, *, stops_frozen: bool) -> Reply | None:
        """The first result of a key that was used, or why nothing is done under it."""
        used = self._keys.used(account, key)
        if used is not None and used[0] == digest:
            return Reply(made=used[1], replayed=True)
        if account.frozen and stops_frozen:
            return Reply(Refusal(Code.ACCOUNT_FROZEN))
        return None if used is None else Reply(Refusal(Code.IDEMPOTENCY_MISMATCH, "key"))

    def _is_too_large(self, asset: str, units: int, house: str, account: Account) -> bool:
        """Whether one of both could not be stored once these units went from the house's account to the person's (negative: back)."""
        balance = account.balances.get(asset)
        has = 0 if balance is None else balance.available + balance.held
        owes = account.debts.get(asset, 0)
        return abs(self._house(house, asset) - units) > MOST_UNITS or max(has + units, owes - units) > MOST_UNITS

    def _house(self, name: str, asset: str) -> int:
        """What an account of the house has; one to which nothing happened yet is not made."""
        balances = self._state.house.get(name)
        return 0 if balances is None else balances.get(asset, 0)

    def _account(self, account_id: str) -> Account:
        """As it stands; one to which nothing happened yet is not kept."""
        return self._state.accounts.get(account_id) or Account(account_id)

    def _make(self, event: journal.Event) -> Reply:
        self._emit(event)
        return Reply(made=self._state.sequence)


def _takes_funds(house: str) -> bool:
    """Whether this is an account of the house to move funds from or to: what debts are does not move."""
    return is_house(house) and house != House.CHAIN_LOSS


def _available(account: Account, asset: str) -> int:
    balance = account.balances.get(asset)
    return 0 if balance is None else balance.available
