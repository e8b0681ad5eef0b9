from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.vocabulary import TrendDirection
from services.trends import sparkline, trend


def closes(*values: int | str) -> list[Decimal]:
    return [Decimal(value) for value in values]


def test_closes_on_a_line_have_full_strength() -> None:
    rising = trend(closes(100, 110, 120, 130))
    assert rising is not None
    assert rising.direction is TrendDirection.UP
    assert rising.strength == 1
    falling = trend(closes(130, 120, 110, 100))
    assert falling is not None
    assert falling.direction is TrendDirection.DOWN
    assert falling.strength == 1


def test_figures_of_a_small_table() -> None:
    found = trend(closes(100, 120, 90))
    # changes 0.2 and -0.25: mean -0.025, deviation 0.225; line: covariance -10, t² 2, y² 466.67, R² 100/933.33
    assert found is not None
    assert found.volatility == Decimal("0.225")
    assert found.strength == Decimal("0.107142857143")
    assert found.direction is TrendDirection.SIDEWAYS
    assert found.summary == ("Moving sideways: -10 % over 3 candles, volatility 22.5 % a candle, strength 0.11.")


def test_the_summary_of_a_rise() -> None:
    found = trend(closes(100, 101, 102, 103))
    assert found is not None
    assert found.summary.startswith("Rising: +3 % over 4 candles, volatility 0.01 % a candle")


def test_flat_closes_go_nowhere_and_few_closes_say_nothing() -> None:
    flat = trend(closes(5, 5, 5))
    assert flat is not None
    assert flat.direction is TrendDirection.SIDEWAYS
    assert flat.strength == flat.volatility == 0
    assert trend(closes(1, 2)) is None
    assert trend([]) is None


@given(st.lists(st.decimals(min_value="0.00000001", max_value="999999", places=8), min_size=3, max_size=60))
def test_strength_lies_between_0_and_1(prices: list[Decimal]) -> None:
    found = trend(prices)
    assert found is not None
    assert 0 <= found.strength <= 1
    assert found.volatility >= 0


def test_a_sparkline_keeps_the_ends_and_even_distances() -> None:
    prices = [Decimal(n) for n in range(101)]
    assert sparkline(prices, 5) == [0, 25, 50, 75, 100]
    assert sparkline(prices, 2) == [0, 100]
    assert sparkline(prices[:4], 24) == prices[:4]
    assert sparkline([], 24) == []


@given(st.integers(0, 500), st.integers(2, 200))
def test_a_sparkline_never_has_more_points_than_asked_for_and_none_twice(count: int, points: int) -> None:
    found = sparkline([Decimal(n) for n in range(count)], points)
    assert len(found) == min(count, points)
    assert found == sorted(set(found))


@pytest.mark.parametrize("points", [1, 0, -1, 201])
def test_a_number_of_points_that_cannot_be_is_refused(points: int) -> None:
    with pytest.raises(InvalidInput, match="points must be from 2 to 200"):
        sparkline([Decimal(1)], points)
