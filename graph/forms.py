"""Encoded data with blanks: the public part of an answer, the same for everybody, and places for what is a caller's own.

Blanks are private fields whose own resolvers may give null (`graph.public.is_blank`): whatever goes wrong with one ends there, and changes nothing around it.
"""

from collections.abc import Sequence

import orjson

from graph.compiled.run import Execute, Place, Run, fill_list, is_pending

_MARK = b"\xff"
"""Where a blank is: a byte that no UTF-8 has."""
_MARKED = orjson.Fragment(_MARK)
_BYTES_PER_BLANK = 200


class Blank:
    """A private field of a public object."""

    __slots__ = ("around", "execute", "source")

    def __init__(self, execute: Execute, around: Place | None, source: object) -> None:
        self.execute = execute
        self.around = around
        self.source = source


class Form:
    """JSON, and its blanks in their order."""

    __slots__ = ("_parts", "blanks", "text")

    def __init__(self, text: bytes, blanks: Sequence[Blank]) -> None:
        self.text = text
        self.blanks = blanks
        self._parts = text.split(_MARK)

    @property
    def size(self) -> int:
        """Bytes it takes, about."""
        return 2 * len(self.text) + _BYTES_PER_BLANK * len(self.blanks)

    async def filled(self, run: Run) -> orjson.Fragment:
        """The data with each blank's value in this execution, which also has the errors that came up.

        Raises:
            orjson.JSONEncodeError: a value is nothing that JSON has.
        """
        values = [blank.execute(run, blank.around, blank.source) for blank in self.blanks]
        pending = [index for index, value in enumerate(values) if is_pending(value)]
        if pending:
            await fill_list(values, pending)
        pieces = [b"null"] * (2 * len(values) + 1)
        pieces[::2] = self._parts
        pieces[1::2] = [b"null" if value is None else orjson.dumps(value) for value in values]
        return orjson.Fragment(b"".join(pieces))


def encoded(data: object) -> Form:
    """Data in which blanks and other forms may stand. Raises orjson.JSONEncodeError."""
    blanks: list[Blank] = []

    def default(value: object) -> orjson.Fragment:
        if isinstance(value, Blank):
            blanks.append(value)
            return _MARKED
        if isinstance(value, Form):
            blanks.extend(value.blanks)
            return orjson.Fragment(value.text)
        raise TypeError(f"{type(value).__name__} is nothing that JSON has")

    return Form(orjson.dumps(data, default=default), blanks)
