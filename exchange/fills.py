"""What a trade, or an order's end, does to orders, groups and balances. Called by `State.evolve` alone; nothing here refuses.

Layout: `traded` lets both sides count the fill (`_count_fill`), pays, and ends those that are filled (`_settle`); `finish` is the end of every order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import InvariantBroken
from events.journal import Traded
from exchange.accounts import FEES, INVENTORY, ROUNDING
from exchange.groups import Group
from exchange.holds import group_hold, hold_needed
from exchange.market import Market
from exchange.order import Order
from exchange.words import BUY, FILLED, PARTIALLY_FILLED

if TYPE_CHECKING:
    from exchange.state import State


def set_aside(holder: Order | Group, units: int) -> None:
    """Hold so many units more (negative: fewer) for an order or a group."""
    market = holder.market
    balance = holder.account.balance(market.quote if holder.side is BUY else market.base)
    balance.available -= units
    balance.held += units
    if balance.available < 0:
        raise InvariantBroken(f"{holder.account.id} would hold more than there is")


def traded(state: State, event: Traded) -> None:
    """Two orders met, or one and the house."""
    symbol, maker, taker, taker_side, price, lots, paid, earned, maker_fee, taker_fee = event
    market = state.markets[symbol]
    market.last = price
    value, units = price * lots, lots * market.lot_units
    buys = taker_side is BUY
    buyer, buyer_fee, seller, seller_fee = (
        (taker, taker_fee, maker, maker_fee) if buys else (maker, maker_fee, taker, taker_fee)
    )
    if buyer:
        order = state.orders[buyer]
        _count_fill(state, order, value, lots, buyer_fee, taker=buys)
        _pay(order, paid, buyer_fee)
        order.account.balance(market.base).available += units
        _settle(state, order)
    else:
        _move_inventory(state, market, units, -paid)
    if seller:
        order = state.orders[seller]
        _count_fill(state, order, value, lots, seller_fee, taker=not buys)
        order.quote += earned
        (order if not order.shares or order.group is None else order.group).hold -= units
        order.account.balance(market.base).held -= units
        order.account.balance(market.quote).available += earned - seller_fee
        _settle(state, order)
    else:
        _move_inventory(state, market, -units, earned)
    state.house[FEES][market.quote] += buyer_fee + seller_fee
    if paid != earned:
        state.house[ROUNDING][market.quote] += paid - earned


def _move_inventory(state: State, market: Market, base_units: int, quote_units: int) -> None:
    inventory = state.house[INVENTORY]
    inventory[market.base] += base_units
    inventory[market.quote] += quote_units


def _count_fill(state: State, order: Order, value: int, lots: int, fee: int, *, taker: bool) -> None:
    order.value += value
    order.fee_value += value * (order.taker_ppm if taker else order.maker_ppm)
    order.fees += fee
    order.remaining -= lots
    order.status = PARTIALLY_FILLED
    order.sequence = order.account.sequence = state.sequence
    if order.group is not None:
        if order.shares:
            _count_for_group(state, order, order.group, value=value, lots=lots, fee=fee, taker=taker)
        else:
            order.group.unprotected += lots
    level = order.level
    if level is not None:
        shown = min(order.visible, order.remaining) if taker else order.visible - lots
        level.visible += shown - order.visible
        order.visible = shown


def _count_for_group(state: State, order: Order, group: Group, *, value: int, lots: int, fee: int, taker: bool) -> None:
    """What one exit fills the others lose; one that has nothing left is ended by the next event."""
    group.traded = True
    group.value += value
    group.fee_value += value * (order.taker_ppm if taker else order.maker_ppm)
    group.fees += fee
    group.lots -= lots
    for leg in group.legs:
        if leg is not order:
            leg.lots -= lots
            leg.remaining -= lots
            leg.visible = leg.remaining
            leg.sequence = state.sequence


def _pay(order: Order, paid: int, fee: int) -> None:
    """Take what a fill costs from the hold, and release what the rest no longer needs."""
    order.quote += paid
    if order.shares and order.group is not None:
        _pay_for_group(order.group, paid, fee)
        return
    before, left = order.hold, order.hold - paid - fee
    order.hold = left if order.at_any_price else hold_needed(order, order.price, order.remaining)
    balance = order.account.balance(order.market.quote)
    balance.held += order.hold - before
    balance.available += left - order.hold
    if left < order.hold:
        raise InvariantBroken(f"order {order.id} paid more than it held")


def _pay_for_group(group: Group, paid: int, fee: int) -> None:
    group.quote += paid
    before, left = group.hold, group.hold - paid - fee
    group.hold = group_hold(group, group.lots)
    balance = group.account.balance(group.market.quote)
    balance.held += group.hold - before
    balance.available += left - group.hold
    if left < group.hold:
        raise InvariantBroken(f"group {group.id} paid more than it held")


def _settle(state: State, order: Order) -> None:
    """Let a filled order end, and an iceberg show its next part at the end of the queue."""
    if order.remaining == 0:
        order.status = FILLED
        finish(state, order)
    elif order.level is not None and order.visible == 0:
        side = order.market.side(order.side)
        side.remove(order)
        order.visible = min(order.terms.display, order.remaining)
        side.add(order)


def finish(state: State, order: Order) -> None:
    """Take an order that has ended out of its queue and its group, and release what it holds."""
    market, account, buys = order.market, order.account, order.side is BUY
    if order.level is not None:
        (market.bids if buys else market.asks).remove(order)
    if order.terms.expires_ms:
        state.expiring.remove((order.terms.expires_ms, order.id))
    hold = order.hold
    if hold:
        balance = account.balances[market.quote if buys else market.base]
        balance.held -= hold
        balance.available += hold
        order.hold = 0
    if order.group is not None:
        _leave(state, order, order.group)
    account.open_in[market.symbol] -= 1
    del state.orders[order.id], account.open[order.id]


def _leave(state: State, order: Order, group: Group) -> None:
    """Let an ended order belong to its group no longer; what is held for exits is released with the last of them."""
    if order.shares:
        group.legs.remove(order)
    else:
        group.entry = None
    if not group.legs and group.hold:
        set_aside(group, -group.hold)
        group.hold = 0
    if not group.legs:
        group.lots = 0
        group.value = group.fee_value = group.quote = group.fees = 0  # exits that open later round anew
    forget_if_over(state, group)


def forget_if_over(state: State, group: Group) -> None:
    """Know nothing more of a group that has no open orders, if all its entry filled was looked at."""
    if not group.legs and group.entry is None and not group.unprotected:
        del state.groups[group.id]
