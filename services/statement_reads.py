"""What fields read of statements, and of what a statement's lines came from."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from core.order_vocabulary import SummaryKey, TransactionKind
from core.paging import Page, PageRequest
from core.rows import Rows
from core.vocabulary import TimeOrder
from events.funds import SummaryState
from events.trading import FillState, OrderState, StatementLine
from events.transfer import DepositState, WithdrawalState
from models import deposit, fill, order, withdrawal
from services import statements, transaction_summaries
from services.catalogue import Catalogue
from services.deposits import to_state as to_deposit
from services.statements import EVERYTHING, TransactionCriteria
from services.trading_accounts import TradingAccount
from services.transfer_keys import DEPOSIT, WITHDRAWAL
from services.valuation import PastValue, Rate, Valuation
from services.withdrawal_states import to_state as to_withdrawal

_FILLS = Rows(FillState)
_ORDERS = Rows(OrderState)


class TransactionTerms(Protocol):
    """Which lines, as a client writes it."""

    kinds: list[TransactionKind] | None
    assets: list[str] | None
    symbols: list[str] | None
    min_amount: Decimal | None
    from_: datetime | None
    to: datetime | None

    @property
    def order(self) -> int | None: ...


class StatementReads:
    """One per process."""

    def __init__(self, valuation: Valuation, catalogue: Catalogue) -> None:
        self._valuation = valuation
        self._catalogue = catalogue

    async def page(
        self, account: TradingAccount, terms: TransactionTerms | None, direction: TimeOrder, request: PageRequest
    ) -> Page[StatementLine]:
        """A page of an account's statement; the cursor is the line's number. Raises InvalidInput."""
        criteria = EVERYTHING if terms is None else _criteria(terms)
        return await statements.page(account, criteria, direction, request)

    async def line(self, account: str, number: int) -> StatementLine | None:
        """One line of an account's statement."""
        return await statements.line(account, number)

    async def summary(
        self,
        account: TradingAccount,
        by: SummaryKey,
        *,
        quote: str,
        from_: datetime | None,
        to: datetime | None,
    ) -> list[SummaryState]:
        """The statement summed up. Raises UnknownAsset, TooManyTransactions."""
        rates = self._valuation.rates(self._catalogue.asset(quote, field=("quote",)).code)
        return await transaction_summaries.summarize(account, by, from_=from_, to=to, rates=rates)

    async def rates_at(self, wanted: Sequence[PastValue]) -> list[Rate | None]:
        """Rates of the past."""
        return await self._valuation.values_at(wanted)

    async def fills(self, ids: Collection[int]) -> dict[int, FillState]:
        """These fills, by id; the caller keeps them few."""
        return {row["_id"]: _FILLS.read({**row, "id": row["_id"]}) for row in await fill.by_ids(ids)}

    async def orders(self, ids: Collection[int]) -> dict[int, OrderState]:
        """These orders, by id; the caller keeps them few."""
        return {row["_id"]: _ORDERS.read({**row, "id": row["_id"]}) for row in await order.by_ids(ids)}

    async def transfers(self, account: str, named: Collection[str]) -> dict[str, DepositState | WithdrawalState]:
        """The account's deposits and withdrawals that lines name; the caller keeps them few."""
        split = [each.partition(":") for each in named]
        deposits = await deposit.by_ids([id_ for kind, _, id_ in split if kind == DEPOSIT])
        withdrawals = await withdrawal.by_ids([id_ for kind, _, id_ in split if kind == WITHDRAWAL])
        states: dict[str, DepositState | WithdrawalState] = {
            f"{DEPOSIT}:{id_}": to_deposit(row) for id_, row in deposits.items() if row.user_id == account
        }
        return states | {
            f"{WITHDRAWAL}:{id_}": to_withdrawal(row) for id_, row in withdrawals.items() if row.user_id == account
        }


def _criteria(terms: TransactionTerms) -> TransactionCriteria:
    return TransactionCriteria(
        kinds=terms.kinds,
        assets=terms.assets,
        symbols=terms.symbols,
        order=terms.order,
        least=terms.min_amount,
        from_=terms.from_,
        to=terms.to,
    )
