"""What is asked of the exchange, as bytes between processes of one version: JSON of a name and the fields in their order."""

import types
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import orjson

from events import commands
from events.answers import PreviewOrder, ReadHouse
from events.journal_codec import plain

_KINDS: tuple[type, ...] = (
    commands.PlaceOrder,
    commands.PlaceOco,
    commands.PlaceBracket,
    commands.CancelGroup,
    commands.CancelOrder,
    commands.AmendOrder,
    commands.CancelAll,
    commands.SetCancelTimer,
    commands.MoveFunds,
    commands.CreditDeposit,
    commands.ReverseDeposit,
    commands.RepayDebt,
    commands.HoldWithdrawal,
    commands.SettleWithdrawal,
    commands.ReleaseWithdrawal,
    commands.MoveHouseFunds,
    commands.FreezeAccount,
    commands.SetFeeTier,
    commands.SetMarketStatus,
    PreviewOrder,
    ReadHouse,
)
Convert = Callable[[Any], Any]


class UnknownQuestion(ValueError):
    """The bytes are none of ours, or of another version."""


class Question(NamedTuple):
    """What is asked, and until when it may be begun (epoch milliseconds)."""

    asked: commands.Command | PreviewOrder | ReadHouse
    deadline_ms: int


def encode(question: Question) -> bytes:
    """A question as bytes."""
    asked = question.asked
    return orjson.dumps([type(asked).__name__, question.deadline_ms, plain(tuple(asked))])


def decode(body: bytes) -> Question:
    """The question of these bytes. Raises UnknownQuestion."""
    try:
        name, deadline_ms, row = orjson.loads(body)
        return Question(_READERS[name](row), int(deadline_ms))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnknownQuestion("not a question of this version") from error


def _reader(kind: Any) -> Convert:
    fields = [_field(hint) for hint in get_type_hints(kind).values()]

    def read(row: list[Any]) -> Any:
        return kind(*[field(value) for field, value in zip(fields, row, strict=True)])

    return read


def _field(hint: Any) -> Convert:
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (argument for argument in get_args(hint) if argument is not type(None))
        convert = _field(inner)
        return lambda value: None if value is None else convert(value)
    if get_origin(hint) is tuple:
        item = _field(get_args(hint)[0])
        return lambda values: tuple([item(value) for value in values])
    if isinstance(hint, type) and issubclass(hint, tuple):
        return _reader(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = {member.value: member for member in hint}
        return members.__getitem__
    kind: Convert = hint
    return kind


_READERS = {kind.__name__: _reader(kind) for kind in _KINDS}
