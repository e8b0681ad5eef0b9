"""Pages of a history that is read from elsewhere, long, and mostly empty: a page ends when it is full, or when it has cost enough.

One that ends early says so by its edge: the cursor of where reading stopped, which may lie far beyond its last row. Whoever goes on from there comes to the end of
the history in the end, however little there is in it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.paging import Page, PageRequest, number_cursor
from core.vocabulary import TimeOrder

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Stretch(Generic[Row]):
    """All rows of the places [low, high), lowest first."""

    rows: Sequence[Row]
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class SparseHistory(Generic[Row]):
    """A list whose rows have places: numbers within [low, high), which are their cursors.

    `fetch(low, high, downwards)` gives a part of a range that begins at its upper end when `downwards`, at its lower one otherwise, and is not empty. `may_go_on`
    is asked before each but the first.
    """

    low: int
    high: int
    fetch: Callable[[int, int, bool], Awaitable[Stretch[Row]]]
    place: Callable[[Row], int]
    may_go_on: Callable[[], bool]


async def read_sparse_page(history: SparseHistory[Row], order: TimeOrder, request: PageRequest) -> Page[Row]:
    """The page that a request names. That rows follow or precede it may mean: places that were not looked at. Raises InvalidInput for a foreign cursor."""
    after, before = number_cursor(request.after, "after"), number_cursor(request.before, "before")
    newest_first = order is TimeOrder.NEWEST_FIRST
    above, below = (before, after) if newest_first else (after, before)
    low = history.low if above is None else min(max(history.low, above + 1), history.high)
    high = history.high if below is None else max(min(history.high, below), history.low)
    downwards = newest_first is not request.backwards
    rows, seen_low, seen_high = await _gather(history, low, high, request.size + 1, downwards=downwards)
    is_full = len(rows) > request.size
    if is_full:
        rows = rows[1:] if downwards else rows[:-1]
    edge = None
    if not is_full and (seen_low > low if downwards else seen_high < high):
        edge = str(seen_low if downwards else seen_high - 1)
    more = is_full or edge is not None
    lower = (downwards and more) or history.low < low
    higher = (not downwards and more) or high < history.high
    return Page(
        items=rows[::-1] if newest_first else rows,
        has_next=lower if newest_first else higher,
        has_previous=higher if newest_first else lower,
        start=edge if request.backwards else None,
        end=None if request.backwards else edge,
    )


async def _gather(
    history: SparseHistory[Row], low: int, high: int, count: int, *, downwards: bool
) -> tuple[list[Row], int, int]:
    """Up to `count` rows of [low, high), lowest first, taken from one end; and what was looked at."""
    rows: list[Row] = []
    seen_low, seen_high = (high, high) if downwards else (low, low)
    is_first = True
    while len(rows) < count and (seen_low > low if downwards else seen_high < high):
        if not is_first and not history.may_go_on():
            break
        is_first = False
        if downwards:
            found = await history.fetch(low, seen_low, True)
            rows, seen_low = [*found.rows, *rows], found.low
        else:
            found = await history.fetch(seen_high, high, False)
            rows, seen_high = [*rows, *found.rows], found.high
    if len(rows) > count:
        rows = rows[-count:] if downwards else rows[:count]
    return rows, seen_low, seen_high
