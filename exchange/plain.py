"""The commonest order, judged in one go: a limit order that says no more than side, price and quantity, whether it rests, and what ends
where it would trade with itself.

Nothing is refused here. What is in any way remarkable is left to `checks`, which says in order of precedence what is wrong with it, if
anything; tests show that both come to the same.
"""

from core.order_vocabulary import SelfTradePrevention, TimeInForce
from events.commands import OrderWish
from events.journal import Terms
from exchange.accounts import Account
from exchange.checks import Admitted
from exchange.market import PPM, Market
from exchange.words import BUY, LIMIT


def _tails() -> dict[tuple[object, ...], tuple[TimeInForce, tuple[object, ...]]]:
    """What a plain wish says beyond its price, with the time in force and what its terms say beyond theirs."""
    return {
        OrderWish("", BUY, LIMIT, time_in_force=force, self_trade=prevention)[6:]: (
            force,
            Terms(BUY, LIMIT, force, 0, self_trade=prevention)[5:],
        )
        for force in (TimeInForce.GTC, TimeInForce.IOC)
        for prevention in SelfTradePrevention
    }


_TAILS = _tails()


def plain_limit(
    market: Market, account: Account, wish: OrderWish, around: int, fees: tuple[int, int]
) -> Admitted | None:
    """The terms and the hold of a plain order that is sound and paid for; None: look closely.

    `around` is the price in ticks around which the market's band lies (0: none), `fees` are those of a maker and a taker, in millionths.
    """
    symbol, side, kind, quantity, quote_quantity, price = wish[:6]
    tail = _TAILS.get(wish[6:])
    if tail is None or kind is not LIMIT or quantity is None or price is None or quote_quantity is not None:
        return None
    tick, lot = market.tick, market.lot
    ticks, lots = price // tick, quantity // lot
    value = ticks * lots
    if (
        ticks <= 0 or lots < market.min_lots or (lots > market.max_lots > 0) or value < market.min_value
        or ticks * tick != price or lots * lot != quantity or account.open_in.get(symbol, 0) >= market.max_open_orders
    ):  # fmt: skip
        return None
    band = market.band_ppm
    if band and around and not -band * around <= (ticks - around) * PPM <= band * around:
        return None
    if side is BUY:
        balance, hold = account.balances.get(market.quote), market.cost(value, max(fees))
    else:
        balance, hold = account.balances.get(market.base), lots * market.lot_units
    if balance is None or balance.available < hold:
        return None
    force, rest = tail
    return tuple.__new__(Terms, (side, LIMIT, force, lots, ticks, *rest)), hold
