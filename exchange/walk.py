"""What an order would find in the book, before it is let in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from core.order_vocabulary import SelfTradePrevention
from core.vocabulary import OrderSide
from exchange.accounts import Account
from exchange.house import Quotes
from exchange.market import PPM, Market
from exchange.order import Order
from exchange.words import BUY, CANCEL_OLDEST, SELL


@dataclass(slots=True)
class Found:
    """Lots that can be had, their value (ticks times lots), the worst price, the lots by price (best first), and what ended the walk."""

    lots: int = 0
    value: int = 0
    worst: int = 0
    own_order: bool = False
    levels: dict[int, int] = field(default_factory=dict)


class Offered(NamedTuple):
    """What the house quotes, and how many lots of it the house may still trade."""

    quotes: Quotes
    room: int


def opposite(side: OrderSide) -> OrderSide:
    """The side an order of this side trades with."""
    return SELL if side is BUY else BUY


def best_price(market: Market, side: OrderSide, house: Offered | None) -> int:
    """The best price that faces an order of this side; 0: nobody offers any."""
    buys = side is BUY
    level = (market.asks if buys else market.bids).best
    quote = house.quotes.best(opposite(side)) if house is not None and house.room else None
    if quote is None:
        return level.price if level is not None else 0
    if level is None:
        return quote[0]
    return min(level.price, quote[0]) if buys else max(level.price, quote[0])


def crosses(side: OrderSide, price: int, limit: int) -> bool:
    """Whether an order of this side with this limit trades at a price."""
    return price <= limit if side is BUY else price >= limit


def affordable(market: Market, price: int, budget: int, value: int, taker_ppm: int) -> int:
    """The most lots at this price that a budget pays, fee included, after a value that is spent."""
    low, high = 0, max(0, (budget * market.denominator // market.numerator - value) // price)
    while low < high:
        lots = (low + high + 1) // 2
        if market.cost(value + price * lots, taker_ppm) <= budget:
            low = lots
        else:
            high = lots - 1
    return low


def offers(market: Market, side: OrderSide, house: Offered | None) -> Iterator[tuple[int, int, Order | None]]:
    """What faces an order of this side, best first: price, lots, and whose order it is; None: the house's, after people's at an equal price."""
    buys = side is BUY
    people = (market.asks if buys else market.bids).levels()
    room = house.room if house is not None else 0
    quotes = house.quotes.levels(opposite(side)) if house is not None else iter(())
    level, quote = next(people, None), next(quotes, None)
    while level is not None or (quote is not None and room):
        if quote is None or (level is not None and (level.price <= quote[0] if buys else level.price >= quote[0])):
            if level is None:
                return
            for order in level.orders():
                yield level.price, order.remaining, order
            level = next(people, None)
        else:
            lots = min(quote[1], room)
            room -= lots
            if lots:
                yield quote[0], lots, None
            quote = next(quotes, None)


def walk(
    market: Market,
    account: Account,
    side: OrderSide,
    prevention: SelfTradePrevention,
    *,
    house: Offered | None,
    lots: int,
    limit: int,
    budget: int = 0,
    taker_ppm: int = 0,
) -> Found:
    """Go through the other side to the limit (0: none), for so many lots or so much budget of the quote asset.

    O(orders found). Of a buyer the budget includes the fee; a seller sells until the budget is earned.
    """
    found = Found()
    for price, offered, order in offers(market, side, house):
        if limit and not crosses(side, price, limit):
            return found
        if order is not None and order.account is account:
            if prevention is CANCEL_OLDEST:
                continue
            found.own_order = True
            return found
        if lots:
            take = min(offered, lots - found.lots)
        elif side is BUY:
            take = min(offered, affordable(market, price, budget, found.value, taker_ppm))
        else:
            take = min(offered, (budget * market.denominator // market.numerator - found.value) // price)
        if take == 0:
            return found
        found.lots += take
        found.value += take * price
        found.worst = price
        found.levels[price] = found.levels.get(price, 0) + take
        if lots and found.lots == lots:
            return found
    return found


def shifted(price: int, ppm: int, side: OrderSide) -> int:
    """The worst price within this share of a price: higher for who buys, lower for who sells; rounded towards the price."""
    if side is BUY:
        return price * (PPM + ppm) // PPM
    return -(-price * max(0, PPM - ppm) // PPM)
