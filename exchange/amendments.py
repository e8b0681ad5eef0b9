"""How an open order may change: what is asked is judged as a new order's terms would be, what is filled stays filled. Of an exit of a group the
prices may change; exits that its entry opens later are as they were asked for."""

from core.order_vocabulary import OrderErrorCode
from events.commands import AmendOrder, OrderWish
from events.journal import OrderAmended, Terms
from exchange.checks import market_refusal, profit_refusal, terms_of, worst_price
from exchange.holds import hold_needed
from exchange.market import Market
from exchange.order import Order
from exchange.references import References
from exchange.refusal import Refusal
from exchange.walk import Offered, best_price, crosses
from exchange.words import ABSOLUTE, BUY, LIMIT, TRIGGER_PENDING


def amendment(
    order: Order, command: AmendOrder, references: References, now_ms: int, *, house: Offered | None, peak: int
) -> OrderAmended | Refusal:
    """The event that changes the order, or why it stays as it is. `peak` is that of one that trails."""
    market, before = order.market, order.terms
    waits = order.status is TRIGGER_PENDING
    wish = _wish(market, order, command)
    if before.stop and not waits:
        if command.stop_price is not None:
            return Refusal(OrderErrorCode.TERMS_CONFLICT, "stopPrice")
        wish = wish._replace(type=LIMIT, stop_price=None)
    if order.follows:
        wish = wish._replace(activation_price=None)
    refused = market_refusal(market, wish)
    if refused is not None:
        return refused
    terms = terms_of(market, wish, references, now_ms)
    if isinstance(terms, Refusal):
        return terms
    terms = terms._replace(type=before.type, stop=terms.stop or before.stop, activation=before.activation)
    remaining = terms.lots - (order.lots - order.remaining)
    if remaining <= 0:
        least = (order.lots - order.remaining + 1) * market.lot
        return Refusal(OrderErrorCode.QUANTITY_TOO_SMALL, "quantity", limit=least, actual=wish.quantity)
    worst = terms.price or worst_price(market, terms, peak)
    refused = _exit_refusal(order, terms, worst)
    if refused is not None:
        return refused
    hold = 0 if order.shares else hold_needed(order, worst, remaining)
    buys = terms.side is BUY
    available = order.account.balance(market.quote if buys else market.base).available
    if hold - order.hold > available:
        return Refusal(OrderErrorCode.INSUFFICIENT_FUNDS, "quantity", limit=available, actual=hold - order.hold)
    may_not_take = terms.post_only or (order.shares and not before.stop)
    best = best_price(market, terms.side, house) if may_not_take and not waits else 0
    if best and crosses(terms.side, best, terms.price):
        return Refusal(OrderErrorCode.POST_ONLY_WOULD_TAKE, "price")
    shrank = terms.lots <= order.lots and (terms.price, terms.display) == (before.price, before.display)
    return OrderAmended(order.id, terms, hold, keeps_place=shrank and not waits)


def _exit_refusal(order: Order, terms: Terms, worst: int) -> Refusal | None:
    """Whether an exit of a group may not have these terms: what the group holds pays for its worst price and no worse, and a profit lies
    beyond the stop."""
    group, tick = order.group, order.market.tick
    if group is None or not order.shares:
        return None
    if terms.side is BUY and worst > group.worst:
        return Refusal(
            OrderErrorCode.TERMS_CONFLICT,
            "stopPrice" if terms.stop else "price",
            limit=group.worst * tick,
            actual=worst * tick,
        )
    return profit_refusal(order.market, [terms if leg is order else leg.terms for leg in group.legs])


def _wish(market: Market, order: Order, command: AmendOrder) -> OrderWish:
    """The order as it would be asked for now."""
    terms = order.terms

    def scaled(asked: int | None, now: int, by: int) -> int | None:
        return asked if asked is not None else now * by or None

    return OrderWish(
        market.symbol,
        terms.side,
        terms.type,
        quantity=scaled(command.quantity, order.lots, market.lot),
        price=scaled(command.price, terms.price, market.tick),
        stop_price=scaled(command.stop_price, terms.stop, market.tick),
        source=terms.source,
        time_in_force=terms.time_in_force,
        good_till_ms=command.good_till_ms if command.good_till_ms is not None else terms.expires_ms or None,
        post_only=terms.post_only,
        display_quantity=scaled(command.display_quantity, terms.display, market.lot),
        self_trade=terms.self_trade,
        trail=scaled(command.trail, terms.trail, market.tick if terms.trail_unit is ABSOLUTE else 1),
        trail_unit=terms.trail_unit,
        activation_price=terms.activation * market.tick or None,
    )
