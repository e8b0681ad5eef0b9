"""Whether the documents that people read agree with each other, to the last unit.

Of every account: what its statement ends with is what it has; what it has on hold is what its open orders (`holds` of its row) and its open
withdrawals hold. Of every asset: people and the house together have nothing, since every movement has two sides, and what people owe is what
the house has lost. `services/journal_audit.py` proves the same of the journal itself.
"""

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from core.errors import ExpectedError
from events.funds import AuditLine, LedgerReport
from exchange.accounts import HOUSE, House, cold_reserve, hot_reserve
from models import projection, trading_account
from models.projection import Watermark
from services.statements import between
from services.trading_accounts import Funds, OpenWithdrawal, TradingAccount, read_row
from services.window_paging import MAX_WINDOW

_TRIES = 5
_ZERO = Decimal(0)


class LedgerMoves(ExpectedError):
    """The documents changed while they were read, again and again; what was read does not belong together."""

    code = "LEDGER_MOVING"


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the documents say of one account, by asset: its balances, what its statement ends with, and what its orders and its withdrawals
    hold."""

    account: str
    balances: Mapping[str, Funds]
    postings: Mapping[str, Decimal]
    holds: Mapping[str, Decimal]
    withdrawals: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def is_house(self) -> bool:
        return self.account.startswith(HOUSE)


def audit(accounts: Iterable[AccountFacts]) -> list[AuditLine]:
    """The lines of all assets, by code."""
    lines: dict[str, AuditLine] = {}
    for account in accounts:
        for asset in {*account.balances, *account.postings, *account.holds, *account.withdrawals}:
            line = lines.setdefault(asset, AuditLine(asset))
            funds = account.balances.get(asset, Funds())
            if account.is_house:
                _add_house(line, account.account, funds.total)
                continue
            posted, holds = account.postings.get(asset, _ZERO), account.holds.get(asset, _ZERO)
            leaving = account.withdrawals.get(asset, _ZERO)
            line.balances += funds.total
            line.holds += funds.held
            line.postings += posted
            line.open_orders += holds
            line.withdrawals += leaving
            line.debts += funds.debt
            line.off += abs(posted - funds.total) + abs(holds + leaving - funds.held) + _below_zero(funds)
    return [lines[asset] for asset in sorted(lines)]


def _add_house(line: AuditLine, name: str, total: Decimal) -> None:
    line.house += total
    if name == House.CHAIN_LOSS:
        line.chain_loss -= total
    for prefix, reserves in ((hot_reserve(""), line.hot), (cold_reserve(""), line.cold)):
        if name.startswith(prefix):
            reserves[name.removeprefix(prefix)] = -total


def facts_of(account: TradingAccount, postings: Mapping[str, Decimal]) -> AccountFacts:
    """What an account's row says, beside what its statement ends with."""
    return AccountFacts(
        account=account.account,
        balances=account.balances,
        postings=postings,
        holds=account.holds,
        withdrawals=_by_asset(account.withdrawals),
    )


async def read() -> LedgerReport:
    """Audit the documents. Raises LedgerMoves."""
    for _ in range(_TRIES):
        before = await projection.read_watermark()
        facts = [await _facts(row) async for row in _rows()]
        if await projection.read_watermark() == before:
            return _report(before, facts)
    raise LedgerMoves("the exchange is too busy to read its documents at one moment; try again, or audit the journal")


def _report(mark: Watermark, facts: list[AccountFacts]) -> LedgerReport:
    return LedgerReport(mark.time_ms, mark.sequence, audit(facts))


def _rows() -> AsyncIterable[Mapping[str, Any]]:
    return trading_account.everybody()


async def _facts(row: Mapping[str, Any]) -> AccountFacts:
    account = read_row(row["_id"], row)
    is_house = account.account.startswith(HOUSE)
    return facts_of(account, {} if is_house else await _ends(account.account, account.lines, set(account.balances)))


def _by_asset(withdrawals: Iterable[OpenWithdrawal]) -> dict[str, Decimal]:
    held: dict[str, Decimal] = {}
    for withdrawal in withdrawals:
        held[withdrawal.asset] = held.get(withdrawal.asset, _ZERO) + withdrawal.amount
    return held


async def _ends(account: str, lines: int, assets: set[str]) -> dict[str, Decimal]:
    """What the statement says of each asset last, read backwards until each was met."""
    ends: dict[str, Decimal] = {}
    high = lines + 1
    while high > 1 and assets - set(ends):
        low = max(1, high - MAX_WINDOW)
        for line in reversed(await between(account, low, high)):
            ends.setdefault(line.asset, line.balance_after)
        high = low
    return ends


def _below_zero(funds: Funds) -> Decimal:
    return max(_ZERO, -funds.available) + max(_ZERO, -funds.held) + max(_ZERO, -funds.debt)
