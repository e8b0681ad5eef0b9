"""What is known of bytes that clients sent before."""

from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Learnt(Generic[Value]):
    """Values by bytes. Those learnt first go first, so that no more is held than was said."""

    def __init__(self, *, longest: int, most: int) -> None:
        """`longest`: bytes of one that is still learnt. `most`: bytes of all together."""
        self._longest = longest
        self._most = most
        self._bytes = 0
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def find(self, sent: bytes) -> Value | None:
        """What is known of these bytes."""
        return self._values.get(sent)

    def learn(self, sent: bytes, value: Value) -> None:
        """Know this of them, unless they are too long."""
        if len(sent) > self._longest:
            return
        self.forget(sent)
        self._values[sent] = value
        self._bytes += len(sent)
        while self._bytes > self._most:
            dropped, _ = self._values.popitem(last=False)
            self._bytes -= len(dropped)

    def forget(self, sent: bytes) -> None:
        """Know nothing of them."""
        if self._values.pop(sent, None) is not None:
            self._bytes -= len(sent)
