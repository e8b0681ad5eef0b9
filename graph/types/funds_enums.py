"""Enums about what people own, with a description on every value."""

from core import order_vocabulary, vocabulary
from graph.types.enums import describe

describe(
    order_vocabulary.TransactionKind,
    "Why a balance changed.",
    {
        "DEPOSIT": "It came in on a chain.",
        "WITHDRAWAL": "It went out on a chain.",
        "TRADE": "It was bought, or sold.",
        "FEE": "A fee of a trade.",
        "EARN_SUBSCRIBE": "It was put to earn.",
        "EARN_REDEEM": "It was taken back from earning.",
        "EARN_REWARD": "It was earned.",
        "TRANSFER": "It was moved between accounts here.",
        "TEST_FUNDS": "Test funds of a sandbox.",
        "ADJUSTMENT": "An operator's correction.",
        "REVERSAL": "A deposit was taken back, or what was owed for one was repaid.",
    },
)
describe(
    order_vocabulary.SummaryKey,
    "What transactions are summed up by; times in UTC.",
    {
        "DAY": "By day: `2026-01-31`.",
        "WEEK": "By week from Monday, as ISO 8601 numbers them: `2026-W05`.",
        "MONTH": "By month: `2026-01`.",
        "ASSET": "By asset.",
        "KIND": "By why a balance changed.",
    },
)
describe(
    vocabulary.AllocationKey,
    "What a portfolio is divided by.",
    {
        "ASSET": "By asset.",
        "CHAIN": "By chain; not available until wallets are linked here.",
        "KIND": "By kind of asset.",
        "LOCATION": "By where it is kept.",
    },
)
describe(
    vocabulary.CostBasisMethod,
    "Which units of an asset a sale takes first, for what they had cost.",
    {
        "FIFO": "The oldest; not available yet.",
        "LIFO": "The newest; not available yet.",
        "HIFO": "The dearest; not available yet.",
        "AVERAGE": "All alike, at their average cost.",
    },
)
