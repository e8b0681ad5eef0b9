"""What assets cost: nothing is lost, and whatever the rates, gains add up."""

from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.vocabulary import OrderSide
from services.cost_basis import (
    Position,
    Positions,
    acquire,
    apply_fill,
    apply_funds,
    dispose,
    from_rows,
    give,
    receive,
    to_rows,
)

BUY, SELL = OrderSide.BUY, OrderSide.SELL
CASH = ("USD", "USDT")
SCALES = {"BTC": 8, "ETH": 18, "USD": 2, "USDT": 6}
MARKETS = (("BTC", "USDT"), ("ETH", "USDT"), ("ETH", "BTC"), ("USDT", "USD"))
amounts = st.integers(1, 10**24)


def test_average_cost_and_what_a_sale_realizes() -> None:
    positions: Positions = {}
    acquire(positions, "BTC", 10, "USDT", 1000)
    acquire(positions, "BTC", 10, "USDT", 3000)
    dispose(positions, "BTC", 5, "USDT", 1500)
    assert positions["BTC"] == Position(covered=15, cost={"USDT": 3000}, realized={"USDT": 500})


def test_what_came_without_a_price_realizes_nothing() -> None:
    positions: Positions = {}
    receive(positions, "BTC", 30)
    acquire(positions, "BTC", 10, "USDT", 1000)
    dispose(positions, "BTC", 20, "USDT", 4000)
    assert positions["BTC"] == Position(covered=5, uncovered=15, cost={"USDT": 500}, realized={"USDT": 500})


def test_what_is_given_away_takes_its_cost_along() -> None:
    positions: Positions = {}
    acquire(positions, "BTC", 10, "USDT", 1000)
    give(positions, "BTC", 4)
    assert positions["BTC"] == Position(covered=6, cost={"USDT": 600})


def test_more_is_sold_than_is_known_of() -> None:
    positions: Positions = {}
    acquire(positions, "BTC", 10, "USDT", 1000)
    dispose(positions, "BTC", 40, "USDT", 8000)
    assert positions["BTC"] == Position(realized={"USDT": 1000})


@pytest.mark.parametrize(
    ("side", "base", "quote", "expected"),
    [
        (BUY, "BTC", "USDT", {"BTC": Position(covered=7, cost={"USDT": 103})}),
        (SELL, "ETH", "USDT", {"ETH": Position(covered=3, cost={"USDT": 30}, realized={"USDT": 97 - 70})}),
        (
            SELL,
            "ETH",
            "BTC",
            {
                "ETH": Position(covered=3, cost={"USDT": 30}, realized={"ETH": 7, "USDT": -70}),
                "BTC": Position(covered=97, cost={"ETH": 7}),
            },
        ),
        (BUY, "USDT", "USD", {}),
        (SELL, "USDT", "USD", {}),
    ],
)
def test_fills(side: OrderSide, base: str, quote: str, expected: Positions) -> None:
    positions: Positions = {}
    if "ETH" in expected:
        acquire(positions, "ETH", 10, "USDT", 100)
    apply_fill(
        positions, side=side, base=base, quote=quote, base_units=7, quote_units=100, fee_units=3, cash=CASH
    )  # fmt: skip
    assert positions == expected


def test_a_purchase_with_an_asset_sells_that_asset() -> None:
    positions: Positions = {}
    acquire(positions, "BTC", 206, "USDT", 412)
    apply_fill(
        positions, side=BUY, base="ETH", quote="BTC", base_units=7, quote_units=100, fee_units=3, cash=CASH
    )  # fmt: skip
    assert positions == {
        "BTC": Position(covered=103, cost={"USDT": 206}, realized={"BTC": 103, "USDT": -206}),
        "ETH": Position(covered=7, cost={"BTC": 103}),
    }


@given(st.lists(st.tuples(amounts, amounts), min_size=1), st.integers(0, 10**24), st.lists(amounts), amounts)
def test_nothing_is_left_of_what_was_sold_whole(
    bought: list[tuple[int, int]], received: int, sold: list[int], proceeds: int
) -> None:
    positions: Positions = {}
    receive(positions, "BTC", received)
    for units, paid in bought:
        acquire(positions, "BTC", units, "USDT", paid)
    position = positions["BTC"]
    left = position.covered + position.uncovered
    for units in sold:
        dispose(positions, "BTC", min(units, left), "USDT", 0)
        left -= min(units, left)
        assert position.covered + position.uncovered == left
        assert position.covered >= 0 <= position.uncovered
    dispose(positions, "BTC", left, "USDT", 0)
    assert (position.covered, position.uncovered, position.cost) == (0, 0, {})
    assert position.realized == {"USDT": -sum(paid for _, paid in bought)}, "every unit of the cost, once"
    dispose(positions, "BTC", 0, "USDT", proceeds)
    assert position.realized == {"USDT": -sum(paid for _, paid in bought)}


fills = st.tuples(st.sampled_from(OrderSide), st.sampled_from(MARKETS), amounts, amounts, st.integers(0, 10**6))
rates = st.fixed_dictionaries({asset: st.integers(1, 10**9).map(Fraction) for asset in SCALES})


@given(st.lists(fills), rates)
def test_at_any_rates_gains_are_worth_less_cash_paid(
    traded: list[tuple[OrderSide, tuple[str, str], int, int, int]], at: dict[str, Fraction]
) -> None:
    positions: Positions = {}
    cash: dict[str, int] = defaultdict(int)
    for side, (base, quote), base_units, quote_units, fee in traded:
        given_asset, units = (quote, quote_units + fee) if side is BUY else (base, base_units)
        if given_asset not in CASH:  # what is paid was bought before, or its gain would not be known
            owned = positions.get(given_asset, Position()).covered
            acquire(positions, given_asset, max(0, units - owned), "USD", units)
            cash["USD"] -= units
        fee = min(fee, quote_units)
        apply_fill(
            positions, side=side, base=base, quote=quote, base_units=base_units, quote_units=quote_units,
            fee_units=fee, cash=CASH,
        )  # fmt: skip
        if quote in CASH and base not in CASH:
            cash[quote] += -(quote_units + fee) if side is BUY else quote_units - fee
    worth = sum((position.covered * at[asset] for asset, position in positions.items()), Fraction())
    cost = sum((units * at[paid] for held in positions.values() for paid, units in held.cost.items()), Fraction())
    realized = sum(
        (units * at[paid] for held in positions.values() for paid, units in held.realized.items()), Fraction()
    )
    assert worth - cost + realized == worth + sum((units * at[asset] for asset, units in cash.items()), Fraction())


@given(st.lists(fills), st.lists(st.tuples(st.sampled_from(tuple(SCALES)), st.integers(-(10**24), 10**24))))
def test_positions_survive_storage(
    traded: list[tuple[OrderSide, tuple[str, str], int, int, int]], moved: list[tuple[str, int]]
) -> None:
    positions: Positions = {}
    for asset, units in moved:
        apply_funds(positions, asset=asset, units=units, cash=CASH)
    for side, (base, quote), base_units, quote_units, fee in traded:
        apply_fill(
            positions, side=side, base=base, quote=quote, base_units=base_units, quote_units=quote_units,
            fee_units=min(fee, quote_units), cash=CASH,
        )  # fmt: skip
    assert not set(positions) & set(CASH)
    assert from_rows(to_rows(positions, SCALES), SCALES) == positions
