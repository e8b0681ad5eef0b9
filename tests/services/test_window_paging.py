from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.paging import PageRequest
from core.vocabulary import TimeOrder
from services.window_paging import MAX_WINDOW, History, read_page


class Rows:
    """A history of these places; counts what it is asked."""

    def __init__(self, places: Sequence[int]) -> None:
        self.places = sorted(places)
        self.widths: list[int] = []

    async def fetch(self, low: int, high: int) -> list[int]:
        self.widths.append(high - low)
        return [place for place in self.places if low <= place < high]

    def history(self) -> History[int]:
        low, high = (self.places[0], self.places[-1] + 1) if self.places else (0, 0)
        return History(low=low, high=high, step=1, fetch=self.fetch, place=lambda place: place)


places = st.lists(st.integers(0, 5000), unique=True, max_size=40)
cursors = st.none() | st.integers(0, 5000).map(str)
sizes = st.integers(0, 12)
requests = st.builds(PageRequest, first=sizes, after=cursors, before=cursors) | st.builds(
    PageRequest, last=sizes, after=cursors, before=cursors
)


@given(places, st.sampled_from(TimeOrder), requests)
async def test_a_page_is_what_slicing_the_whole_list_gives(
    places: list[int], order: TimeOrder, request: PageRequest
) -> None:
    whole = sorted(places, reverse=order is TimeOrder.NEWEST_FIRST)
    sign = -1 if order is TimeOrder.NEWEST_FIRST else 1
    between = [
        place
        for place in whole
        if (request.after is None or sign * place > sign * int(request.after))
        and (request.before is None or sign * place < sign * int(request.before))
    ]
    size = request.size
    expected = (between[-size:] if size else []) if request.backwards else between[:size]
    page = await read_page(Rows(places).history(), order, request)
    assert list(page.items) == expected
    if expected:
        assert page.has_previous is (expected[0] != whole[0])
        assert page.has_next is (expected[-1] != whole[-1])


@pytest.mark.parametrize("order", list(TimeOrder))
async def test_a_long_hole_is_crossed_in_few_bounded_windows(order: TimeOrder) -> None:
    rows = Rows([*range(10), *range(20_000, 20_010)])
    page = await read_page(rows.history(), order, PageRequest(first=15))
    assert len(page.items) == 15
    assert len(rows.widths) <= 20_000 // MAX_WINDOW + 8
    assert max(rows.widths) <= MAX_WINDOW
