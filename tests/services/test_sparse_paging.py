"""Pages of a mostly empty history: whatever a page may cost, going on from its edge comes past every row once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from core.paging import Page, PageRequest
from core.vocabulary import TimeOrder
from services.sparse_paging import SparseHistory, Stretch, read_sparse_page

HIGH = 60


@dataclass
class Places:
    """A history of these places, told in parts of these lengths, of which one page may have only so many."""

    rows: Sequence[int]
    lengths: Sequence[int]
    most: int

    async def page(self, order: TimeOrder, request: PageRequest) -> Page[int]:
        lengths, fetched = cycle(self.lengths), 0

        async def fetch(low: int, high: int, downwards: bool) -> Stretch[int]:
            nonlocal fetched
            assert low < high
            fetched, length = fetched + 1, next(lengths)
            low, high = (max(low, high - length), high) if downwards else (low, min(high, low + length))
            return Stretch([each for each in self.rows if low <= each < high], low, high)

        history = SparseHistory(0, HIGH, fetch, lambda each: each, lambda: fetched < self.most)
        page = await read_sparse_page(history, order, request)
        assert fetched <= self.most
        return page


histories = st.builds(
    Places,
    rows=st.sets(st.integers(0, HIGH - 1), max_size=12).map(sorted),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    most=st.integers(1, 3),
)


@given(history=histories, order=st.sampled_from(TimeOrder), size=st.integers(1, 5))
async def test_forwards_and_backwards_every_row_comes_once(history: Places, order: TimeOrder, size: int) -> None:
    wanted = history.rows if order is TimeOrder.OLDEST_FIRST else list(history.rows)[::-1]
    found: list[int] = []
    after = None
    for _ in range(2 * HIGH):
        page = await history.page(order, PageRequest(first=size, after=after))
        found += page.items
        assert page.has_previous is (after is not None)
        if not page.has_next:
            break
        after = page.end or str(page.items[-1])
    assert found == list(wanted)
    back: list[int] = []
    before = None
    for _ in range(2 * HIGH):
        page = await history.page(order, PageRequest(last=size, before=before))
        back = [*page.items, *back]
        if not page.has_previous:
            break
        before = page.start or str(page.items[0])
    assert back == list(wanted)


async def test_a_full_page_goes_on_from_its_last_row() -> None:
    page = await Places([1, 2, 50], [100], 5).page(TimeOrder.NEWEST_FIRST, PageRequest(first=2))
    assert (page.items, page.has_next, page.end) == ([50, 2], True, None)


async def test_an_empty_page_that_ended_early_says_where() -> None:
    page = await Places([1], [10], 1).page(TimeOrder.NEWEST_FIRST, PageRequest())
    assert (page.items, page.has_next, page.end) == ([], True, "50")
    assert (await Places([], [100], 1).page(TimeOrder.NEWEST_FIRST, PageRequest())).has_next is False
