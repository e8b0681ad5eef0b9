"""Objects of the schema that are made of what never changes: made once for each, and given to everybody who asks."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Source = TypeVar("Source")
Made = TypeVar("Made")


class Remembered(Generic[Source, Made]):
    """The object made of the newest source of each key. Sources are told apart by identity: what replaces one is another."""

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[Source, Made]] = {}

    def of(self, key: Hashable, source: Source, make: Callable[[], Made]) -> Made:
        """The object, from memory where the source is still the same. Keys are few: markets and assets."""
        known = self._made.get(key)
        if known is not None and known[0] is source:
            return known[1]
        made = make()
        self._made[key] = (source, made)
        return made
