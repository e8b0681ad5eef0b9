"""Rows of accounts as the projection writes them: see `models/trading_account.py`."""

from typing import Any

from core.money import to_storage
from exchange.accounts import House
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
