"""How orders meet: the best price first, people before the house at an equal price, the oldest first within it."""

from collections.abc import Callable

from core.order_vocabulary import OrderErrorCode, OrderStatus
from core.vocabulary import OrderSide
from events import journal
from exchange.accounts import INVENTORY
from exchange.book import Level
from exchange.groups import Group
from exchange.house import Quotes
from exchange.market import Market
from exchange.order import Order
from exchange.state import State
from exchange.walk import Offered, best_price, crosses, opposite, walk
from exchange.words import BUY, CANCEL_NEWEST, CANCEL_OLDEST, CANCELED, FOK

Code = OrderErrorCode
_NO_LIQUIDITY = Code.NO_LIQUIDITY
Emit = Callable[[journal.Event], None]
"""Lets an event happen at once."""


class Matcher:
    """Makes trades of orders, and of orders and the house's `quotes` (by market). `filled` are the groups whose entry has traded since
    somebody looked, `traded` the markets without a reference that have, with the price in ticks of their last trade before."""

    def __init__(self, state: State, emit: Emit) -> None:
        self.quotes: dict[str, Quotes] = {}
        self.filled: dict[int, Group] = {}
        self.traded: dict[str, int] = {}
        self._state = state
        self._emit = emit

    def activate(self, order: Order) -> None:
        """Let a stop that has fired trade, unless its terms forbid what would come of it now."""
        terms, market = order.terms, order.market
        house = self.offered(market, terms.side)
        best = best_price(market, terms.side, house) if terms.post_only else 0
        if best and crosses(terms.side, best, order.price):
            self.end(order, OrderStatus.REJECTED, Code.POST_ONLY_WOULD_TAKE)
            return
        if terms.time_in_force is FOK:
            found = walk(
                market,
                order.account,
                terms.side,
                terms.self_trade,
                house=house,
                lots=order.remaining,
                limit=order.price,
            )
            if found.lots < order.remaining:
                self.end(order, OrderStatus.REJECTED, Code.FOK_NOT_FILLABLE)
                return
        self.match(order)

    def match(self, taker: Order) -> None:
        """Let an order that has just become active trade, and end what is left of one that does not rest."""
        market, limit = taker.market, taker.price
        buys = taker.side is BUY
        opposite = market.asks if buys else market.bids
        reason: OrderErrorCode = _NO_LIQUIDITY
        quotes = self.quotes.get(market.symbol)
        while taker.remaining:
            level = opposite.best
            if quotes is not None and self._meets_house(quotes, taker, level):
                continue
            if level is None:
                break
            if level.price > limit if buys else level.price < limit:
                if taker.at_any_price:
                    reason = Code.SLIPPAGE_EXCEEDED
                break
            maker = level.first
            if maker is None:
                break
            if maker.account is taker.account:
                if taker.terms.self_trade is not CANCEL_NEWEST:
                    self.end(maker, CANCELED, Code.SELF_TRADE)
                if taker.terms.self_trade is CANCEL_OLDEST:
                    continue
                self.end(taker, CANCELED, Code.SELF_TRADE)
                return
            lots = min(taker.remaining, maker.visible)
            self._happen(
                self._trade(market, maker, taker, side=taker.terms.side, price=level.price, lots=lots), maker, taker
            )
        if taker.remaining and not taker.rests:
            self.end(taker, CANCELED, reason)

    def _meets_house(self, quotes: Quotes, taker: Order, level: Level | None) -> bool:
        """Let an order trade with the house, if that is better than the people's best price; at an equal price they come first."""
        buys = taker.terms.side is BUY
        house_side = opposite(taker.terms.side)
        best = quotes.best(house_side)
        if best is None:
            return False
        price, offered = best
        if price > taker.price if buys else price < taker.price:
            return False
        if level is not None and (level.price <= price if buys else level.price >= price):
            return False
        market = taker.market
        lots = min(taker.remaining, offered, quotes.room(house_side, market, self._inventory(market)))
        if lots == 0:
            return False
        quotes.use(house_side, price, lots)
        self._happen(self._trade(market, None, taker, side=taker.terms.side, price=price, lots=lots), taker)
        return True

    def offered(self, market: Market, side: OrderSide) -> Offered | None:
        """What the house offers to an order of this side."""
        quotes = self.quotes.get(market.symbol)
        return None if quotes is None else Offered(quotes, quotes.room(opposite(side), market, self._inventory(market)))

    def _inventory(self, market: Market) -> int:
        return self._state.house[INVENTORY][market.base]

    def _trade(
        self, market: Market, maker: Order | None, taker: Order | None, *, side: OrderSide, price: int, lots: int
    ) -> journal.Traded:
        """What changes hands when the taker is on this side, each order's sums rounded once in the exchange's favour. None is the house, which pays no fee."""
        value = price * lots
        buyer, seller = (taker, maker) if side is BUY else (maker, taker)
        paid = market.quote_up(buyer.value + value) - buyer.quote if buyer is not None else 0
        earned = market.quote_down(seller.value + value) - seller.quote if seller is not None else paid
        if buyer is None:
            paid = earned
        maker_fee = 0 if maker is None else _fee(maker, value, maker.maker_ppm, earned if maker is seller else None)
        taker_fee = 0 if taker is None else _fee(taker, value, taker.taker_ppm, earned if taker is seller else None)
        return journal.Traded(
            market.symbol,
            0 if maker is None else maker.id,
            0 if taker is None else taker.id,
            side,
            price,
            lots,
            paid,
            earned,
            maker_fee,
            taker_fee,
        )

    def _happen(self, trade: journal.Traded, *orders: Order) -> None:
        """Let a trade happen, and what follows from it for the groups of its orders."""
        market = orders[0].market
        if not market.has_reference:
            self.traded.setdefault(market.symbol, market.last)
        self._emit(trade)
        for order in orders:
            group = order.group
            if group is None:
                continue
            if not order.shares:
                self.filled[group.id] = group
            elif group.lots == 0:
                for leg in list(group.legs):
                    self._emit(journal.OrderEnded(leg.id, CANCELED, Code.CANCELED_BY_GROUP))

    def end(self, order: Order, status: OrderStatus, code: OrderErrorCode) -> None:
        """End an open order, and with an exit the rest of its group."""
        self._emit(journal.OrderEnded(order.id, status, code))
        if order.shares and order.group is not None:
            self.end_group(order.group, Code.CANCELED_BY_GROUP)

    def end_group(self, group: Group, code: OrderErrorCode, *, but: Order | None = None) -> None:
        """End all orders of a group, but this one."""
        for leg in list(group.legs):
            if leg is not but:
                self._emit(journal.OrderEnded(leg.id, CANCELED, code))
        if group.entry is not None:
            self._emit(journal.OrderEnded(group.entry.id, CANCELED, code))

    def move_through(self, market: Market, quotes: Quotes, side: OrderSide) -> None:
        """Where the reference's bids (asks) have come up (down) to people's orders, the house takes these at their price."""
        resting = market.asks if side is BUY else market.bids
        while resting.best is not None and (best := quotes.best(side)) is not None:
            price, offered = best
            order = resting.best.first
            if order is None or (order.price > price if side is BUY else order.price < price):
                return
            lots = min(order.visible, offered, quotes.room(side, market, self._inventory(market)))
            if lots == 0:
                return
            quotes.use(side, price, lots)
            self._happen(self._trade(market, order, None, side=side, price=order.price, lots=lots), order)


def _fee(order: Order, value: int, ppm: int, earned: int | None) -> int:
    """What a fill adds to an order's fee; a seller (`earned` by the fill) never pays more than was earned."""
    due = order.market.fee(order.fee_value + value * ppm)
    if earned is not None:
        due = min(due, order.quote + earned)
    return due - order.fees
