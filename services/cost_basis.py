"""What an account's assets cost, by the average method: pure arithmetic in units of each asset.

A cost is a vector by the asset that was paid, so that no rate of the past has to be known: 0.3 BTC may have cost 9,000 USDT and 4 ETH. Who
reads it values each part at today's rate.

Cash (fiat and stablecoins) has no position: it is its own value. Of what came in without a price (a deposit, test funds) the cost is not
known: such units are *uncovered*, and neither their cost nor what they earn is counted.

When one asset is paid with another that is no cash, what was given is the measure of both sides: it is the cost of what was received, and
the proceeds of what was given. So, at whatever rates it is valued, realized and unrealized together are what the covered assets are worth,
less the cash and the uncovered units that were paid for them, plus the cash that came back for them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bson import Decimal128

from core.money import to_storage
from core.vocabulary import OrderSide

Amounts = dict[str, int]
"""Units by asset, without zeros."""


@dataclass(slots=True)
class Position:
    """What an account owns of an asset: units of known and of unknown cost, what the known ones cost, and what sales have brought beyond it.

    `realized` has proceeds as positive and the cost of what was sold as negative amounts.
    """

    covered: int = 0
    uncovered: int = 0
    cost: Amounts = field(default_factory=dict)
    realized: Amounts = field(default_factory=dict)


Positions = dict[str, Position]


def acquire(positions: Positions, asset: str, units: int, paid_asset: str, paid_units: int) -> None:
    """Units came in for a known price."""
    position = _of(positions, asset)
    position.covered += units
    _add(position.cost, paid_asset, paid_units)


def receive(positions: Positions, asset: str, units: int) -> None:
    """Units came in, and what they cost is not known."""
    _of(positions, asset).uncovered += units


def dispose(positions: Positions, asset: str, units: int, proceeds_asset: str, proceeds_units: int) -> None:
    """Units were sold: known and unknown ones in proportion, at average cost. What is sold beyond the position counts as received before.

    Rounding: the covered part, its cost and its share of the proceeds are rounded down; the rest stays, and goes with the last unit.
    """
    if not units:
        return
    covered, cost = _take(_of(positions, asset), units)
    realized = positions[asset].realized
    _add(realized, proceeds_asset, proceeds_units * covered // units)
    for paid_asset, paid_units in cost.items():
        _add(realized, paid_asset, -paid_units)


def give(positions: Positions, asset: str, units: int) -> None:
    """Units went out without a price (a withdrawal, a reversal): they take their cost with them, and nothing is realized."""
    if units:
        _take(_of(positions, asset), units)


def apply_funds(positions: Positions, *, asset: str, units: int, cash: Collection[str]) -> None:
    """Funds were moved to the account; negative: from it."""
    if asset in cash:
        return
    if units >= 0:
        receive(positions, asset, units)
    else:
        give(positions, asset, -units)


def apply_fill(
    positions: Positions,
    *,
    side: OrderSide,
    base: str,
    quote: str,
    base_units: int,
    quote_units: int,
    fee_units: int,
    cash: Collection[str],
) -> None:
    """A fill of the account. `quote_units` is what was paid or earned before the fee, which is paid in the quote asset."""
    if side is OrderSide.BUY:
        given, given_units, got, got_units = quote, quote_units + fee_units, base, base_units
    else:
        given, given_units, got, got_units = base, base_units, quote, quote_units - fee_units
    measure, measured = (got, got_units) if got in cash else (given, given_units)
    if given not in cash:
        dispose(positions, given, given_units, measure, measured)
    if got not in cash:
        acquire(positions, got, got_units, measure, measured)


def to_rows(positions: Positions, scales: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """As they are stored: whole assets as Decimal128. `scales`: the digits of each asset's units."""

    def stored(asset: str, units: int) -> Decimal128:
        return to_storage(Decimal(units).scaleb(-scales[asset]))

    return {
        asset: {
            "covered": stored(asset, position.covered),
            "uncovered": stored(asset, position.uncovered),
            "cost": {paid: stored(paid, units) for paid, units in position.cost.items()},
            "realized": {paid: stored(paid, units) for paid, units in position.realized.items()},
        }
        for asset, position in positions.items()
    }


def from_rows(rows: Mapping[str, Mapping[str, Any]], scales: Mapping[str, int]) -> Positions:
    """Positions as they were stored."""

    def read(asset: str, stored: Decimal128) -> int:
        return int(stored.to_decimal().scaleb(scales[asset]))

    return {
        asset: Position(
            covered=read(asset, row["covered"]),
            uncovered=read(asset, row["uncovered"]),
            cost={paid: read(paid, stored) for paid, stored in row["cost"].items()},
            realized={paid: read(paid, stored) for paid, stored in row["realized"].items()},
        )
        for asset, row in rows.items()
    }


def _take(position: Position, units: int) -> tuple[int, Amounts]:
    """Remove units; how many of them were covered, and what those had cost."""
    position.uncovered += max(0, units - position.covered - position.uncovered)
    covered = units * position.covered // (position.covered + position.uncovered)
    cost = {asset: paid * covered // position.covered for asset, paid in position.cost.items()} if covered else {}
    for asset, paid in cost.items():
        _add(position.cost, asset, -paid)
    position.covered -= covered
    position.uncovered -= units - covered
    return covered, cost


def _of(positions: Positions, asset: str) -> Position:
    position = positions.get(asset)
    if position is None:
        position = positions[asset] = Position()
    return position


def _add(amounts: Amounts, asset: str, units: int) -> None:
    total = amounts.get(asset, 0) + units
    if total:
        amounts[asset] = total
    else:
        amounts.pop(asset, None)
