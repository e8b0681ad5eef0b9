"""What people are told about orders that were refused, or that ended: one sentence per code, and a closer one where a number was crossed.

English templates; `core/languages/*.json` has them in the other languages.
"""

from decimal import Decimal

from core.money import canonical
from core.order_vocabulary import OrderErrorCode

Code = OrderErrorCode
_TEXTS: dict[OrderErrorCode, str] = {
    Code.INVALID_INPUT: "the input cannot be used: a key has 1 to 64 printable ASCII characters",
    Code.ACCOUNT_FROZEN: "the account is frozen, nothing of it can be placed or moved; unfreeze it first",
    Code.EMAIL_NOT_VERIFIED: "prove your e-mail address first; only then can orders be placed",
    Code.IDEMPOTENCY_MISMATCH: "this key was used before with other content; choose another key, or send the same content again",
    Code.UNKNOWN_MARKET: "there is no such market; symbols are BASE-QUOTE in capitals, such as BTC-USDT",
    Code.MARKET_HALTED: "the market is halted; nothing can be placed or canceled in it now",
    Code.MARKET_POST_ONLY: "the market takes only orders that are post-only now",
    Code.MARKET_CANCEL_ONLY: "in this market orders can only be canceled now",
    Code.MALFORMED_NUMBER: "expected a plain number above 0 with at most 18 digits after the point, such as 12.5; a fraction has at most 6",
    Code.PRICE_REQUIRED: "an order of this type needs this price",
    Code.PRICE_OFF_TICK: "the price must be a multiple of the market's tick size",
    Code.QUANTITY_OFF_LOT: "the quantity must be a multiple of the market's lot size",
    Code.QUANTITY_TOO_SMALL: "the quantity is below the market's smallest",
    Code.QUANTITY_TOO_LARGE: "the quantity is above the market's largest",
    Code.NOTIONAL_TOO_SMALL: "price times quantity is below the market's smallest value",
    Code.PRICE_OUT_OF_BAND: "the price is too far from the market's",
    Code.STOP_WOULD_TRIGGER: "the stop would fire at once; it must lie on the other side of the present price",
    Code.TERMS_CONFLICT: "these terms do not go together; leave this field out, or change it to fit the others",
    Code.EXPIRY_IN_PAST: "the time at which the order ends must lie in the future",
    Code.TOO_MANY_OPEN_ORDERS: "the account has as many open orders in this market as it may; cancel one first",
    Code.PRICE_STALE: "there is no fresh price to go by; try again in a moment",
    Code.DEBT_OUTSTANDING: "a deposit was reversed and is not repaid yet; nothing can be withdrawn until it is",
    Code.INSUFFICIENT_FUNDS: "there is not enough available for this order",
    Code.POST_ONLY_WOULD_TAKE: "the order would trade at once, and it may only rest in the book; choose a price further away",
    Code.FOK_NOT_FILLABLE: "the order cannot be filled as a whole now",
    Code.NO_LIQUIDITY: "nobody offers anything on the other side now; use a limit order, or try again later",
    Code.SLIPPAGE_EXCEEDED: "what was left could only be filled at a worse price than the order allows",
    Code.SELF_TRADE: "the order would trade with another order of this account",
    Code.UNKNOWN_WITHDRAWAL: "the account has no such withdrawal, or it has ended already",
    Code.UNKNOWN_ORDER: "the account has no such order",
    Code.ORDER_NOT_OPEN: "the order has ended already",
    Code.ORDER_CHANGED: "the order has changed meanwhile; look at it again",
    Code.NOT_SANDBOX: "test funds are given in a sandbox only",
    Code.CANCELED_BY_USER: "canceled by its owner",
    Code.CANCELED_BY_GROUP: "canceled because another order of its group filled, fired or ended",
    Code.CANCELED_BY_TIMER: "canceled by a timer that was not set again in time",
    Code.CANCELED_BY_OPERATOR: "canceled by an operator",
    Code.EXPIRED: "the order's time was over",
    Code.COMMAND_EXPIRED: "the exchange got to it too late and did nothing; try again with the same key",
    Code.OUTCOME_UNKNOWN: "the exchange did not answer in time, and whether it was done is not known; try again with the same key",
    Code.EXCHANGE_UNAVAILABLE: "the exchange cannot be reached and nothing was done; try again with the same key",
}
_CLOSER_TEXTS: dict[OrderErrorCode, str] = {
    Code.INVALID_INPUT: "the bound is {limit}, and {actual} lies beyond it",
    Code.PRICE_OFF_TICK: "the price must be a multiple of the tick size {limit}; {actual} is none",
    Code.QUANTITY_OFF_LOT: "the quantity must be a multiple of the lot size {limit}; {actual} is none",
    Code.QUANTITY_TOO_SMALL: "the quantity must be at least {limit}; {actual} is too small",
    Code.QUANTITY_TOO_LARGE: "the quantity may be at most {limit}; {actual} is too large",
    Code.NOTIONAL_TOO_SMALL: "price times quantity must be at least {limit}; {actual} is too little",
    Code.PRICE_OUT_OF_BAND: "the price may go as far as {limit} now; {actual} is too far",
    Code.STOP_WOULD_TRIGGER: "the price is {limit} now, so a stop at {actual} would fire at once",
    Code.TERMS_CONFLICT: "{actual} does not go together with {limit}",
    Code.TOO_MANY_OPEN_ORDERS: "an account may have {limit} open orders in this market and has {actual}; cancel one first",
    Code.INSUFFICIENT_FUNDS: "the order needs {actual} and {limit} is available",
    Code.POST_ONLY_WOULD_TAKE: "at {actual} the order would trade at once with {limit}, and it may only rest in the book",
    Code.FOK_NOT_FILLABLE: "{limit} of {actual} could be filled now, and the order wants all or nothing",
    Code.ORDER_CHANGED: "the order has changed meanwhile: its sequence is {limit}, not {actual}",
}
NOT_AMOUNTS = frozenset({Code.EXPIRY_IN_PAST})
"""Codes whose limit is a moment and no number to be shown."""


def order_text(code: OrderErrorCode, limit: Decimal | None, actual: Decimal | None) -> tuple[str, dict[str, str]]:
    """The English template of a code and the values of its `{names}`."""
    closer = _CLOSER_TEXTS.get(code)
    if closer is None or limit is None or actual is None:
        return _TEXTS[code], {}
    return closer, {"limit": canonical(limit), "actual": canonical(actual)}
