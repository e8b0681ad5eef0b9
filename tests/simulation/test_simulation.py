"""The exchange, its projection and the people who use them, while everything fails: a hundred seeds here, a thousand and more in `make soak`.

A seed that fails is named; `python -m tests.simulation SEED` repeats it exactly.
"""

import os
from collections import Counter

import pytest

from tests.simulation.seeds import simulate

CHUNK = 10
CHUNKS = 10
SOAK_CHUNKS = 50
SOAK_CHUNK = 25

SEEN_IN_EVERY_CHUNK = ("accepted", "did.traded", "killed.anywhere", "replayed", "refused.OUTCOME_UNKNOWN", "writer.served")
"""What must have happened in any ten seeds."""


@pytest.mark.parametrize("chunk", range(CHUNKS), ids=lambda chunk: f"seeds-{chunk * CHUNK}-{chunk * CHUNK + CHUNK - 1}")
def test_whatever_fails_nothing_is_lost_and_nothing_happens_twice(chunk: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        counts += simulate(seed).counts
    assert [name for name in SEEN_IN_EVERY_CHUNK if not counts[name]] == []
