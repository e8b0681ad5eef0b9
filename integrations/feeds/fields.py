"""Reading what a provider sent, which is untrusted: every field is checked for its type and range before it is used.

Whatever does not fit raises `Garbage`. Its text names the field and what was expected and never quotes the content, so that it may
be shown to anyone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from core.clock import to_ms
from core.money import MAX_SCALE, MalformedNumber, provider_decimal
from events.feed import Level

JsonObject = Mapping[str, object]
Value = TypeVar("Value")

MOST = Decimal(10) ** 16
"""Prices and quantities are below this: with 18 digits after the point they fill the 34 digits that can be stored."""
LAST_TIME_MS = 4_102_444_800_000
"""2100-01-01; a later time is a mistake."""


class Garbage(ValueError):
    """A message, or a part of it, that cannot be used."""


def _refuse_constant(name: str) -> object:
    raise Garbage(f"{name} is no number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def decode(data: str | bytes) -> object:
    """The JSON value of a message, its numbers exact (int or Decimal, never float). Raises Garbage."""
    try:
        return _DECODER.decode(data if isinstance(data, str) else data.decode())
    except Garbage:
        raise
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Garbage("not JSON") from error


def as_object(value: object, what: str) -> JsonObject:
    """The value itself, when it is a JSON object."""
    if not isinstance(value, dict):
        raise Garbage(f"{what}: expected an object")
    return value


def as_list(value: object, what: str) -> Sequence[object]:
    """The value itself, when it is a JSON array."""
    if not isinstance(value, list):
        raise Garbage(f"{what}: expected an array")
    return value


def child(message: JsonObject, key: str) -> JsonObject:
    """The object below a key."""
    return as_object(message.get(key), key)


def children(message: JsonObject, key: str) -> list[JsonObject]:
    """The array of objects below a key."""
    return [as_object(entry, key) for entry in as_list(message.get(key), key)]


def text(message: JsonObject, key: str) -> str:
    """The text below a key."""
    value = message.get(key)
    if not isinstance(value, str):
        raise Garbage(f"{key}: expected text")
    return value


def integer(message: JsonObject, key: str) -> int:
    """The whole number, not negative, below a key; given as a JSON integer or as its digits."""
    value = message.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
        raise Garbage(f"{key}: expected a whole number")
    return value


def as_quantity(value: object, what: str) -> Decimal:
    """A finite number, not negative, below 10^16, with at most 18 digits after the point."""
    try:
        number = provider_decimal(value)
    except MalformedNumber as error:
        raise Garbage(f"{what}: {error}") from error
    exponent = number.as_tuple().exponent
    if not 0 <= number < MOST or (isinstance(exponent, int) and -exponent > MAX_SCALE):
        raise Garbage(f"{what}: number out of range")
    return number


def as_price(value: object, what: str) -> Decimal:
    """Like a quantity, and not zero."""
    number = as_quantity(value, what)
    if not number:
        raise Garbage(f"{what}: number out of range")
    return number


def quantity(message: JsonObject, key: str) -> Decimal:
    """The quantity below a key."""
    return as_quantity(message.get(key), key)


def price(message: JsonObject, key: str) -> Decimal:
    """The price below a key."""
    return as_price(message.get(key), key)


def if_given(read: Callable[[JsonObject, str], Value], message: JsonObject, key: str) -> Value | None:
    """What `read` finds below a key, or None when the provider left it out or empty."""
    return None if message.get(key) in (None, "") else read(message, key)


def price_if_given(message: JsonObject, key: str) -> Decimal | None:
    """A price, or None when it is left out, empty or zero: providers write 0 where they have none."""
    return if_given(quantity, message, key) or None


def epoch_ms(message: JsonObject, key: str) -> int:
    """An epoch in milliseconds."""
    return checked_time(integer(message, key), key)


def rfc3339_ms(message: JsonObject, key: str) -> int:
    """Epoch milliseconds of an RFC 3339 time of any precision; what is finer is cut off."""
    value = text(message, key)
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None or len(value) > 40:
            raise Garbage(f"{key}: expected a time with its zone")
        return checked_time(to_ms(moment), key)
    except (ValueError, OverflowError) as error:
        raise Garbage(f"{key}: expected a time such as 2026-01-31T12:00:00.000Z") from error


def checked_time(time_ms: int, what: str) -> int:
    """The time itself, when it lies in the epoch and before 2100."""
    if not 0 < time_ms < LAST_TIME_MS:
        raise Garbage(f"{what}: time out of range")
    return time_ms


def levels(message: JsonObject, key: str) -> tuple[Level, ...]:
    """Price levels given as an array of [price, quantity]."""
    found: list[Level] = []
    for entry in as_list(message.get(key), key):
        pair = as_list(entry, key)
        if len(pair) < 2:
            raise Garbage(f"{key}: expected [price, quantity]")
        found.append((as_price(pair[0], key), as_quantity(pair[1], key)))
    return tuple(found)
