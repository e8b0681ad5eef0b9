"""What an order must fulfil, in the order in which it is refused: see `OrderErrorCode`.

`terms_of` turns a wish into terms, or into the first thing that is wrong with it by itself; `admission` judges terms against the
account and the book, and says what is to be held.
"""

from collections.abc import Sequence
from typing import TypeAlias

from core.order_vocabulary import OrderErrorCode, OrderType, TimeInForce, TrailingUnit
from core.vocabulary import MarketStatus, OrderSide
from events.commands import OrderWish
from events.journal import Terms
from exchange.accounts import Account
from exchange.market import ATTO, PPM, Market
from exchange.order import AT_ANY_PRICE, WAITING, WITH_STOP
from exchange.references import References
from exchange.refusal import Refusal
from exchange.trailing import stop_of
from exchange.triggers import fires_rising
from exchange.walk import Found, Offered, best_price, crosses, shifted, walk
from exchange.words import ABSOLUTE, BUY, FOK, LIMIT, MARKET, SELL, TRAILING_STOP

WITH_LIMIT = frozenset({LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
Code = OrderErrorCode
_EXIT_FIELDS = {
    (LIMIT, "price"): "takeProfitPrice",
    (OrderType.STOP_LOSS_LIMIT, "price"): "stopLimitPrice",
}
"""Fields of exits, as clients name them."""


Admitted: TypeAlias = tuple[Terms, int]
"""Terms as the journal takes them, and the units to hold."""


def market_refusal(market: Market, wish: OrderWish) -> Refusal | None:
    """Whether the market's status lets such an order in."""
    match market.status:
        case MarketStatus.HALTED:
            return Refusal(Code.MARKET_HALTED, "symbol")
        case MarketStatus.POST_ONLY if not wish.post_only:
            return Refusal(Code.MARKET_POST_ONLY, "postOnly")
        case MarketStatus.CANCEL_ONLY:
            return Refusal(Code.MARKET_CANCEL_ONLY, "symbol")
    return None


def terms_of(market: Market, wish: OrderWish, references: References, now_ms: int) -> Terms | Refusal:
    """The wish in ticks and lots, or what is wrong with it."""
    (
        _, side, kind, quantity, quote_quantity, price, stop_price, source, force, good_till_ms, post_only, display, self_trade,
        slippage_ppm, trail, trail_unit, activation_price, malformed,
    ) = wish  # fmt: skip
    if malformed is not None:
        return Refusal(Code.MALFORMED_NUMBER, malformed)
    for number in (quantity, quote_quantity, price, stop_price, display, trail, activation_price):
        if number is not None and number <= 0:
            return Refusal(Code.MALFORMED_NUMBER, _not_positive(wish))
    if slippage_ppm is not None and slippage_ppm < 0:
        return Refusal(Code.MALFORMED_NUMBER, "maxSlippage")
    limited = kind in WITH_LIMIT
    if limited and price is None:
        return Refusal(Code.PRICE_REQUIRED, "price")
    if stop_price is None and kind in WITH_STOP:
        return Refusal(Code.PRICE_REQUIRED, "stopPrice")
    if trail is None and kind is TRAILING_STOP:
        return Refusal(Code.PRICE_REQUIRED, "trailingDelta")
    tick, lot = market.tick, market.lot
    ticks, off_price = divmod(price, tick) if price else (0, 0)
    stop, off_stop = divmod(stop_price, tick) if stop_price else (0, 0)
    lots, off_quantity = divmod(quantity, lot) if quantity else (0, 0)
    shown, off_display = divmod(display, lot) if display else (0, 0)
    if off_price or off_stop:
        field, actual = ("price", price) if off_price else ("stopPrice", stop_price)
        return Refusal(Code.PRICE_OFF_TICK, field, limit=tick, actual=actual)
    activation = 0
    if trail or activation_price:
        activation = (activation_price or 0) // tick
        refused = _off_tick(market, wish)
        if refused is not None:
            return refused
        trail = (trail or 0) // tick if trail_unit is ABSOLUTE else trail
    if off_quantity or off_display:
        field, actual = ("quantity", quantity) if off_quantity else ("displayQuantity", display)
        return Refusal(Code.QUANTITY_OFF_LOT, field, limit=lot, actual=actual)
    budget = quote_quantity // market.quote_unit if quote_quantity else 0
    terms = Terms(
        side, kind, force, lots, ticks if limited else 0, budget, stop, source, trail or 0, trail_unit, activation,
        good_till_ms or 0, post_only, shown, self_trade, -1 if slippage_ppm is None else slippage_ppm,
    )  # fmt: skip
    return (
        _sizes(market, wish, terms, references)
        or _prices(market, terms, references)
        or _conflict(wish, now_ms)
        or terms
    )


def _off_tick(market: Market, wish: OrderWish) -> Refusal | None:
    """Whether a trailing stop's own prices are no whole ticks."""
    if wish.activation_price is not None and wish.activation_price % market.tick:
        return Refusal(Code.PRICE_OFF_TICK, "activationPrice", limit=market.tick, actual=wish.activation_price)
    if wish.trail is not None and wish.trail_unit is ABSOLUTE and wish.trail % market.tick:
        return Refusal(Code.PRICE_OFF_TICK, "trailingDelta", limit=market.tick, actual=wish.trail)
    return None


def _not_positive(wish: OrderWish) -> str:
    """The field of the first number that is zero or less."""
    numbers = {
        "quantity": wish.quantity,
        "quoteQuantity": wish.quote_quantity,
        "price": wish.price,
        "stopPrice": wish.stop_price,
        "displayQuantity": wish.display_quantity,
        "trailingDelta": wish.trail,
        "activationPrice": wish.activation_price,
    }
    return next(field for field, number in numbers.items() if number is not None and number <= 0)


def _sizes(market: Market, wish: OrderWish, terms: Terms, references: References) -> Refusal | None:
    if wish.quantity is not None:
        if terms.lots < market.min_lots:
            return Refusal(
                Code.QUANTITY_TOO_SMALL, "quantity", limit=market.min_lots * market.lot, actual=wish.quantity
            )
        if market.max_lots and terms.lots > market.max_lots:
            return Refusal(
                Code.QUANTITY_TOO_LARGE, "quantity", limit=market.max_lots * market.lot, actual=wish.quantity
            )
    price = _least_price(market, terms, references)
    if wish.quantity is not None and price is not None and price * terms.lots < market.min_value:
        return _too_little(market, max(0, price) * terms.lots, "quantity")
    return None


def _least_price(market: Market, terms: Terms, references: References) -> int | None:
    """The price in ticks that an order's size is judged at: its limit or stop, of one that trails the worst it could trade at as things
    stand; None: not known."""
    if terms.type is not TRAILING_STOP:
        return terms.price or terms.stop or None
    newest = references.newest(terms.source)
    if (not terms.activation and newest is None) or (terms.trail_unit is TrailingUnit.PERCENT and terms.trail >= PPM):
        return None
    return worst_price(market, terms, newest.price if newest is not None else 0)


def _too_little(market: Market, value: int, field: str) -> Refusal:
    return Refusal(Code.NOTIONAL_TOO_SMALL, field, limit=_atto(market, market.min_value), actual=_atto(market, value))


def _atto(market: Market, value: int) -> int:
    return value * market.tick * market.lot // ATTO


def _prices(market: Market, terms: Terms, references: References) -> Refusal | None:
    if not terms.stop and not market.band_ppm:
        return None
    newest = references.newest(terms.source)
    around = terms.stop or (newest.price if newest else market.last)
    if terms.price and around and market.band_ppm:
        for bound, beyond in (
            (shifted(around, market.band_ppm, BUY), terms.price.__gt__),
            (shifted(around, market.band_ppm, SELL), terms.price.__lt__),
        ):
            if beyond(bound):
                return Refusal(
                    Code.PRICE_OUT_OF_BAND, "price", limit=bound * market.tick, actual=terms.price * market.tick
                )
    if terms.stop and newest is not None:
        beyond_it = newest.price >= terms.stop if fires_rising(terms) else newest.price <= terms.stop
        if beyond_it:
            return Refusal(
                Code.STOP_WOULD_TRIGGER, "stopPrice", limit=newest.price * market.tick, actual=terms.stop * market.tick
            )
    return None


def _conflict(wish: OrderWish, now_ms: int) -> Refusal | None:
    """Terms that do not go together."""
    field = _conflicting(wish)
    if field:
        return Refusal(Code.TERMS_CONFLICT, field)
    if wish.good_till_ms is not None and wish.good_till_ms <= now_ms:
        return Refusal(Code.EXPIRY_IN_PAST, "goodTillTime", limit=now_ms, actual=wish.good_till_ms)
    return None


def _conflicting(wish: OrderWish) -> str:
    """The field that does not go with the others, if any."""
    kind, is_market, trails = wish.type, wish.type is MARKET, wish.type is TRAILING_STOP
    fleeting = kind in AT_ANY_PRICE or wish.time_in_force not in WAITING
    ends_at_a_time = wish.time_in_force is TimeInForce.GTD
    if (wish.quantity is None) == (wish.quote_quantity is None):
        return "quantity"
    if wish.quote_quantity is not None and not is_market:
        return "quoteQuantity"
    if wish.price is not None and kind in AT_ANY_PRICE:
        return "price"
    if wish.stop_price is not None and kind not in WITH_STOP:
        return "stopPrice"
    if (wish.trail is not None) is not trails or (
        trails and wish.trail_unit is TrailingUnit.PERCENT and (wish.trail or 0) >= PPM
    ):
        return "trailingDelta"
    if wish.activation_price is not None and not trails:
        return "activationPrice"
    if fleeting and (wish.post_only or wish.display_quantity is not None):
        return "postOnly" if wish.post_only else "displayQuantity"
    if wish.display_quantity is not None and wish.display_quantity > (wish.quantity or 0):
        return "displayQuantity"
    if wish.max_slippage_ppm is not None and not is_market:
        return "maxSlippage"
    return (
        "goodTillTime"
        if (wish.good_till_ms is not None) is not ends_at_a_time or (ends_at_a_time and is_market)
        else ""
    )


def admission(
    market: Market,
    account: Account,
    terms: Terms,
    wish: OrderWish,
    *,
    references: References,
    house: Offered | None,
    taker_ppm: int,
    maker_ppm: int,
) -> Admitted | Refusal:
    """Whether the account can pay and the book can fill it as its terms demand, and what to hold for it."""
    open_here = account.open_in.get(market.symbol, 0)
    if open_here >= market.max_open_orders:
        return Refusal(Code.TOO_MANY_OPEN_ORDERS, "symbol", limit=market.max_open_orders, actual=open_here)
    if terms.type is MARKET:
        return _market_order(market, account, terms, wish, house, taker_ppm=taker_ppm)
    buys = terms.side is BUY
    newest = references.newest(terms.source) if terms.trail else None
    if terms.trail and not terms.activation and newest is None:
        return Refusal(Code.PRICE_STALE, "symbol")
    worst = terms.price or worst_price(market, terms, newest.price if newest else 0)
    hold = market.cost(worst * terms.lots, max(taker_ppm, maker_ppm)) if buys else terms.lots * market.lot_units
    refused = _funds(market, account, terms.side, hold)
    if refused is not None:
        return refused
    if terms.type is LIMIT:
        best = best_price(market, terms.side, house) if terms.post_only else 0
        if best and crosses(terms.side, best, terms.price):
            return Refusal(Code.POST_ONLY_WOULD_TAKE, "price")
        if terms.time_in_force is FOK:
            found = reach(market, account, terms, wish, house=house, taker_ppm=taker_ppm)
            if found.lots < terms.lots:
                return Refusal(
                    Code.FOK_NOT_FILLABLE, "quantity", limit=found.lots * market.lot, actual=terms.lots * market.lot
                )
    return terms, hold


def worst_price(market: Market, terms: Terms, price: int) -> int:
    """The limit of an order that waits for a trigger and then takes any price: the band around its stop. `price` is where one that trails
    begins, if it waits for no price to begin at."""
    stop = terms.stop
    if terms.trail:
        sign = 1 if terms.side is SELL else -1
        stop = sign * stop_of(sign * (terms.activation or price), terms.trail, terms.trail_unit)
    return shifted(stop, market.band_ppm, terms.side)


def fees_of(account: Account, market: Market) -> tuple[int, int]:
    """What the account pays as maker and as taker, in millionths."""
    return (
        market.maker_ppm if account.maker_ppm is None else account.maker_ppm,
        market.taker_ppm if account.taker_ppm is None else account.taker_ppm,
    )


def exits_of(
    market: Market, wishes: Sequence[OrderWish], side: OrderSide, references: References, now_ms: int
) -> tuple[Terms, ...] | Refusal:
    """The terms of a group's exits, all of this side, or what is wrong with them: a profit to be taken must lie beyond the stop, and a purchase
    may not trail, since what it could cost is not known when its share of the hold is set aside."""
    if not wishes:
        return Refusal(Code.PRICE_REQUIRED, "takeProfitPrice")
    exits = []
    for wish in wishes:
        if wish.side is not side or wish.symbol != market.symbol:
            return Refusal(Code.TERMS_CONFLICT, "side" if wish.side is not side else "symbol")
        if wish.trail is not None and side is BUY:
            return Refusal(Code.TERMS_CONFLICT, "trailingDelta")
        terms = terms_of(market, wish, references, now_ms)
        if isinstance(terms, Refusal):
            return Refusal(
                terms.code, _EXIT_FIELDS.get((wish.type, terms.field), terms.field), terms.limit, terms.actual
            )
        exits.append(terms)
    return profit_refusal(market, exits) or tuple(exits)


def profit_refusal(market: Market, exits: Sequence[Terms]) -> Refusal | None:
    """Whether a profit does not lie beyond the stop that goes with it."""
    profits, stops = [terms.price for terms in exits if not terms.stop], [terms.stop for terms in exits if terms.stop]
    if profits and stops and 0 not in profits:
        apart = profits[0] > stops[0] if exits[0].side is SELL else profits[0] < stops[0]
        if not apart:
            return Refusal(
                Code.TERMS_CONFLICT, "stopPrice", limit=profits[0] * market.tick, actual=stops[0] * market.tick
            )
    return None


def dearest(market: Market, exits: Sequence[Terms]) -> int:
    """The worst price in ticks that any of these trades at, where it is known before."""
    prices = [terms.price or worst_price(market, terms, market.last) for terms in exits]
    return max(prices) if exits[0].side is BUY else min(prices)


def oco_hold(
    market: Market, account: Account, exits: Sequence[Terms], *, house: Offered | None, most_ppm: int
) -> int | Refusal:
    """What two exits hold together, or why they are not let in."""
    open_here = account.open_in.get(market.symbol, 0)
    if open_here + len(exits) > market.max_open_orders:
        return Refusal(Code.TOO_MANY_OPEN_ORDERS, "symbol", limit=market.max_open_orders, actual=open_here)
    side, lots = exits[0].side, exits[0].lots
    buys = side is BUY
    hold = market.cost(dearest(market, exits) * lots, most_ppm) + 2 if buys else lots * market.lot_units
    refused = _funds(market, account, side, hold)
    if refused is not None:
        return refused
    best = best_price(market, side, house)
    if best and crosses(side, best, exits[0].price):
        return Refusal(
            Code.POST_ONLY_WOULD_TAKE, "takeProfitPrice", limit=best * market.tick, actual=exits[0].price * market.tick
        )
    return hold


def _market_order(
    market: Market, account: Account, terms: Terms, wish: OrderWish, house: Offered | None, *, taker_ppm: int
) -> Admitted | Refusal:
    buys = terms.side is BUY
    if not best_price(market, terms.side, house):
        return Refusal(Code.NO_LIQUIDITY, "symbol")
    found = reach(market, account, terms, wish, house=house, taker_ppm=taker_ppm)
    if found.lots and found.value < market.min_value and (terms.budget or found.lots == terms.lots):
        return _too_little(market, found.value, "quoteQuantity" if terms.budget else "quantity")
    hold = market.cost(found.value, taker_ppm) if buys else found.lots * market.lot_units
    refused = _funds(market, account, terms.side, hold)
    if refused is not None:
        return refused
    if found.lots == 0:
        code = Code.SELF_TRADE if found.own_order else Code.NOTIONAL_TOO_SMALL
        return Refusal(code, "quoteQuantity" if terms.budget else "quantity")
    if terms.time_in_force is FOK and terms.lots > found.lots:
        return Refusal(Code.FOK_NOT_FILLABLE, "quantity", limit=found.lots * market.lot, actual=terms.lots * market.lot)
    return terms._replace(lots=terms.lots or found.lots, price=found.worst), hold


def reach(
    market: Market, account: Account, terms: Terms, wish: OrderWish, *, house: Offered | None, taker_ppm: int
) -> Found:
    """What a limit or a market order would find at once."""
    limit = terms.price
    if terms.type is MARKET:
        allowed = market.band_ppm if wish.max_slippage_ppm is None else wish.max_slippage_ppm
        bounded = allowed or wish.max_slippage_ppm is not None
        limit = shifted(best_price(market, terms.side, house), allowed, terms.side) if bounded else 0
    return walk(
        market, account, terms.side, terms.self_trade, house=house,
        lots=terms.lots, limit=limit, budget=terms.budget, taker_ppm=taker_ppm,
    )  # fmt: skip


def _funds(market: Market, account: Account, side: OrderSide, hold: int) -> Refusal | None:
    balance = account.balances.get(market.quote if side is BUY else market.base)
    available = balance.available if balance is not None else 0
    if hold > available:
        return Refusal(Code.INSUFFICIENT_FUNDS, "quantity", limit=available, actual=hold)
    return None
