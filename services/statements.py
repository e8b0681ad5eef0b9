"""An account's statement: every posting to it, numbered from 1 without a gap, in packs.

Numbers rise with time and with the exchange's journal, so that a span of time, or an order's life, is a span of numbers that is found by halving.
"""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.clock import to_ms
from core.errors import InvalidInput
from core.order_vocabulary import OrderStatus, TransactionKind
from core.paging import Page, PageRequest
from core.vocabulary import TimeOrder
from events.trading import StatementLine
from models import order
from models.packs import StatementDocument, overlapping
from services import statement_rows
from services.trading_accounts import TradingAccount
from services.window_paging import MAX_WINDOW, History, read_page

MOST_NAMES = 100
"""Assets or symbols that a filter may list."""
_ENDED = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})


@dataclass(frozen=True, slots=True)
class TransactionCriteria:
    """What a line must be to be listed; None: anything. `least` is of the amount without its sign, times are [from, to)."""

    kinds: Collection[TransactionKind] | None = None
    assets: Collection[str] | None = None
    symbols: Collection[str] | None = None
    order: int | None = None
    least: Decimal | None = None
    from_: datetime | None = None
    to: datetime | None = None

    def __post_init__(self) -> None:
        for name, listed in (("assets", self.assets), ("symbols", self.symbols)):
            if listed is not None and len(listed) > MOST_NAMES:
                raise InvalidInput(
                    f"expected at most {MOST_NAMES} {name}",
                    field=["filter", name],
                    limit=MOST_NAMES,
                    actual=len(listed),
                )

    def admits(self, line: StatementLine) -> bool:
        """Whether a line within the time is one of these."""
        return (
            (self.kinds is None or line.kind in self.kinds)
            and (self.assets is None or line.asset in self.assets)
            and (self.symbols is None or line.symbol in self.symbols)
            and (self.order is None or line.order == self.order)
            and (self.least is None or abs(line.amount) >= self.least)
        )


EVERYTHING = TransactionCriteria()


async def line(account: str, number: int) -> StatementLine | None:
    """One line; None when there is none of this number."""
    return next(iter(await between(account, number, number + 1)), None)


async def between(account: str, low: int, high: int) -> list[StatementLine]:
    """Lines with low <= number < high, lowest first; the caller keeps the range narrow."""
    found = {
        line.number: line
        for pack in await overlapping(StatementDocument, account, low, high)
        for line in statement_rows.decode(pack.payload)
        if low <= line.number < high
    }
    return [found[number] for number in sorted(found)]


async def page(
    account: TradingAccount, criteria: TransactionCriteria, direction: TimeOrder, request: PageRequest
) -> Page[StatementLine]:
    """A page of the statement; the cursor is the line's number. Raises InvalidInput."""

    async def fetch(low: int, high: int) -> Sequence[StatementLine]:
        lines = await between(account.account, low, high)
        return [line for line in lines if criteria.admits(line)]

    low, high = await span(account, criteria)
    return await read_page(History(low, high, 1, fetch, lambda line: line.number), direction, request)


async def span(account: TradingAccount, criteria: TransactionCriteria) -> tuple[int, int]:
    """The numbers [low, high) outside of which nothing can match."""
    low, high = 1, account.lines + 1
    if criteria.from_ is not None:
        low = await _first_at_time(account.account, to_ms(criteria.from_), low, high)
    if criteria.to is not None:
        high = await _first_at_time(account.account, to_ms(criteria.to), low, high)
    if criteria.order is not None:
        low, high = await _span_of_order(account.account, criteria.order, low, high)
    return low, high


async def read_all(account: str, low: int, high: int) -> AsyncGenerator[Sequence[StatementLine], None]:
    """The lines of a long span, lowest first, in windows."""
    for start in range(low, high, MAX_WINDOW):
        yield await between(account, start, min(start + MAX_WINDOW, high))


async def first_at(account: TradingAccount, time_ms: int) -> int:
    """The number of the first line at or after a time; one more than there are when there is none."""
    return await _first_at_time(account.account, time_ms, 1, account.lines + 1)


async def received_since(account: TradingAccount, kind: TransactionKind, asset: str, since_ms: int) -> Decimal:
    """How much of an asset came in by lines of this kind since a time."""
    total = Decimal(0)
    low = await first_at(account, since_ms)
    async with aclosing(read_all(account.account, low, account.lines + 1)) as windows:
        async for lines in windows:
            total += sum((each.amount for each in lines if each.kind is kind and each.asset == asset), Decimal(0))
    return total


async def _span_of_order(account: str, order_id: int, low: int, high: int) -> tuple[int, int]:
    """An order's lines come of events after its acceptance and, once it has ended, not after that."""
    row = await order.by_id(order_id)
    if row is None or row["account"] != account:
        return low, low
    low = await _first(account, order_id, low, high, by_time=False)
    if row["status"] in _ENDED:
        high = await _first(account, row["sequence"] + 1, low, high, by_time=False)
    return low, high


async def _first_at_time(account: str, time_ms: int, low: int, high: int) -> int:
    return await _first(account, time_ms, low, high, by_time=True)


async def _first(account: str, wanted: int, low: int, high: int, *, by_time: bool) -> int:
    """The lowest number of [low, high) whose line has this time, or entry, or a later one; `high` when none has."""
    while low < high:
        middle = (low + high) // 2
        found = await line(account, middle)
        if found is not None and (found.time_ms if by_time else found.entry) < wanted:
            low = middle + 1
        else:
            high = middle
    return low
