"""Rows of accounts as the projection writes them: see `models/trading_account.py`."""

from typing import Any

from core.money import to_storage
from core.vocabulary import OrderSide
from exchange.accounts import Account, House
from services.cost_basis import to_rows
from services.fee_tiers import volume_rows
from services.projection_view import ProjectionView
from services.trading_states import amount


def account_row(view: ProjectionView, account_id: str) -> dict[str, Any]:
    """A person's account as it stands. Its row's sequence is the journal's: what it counts may rise without an event of its own."""
    account, lists, scales = view.state.accounts[account_id], view.lists_of(account_id), view.scales
    return {
        "_id": account_id,
        "sequence": view.state.sequence,
        "frozen": account.frozen,
        "maker_ppm": account.maker_ppm,
        "taker_ppm": account.taker_ppm,
        "balances": {
            asset: {
                "available": to_storage(amount(balance.available, scales[asset])),
                "held": to_storage(amount(balance.held, scales[asset])),
            }
            for asset, balance in account.balances.items()
        },
        "holds": {asset: to_storage(amount(units, scales[asset])) for asset, units in _holds(account).items()},
        "open": list(account.open),
        "timers": [
            {"owner": timer.owner, "expires_ms": timer.expires_ms, "symbols": list(timer.symbols)}
            for timer in account.timers.values()
        ],
        "positions": to_rows(lists.positions, scales),
        "volumes": volume_rows(lists.volumes, scales),
        "orders": lists.orders,
        "fills": lists.fills,
        "lines": lists.lines,
        "logged": lists.logged,
    }


def _holds(account: Account) -> dict[str, int]:
    """What open orders and groups have set aside, added up from them: the balances' `held` must be the same."""
    holds: dict[str, int] = {}
    groups: set[int] = set()
    for order in account.open.values():
        units = order.hold
        if order.shares and order.group is not None and order.group.id not in groups:
            groups.add(order.group.id)
            units += order.group.hold
        if units:
            asset = order.market.quote if order.side is OrderSide.BUY else order.market.base
            holds[asset] = holds.get(asset, 0) + units
    return holds


def house_row(view: ProjectionView, account_id: str) -> dict[str, Any]:
    """One of the house's accounts; what it owes is negative."""
    balances = view.state.house[House(account_id)]
    return {
        "_id": account_id,
        "sequence": view.state.sequence,
        "balances": {
            asset: {"available": to_storage(amount(units, view.scales[asset])), "held": to_storage(amount(0, 0))}
            for asset, units in balances.items()
        },
    }
