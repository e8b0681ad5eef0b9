"""The exchange, its projection and the people who use them, while everything fails: thirty seeds here, thirteen hundred in `make soak`.

A seed that fails is named; `python -m tests.simulation SEED` repeats it exactly, and so does `pytest tests/simulation -k seed-SEED`.
"""

from collections import Counter

import pytest

from tests.simulation.seeds import simulate

CHUNK = 10
SEEDS = range(30)
MORE_SEEDS = range(30, 100)
SOAK_CHUNK = 25
SOAK_SEEDS = range(1_000, 2_250)
SOAK_COMMANDS = 600

OFTEN = (
    "accepted", "bus.gap", "bus.lost", "did.bracket_filled", "did.debt", "did.debt_repaid", "did.deposit", "did.ended.CANCELED_BY_GROUP", "did.ended.CANCELED_BY_USER", "did.frozen",
    "did.group", "did.house_moved", "did.keys_forgotten", "did.released", "did.repaid_by_deposit", "did.reversal", "did.settled", "did.status", "did.timer", "did.traded", "did.trailed", "did.triggered", "did.withdrawal", "killed.anywhere",
    "mongo.after", "mongo.before", "mongo.partial", "mongo.went_away", "projector.snapshot", "redis.after", "redis.partial",
    "refused.IDEMPOTENCY_MISMATCH", "refused.OUTCOME_UNKNOWN", "replayed", "stood_still", "usurped", "writer.fenced", "writer.quiet",
)  # fmt: skip
"""What happens in any ten seeds: a storm that lacks one of these has become too mild."""
RARE = (
    "did.amended", "did.ended.CANCELED_BY_TIMER", "did.ended.EXPIRED", "killed.at_call", "mongo.killed_after", "mongo.killed_before",
    "redis.forgot", "redis.killed_after", "redis.killed_before", "refused.COMMAND_EXPIRED",
)  # fmt: skip
"""What happens in any 25 long runs."""


def _run(seeds: range, commands: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in seeds:
        counts += simulate(seed, commands).counts
    return counts


@pytest.mark.parametrize(
    "first",
    [*SEEDS[::CHUNK], *(pytest.param(first, marks=pytest.mark.soak) for first in MORE_SEEDS[::CHUNK])],
    ids=lambda first: f"seeds-{first}-{first + CHUNK - 1}",
)
def test_whatever_fails_nothing_is_lost_and_nothing_happens_twice(first: int) -> None:
    counts = _run(range(first, first + CHUNK), 200)
    assert [name for name in OFTEN if not counts[name]] == []


def test_one_seed(seed: int) -> None:
    simulate(seed)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", SOAK_SEEDS[::SOAK_CHUNK], ids=lambda first: f"seeds-{first}-{first + SOAK_CHUNK - 1}")
def test_long_storms(first: int) -> None:
    counts = _run(range(first, first + SOAK_CHUNK), SOAK_COMMANDS)
    assert [name for name in (*OFTEN, *RARE) if not counts[name]] == []


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_now_and_then_a_projector_is_overtaken() -> None:
    """Too rare for every 25 runs: two of fifty times 25 did without."""
    assert any(simulate(seed, SOAK_COMMANDS).counts["projector.overtaken"] for seed in SOAK_SEEDS)
