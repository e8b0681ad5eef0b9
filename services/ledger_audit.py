"""Whether the documents that people read agree with each other, to the last unit.

Of every account: what its statement ends with is what it has; what it has on hold is what its open orders hold (`holds` of its row). Of every
asset: people and the house together have nothing, since every movement has two sides. `services/journal_audit.py` proves the same of the
journal itself.
"""

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.errors import ExpectedError
from events.funds import AuditLine, LedgerReport
from models import projection, trading_account
from models.projection import Watermark
from services.statements import between
from services.trading_accounts import Funds, read_row
from services.window_paging import MAX_WINDOW

_HOUSE = "house:"
_TRIES = 5
_ZERO = Decimal(0)


class LedgerMoves(ExpectedError):
    """The documents changed while they were read, again and again; what was read does not belong together."""

    code = "LEDGER_MOVING"


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the documents say of one account, by asset: its balances, what its statement ends with, and what its orders hold."""

    account: str
    balances: Mapping[str, Funds]
    postings: Mapping[str, Decimal]
    holds: Mapping[str, Decimal]

    @property
    def is_house(self) -> bool:
        return self.account.startswith(_HOUSE)


def audit(accounts: Iterable[AccountFacts]) -> list[AuditLine]:
    """The lines of all assets, by code."""
    lines: dict[str, AuditLine] = {}
    for account in accounts:
        for asset in {*account.balances, *account.postings, *account.holds}:
            line = lines.setdefault(asset, AuditLine(asset))
            funds = account.balances.get(asset, Funds())
            if account.is_house:
                line.house += funds.total
                continue
            posted, holds = account.postings.get(asset, _ZERO), account.holds.get(asset, _ZERO)
            line.balances += funds.total
            line.holds += funds.held
            line.postings += posted
            line.open_orders += holds
            line.off += abs(posted - funds.total) + abs(holds - funds.held) + _below_zero(funds)
    return [lines[asset] for asset in sorted(lines)]


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
    is_house = account.account.startswith(_HOUSE)
    return AccountFacts(
        account=account.account,
        balances=account.balances,
        postings={} if is_house else await _ends(account.account, account.lines, set(account.balances)),
        holds=account.holds,
    )


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
    return max(_ZERO, -funds.available) + max(_ZERO, -funds.held)
