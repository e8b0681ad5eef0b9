"""Branch and bound: numbers that add up, so that no change is needed (Bitcoin Core, wallet/coinselection.cpp, SelectCoinsBnB). Pure."""

from collections.abc import Sequence

TRIES = 30_000
"""Bounds the time to some hundredths of a second; Core tries 100,000 times."""


def changeless(values: Sequence[int], wastes: Sequence[int], target: int, window: int, most: int) -> list[int] | None:
    """The places of at most `most` values that add up to target..target + window, with the least waste that was found; None: there are none.

    Values descend and are above zero. The waste of a choice is the sum of its wastes and of what lies above the target. A depth-first search over
    taking and leaving each value; equal neighbours are tried once.
    """
    best: list[int] | None = None
    best_waste = 0
    chosen: list[int] = []
    value = waste = at = 0
    left = sum(values)
    dear = bool(wastes) and wastes[0] > 0
    for _ in range(TRIES):
        hopeless = value + left < target or value > target + window or len(chosen) > most
        wasteful = best is not None and dear and waste > best_waste
        if not hopeless and not wasteful and value >= target:
            total = waste + value - target
            if best is None or total <= best_waste:
                best, best_waste = list(chosen), total
        if hopeless or wasteful or value >= target:
            if not chosen:
                break
            at -= 1
            while at > chosen[-1]:
                left += values[at]
                at -= 1
            value -= values[at]
            waste -= wastes[at]
            chosen.pop()
        else:
            left -= values[at]
            repeats = at > 0 and (not chosen or chosen[-1] != at - 1) and values[at] == values[at - 1]
            if not repeats or wastes[at] != wastes[at - 1]:
                chosen.append(at)
                value += values[at]
                waste += wastes[at]
        at += 1
    return best
