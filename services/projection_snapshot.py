"""What a follower knows beside the core's state, as bytes and back."""

from typing import Any

import orjson

from services.cost_basis import Position
from services.projection_view import Lists, OpenOrder, ProjectionView


def dump(view: ProjectionView) -> bytes:
    """All of it. Integers of money are text, since they may pass 64 bits."""
    return orjson.dumps(
        {
            "trades": view.trades,
            "open_orders": [[order, each.number, each.fills] for order, each in view.open_orders.items()],
            "group_orders": list(view.group_orders.items()),
            "lists": {account: _lists(lists) for account, lists in view.lists.items()},
        }
    )


def restore(view: ProjectionView, payload: bytes) -> None:
    """Let a view know what was dumped."""
    held = orjson.loads(payload)
    view.trades = held["trades"]
    view.open_orders = {order: OpenOrder(number, fills) for order, number, fills in held["open_orders"]}
    view.group_orders = {group: tuple(orders) for group, orders in held["group_orders"]}
    view.lists = {account: _read_lists(row) for account, row in held["lists"].items()}


def _lists(lists: Lists) -> list[Any]:
    positions = {
        asset: [str(each.covered), str(each.uncovered), _texts(each.cost), _texts(each.realized)]
        for asset, each in lists.positions.items()
    }
    volumes = {str(day): _texts(sums) for day, sums in lists.volumes.items()}
    return [lists.orders, lists.fills, lists.lines, lists.logged, positions, volumes]


def _read_lists(row: list[Any]) -> Lists:
    orders, fills, lines, logged, positions, volumes = row
    return Lists(
        orders,
        fills,
        lines,
        logged,
        {
            asset: Position(int(covered), int(uncovered), _integers(cost), _integers(realized))
            for asset, (covered, uncovered, cost, realized) in positions.items()
        },
        {int(day): _integers(sums) for day, sums in volumes.items()},
    )


def _texts(amounts: dict[str, int]) -> dict[str, str]:
    return {asset: str(units) for asset, units in amounts.items()}


def _integers(amounts: dict[str, str]) -> dict[str, int]:
    return {asset: int(units) for asset, units in amounts.items()}
