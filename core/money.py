"""Decimal rules: one wide context, one strict parser, one canonical text, one storage type.

Layout: parsing (what the outside may send), text (what we send), storage (Decimal128).
Invariant: no value that leaves this module is NaN or infinite, and nothing is rounded without a named rounding.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, setcontext
from functools import lru_cache
from typing import Annotated, Literal

from bson import Decimal128
from pydantic import BeforeValidator

MAX_SCALE = 18
MAX_DIGITS = 34
"""Decimal128 holds 34 significant digits; nothing we store may need more."""

CONTEXT = Context(prec=76, traps=[InvalidOperation, DivisionByZero, Overflow])
"""Python's default context rounds silently at 28 digits; a product of two 34-digit numbers needs 68."""

_LOWEST_EXPONENT, _HIGHEST_EXPONENT = -6176, 6111
"""Of Decimal128, which counts them from the lowest (IEEE 754-2008, 3.5.2)."""
_AS_TEXT = bytes.maketrans(bytes(range(10)), b"0123456789")

_PATTERN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)


class MalformedNumber(ValueError):
    """The text is not a plain decimal number, or has more digits than may be kept."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A number as it was sent that `parse_decimal` refuses, for input that answers this itself; `problem` says what would be right."""

    text: str
    problem: str


def use_wide_context() -> None:
    """Make the wide context the calling thread's own. Every process calls it before anything else."""
    setcontext(CONTEXT.copy())


def parse_decimal(text: str, *, max_scale: int = MAX_SCALE) -> Decimal:
    """Read a plain ASCII decimal such as ``-12.50``.

    Refuses exponents, signs other than a leading minus, underscores, blanks, non-ASCII digits, NaN and
    infinities, more than ``max_scale`` fractional digits and more than 34 digits in all.

    Raises:
        MalformedNumber: with a message that says what would be right.
    """
    if len(text) > MAX_DIGITS + 3 or _PATTERN.fullmatch(text) is None:
        raise MalformedNumber(f"expected a plain decimal number such as 12.5, at most {MAX_DIGITS} digits")
    point = text.find(".")
    if 0 <= point < len(text) - 1 - max_scale:
        raise MalformedNumber(f"expected at most {max_scale} digits after the point")
    value = Decimal(text)
    if len(text) > MAX_DIGITS and len(value.as_tuple().digits) > MAX_DIGITS:
        raise MalformedNumber(f"expected at most {MAX_DIGITS} digits")
    return value


def provider_decimal(value: object) -> Decimal:
    """Read a number as a provider sends it: text, int, or a JSON float already parsed to Decimal.

    Exponents are allowed (some providers send ``1E-8``), floats are not: they have lost digits already.

    Raises:
        MalformedNumber: for anything that is not a finite number of at most 34 digits.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise MalformedNumber(f"expected a number as text, got {type(value).__name__}")
    if isinstance(value, str) and (len(value) > 64 or not value.isascii() or "_" in value):
        raise MalformedNumber("expected a decimal number")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise MalformedNumber("expected a decimal number") from error
    if not number.is_finite():
        raise MalformedNumber("expected a finite number")
    if len(number.as_tuple().digits) > MAX_DIGITS or not -MAX_DIGITS <= number.adjusted() <= MAX_DIGITS:
        raise MalformedNumber(f"expected at most {MAX_DIGITS} digits")
    return number


def canonical(value: Decimal) -> str:
    """The one text of a number: no exponent, no trailing zeros, no negative zero."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if text[-1] != "0":
        return text
    if not value:
        return "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


FIGURE_DIGITS = 12
"""Significant digits of derived figures (averages, indicators): more than their inputs justify, fewer than a float holds."""
_FIGURE_CONTEXT = Context(prec=FIGURE_DIGITS, rounding=ROUND_HALF_EVEN)


def figure(value: Decimal) -> Decimal:
    """A derived figure: half-even to 12 significant digits and at most 18 after the point. Never for balances."""
    rounded = _FIGURE_CONTEXT.plus(value)
    exponent = rounded.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_SCALE:
        return rounded.quantize(Decimal(1).scaleb(-MAX_SCALE), rounding=ROUND_HALF_EVEN)
    return rounded


def to_storage(value: Decimal) -> Decimal128:
    """The BSON form. Raises ``decimal.Inexact`` rather than losing a digit."""
    return _stored(*value.as_tuple())


@lru_cache(maxsize=4_096)
def _stored(sign: int, digits: tuple[int, ...], exponent: int | Literal["n", "N", "F"]) -> Decimal128:
    """Of a number's parts: many are met again and again, zeros above all.

    What the format holds as it is, is put together here: three times as fast as by the driver, and candles are stored by the hundred.
    """
    if (
        not isinstance(exponent, int)
        or len(digits) > MAX_DIGITS
        or not _LOWEST_EXPONENT <= exponent <= _HIGHEST_EXPONENT
    ):
        return Decimal128(Decimal((sign, digits, exponent)))  # type: ignore[arg-type]
    coefficient = int(bytes(digits).translate(_AS_TEXT))
    bits = sign << 127 | (exponent - _LOWEST_EXPONENT) << 113 | coefficient
    return Decimal128.from_bid(bits.to_bytes(16, "little"))


def _from_storage(value: object) -> object:
    return value.to_decimal() if isinstance(value, Decimal128) else value


StoredDecimal = Annotated[Decimal, BeforeValidator(_from_storage)]
"""The type of every decimal field of a document: Decimal in Python, Decimal128 in the database."""
