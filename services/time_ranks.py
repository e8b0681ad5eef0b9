"""Places for rows that are found by time: the millisecond, and the rank within it, so that two rows of one millisecond have two places."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")

RANKS = 1000
"""Places of one millisecond."""


@dataclass(frozen=True, slots=True)
class Ranked(Generic[Row]):
    """A row with its place, which is also its cursor."""

    place: int
    row: Row


def ranked(rows: Sequence[Row], time_ms: Callable[[Row], int]) -> list[Ranked[Row]]:
    """These rows with their places. They must be all of their milliseconds, oldest first, ties in an order that does not change."""
    found: list[Ranked[Row]] = []
    for row in rows:
        first = time_ms(row) * RANKS
        follows = found[-1].place + 1 if found else first
        found.append(Ranked(max(first, follows) if follows // RANKS == time_ms(row) else first, row))
    return found


def rank_places(low: int, high: int) -> tuple[int, int]:
    """The milliseconds [from, to) whose rows may have places in [low, high)."""
    return low // RANKS, -(-high // RANKS)
