"""Lists of an account's orders, of its fills, and of what happened to an order: by number, page by page."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import InvalidInput
from core.order_filters import FillCriteria, OrderCriteria
from core.order_vocabulary import OrderStatus
from core.paging import Page, PageRequest
from core.vocabulary import TimeOrder
from events.trading import FillState, LoggedOrder, OrderState
from models import fill, order
from models.packs import MOST_IN_PACK
from services import exchange_log
from services.order_reads import OrderReads, fill_state, order_state
from services.read_marks import Reader
from services.window_paging import History, read_page

Row = Mapping[str, Any]
Rows = Callable[[str, int, int], Awaitable[list[Row]]]
MOST_NAMES = 500
OPEN = frozenset({OrderStatus.PENDING, OrderStatus.TRIGGER_PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})


@dataclass(frozen=True, slots=True)
class Numbered:
    """A row's place in its list, and what it holds."""

    number: int
    state: OrderState


class OrderPages:
    """Pages for one account at a time. Cursors are numbers; nothing that is written later changes a page of older ones."""

    def __init__(self, reads: OrderReads) -> None:
        self._reads = reads

    async def orders(
        self, account: str, criteria: OrderCriteria, order_by: TimeOrder, request: PageRequest, reader: Reader
    ) -> tuple[Page[Numbered], int | None]:
        """A page of the account's orders, and how many there are where that is known. Raises InvalidInput."""
        _check_names(criteria.symbols)
        row = await self._reads.account(account, reader) or {}
        newest = row.get("orders", 0)
        total: int | None = newest if criteria == OrderCriteria() else None
        if criteria.group is not None or criteria.open:
            ids = (
                row.get("open", []) if criteria.group is None else await self._members(account, criteria.group, reader)
            )
            found = [each for each in await _numbered(account, ids) if _order_matches(criteria, each.state)]
            total = len(found)

            async def fetch(low: int, high: int) -> Sequence[Numbered]:
                return [each for each in found if low <= each.number < high]

            history = History(1, newest + 1, 1, fetch, lambda each: each.number)
        else:
            low, high = await _range(
                order.between, account, newest, "created_ms", from_ms=criteria.from_ms, to_ms=criteria.to_ms
            )

            async def fetch(low: int, high: int) -> Sequence[Numbered]:
                rows = [Numbered(row["number"], order_state(row)) for row in await order.between(account, low, high)]
                return [each for each in rows if _order_matches(criteria, each.state)]

            history = History(low, high, 1, fetch, lambda each: each.number)
        return await read_page(history, order_by, request), total

    async def fills(
        self, account: str, criteria: FillCriteria, order_by: TimeOrder, request: PageRequest, reader: Reader
    ) -> tuple[Page[FillState], int | None]:
        """A page of the account's fills, and how many there are where that is known. Raises InvalidInput."""
        _check_names(criteria.symbols)
        from_ms, to_ms = criteria.from_ms, criteria.to_ms
        if criteria.order is not None:
            state = await self._reads.order(account, criteria.order, reader)
            if state is None:
                raise InvalidInput("the account has no such order", field=["filter", "orderId"])
            from_ms = max(state.created_ms, from_ms or 0)
        newest = (await self._reads.account(account, reader) or {}).get("fills", 0)
        low, high = await _range(fill.between, account, newest, "time_ms", from_ms=from_ms, to_ms=to_ms)

        async def fetch(low: int, high: int) -> Sequence[FillState]:
            states = [fill_state(row) for row in await fill.between(account, low, high)]
            return [state for state in states if _fill_matches(criteria, state)]

        history = History(low, high, 1, fetch, lambda state: state.number)
        total = newest if criteria == FillCriteria() else None
        return await read_page(history, order_by, request), total

    async def fills_of(
        self, account: str, order_id: int, order_by: TimeOrder, request: PageRequest, reader: Reader
    ) -> Page[tuple[int, FillState]]:
        """A page of an order's fills, each with its number among them. Raises InvalidInput."""
        state = await self._reads.order(account, order_id, reader)
        newest = await _last_fill(order_id) if state is not None and state.filled_quantity else 0

        async def fetch(low: int, high: int) -> Sequence[tuple[int, FillState]]:
            return [(row["order_fill"], fill_state(row)) for row in await fill.of_order(order_id, low, high)]

        return await read_page(History(1, newest + 1, 1, fetch, lambda each: each[0]), order_by, request)

    async def events_of(
        self, account: str, state: OrderState, request: PageRequest, reader: Reader
    ) -> Page[LoggedOrder]:
        """A page of what happened to an order, oldest first. Raises InvalidInput."""
        newest = (await self._reads.account(account, reader) or {}).get("logged", 0)
        low = await exchange_log.number_at(account, state.id, newest)

        async def fetch(low: int, high: int) -> Sequence[LoggedOrder]:
            events = [happened.event for happened in await exchange_log.between(account, low, high)]
            return [event for event in events if isinstance(event, LoggedOrder) and event.order.id == state.id]

        if state.status in OPEN:
            high = newest + 1
        else:
            after = await exchange_log.number_at(account, state.sequence + 1, newest)
            high = min(after + MOST_IN_PACK, newest) + 1
        return await read_page(
            History(low, high, 1, fetch, lambda event: event.number), TimeOrder.OLDEST_FIRST, request
        )

    async def _members(self, account: str, group_id: int, reader: Reader) -> Sequence[int]:
        group = await self._reads.group(account, group_id, reader)
        if group is None:
            raise InvalidInput("the account has no such group of orders", field=["filter", "groupId"])
        return group.orders


async def _numbered(account: str, ids: Sequence[int]) -> list[Numbered]:
    rows = [row for start in range(0, len(ids), 500) for row in await order.by_ids(ids[start : start + 500])]
    found = [Numbered(row["number"], order_state(row)) for row in rows if row["account"] == account]
    return sorted(found, key=lambda each: each.number)


async def _last_fill(order_id: int) -> int:
    """The number of the order's newest fill: searched by doubling, then by halves."""
    low, high = 0, 1
    while await fill.of_order(order_id, high, high + 1):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if await fill.of_order(order_id, middle, middle + 1) else (low, middle)
    return low


async def _range(
    rows: Rows, account: str, newest: int, time: str, *, from_ms: int | None, to_ms: int | None
) -> tuple[int, int]:
    """The numbers low <= number < high of the rows of this time: numbers rise with time."""
    low = 1 if from_ms is None else await _first_from(rows, account, newest, time, from_ms)
    high = newest + 1 if to_ms is None else await _first_from(rows, account, newest, time, to_ms)
    return low, max(low, high)


async def _first_from(rows: Rows, account: str, newest: int, time: str, moment_ms: int) -> int:
    low, high = 1, newest + 1
    while low < high:
        middle = (low + high) // 2
        found = await rows(account, middle, middle + 1)
        if found and found[0][time] < moment_ms:
            low = middle + 1
        else:
            high = middle
    return low


def _order_matches(criteria: OrderCriteria, state: OrderState) -> bool:
    return (
        (criteria.symbols is None or state.symbol in criteria.symbols)
        and (criteria.sides is None or state.side in criteria.sides)
        and (criteria.types is None or state.type in criteria.types)
        and (criteria.statuses is None or state.status in criteria.statuses)
        and (criteria.group is None or state.group == criteria.group)
        and (criteria.open is None or (state.status in OPEN) is criteria.open)
        and _within(state.created_ms, criteria.from_ms, criteria.to_ms)
    )


def _fill_matches(criteria: FillCriteria, state: FillState) -> bool:
    return (
        (criteria.symbols is None or state.symbol in criteria.symbols)
        and (criteria.order is None or state.order == criteria.order)
        and (criteria.side is None or state.side is criteria.side)
        and _within(state.time_ms, criteria.from_ms, criteria.to_ms)
    )


def _within(time_ms: int, from_ms: int | None, to_ms: int | None) -> bool:
    return (from_ms is None or time_ms >= from_ms) and (to_ms is None or time_ms < to_ms)


def _check_names(names: Collection[str] | None) -> None:
    if names is not None and len(names) > MOST_NAMES:
        raise InvalidInput(
            f"expected at most {MOST_NAMES} symbols", field=["filter", "symbols"], limit=MOST_NAMES, actual=len(names)
        )
