"""What is set aside for orders, so that whatever they do can be paid."""

from exchange.groups import Group
from exchange.order import Order
from exchange.words import BUY, SELL


def group_hold(group: Group, lots: int) -> int:
    """Units for a group's exits to trade so many lots more. The two round apart from each other: a unit more of price and of fee."""
    needed = hold_needed(group, group.worst, lots)
    return needed + 2 if lots and group.side is BUY else needed


def hold_needed(order: Order | Group, price: int, remaining: int) -> int:
    """Units to set aside so that so many lots more can be paid at this limit, whether the order takes or makes."""
    market = order.market
    if order.side is SELL:
        return remaining * market.lot_units
    if remaining == 0:
        return 0
    rest = price * remaining
    most = market.quote_up(order.value + rest) + market.fee(
        order.fee_value + rest * max(order.maker_ppm, order.taker_ppm)
    )
    return most - order.quote - order.fees
