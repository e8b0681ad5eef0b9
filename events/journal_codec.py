"""Events of the journal as bytes: JSON rows of a name and the event's fields in their order; integers that may pass 63 bits as text.

`FORMAT` rises when an event's meaning changes; what older formats wrote must be readable for ever (tests/exchange/golden).
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, get_type_hints

import orjson

from events import journal
from events.journal import Event, Terms

FORMAT = 1
_WIDEST = 2**63 - 1

_NAMES: dict[type, str] = {
    journal.WriterStarted: "writer-started",
    journal.MarketConfigured: "market-configured",
    journal.MarketStatusChanged: "market-status-changed",
    journal.FundsMoved: "funds-moved",
    journal.AccountFrozen: "account-frozen",
    journal.FeeTierChanged: "fee-tier-changed",
    journal.CancelTimerSet: "cancel-timer-set",
    journal.GroupAccepted: "group-accepted",
    journal.GroupGrown: "group-grown",
    journal.OrderAccepted: "order-accepted",
    journal.Traded: "traded",
    journal.OrderEnded: "order-ended",
    journal.OrderTriggered: "order-triggered",
    journal.OrderAmended: "order-amended",
    journal.TrailStarted: "trail-started",
    journal.ReferenceExtreme: "reference-extreme",
    journal.KeysForgotten: "keys-forgotten",
    journal.DepositCredited: "deposit-credited",
    journal.DepositReversed: "deposit-reversed",
    journal.DebtRepaid: "debt-repaid",
    journal.WithdrawalHeld: "withdrawal-held",
    journal.WithdrawalSettled: "withdrawal-settled",
    journal.WithdrawalReleased: "withdrawal-released",
    journal.HouseFundsMoved: "house-funds-moved",
}


class UnknownFormat(Exception):
    """A journal that a newer version of this program wrote, or one that is damaged."""


def encode(events: Iterable[Event]) -> bytes:
    """Rows of these events."""
    rows = [[_NAMES[type(event)], *event] for event in events]
    return orjson.dumps([[plain(field) for field in row] for row in rows])


def decode(payload: bytes, *, written_in: int) -> list[Event]:
    """The events of a payload.

    Raises:
        UnknownFormat: the format is newer than this program's, or a row is none of ours.
    """
    if not 1 <= written_in <= FORMAT:
        raise UnknownFormat(f"the journal has format {written_in}; this version reads up to {FORMAT}")
    try:
        return [_READERS[row[0]](row) for row in orjson.loads(payload)]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UnknownFormat("a batch of the journal cannot be read") from error


def plain(field: object) -> object:
    """A field as JSON can hold it: tuples as lists, integers that may pass 63 bits as text."""
    if isinstance(field, tuple | list):
        return [plain(part) for part in field]
    if type(field) is int and not -_WIDEST <= field <= _WIDEST:
        return str(field)
    return field


def reader(kind: Any) -> Callable[[list[Any]], Any]:
    """Makes an event of this kind from a row, whose first element is its name."""
    fields = [_field(hint) for hint in get_type_hints(kind).values()]

    def read(row: list[Any]) -> Any:
        return kind(*[field(value) for field, value in zip(fields, row[1:], strict=False)])

    return read


def _field(hint: Any) -> Callable[[Any], Any]:
    if hint is Terms:
        read = reader(Terms)
        return lambda value: read(["", *value])
    if hint == tuple[str, ...]:
        return tuple
    if hint == tuple[Terms, ...]:
        one = _field(Terms)
        return lambda value: tuple(map(one, value))
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = {member.value: member for member in hint}
        return members.__getitem__
    if hint in {int, bool, str}:
        convert: Callable[[Any], Any] = hint
        return convert
    raise TypeError(f"an event of the journal may not hold {hint}")


_READERS = {name: reader(kind) for kind, name in _NAMES.items()}
