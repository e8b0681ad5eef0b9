"""Reading audit logs: an account's own, and, for operators, everybody's."""

from collections.abc import Collection, Sequence

from core.account_vocabulary import AuditAction
from core.clock import Clock
from core.paging import Page, PageRequest
from core.vocabulary import TimeOrder
from models import audit_event
from models.audit_event import AuditEventDocument
from services.time_ranks import RANKS, Ranked, rank_places, ranked
from services.window_paging import History, read_page

_EVERYBODY_DAYS = 90
_STEP_MS = 30_000
"""A quiet log of 90 days is looked through in some 140 ranges, and the first range of a busy one is half an hour."""
_DAY_MS = 86_400_000


async def page_of_account(
    user_id: str, actions: Collection[AuditAction] | None, order: TimeOrder, request: PageRequest
) -> Page[AuditEventDocument]:
    """A page of one account's log; the cursor is the row's number. Raises InvalidInput."""

    async def fetch(low: int, high: int) -> Sequence[AuditEventDocument]:
        rows = await audit_event.between(user_id, low, high)
        return rows if actions is None else [row for row in rows if row.action in actions]

    high = await last_number(user_id) + 1
    return await read_page(History(1, high, 1, fetch, lambda row: row.sequence), order, request)


async def page_of_everybody(
    actions: Collection[AuditAction] | None, request: PageRequest, clock: Clock
) -> Page[Ranked[AuditEventDocument]]:
    """A page of all accounts' rows of the last 90 days, newest first. Raises InvalidInput."""

    async def fetch(low: int, high: int) -> Sequence[Ranked[AuditEventDocument]]:
        from_ms, to_ms = rank_places(low, high)
        rows = ranked(await audit_event.of_everybody_between(from_ms, to_ms, actions), lambda row: row.time_ms)
        return [row for row in rows if low <= row.place < high]

    now_ms = clock.now_ms()
    history = History(
        low=(now_ms - _EVERYBODY_DAYS * _DAY_MS) * RANKS,
        high=(now_ms + 1) * RANKS,
        step=_STEP_MS * RANKS,
        fetch=fetch,
        place=lambda row: row.place,
    )
    return await read_page(history, TimeOrder.NEWEST_FIRST, request)


async def last_number(user_id: str) -> int:
    """The number of an account's newest row; 0 without any. The noted head may be behind the rows."""
    head = await audit_event.head(user_id)
    number = 0 if head is None else head.sequence
    while await audit_event.by_number(user_id, number + 1) is not None:
        number += 1
    return number
