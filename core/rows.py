"""Frozen dataclasses as rows of the database: Decimals as Decimal128, enums as text, tuples as arrays, None left out."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from core.money import to_storage

T = TypeVar("T")
Convert = Callable[[Any], Any]


class Rows(Generic[T]):
    """Reads and writes rows of one dataclass. Fields a row lacks are None; what a row has beside them is passed over."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._writers: list[tuple[str, Convert | None]] = []
        self._readers: list[tuple[str, Convert | None]] = []
        for name, hint in get_type_hints(kind).items():
            write, read = _converters(hint)
            self._writers.append((name, write))
            self._readers.append((name, read))

    def write(self, value: T) -> dict[str, Any]:
        """The row of a value."""
        row = {}
        for name, convert in self._writers:
            field = getattr(value, name)
            if field is not None:
                row[name] = field if convert is None else convert(field)
        return row

    def read(self, row: Mapping[str, Any]) -> T:
        """The value of a row."""
        fields = []
        for name, convert in self._readers:
            field = row.get(name)
            fields.append(field if convert is None or field is None else convert(field))
        return self._kind(*fields)


def _converters(hint: Any) -> tuple[Convert | None, Convert | None]:
    """How a field of this type is written and read; None: as it is."""
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (argument for argument in get_args(hint) if argument is not type(None))
        return _converters(inner)
    if get_origin(hint) is tuple:
        write, read = _converters(get_args(hint)[0])
        return (
            list if write is None else lambda items: [write(item) for item in items],
            tuple if read is None else lambda items: tuple([read(item) for item in items]),
        )
    if hint is Decimal:
        return to_storage, lambda stored: stored.to_decimal()
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = {member.value: member for member in hint}
        return lambda member: member.value, members.__getitem__
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        rows = Rows(hint)
        return rows.write, rows.read
    return None, None
