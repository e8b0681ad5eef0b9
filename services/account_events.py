"""Everything that happens to an account, for its owner: the same log as a stream and as pages.

There are three sources: security, the account's audit log; the exchange; and transfers, the log of its deposits and withdrawals. A cursor holds one
position for each (`services/account_cursors.py`). Within a source nothing is missed or repeated; between sources there is no order.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from core.bus import Bus, BusMessage
from core.clock import Clock
from core.errors import InvalidInput
from core.paging import Page
from events.account import AuditAppended, account_topic
from events.funds import EventsMissed
from events.trading import Logged
from events.transfer import DepositState, WithdrawalState
from models import audit_event, transfer_event
from models.audit_event import AuditEventDocument
from models.transfer_event import TransferEventDocument
from services import exchange_log
from services.account_cursors import Positions, read_cursor
from services.audit_pages import last_number
from services.exchange_log import ExchangeHappened, ExchangeLog, Missed
from services.trading_accounts import ReadMarks, TradingAccount
from services.transfer_log import read_payload
from services.transfer_streams import follow, shown

_AT_ONCE = 100
MOST_EVENTS = 500
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Happened:
    """A row of the audit log, what the exchange did, a deposit or withdrawal as it became, or what the reader has missed; and the cursor behind it."""

    cursor: str
    time_ms: int
    event: AuditEventDocument | Logged | DepositState | WithdrawalState | EventsMissed


class _Transferred(NamedTuple):
    """A row of the log of transfers."""

    number: int
    time_ms: int
    event: DepositState | WithdrawalState


_Source = AuditEventDocument | ExchangeHappened | _Transferred


class AccountEvents:
    """One per process."""

    def __init__(self, bus: Bus, marks: ReadMarks, clock: Clock) -> None:
        self._bus = bus
        self._marks = marks
        self._clock = clock

    async def newest(self, account: TradingAccount, transfers: int) -> str:
        """The cursor behind everything that this state of the account contains, and the log of transfers up to this number."""
        return Positions(await last_number(account.account), account.logged, transfers).cursor()

    async def newest_transfers(self, accounts: Sequence[str]) -> list[int]:
        """How far the logs of these accounts' transfers reach; the caller keeps them few."""
        return [await transfer_event.newest(account) for account in accounts]

    async def page(self, account: str, after: str | None, first: int | None) -> Page[Happened]:
        """Events after a cursor, or from the beginning: the oldest first, as far as each source keeps its own order. Raises InvalidInput."""
        count = _AT_ONCE if first is None else first
        if not 0 <= count <= MOST_EVENTS:
            raise InvalidInput(
                f"first must be between 0 and {MOST_EVENTS}", field=["first"], limit=MOST_EVENTS, actual=count
            )
        start = read_cursor(after) if after is not None else Positions()
        await self._marks.wait(account)
        rows = await audit_event.between(account, start.security + 1, start.security + count + 2)
        logged = await exchange_log.between(account, start.exchange + 1, start.exchange + count + 2)
        moved = await transfer_event.between(account, start.transfers + 1, start.transfers + count + 2)
        merged = _merged(rows, logged, [_transferred(row) for row in moved])
        return Page(
            _with_cursors(start, merged[:count]), has_next=len(merged) > count, has_previous=start != Positions()
        )

    async def watch(self, account: str, after: str | None) -> AsyncGenerator[Happened, None]:
        """Events after a cursor, or from now on, as they happen. Raises InvalidInput."""
        seen = read_cursor(after) if after is not None else None
        if seen is None:
            newest = await exchange_log.newest(account)
            seen = Positions(await last_number(account), newest, await transfer_event.newest(account))
        sources: list[AsyncGenerator[_Source | Missed, None]] = [
            self._security(account, seen.security),
            ExchangeLog(account, self._bus, self._marks).follow(seen.exchange),
            self._transfers(account, seen.transfers),
        ]
        async with aclosing(interleaved(sources)) as events:
            async for event in events:
                if isinstance(event, Missed):
                    missed = replace(seen, exchange=event.from_).cursor()
                    seen = replace(seen, exchange=event.to)
                    yield Happened(seen.cursor(), self._clock.now_ms(), EventsMissed(missed, seen.cursor()))
                else:
                    seen = _moved(seen, event)
                    yield _happened(seen, event)

    async def _security(self, account: str, after: int) -> AsyncGenerator[_Source | Missed, None]:
        """Rows of the audit log, read from storage at the reader's pace: none is skipped."""
        async with self._bus.subscribe(account_topic(account)) as subscription:
            seen = after
            told = aiter(subscription)
            while True:
                while rows := await audit_event.between(account, seen + 1, seen + 1 + _AT_ONCE):
                    for row in rows:
                        seen = row.sequence
                        yield row
                item = await anext(told, None)
                while isinstance(item, BusMessage) and _is_known(item.event, seen):
                    item = await anext(told, None)
                if item is None:
                    return

    async def _transfers(self, account: str, after: int) -> AsyncGenerator[_Source | Missed, None]:
        """Rows of the log of transfers, read from storage at the reader's pace: none is skipped."""
        async with aclosing(follow(account, after, self._bus)) as rows:
            async for row in rows:
                moved = _transferred(row)
                await shown(self._marks, moved.event)
                yield moved


async def interleaved(sources: list[AsyncGenerator[Item, None]]) -> AsyncGenerator[Item, None]:
    """The items of several sources, each in its own order, as they come. Ends, and closes them all, when one of them ends or fails."""
    waiting: dict[asyncio.Task[Item], AsyncIterator[Item]] = {_next(source): source for source in sources}
    try:
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in waiting if task in done]:
                source = waiting.pop(task)
                try:
                    item = task.result()
                except StopAsyncIteration:
                    return
                yield item
                waiting[_next(source)] = source
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for source in sources:
            await source.aclose()


def _next(source: AsyncIterator[Item]) -> "asyncio.Task[Item]":
    async def read() -> Item:
        return await anext(source)

    return asyncio.create_task(read())


def _merged(*sources: Sequence[_Source]) -> list[_Source]:
    """All by time, each in its own order, whatever its times."""
    merged: list[_Source] = []
    waiting = [iter(source) for source in sources]
    heads = [next(each, None) for each in waiting]
    while any(head is not None for head in heads):
        _, first = min((head.time_ms, place) for place, head in enumerate(heads) if head is not None)
        chosen = heads[first]
        if chosen is not None:
            merged.append(chosen)
        heads[first] = next(waiting[first], None)
    return merged


def _with_cursors(start: Positions, events: list[_Source]) -> list[Happened]:
    happened = []
    for event in events:
        start = _moved(start, event)
        happened.append(_happened(start, event))
    return happened


def _moved(seen: Positions, event: _Source) -> Positions:
    if isinstance(event, ExchangeHappened):
        return replace(seen, exchange=event.number)
    if isinstance(event, _Transferred):
        return replace(seen, transfers=event.number)
    return replace(seen, security=event.sequence)


def _happened(behind: Positions, event: _Source) -> Happened:
    shown = event if isinstance(event, AuditEventDocument) else event.event
    return Happened(behind.cursor(), event.time_ms, shown)


def _transferred(row: TransferEventDocument) -> _Transferred:
    return _Transferred(row.number, row.time_ms, read_payload(row.payload))


def _is_known(event: object, seen: int) -> bool:
    return isinstance(event, AuditAppended) and event.sequence <= seen
