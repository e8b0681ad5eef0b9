"""The payload of a pack of statement lines: JSON arrays in the order of `StatementLine`'s fields, Decimals as plain text.

Fields are only ever added at the end, with a default for packs that lack them.
"""

from collections.abc import Iterable
from decimal import Decimal

import orjson

from core.order_vocabulary import TransactionKind
from events.trading import StatementLine


def encode(lines: Iterable[StatementLine]) -> bytes:
    """These lines as a payload."""
    return orjson.dumps(
        [
            (
                line.number,
                line.entry,
                line.kind,
                line.asset,
                format(line.amount, "f"),
                format(line.balance_after, "f"),
                line.symbol,
                line.fill,
                line.order,
                line.time_ms,
                line.transfer,
            )
            for line in lines
        ]
    )


def decode(payload: bytes) -> list[StatementLine]:
    """The lines of a payload."""
    return [
        StatementLine(number, entry, TransactionKind(kind), asset, Decimal(amount), Decimal(balance_after), *rest)
        for number, entry, kind, asset, amount, balance_after, *rest in orjson.loads(payload)
    ]
