"""Scalars of the surface: how money, counters and times look in JSON."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NewType
from urllib.parse import urlsplit

import strawberry
from graphql import GraphQLError, StringValueNode, ValueNode
from graphql.language import FloatValueNode, IntValueNode
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

from core.money import MalformedNumber, Unreadable, canonical, parse_decimal

OrderNumber = NewType("OrderNumber", object)
"""A Decimal of an input that answers malformed numbers as data: a Decimal, or an `Unreadable` (graph/numbers.py)."""
Long = NewType("Long", int)
URL = NewType("URL", str)

LONG_MAX = 2**53 - 1
"""The largest integer that a JavaScript number holds exactly."""


def link(url: str | None) -> URL | None:
    """A URL of which there may be none."""
    return None if url is None else URL(url)


def _invalid(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "BAD_USER_INPUT"})


def _parse_decimal(value: object) -> Decimal | Unreadable:
    """The number. One that is malformed is handed on, and refused by graph/numbers.py unless its input answers that itself."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _invalid('Decimal: expected a string such as "12.5", never a float')
    try:
        return parse_decimal(str(value))
    except MalformedNumber as error:
        return Unreadable(str(value), f"Decimal: {error}")


def _parse_decimal_literal(node: ValueNode, _variables: object = None) -> Decimal | Unreadable:
    if isinstance(node, StringValueNode | IntValueNode | FloatValueNode):
        return _parse_decimal(node.value)
    raise _invalid('Decimal: expected a string such as "12.5"')


def _serialize_decimal(value: object) -> str:
    if not isinstance(value, Decimal):
        raise TypeError(f"a Decimal field got {type(value).__name__}")
    return canonical(value)


def _parse_long(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LONG_MAX:
        raise _invalid("Long: expected an integer between -(2^53 - 1) and 2^53 - 1")
    return value


def _parse_long_literal(node: ValueNode, _variables: object = None) -> int:
    if isinstance(node, IntValueNode) and len(node.value) <= 17:
        return _parse_long(int(node.value))
    raise _invalid("Long: expected an integer between -(2^53 - 1) and 2^53 - 1")


def _parse_datetime(value: object) -> datetime:
    if isinstance(value, str) and len(value) <= 40:
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None and "T" in value.upper():
                return moment.astimezone(UTC)
    raise _invalid("DateTime: expected RFC 3339 with an offset, such as 2026-01-31T12:00:00.000Z")


def _serialize_datetime(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"a DateTime field got {type(value).__name__}")
    return datetime_text(value)


@lru_cache(maxsize=1_024)
def datetime_text(moment: datetime) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat("T", "milliseconds")[:23] + "Z"


def _parse_url(value: object) -> str:
    if isinstance(value, str) and len(value) <= 2_000 and value.isprintable() and " " not in value:
        with suppress(ValueError):
            parts = urlsplit(value)
            if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
                return value
    raise _invalid("URL: expected an absolute URL such as https://app.example.com/path")


_DECIMAL = strawberry.scalar(
    name="Decimal",
    description="An exact decimal number as a JSON string, such as `12.5`. Never a float, never an exponent.",
    serialize=_serialize_decimal,
    parse_value=_parse_decimal,
    parse_literal=_parse_decimal_literal,
)
SCALARS: dict[object, ScalarDefinition] = {
    Decimal: _DECIMAL,
    OrderNumber: _DECIMAL,
    Long: strawberry.scalar(
        name="Long",
        description="An integer up to 2^53 - 1 as a JSON number.",
        serialize=int,
        parse_value=_parse_long,
        parse_literal=_parse_long_literal,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment as RFC 3339 text in UTC with milliseconds, such as `2026-01-31T12:00:00.000Z`.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=_serialize_datetime,
        parse_value=_parse_datetime,
    ),
    URL: strawberry.scalar(name="URL", description="An absolute URL.", serialize=str, parse_value=_parse_url),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
}

EXACT_TEXTS: dict[object, tuple[type, Callable[..., str]]] = {
    _serialize_decimal: (Decimal, canonical),
    _serialize_datetime: (datetime, datetime_text),
}
"""How a scalar that serializes by this function writes values of exactly this class."""
