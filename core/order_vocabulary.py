"""The words of trading, spelled as clients see them."""

from enum import StrEnum


class OrderType(StrEnum):
    """When an order trades, and at which prices. The last five wait for a trigger."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"


class TimeInForce(StrEnum):
    """How long an order stands."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class OrderStatus(StrEnum):
    """Where an order is in its life; the last four are ends."""

    PENDING = "PENDING"
    TRIGGER_PENDING = "TRIGGER_PENDING"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


class SelfTradePrevention(StrEnum):
    """What ends when two orders of one account would trade with each other."""

    CANCEL_NEWEST = "CANCEL_NEWEST"
    CANCEL_OLDEST = "CANCEL_OLDEST"
    CANCEL_BOTH = "CANCEL_BOTH"


class TriggerSource(StrEnum):
    """Which price fires a trigger: the last accepted trade, or the median of the sources."""

    LAST = "LAST"
    MARK = "MARK"


class TrailingUnit(StrEnum):
    """Whether a stop trails by a price or by a share of it."""

    ABSOLUTE = "ABSOLUTE"
    PERCENT = "PERCENT"


class OrderGroupKind(StrEnum):
    """How orders belong together: two of which one ends the other, or an entry that two such protect."""

    OCO = "OCO"
    BRACKET = "BRACKET"


class OrderErrorCode(StrEnum):
    """Why an order was refused or ended, in order of precedence: the first that applies is the one reported."""

    INVALID_INPUT = "INVALID_INPUT"
    ACCOUNT_FROZEN = "ACCOUNT_FROZEN"
    EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    UNKNOWN_MARKET = "UNKNOWN_MARKET"
    MARKET_HALTED = "MARKET_HALTED"
    MARKET_POST_ONLY = "MARKET_POST_ONLY"
    MARKET_CANCEL_ONLY = "MARKET_CANCEL_ONLY"
    MALFORMED_NUMBER = "MALFORMED_NUMBER"
    PRICE_REQUIRED = "PRICE_REQUIRED"
    PRICE_OFF_TICK = "PRICE_OFF_TICK"
    QUANTITY_OFF_LOT = "QUANTITY_OFF_LOT"
    QUANTITY_TOO_SMALL = "QUANTITY_TOO_SMALL"
    QUANTITY_TOO_LARGE = "QUANTITY_TOO_LARGE"
    NOTIONAL_TOO_SMALL = "NOTIONAL_TOO_SMALL"
    PRICE_OUT_OF_BAND = "PRICE_OUT_OF_BAND"
    STOP_WOULD_TRIGGER = "STOP_WOULD_TRIGGER"
    TERMS_CONFLICT = "TERMS_CONFLICT"
    EXPIRY_IN_PAST = "EXPIRY_IN_PAST"
    TOO_MANY_OPEN_ORDERS = "TOO_MANY_OPEN_ORDERS"
    PRICE_STALE = "PRICE_STALE"
    DEBT_OUTSTANDING = "DEBT_OUTSTANDING"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    POST_ONLY_WOULD_TAKE = "POST_ONLY_WOULD_TAKE"
    FOK_NOT_FILLABLE = "FOK_NOT_FILLABLE"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    SLIPPAGE_EXCEEDED = "SLIPPAGE_EXCEEDED"
    SELF_TRADE = "SELF_TRADE"
    UNKNOWN_WITHDRAWAL = "UNKNOWN_WITHDRAWAL"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    ORDER_NOT_OPEN = "ORDER_NOT_OPEN"
    ORDER_CHANGED = "ORDER_CHANGED"
    NOT_SANDBOX = "NOT_SANDBOX"
    CANCELED_BY_USER = "CANCELED_BY_USER"
    CANCELED_BY_GROUP = "CANCELED_BY_GROUP"
    CANCELED_BY_TIMER = "CANCELED_BY_TIMER"
    CANCELED_BY_OPERATOR = "CANCELED_BY_OPERATOR"
    EXPIRED = "EXPIRED"
    COMMAND_EXPIRED = "COMMAND_EXPIRED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    EXCHANGE_UNAVAILABLE = "EXCHANGE_UNAVAILABLE"


class Liquidity(StrEnum):
    """Whether a fill's order rested in the book or took from it."""

    MAKER = "MAKER"
    TAKER = "TAKER"


class OrderGroupStatus(StrEnum):
    """Where a group is in its life: a bracket whose entry has not filled is pending; the last two are ends."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    DONE = "DONE"
    CANCELED = "CANCELED"


class OrderEventType(StrEnum):
    """What happened to an order."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    TRIGGERED = "TRIGGERED"
    TRAIL_MOVED = "TRAIL_MOVED"
    FILLED = "FILLED"
    AMENDED = "AMENDED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


class TransactionKind(StrEnum):
    """Why a balance changed."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    TRADE = "TRADE"
    FEE = "FEE"
    EARN_SUBSCRIBE = "EARN_SUBSCRIBE"
    EARN_REDEEM = "EARN_REDEEM"
    EARN_REWARD = "EARN_REWARD"
    TRANSFER = "TRANSFER"
    TEST_FUNDS = "TEST_FUNDS"
    ADJUSTMENT = "ADJUSTMENT"
    REVERSAL = "REVERSAL"


class SummaryKey(StrEnum):
    """What transactions are summed up by."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    ASSET = "ASSET"
    KIND = "KIND"
