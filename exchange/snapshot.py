"""Durable state as plain values, the same for the same state however it came to be, and its digest."""

from hashlib import sha256

import orjson

from exchange.groups import Group
from exchange.market import Market
from exchange.order import Order
from exchange.state import State


def dump(state: State) -> dict[str, object]:
    """Everything that folding a journal must give again. Integers are text, since they may pass 64 bits."""
    return {
        "sequence": str(state.sequence),
        "epoch": state.epoch,
        "accounts": {key: _account(state, key) for key in sorted(state.accounts)},
        "house": {
            house.value: {asset: str(units) for asset, units in sorted(balances.items()) if units}
            for house, balances in sorted(state.house.items())
        },
        "markets": {symbol: _market(state, market) for symbol, market in sorted(state.markets.items())},
        "groups": [_group(state.groups[group_id]) for group_id in sorted(state.groups)],
        "orders": [_order(state.orders[order_id]) for order_id in sorted(state.orders)],
    }


def digest(state: State) -> str:
    """The SHA-256 of `dump`."""
    return sha256(orjson.dumps(dump(state))).hexdigest()


def _account(state: State, account_id: str) -> dict[str, object]:
    account = state.accounts[account_id]
    return {
        "frozen": account.frozen,
        "fees": [account.maker_ppm, account.taker_ppm],
        "sequence": str(account.sequence),
        "balances": {
            asset: [str(balance.available), str(balance.held)]
            for asset, balance in sorted(account.balances.items())
            if balance.available or balance.held
        },
        "timers": {owner: [timer.expires_ms, list(timer.symbols)] for owner, timer in sorted(account.timers.items())},
        "open": [str(order_id) for order_id in account.open],
        "keys": {key: [used[0], str(used[1])] for key, used in sorted(account.keys.items())},
    }


def _market(state: State, market: Market) -> dict[str, object]:
    return {
        "status": market.status,
        "last": market.last,
        "rules": [
            market.base, market.quote, str(market.tick), str(market.lot), str(market.lot_units), str(market.quote_unit),
            market.min_lots, market.max_lots, market.min_value, market.max_open_orders, market.band_ppm, market.maker_ppm,
            market.taker_ppm,
        ],
        "bids": [[str(order.id) for order in level.orders()] for level in market.bids.levels()],
        "asks": [[str(order.id) for order in level.orders()] for level in market.asks.levels()],
        "trailing": {str(order_id): peak for order_id, peak in state.trailing[market.symbol].peaks().items()},
        "waiting": [str(order_id) for order_id in state.triggers[market.symbol].waiting()],
    }  # fmt: skip


def _group(group: Group) -> list[object]:
    return [
        str(group.id), group.account.id, group.market.symbol, group.client_id, group.kind, group.side,
        [[str(part) for part in terms] for terms in group.exits], [str(leg.id) for leg in group.legs], group.entry_is_open,
        [str(number) for number in (
            group.hold, group.lots, group.unprotected, group.worst, group.value, group.fee_value, group.quote, group.fees,
            group.maker_ppm, group.taker_ppm,
        )],
    ]  # fmt: skip


def _order(order: Order) -> list[object]:
    return [
        str(order.id), order.account.id, order.market.symbol, order.client_id, list(order.terms), order.status,
        [str(number) for number in (
            order.sequence, order.lots, order.remaining, order.visible, order.price, order.hold, order.value, order.fee_value,
            order.quote, order.fees,
        )],
        order.maker_ppm, order.taker_ppm, str(order.group.id) if order.group is not None else None, order.shares,
    ]  # fmt: skip
