"""What an order would find in the book, before it is let in."""

from dataclasses import dataclass

from core.order_vocabulary import SelfTradePrevention
from core.vocabulary import OrderSide
from exchange.accounts import Account
from exchange.market import PPM, Market


@dataclass(slots=True)
class Found:
    """Lots that can be had, their value (ticks times lots), the worst price, and what ended the walk."""

    lots: int = 0
    value: int = 0
    worst: int = 0
    own_order: bool = False


def crosses(side: OrderSide, price: int, limit: int) -> bool:
    """Whether an order of this side with this limit trades at a price."""
    return price <= limit if side is OrderSide.BUY else price >= limit


def affordable(market: Market, price: int, budget: int, value: int, taker_ppm: int) -> int:
    """The most lots at this price that a budget pays, fee included, after a value that is spent."""
    low, high = 0, max(0, (budget * market.denominator // market.numerator - value) // price)
    while low < high:
        lots = (low + high + 1) // 2
        if cost(market, value + price * lots, taker_ppm) <= budget:
            low = lots
        else:
            high = lots - 1
    return low


def walk(
    market: Market,
    account: Account,
    side: OrderSide,
    prevention: SelfTradePrevention,
    *,
    lots: int,
    limit: int,
    budget: int = 0,
    taker_ppm: int = 0,
) -> Found:
    """Go through the other side to the limit (0: none), for so many lots or so much budget of the quote asset.

    O(orders found). Of a buyer the budget includes the fee; a seller sells until the budget is earned.
    """
    found = Found()
    opposite = market.asks if side is OrderSide.BUY else market.bids
    skips_own = prevention is SelfTradePrevention.CANCEL_OLDEST
    for level in opposite.levels():
        price = level.price
        if limit and not crosses(side, price, limit):
            return found
        for order in level.orders():
            if order.account is account:
                if skips_own:
                    continue
                found.own_order = True
                return found
            take = order.remaining
            if lots:
                take = min(take, lots - found.lots)
            elif side is OrderSide.BUY:
                take = min(take, affordable(market, price, budget, found.value, taker_ppm))
            else:
                take = min(take, (budget * market.denominator // market.numerator - found.value) // price)
            if take == 0:
                return found
            found.lots += take
            found.value += take * price
            found.worst = price
            if lots and found.lots == lots:
                return found
    return found


def cost(market: Market, value: int, taker_ppm: int) -> int:
    """What a buyer pays for a value it takes, fee included, in units of the quote asset."""
    return market.quote_up(value) + market.fee(value * taker_ppm)


def shifted(price: int, ppm: int, side: OrderSide) -> int:
    """The worst price within this share of a price: higher for who buys, lower for who sells; rounded towards the price."""
    if side is OrderSide.BUY:
        return price * (PPM + ppm) // PPM
    return -(-price * max(0, PPM - ppm) // PPM)
