"""Enums about orders, with a description on every value."""

from core import order_vocabulary
from graph.types.enums import describe

describe(
    order_vocabulary.OrderType,
    "When an order trades, and at which prices. Those that wait fire when the price of their `triggerSource` reaches a stop.",
    {
        "MARKET": "At once, at the best prices there are.",
        "LIMIT": "At `price` or better.",
        "STOP_LOSS": "When the price comes to `stopPrice` from the better side: at the best prices there are.",
        "STOP_LOSS_LIMIT": "When the price comes to `stopPrice` from the better side: at `price` or better.",
        "TAKE_PROFIT": "When the price comes to `stopPrice` from the worse side: at the best prices there are.",
        "TAKE_PROFIT_LIMIT": "When the price comes to `stopPrice` from the worse side: at `price` or better.",
        "TRAILING_STOP": "A stop that follows the best price at a distance, `trailingDelta`, and never turns back.",
    },
)
describe(
    order_vocabulary.TimeInForce,
    "How long an order stands.",
    {
        "GTC": "Until it is canceled.",
        "IOC": "What cannot be filled at once is canceled.",
        "FOK": "All of it at once, or nothing.",
        "GTD": "Until `goodTillTime`.",
    },
)
describe(
    order_vocabulary.OrderStatus,
    "Where an order is in its life.",
    {
        "PENDING": "It waits for another order of its group.",
        "TRIGGER_PENDING": "It waits for its trigger.",
        "OPEN": "It is in the book, and nothing of it is filled.",
        "PARTIALLY_FILLED": "It is in the book, and some of it is filled.",
        "FILLED": "All of it is filled.",
        "CANCELED": "It was canceled before it was filled; `reason` says by what.",
        "EXPIRED": "Its time was over before it was filled.",
        "REJECTED": "Its trigger fired, and it could not be placed then; `reason` says why.",
    },
)
describe(
    order_vocabulary.SelfTradePrevention,
    "What ends when two orders of one account would trade with each other.",
    {
        "CANCEL_NEWEST": "What is left of the order that comes.",
        "CANCEL_OLDEST": "The order that rests.",
        "CANCEL_BOTH": "Both.",
    },
)
describe(
    order_vocabulary.TriggerSource,
    "Which price fires a trigger.",
    {"LAST": "The last accepted trade of the reference.", "MARK": "The median of the sources."},
)
describe(
    order_vocabulary.TrailingUnit,
    "What the distance of a stop that trails is counted in.",
    {"ABSOLUTE": "A price, in quote.", "PERCENT": "A fraction of the best price: 0.01 is 1 %."},
)
describe(
    order_vocabulary.OrderGroupKind,
    "How orders belong together.",
    {
        "OCO": "Two orders of which one ends the other.",
        "BRACKET": "An entry, and up to two orders that close what it fills, of which one ends the other.",
    },
)
describe(
    order_vocabulary.OrderGroupStatus,
    "Where a group is in its life.",
    {
        "PENDING": "A bracket whose entry has not filled yet.",
        "ACTIVE": "Its exits are open.",
        "DONE": "An exit was filled.",
        "CANCELED": "It ended before an exit was filled.",
    },
)
describe(
    order_vocabulary.Liquidity,
    "Which side of a trade an order was on.",
    {"MAKER": "It rested in the book.", "TAKER": "It took from the book."},
)
describe(
    order_vocabulary.OrderEventType,
    "What happened to an order.",
    {
        "ACCEPTED": "It was placed.",
        "REJECTED": "Its trigger fired, and it could not be placed then.",
        "TRIGGERED": "Its trigger fired.",
        "TRAIL_MOVED": "Its stop followed the price.",
        "FILLED": "Some of it, or all, was filled.",
        "AMENDED": "Its terms were changed.",
        "CANCELED": "It was canceled.",
        "EXPIRED": "Its time was over.",
    },
)
describe(
    order_vocabulary.OrderErrorCode,
    "Why an order was refused, or ended before it was filled. In order of precedence: the first that applies is the one reported.",
    {
        "INVALID_INPUT": "A key, a number of seconds or another input cannot be used.",
        "ACCOUNT_FROZEN": "The account is frozen or suspended.",
        "EMAIL_NOT_VERIFIED": "The address must be proven first.",
        "IDEMPOTENCY_MISMATCH": "The key was used with other content.",
        "UNKNOWN_MARKET": "There is no such market.",
        "MARKET_HALTED": "The market accepts nothing now.",
        "MARKET_POST_ONLY": "The market accepts only orders that are post-only now.",
        "MARKET_CANCEL_ONLY": "The market accepts only cancels now.",
        "MALFORMED_NUMBER": "Not a plain number above 0, or more digits than there may be.",
        "PRICE_REQUIRED": "An order of this type needs this price.",
        "PRICE_OFF_TICK": "Not a multiple of the tick size, which is `limit`.",
        "QUANTITY_OFF_LOT": "Not a multiple of the lot size, which is `limit`.",
        "QUANTITY_TOO_SMALL": "Below the smallest quantity, which is `limit`.",
        "QUANTITY_TOO_LARGE": "Above the largest quantity, which is `limit`.",
        "NOTIONAL_TOO_SMALL": "Price times quantity is below `limit`, in quote.",
        "PRICE_OUT_OF_BAND": "Too far from the market's price; `limit` is as far as it may be.",
        "STOP_WOULD_TRIGGER": "The stop would fire at once; `limit` is the price it is compared with.",
        "TERMS_CONFLICT": "Terms that do not go together.",
        "EXPIRY_IN_PAST": "The end of the order is past.",
        "TOO_MANY_OPEN_ORDERS": "As many open orders in this market as there may be.",
        "PRICE_STALE": "No fresh price to go by.",
        "DEBT_OUTSTANDING": "A reversed deposit is not repaid yet; nothing can be withdrawn.",
        "INSUFFICIENT_FUNDS": "Not enough is available; `actual` is what it needs, `limit` what there is.",
        "POST_ONLY_WOULD_TAKE": "It would trade at once and may only rest.",
        "FOK_NOT_FILLABLE": "It cannot be filled as a whole.",
        "NO_LIQUIDITY": "Nobody offers anything on the other side.",
        "SLIPPAGE_EXCEEDED": "The rest would have been filled at a worse price than the order allows.",
        "SELF_TRADE": "It would trade with another order of the account.",
        "UNKNOWN_WITHDRAWAL": "The account has no such withdrawal, or it has ended.",
        "UNKNOWN_ORDER": "The account has no such order or group.",
        "ORDER_NOT_OPEN": "The order or group has ended.",
        "ORDER_CHANGED": "The order is not the one that was expected any more; `limit` is its sequence.",
        "NOT_SANDBOX": "Test funds are given in a sandbox only.",
        "CANCELED_BY_USER": "Its owner canceled it.",
        "CANCELED_BY_GROUP": "Another order of its group filled, fired or ended.",
        "CANCELED_BY_TIMER": "A cancel timer was not set again in time.",
        "CANCELED_BY_OPERATOR": "An operator canceled it.",
        "EXPIRED": "Its time was over.",
        "COMMAND_EXPIRED": "The exchange got to it too late and did nothing: try again with the same key.",
        "OUTCOME_UNKNOWN": "The exchange did not answer in time; whether it was done is not known: try again with the same key.",
        "EXCHANGE_UNAVAILABLE": "The exchange cannot be reached and nothing was done: try again with the same key.",
    },
)
