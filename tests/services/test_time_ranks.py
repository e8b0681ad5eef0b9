"""Places for rows of the same millisecond: distinct, in order, and the same whichever range is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.time_ranks import RANKS, rank_places, ranked


def places(times: list[int]) -> list[int]:
    return [row.place for row in ranked(times, lambda time_ms: time_ms)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], []),
        ([5], [5_000]),
        ([5, 6, 9], [5_000, 6_000, 9_000]),
        ([5, 5, 5], [5_000, 5_001, 5_002]),
        ([5, 5, 6, 6, 6, 8], [5_000, 5_001, 6_000, 6_001, 6_002, 8_000]),
        ([0, 0], [0, 1]),
    ],
)
def test_rows_of_one_millisecond_follow_each_other(times: list[int], expected: list[int]) -> None:
    assert places(times) == expected


@given(st.lists(st.integers(0, 50), max_size=60).map(sorted))
def test_places_are_distinct_in_order_and_tell_the_time(times: list[int]) -> None:
    found = places(times)
    assert found == sorted(set(found))
    assert [place // RANKS for place in found] == times


@given(st.lists(st.integers(0, 20), max_size=60).map(sorted), st.integers(0, 21_000), st.integers(0, 21_000))
def test_a_range_of_places_is_read_whole_by_its_milliseconds(times: list[int], one: int, other: int) -> None:
    """Rows of a range have the same places as among all rows, so that a cursor of one page serves for the next."""
    low, high = sorted((one, other))
    from_ms, to_ms = rank_places(low, high)
    within = places([time_ms for time_ms in times if from_ms <= time_ms < to_ms])
    assert [place for place in within if low <= place < high] == [
        place for place in places(times) if low <= place < high
    ]
