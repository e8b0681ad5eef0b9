"""Reading Bitcoin's serialisation from bytes that anybody may have sent: what is announced is never read beyond what is there."""

MOST_ITEMS = 10


class Malformed(ValueError):
    """The bytes are not what they should be."""


class Reader:
    """Takes bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """So many bytes. Raises Malformed."""
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise Malformed("it ends too early")
        self._at += count
        return taken

    def compact(self) -> int:
        """A CompactSize, in its shortest form. Raises Malformed."""
        first = self.take(1)[0]
        if first < 0xFD:
            return first
        size = 2 ** (first - 0xFC)
        number = int.from_bytes(self.take(size), "little")
        if number < (0xFD if size == 2 else 2 ** (4 * size)):
            raise Malformed("a length is not in its shortest form")
        return number

    def text(self) -> bytes:
        """Bytes after their length. Raises Malformed."""
        return self.take(self.compact())

    def stack(self) -> list[bytes]:
        """A witness stack. Raises Malformed."""
        count = self.compact()
        if not 0 < count <= MOST_ITEMS:
            raise Malformed("the witness is empty, or has too many items")
        return [self.text() for _ in range(count)]

    def end(self) -> None:
        """Nothing may be left. Raises Malformed."""
        if self._at != len(self._data):
            raise Malformed("something follows its end")
