"""Events as bytes, for the bus between processes and for storage.

Layout: `{"t": type name, "v": version, ...fields}` as JSON; Decimals and enums as text, tuples as arrays. A reader refuses a
version it does not know; a field with a default may be missing. To change an event otherwise: raise its version in `VERSIONS` and add an
upcaster for the old one.
"""

import dataclasses
import types
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from operator import itemgetter
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

from events import account, answers, chain_transaction, market, swap, trading, transfer

Decoder = Callable[[Any], Any]


class UnknownEvent(ValueError):
    """The bytes are no event of a type and version known here."""


EVENT_TYPES: tuple[type, ...] = (
    market.TickAccepted,
    market.TradeAccepted,
    market.TickerChanged,
    market.BookReset,
    market.BookChanged,
    market.BookLost,
    market.BooksConfirmed,
    market.CandleChanged,
    market.FeedChanged,
    market.MarketStatusChanged,
    market.MarketRulesChanged,
    market.ResyncRequested,
    market.ResyncFinished,
    market.PaceRequested,
    market.PaceConfirmed,
    account.SessionsEnded,
    account.ApiKeyChanged,
    account.AccountChanged,
    account.AuditAppended,
    account.MailQueued,
    trading.AccountLogged,
    trading.ProjectionAdvanced,
    trading.JournalAppended,
    answers.Answer,
    answers.PreviewState,
    answers.HouseState,
    transfer.DepositState,
    transfer.WithdrawalState,
    transfer.TransferLogged,
    chain_transaction.ChainTransactionState,
    swap.SwapChanged,
)
VERSIONS: dict[str, int] = {event.__name__: 1 for event in EVENT_TYPES}


def _decimal_default(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"an event may not hold {type(value).__name__}")


def encode(event: object) -> bytes:
    """One event as JSON bytes. Raises TypeError for anything that is not made of event fields."""
    name = type(event).__name__
    body = {"t": name, "v": VERSIONS[name]}
    for field in _FIELDS[name]:
        body[field] = getattr(event, field)
    return orjson.dumps(body, default=_decimal_default)


def decode(data: bytes | str) -> object:
    """The event of these bytes.

    Raises:
        UnknownEvent: not JSON, or of a type or version this process does not know.
    """
    try:
        body = orjson.loads(data)
        name = body["t"]
        if body["v"] != VERSIONS[name]:
            raise UnknownEvent(f"{name} version {body['v']} is not known here")
        if not body.keys() >= _DECODERS[name].keys():
            return _with_defaults(name, body)
        values = list(_FIELDS_OF[name](body))
        for place, read in _CONVERTED[name]:
            values[place] = read(values[place])
        return _TYPES[name](*values[1:])
    except UnknownEvent:
        raise
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UnknownEvent("not an event of ours") from error


def _with_defaults(name: str, body: dict[str, object]) -> object:
    """The event of a body that lacks fields. Raises KeyError for one that must be there."""
    decoders, optional = _DECODERS[name], _OPTIONAL[name]
    return _TYPES[name](
        **{field: read(body[field]) for field, read in decoders.items() if field in body or field not in optional}
    )


def _decoder(hint: Any) -> Decoder:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        read = _decoder(inner)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        arguments = get_args(hint)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            item = _decoder(arguments[0])
            return lambda value: tuple([item(entry) for entry in value])
        items = [_decoder(argument) for argument in arguments]
        return lambda value: tuple([read(entry) for read, entry in zip(items, value, strict=True)])
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        make: Callable[..., Any] = hint
        fields = {name: _decoder(field) for name, field in get_type_hints(hint).items()}
        optional = _with_default(hint)
        return lambda value: make(
            **{name: read(value[name]) for name, read in fields.items() if name in value or name not in optional}
        )
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {member.value: member for member in hint}.__getitem__
    return Decimal if hint is Decimal else _as_it_is


def _as_it_is(value: object) -> object:
    return value


def _with_default(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING}


_TYPES = {event.__name__: event for event in EVENT_TYPES}
_FIELDS = {event.__name__: tuple(get_type_hints(event)) for event in EVENT_TYPES}
_DECODERS = {
    event.__name__: {name: _decoder(hint) for name, hint in get_type_hints(event).items()} for event in EVENT_TYPES
}
_FIELDS_OF = {name: itemgetter("t", *fields) for name, fields in _FIELDS.items()}
"""The name, then the fields in their order, of a body that has them all."""
_CONVERTED = {
    name: [(place, read) for place, read in enumerate(decoders.values(), 1) if read is not _as_it_is]
    for name, decoders in _DECODERS.items()
}
_OPTIONAL = {event.__name__: _with_default(event) for event in EVENT_TYPES}
