"""Priority fees for three speeds, from what others paid lately."""

from collections.abc import Sequence

from integrations.chains.solana.messages import PriorityFees

MOST_MICRO_LAMPORTS = 5_000_000
"""No answer of a node makes a transaction pay more than this for a compute unit: 0.0006 SOL for a token transfer of 120,000 units."""
LEAST_MICRO_LAMPORTS = PriorityFees(slow=0, standard=1_000, fast=10_000)
"""Where nobody paid anything lately, the faster speeds still pay a little, to come before those that pay nothing."""
_PERCENTILES = PriorityFees(slow=25, standard=50, fast=90)


def speeds(recent: Sequence[int]) -> PriorityFees:
    """Three speeds from the lowest fees that landed in recent slots (micro-lamports per unit): their 25th, 50th and 90th percentile.

    A few slots that paid absurdly much move none of them; each is at least that of the slower one.
    """
    ordered = sorted(recent)
    slow = _bounded(_percentile(ordered, _PERCENTILES.slow), LEAST_MICRO_LAMPORTS.slow)
    standard = _bounded(_percentile(ordered, _PERCENTILES.standard), max(slow, LEAST_MICRO_LAMPORTS.standard))
    fast = _bounded(_percentile(ordered, _PERCENTILES.fast), max(standard, LEAST_MICRO_LAMPORTS.fast))
    return PriorityFees(slow, standard, fast)


def _percentile(ordered: Sequence[int], percent: int) -> int:
    """The nearest rank."""
    if not ordered:
        return 0
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1]


def _bounded(found: int, least: int) -> int:
    return min(max(found, least), MOST_MICRO_LAMPORTS)
