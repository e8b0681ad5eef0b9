"""Pages of lists: what a caller may ask for, and what it gets. Relay's cursor connections, both directions.

`after` and `before` are cursors, opaque to clients; `first` counts from the start of the order, `last` from its end.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.errors import InvalidInput

Row = TypeVar("Row")

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
MAX_CANDLE_PAGE_SIZE = 1000

_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of at most `max_size` rows; without `first` and `last`, the first 50.

    Raises:
        InvalidInput: both `first` and `last`, a negative size, or one above `max_size` (with `limit` and `actual`).
    """

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    max_size: int = MAX_PAGE_SIZE

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None:
            raise InvalidInput("expected first or last, not both", field=["last"])
        for name, size in (("first", self.first), ("last", self.last)):
            if size is not None and size < 0:
                raise InvalidInput(f"{name} must not be negative", field=[name], limit=0, actual=size)
            if size is not None and size > self.max_size:
                raise InvalidInput(
                    f"{name} must be at most {self.max_size}", field=[name], limit=self.max_size, actual=size
                )

    @property
    def size(self) -> int:
        """Rows asked for."""
        if self.last is not None:
            return self.last
        return DEFAULT_PAGE_SIZE if self.first is None else self.first

    @property
    def backwards(self) -> bool:
        """Whether the page is taken from the end of the order."""
        return self.last is not None


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in the order asked for, and whether rows follow and precede them.

    `start` and `end` are cursors from which to go on where those of the first and the last row would not do; None: they do.
    """

    items: Sequence[Row]
    has_next: bool
    has_previous: bool
    start: str | None = None
    end: str | None = None


def number_cursor(text: str | None, field: str) -> int | None:
    """The number of a cursor that is one (a sequence, an open time). Raises InvalidInput that names `field`."""
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise InvalidInput(f"{field} must be a cursor of this list", field=[field])
    return int(text)
