"""Pages of a long, possibly sparse history, read by bounded ranges of an index.

Neither sort nor limit is asked of the database: the embedded engine would walk everything that matches. A page is gathered from
windows that start at its edge and double while they find too little.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.paging import Page, PageRequest, number_cursor
from core.vocabulary import TimeOrder

Row = TypeVar("Row")

MAX_WINDOW = 2_000
"""Places a window spans at most, so that one that reaches dense history after a hole stays cheap."""


@dataclass(frozen=True, slots=True)
class History(Generic[Row]):
    """A list whose rows have places: numbers, `step` apart where nothing is missing, all within [low, high).

    `fetch(low, high)` gives the rows of a range, lowest first; `place` is also the row's cursor.
    """

    low: int
    high: int
    step: int
    fetch: Callable[[int, int], Awaitable[Sequence[Row]]]
    place: Callable[[Row], int]


async def read_page(history: History[Row], order: TimeOrder, request: PageRequest) -> Page[Row]:
    """The page that a request names. Raises InvalidInput for a foreign cursor."""
    after = number_cursor(request.after, "after")
    before = number_cursor(request.before, "before")
    newest_first = order is TimeOrder.NEWEST_FIRST
    above, below = (before, after) if newest_first else (after, before)
    low = history.low if above is None else min(max(history.low, above + 1), history.high)
    high = history.high if below is None else max(min(history.high, below), history.low)
    downwards = newest_first is not request.backwards
    found = await _gather(history, low=low, high=high, count=request.size + 1, downwards=downwards)
    more = len(found) > request.size
    rows = (found[1:] if downwards else found[:-1]) if more else found
    lower = (more and downwards) or await _any(history, low=history.low, high=low, downwards=True)
    higher = (more and not downwards) or await _any(history, low=high, high=history.high, downwards=False)
    if newest_first:
        return Page(items=rows[::-1], has_next=lower, has_previous=higher)
    return Page(items=rows, has_next=higher, has_previous=lower)


async def _any(history: History[Row], *, low: int, high: int, downwards: bool) -> bool:
    return bool(await _gather(history, low=low, high=high, count=1, downwards=downwards))


async def _gather(history: History[Row], *, low: int, high: int, count: int, downwards: bool) -> list[Row]:
    """Up to `count` rows of [low, high), lowest first, taken from the upper end when `downwards`."""
    rows: list[Row] = []
    width = count
    while low < high and len(rows) < count:
        span = min(width, MAX_WINDOW) * history.step
        if downwards:
            start = max(low, high - span)
            rows = [*await history.fetch(start, high), *rows]
            high = start
        else:
            end = min(high, low + span)
            rows = [*rows, *await history.fetch(low, end)]
            low = end
        width *= 2
    if len(rows) <= count:
        return rows
    return rows[-count:] if downwards else rows[:count]
