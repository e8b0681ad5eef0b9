"""Numbers of blocks that are to be looked at again, as ranges from the lowest to the highest: few ranges, however many blocks. Pure."""

from collections.abc import Sequence

MOST_RANGES = 1_000
Ranges = list[tuple[int, int]]
"""Low and high, both meant, none touching another, lowest first."""


def with_block(ranges: Sequence[tuple[int, int]], number: int) -> Ranges:
    """The ranges with a block that is higher than all of them. Of too many, the last two become one, and what lies between is looked at for nothing."""
    if ranges and ranges[-1][1] + 1 == number:
        return [*ranges[:-1], (ranges[-1][0], number)]
    if len(ranges) >= MOST_RANGES:
        return [*ranges[:-1], (ranges[-1][0], number)]
    return [*ranges, (number, number)]


def without_block(ranges: Sequence[tuple[int, int]], number: int) -> Ranges:
    """The ranges without this block."""
    left: Ranges = []
    for low, high in ranges:
        if low <= number <= high:
            left += [(a, b) for a, b in ((low, number - 1), (number + 1, high)) if a <= b]
        else:
            left.append((low, high))
    return left


def some_blocks(ranges: Sequence[tuple[int, int]], after: int, most: int) -> list[int]:
    """So many blocks at most, from the one after this number on; where there is none, from the first."""
    found: list[int] = []
    for low, high in ranges:
        start = max(low, after + 1)
        found += range(start, min(high, start + most - len(found) - 1) + 1)
        if len(found) >= most:
            break
    return found or (some_blocks(ranges, -1, most) if ranges and after >= 0 else [])


def count_of(ranges: Sequence[tuple[int, int]]) -> int:
    """How many blocks they are."""
    return sum(high - low + 1 for low, high in ranges)
