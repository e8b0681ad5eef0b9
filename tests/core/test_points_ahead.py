"""How many points are taken along for a busy caller."""

from core.clock import ManualClock
from core.points_ahead import LASTING_MS, PointsAhead


def asked(ahead: PointsAhead, points: int) -> int:
    """What a request takes along, once it was granted."""
    more = ahead.wanted("a", points)
    ahead.took("a", more)
    return more


def test_as_many_as_last_for_a_while_at_the_callers_own_pace() -> None:
    clock = ManualClock()
    ahead = PointsAhead(clock, capacity=200_000_000)
    for _ in range(3):
        assert asked(ahead, 10) == 0
    assert asked(ahead, 10) == 2_560
    for _ in range(250):
        assert ahead.spend("a", 10) is not None
    clock.advance(0.05)
    assert ahead.is_low("a")
    assert asked(ahead, 10) == 2_500 * LASTING_MS // 50 - 60
    while not ahead.is_low("a"):
        assert ahead.spend("a", 10) is not None
    clock.advance(0.9)
    spent = 2_500 * LASTING_MS // 50 - ahead.held("a")
    asked(ahead, 10)
    assert ahead.held("a") == spent * LASTING_MS // 900


def test_never_more_than_a_200th_of_a_bucket() -> None:
    clock = ManualClock()
    ahead = PointsAhead(clock, capacity=120_000)
    taken = [asked(ahead, 10) for _ in range(4)]
    assert taken == [0, 0, 0, 600]
    while not ahead.is_low("a"):
        assert ahead.spend("a", 10) is not None
    clock.advance(0.001)
    held = ahead.held("a")
    assert asked(ahead, 10) == 600 - held
