"""Pages of a short list held in memory whose rows change places while somebody reads it page by page.

A cursor holds the row's place and which rows stand before it. The next page is taken from the rows that were not shown yet, in the
order they have now; a page before it, from the rows that stood before it. So going through the list in one direction shows every row
exactly once, however rows move. When rows were added to the list or left it since, the place alone decides.
"""

import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Generic, TypeVar

from core.errors import InvalidInput
from core.paging import Page, PageRequest

MAX_CURSOR_LENGTH = 2_000
_CURSORS_HELD = 4_096
"""A list whose order does not change has the same cursors every time."""
_CURSOR = re.compile(r"([a-zA-Z0-9_]+)\|([01])\|(-?[0-9]+(?:\.[0-9]+)?)\|([^|]+)\|([0-9a-f]+)\|([0-9a-f]+)", re.ASCII)

Row = TypeVar("Row")
SortKey = tuple[bool, Decimal, str]
"""Unknown values last, then the value (negated for descending), then the row's name, which breaks ties."""


@dataclass(frozen=True, slots=True)
class Placed(Generic[Row]):
    """A row of a page with its cursor."""

    row: Row
    cursor: str


class RankedList(Generic[Row]):
    """A list called `name`; `names` are those of all rows it can ever show, `key` ranks one."""

    def __init__(self, name: str, names: Collection[str], key: Callable[[Row], SortKey]) -> None:
        self._name = name
        self._key = key
        self._bits, self._fingerprint = _places(tuple(names))

    def page(self, rows: Sequence[Row], request: PageRequest) -> Page[Placed[Row]]:
        """The page of these rows that a request names. Raises InvalidInput for a foreign cursor."""
        after = None if request.after is None else self._read(request.after, "after")
        before = None if request.before is None else self._read(request.before, "before")
        ranked = sorted(((self._key(row), row) for row in rows), key=lambda pair: pair[0])
        shown = [pair for pair in ranked if after is not None and self._reaches(after, pair[0])]
        rest = [pair for pair in ranked if after is None or not self._reaches(after, pair[0])]
        found = [pair for pair in rest if before is None or self._precedes(pair[0], before)]
        start = max(0, len(found) - request.size) if request.backwards else 0
        page = found[start : start + request.size]
        preceding = sum(self._bits[key[2]] for key, _ in (*shown, *found[:start]))
        items = []
        for key, row in page:
            preceding |= self._bits[key[2]]
            items.append(Placed(row, _cursor(self._name, key, self._fingerprint, preceding)))
        return Page(
            items=items,
            has_next=start + len(page) < len(rest),
            has_previous=bool(shown) or start > 0,
        )

    def _read(self, cursor: str, field: str) -> "_Place":
        try:
            text = urlsafe_b64decode(cursor[:MAX_CURSOR_LENGTH].encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
        except (Base64Error, UnicodeError, ValueError):
            text = ""
        match = _CURSOR.fullmatch(text)
        if match is None or match[1] != self._name or len(cursor) > MAX_CURSOR_LENGTH:
            raise InvalidInput(f"{field} must be a cursor of this list in this order", field=[field])
        key = (match[2] == "1", Decimal(match[3]), match[4])
        return _Place(key, int(match[6], 16) if match[5] == self._fingerprint else None)

    def _reaches(self, place: "_Place", key: SortKey) -> bool:
        """Whether this row stands at the place or before it."""
        if place.rows is None:
            return key <= place.key
        return bool(place.rows & self._bits[key[2]])

    def _precedes(self, key: SortKey, place: "_Place") -> bool:
        return key[2] != place.key[2] and self._reaches(place, key)


@lru_cache(maxsize=8)
def _places(names: tuple[str, ...]) -> tuple[Mapping[str, int], str]:
    """A bit for each name, and what tells these names from others."""
    ordered = sorted(names)
    bits = {known: 1 << place for place, known in enumerate(ordered)}
    return bits, format(zlib.crc32("\n".join(ordered).encode()), "x")


@lru_cache(maxsize=_CURSORS_HELD)
def _encoded(beginning: str, fingerprint: str, rows: int) -> str:
    text = f"{beginning}|{fingerprint}|{rows:x}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cursor(name: str, key: SortKey, fingerprint: str, rows: int) -> str:
    return _encoded(f"{name}|{int(key[0])}|{key[1]:f}|{key[2]}", fingerprint, rows)


@dataclass(frozen=True, slots=True)
class _Place:
    """What a cursor says. `rows`: bits of the rows up to and including it; None when the list has other rows now."""

    key: SortKey
    rows: int | None
