"""Begin a coroutine at once, so that what only concerns those that wait is set up for them alone."""

from collections.abc import Coroutine, Generator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Begun(Generic[Value]):
    """A coroutine that has run as far as it could without waiting.

    It runs in the task that makes this object, which must be the one that awaits it, with nothing awaited in between. Whatever the coroutine
    raises before it waits is raised here.
    """

    __slots__ = ("_coroutine", "_value", "_waits_for", "done")

    def __init__(self, coroutine: Coroutine[object, object, Value]) -> None:
        self._coroutine = coroutine
        self._value: Value
        self._waits_for: object = None
        self.done = False
        """Whether it never waited: `value` has the result."""
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as ended:
            self._value = ended.value
            self.done = True

    def close(self) -> None:
        """Give up one that waits: nobody will await it."""
        self._coroutine.close()

    @property
    def value(self) -> Value:
        """The result of one that is done."""
        return self._value

    def __await__(self) -> Generator[object, object, Value]:
        if self.done:
            return self._value
        waits_for = self._waits_for
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's own to deal with
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(sent)
        except StopIteration as ended:
            value: Value = ended.value
            return value
