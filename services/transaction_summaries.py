"""A statement summed up: what came in, what went out, and what fees were paid, by time, asset or kind.

Amounts are added up exactly, by asset, and valued at the end, at the rates of that moment.
"""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.clock import to_datetime
from core.errors import ExpectedError
from core.order_vocabulary import SummaryKey, TransactionKind
from events.funds import SummaryState
from events.trading import StatementLine
from services.statements import TransactionCriteria, read_all, span
from services.trading_accounts import TradingAccount
from services.valuation import Rates, total_at

MOST_LINES = 100_000
"""Lines that one answer may sum up."""
_MONTHS = 12


class TooManyTransactions(ExpectedError):
    """More lines would have to be read than one answer may cost; a shorter time has fewer."""

    code = "TOO_MANY_ROWS"


@dataclass(slots=True)
class _Sums:
    count: int = 0
    came: dict[str, Decimal] = field(default_factory=dict)
    went: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)

    def add(self, line: StatementLine) -> None:
        """Count a line; a fee is no outflow."""
        self.count += 1
        if line.kind is TransactionKind.FEE:
            amounts, amount = self.fees, -line.amount
        elif line.amount >= 0:
            amounts, amount = self.came, line.amount
        else:
            amounts, amount = self.went, -line.amount
        amounts[line.asset] = amounts.get(line.asset, Decimal(0)) + amount


async def summarize(
    account: TradingAccount, by: SummaryKey, *, from_: datetime | None, to: datetime | None, rates: Rates
) -> list[SummaryState]:
    """The sums by key, times from the oldest on, others by name. Raises TooManyTransactions."""
    low, high = await span(account, TransactionCriteria(from_=from_, to=to))
    if high - low > MOST_LINES:
        raise TooManyTransactions(
            f"expected at most {MOST_LINES} transactions, found {high - low}; choose a shorter time",
            field=["from", "to"],
            limit=MOST_LINES,
            actual=high - low,
        )
    sums: dict[str, _Sums] = {}
    key = _KEYS[by]
    async with aclosing(read_all(account.account, low, high)) as windows:
        async for lines in windows:
            for line in lines:
                sums.setdefault(key(line), _Sums()).add(line)
    return [_state(by, name, sums[name], rates) for name in sorted(sums)]


def _state(by: SummaryKey, key: str, sums: _Sums, rates: Rates) -> SummaryState:
    start, end = _bounds(by, key)
    return SummaryState(
        key=key,
        from_=start,
        to=end,
        count=sums.count,
        inflow=total_at(rates, sums.came),
        outflow=total_at(rates, sums.went),
        fees=total_at(rates, sums.fees),
    )


def _bounds(by: SummaryKey, key: str) -> tuple[datetime | None, datetime | None]:
    if by is SummaryKey.DAY:
        start = datetime.fromisoformat(key).replace(tzinfo=UTC)
        return start, start + timedelta(days=1)
    if by is SummaryKey.WEEK:
        start = datetime.fromisoformat(f"{key}-1").replace(tzinfo=UTC)
        return start, start + timedelta(weeks=1)
    if by is SummaryKey.MONTH:
        year, month = map(int, key.split("-"))
        end_year, end_month = (year, month + 1) if month < _MONTHS else (year + 1, 1)
        return datetime(year, month, 1, tzinfo=UTC), datetime(end_year, end_month, 1, tzinfo=UTC)
    return None, None


def _week(line: StatementLine) -> str:
    year, week, _ = to_datetime(line.time_ms).isocalendar()
    return f"{year}-W{week:02}"


_KEYS: dict[SummaryKey, Callable[[StatementLine], str]] = {
    SummaryKey.DAY: lambda line: to_datetime(line.time_ms).strftime("%Y-%m-%d"),
    SummaryKey.WEEK: _week,
    SummaryKey.MONTH: lambda line: to_datetime(line.time_ms).strftime("%Y-%m"),
    SummaryKey.ASSET: lambda line: line.asset,
    SummaryKey.KIND: lambda line: line.kind,
}
