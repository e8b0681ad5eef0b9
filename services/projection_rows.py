"""Rows of accounts as the projection writes them: see `models/trading_account.py`."""

from collections.abc import Mapping
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from core.money import to_storage
from core.vocabulary import OrderSide
from exchange.accounts import Account
from services.cost_basis import to_rows
from services.fee_tiers import volume_rows
from services.projection_view import ProjectionView
from services.trading_states import amount

Stored = Mapping[str, Any]


class AccountRows:
    """Makes rows of a view's accounts. What has not changed since an account's last row is taken from there, encoded: making and encoding
    decimals is most of the work, and most of an account does not change from one row to the next."""

    def __init__(self, view: ProjectionView) -> None:
        self._view = view
        self._balances: dict[tuple[str, str], tuple[int, int, Stored]] = {}
        self._costs: dict[str, tuple[int, Stored, Stored]] = {}

    def row(self, account_id: str) -> Stored:
        """A person's account as it stands, or one of the house's."""
        if account_id in self._view.state.accounts:
            return self._account_row(account_id)
        return _house_row(self._view, account_id)

    def _account_row(self, account_id: str) -> Stored:
        view = self._view
        account, lists, scales = view.state.accounts[account_id], view.lists_of(account_id), view.scales
        positions, volumes = self._cost_rows(account_id)
        return {
            "_id": account_id,
            "sequence": view.state.sequence,
            "frozen": account.frozen,
            "maker_ppm": account.maker_ppm,
            "taker_ppm": account.taker_ppm,
            "balances": {asset: self._balance_row(account, asset) for asset in account.balances},
            "debts": {asset: to_storage(amount(units, scales[asset])) for asset, units in account.debts.items()},
            "withdrawals": [
                {"id": each.id, "asset": each.asset, "amount": to_storage(amount(each.units, scales[each.asset]))}
                for each in account.withdrawals.values()
            ],
            "holds": {asset: to_storage(amount(units, scales[asset])) for asset, units in _holds(account).items()},
            "open": list(account.open),
            "timers": [
                {"owner": timer.owner, "expires_ms": timer.expires_ms, "symbols": list(timer.symbols)}
                for timer in account.timers.values()
            ],
            "positions": positions,
            "volumes": volumes,
            "orders": lists.orders,
            "fills": lists.fills,
            "lines": lists.lines,
            "logged": lists.logged,
        }

    def _balance_row(self, account: Account, asset: str) -> Stored:
        balance, scale = account.balances[asset], self._view.scales[asset]
        known = self._balances.get((account.id, asset))
        if known is not None and known[0] == balance.available and known[1] == balance.held:
            return known[2]
        row = _encoded(
            {
                "available": to_storage(amount(balance.available, scale)),
                "held": to_storage(amount(balance.held, scale)),
            }
        )
        self._balances[account.id, asset] = (balance.available, balance.held, row)
        return row

    def _cost_rows(self, account_id: str) -> tuple[Stored, Stored]:
        """Positions and volumes: they change with a line of the statement, and never without one."""
        lists, scales = self._view.lists_of(account_id), self._view.scales
        known = self._costs.get(account_id)
        if known is None or known[0] != lists.lines:
            positions, volumes = to_rows(lists.positions, scales), volume_rows(lists.volumes, scales)
            known = (lists.lines, _encoded(positions), _encoded(volumes))
            self._costs[account_id] = known
        return known[1], known[2]


def _encoded(row: Stored) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(row))


def _holds(account: Account) -> dict[str, int]:
    """What open orders and groups have set aside, added up from them: with what withdrawals hold, the balances' `held` must be the same."""
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


def _house_row(view: ProjectionView, account_id: str) -> Stored:
    """What the house owes is negative."""
    balances = view.state.house_account(account_id)
    return {
        "_id": account_id,
        "sequence": view.state.sequence,
        "balances": {
            asset: {"available": to_storage(amount(units, view.scales[asset])), "held": to_storage(amount(0, 0))}
            for asset, units in balances.items()
        },
    }
