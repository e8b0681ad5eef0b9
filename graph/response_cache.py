"""Answers to public operations, encoded, for as long as nothing they show has changed.

Kept is the value of `data` alone, never one that came with an error; what is told to one caller (`extensions`) is added to each answer. The version is taken
before the operation is executed: data that changes meanwhile makes what was read from it too old at once.
"""

import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import orjson

from graph.public import Version

Parts = tuple[bytes, bytes, bytes]
"""An answer's bytes, one part behind the other."""
_BYTES_HELD = 64 * 1024 * 1024
_PER_ANSWER = 500
"""Bytes an entry takes beside its data."""
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED_AT_MOST = 65_535
_LEVEL = 6


@dataclass(slots=True, eq=False)
class Encoded:
    """The `data` of an answer as JSON, and the beginning of the answer compressed, once somebody has asked for it."""

    version: Version
    data: bytes
    _deflated: bytes | None = field(default=None, init=False)
    _crc: int = field(default=0, init=False)

    @property
    def size(self) -> int:
        """Bytes it takes, with what its compressed form will take at most."""
        return 2 * len(self.data) + _PER_ANSWER

    def plain(self, extensions: bytes) -> Parts:
        """The whole answer with these extensions, which are a JSON object. Long data is one of the parts as it is kept, not copied."""
        return b'{"data":', self.data, b',"extensions":%s}' % extensions

    def gzipped(self, extensions: bytes) -> Parts:
        """The same, as one member of gzip (RFC 1952): what all callers are told compressed once, the extensions stored as they are.

        What differs between callers is in no window with anything else, so that its length tells nothing.
        """
        if self._deflated is None:
            beginning = b'{"data":' + self.data + b',"extensions":'
            packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            self._deflated = packer.compress(beginning) + packer.flush(zlib.Z_SYNC_FLUSH)
            self._crc = zlib.crc32(beginning)
        rest = extensions + b"}"
        if len(rest) > _STORED_AT_MOST:
            raise ValueError("extensions are longer than a stored block")
        length = (len(self.data) + len(b'{"data":,"extensions":') + len(rest)) & 0xFFFFFFFF
        stored = struct.pack("<BHH", 1, len(rest), len(rest) ^ 0xFFFF)
        trailer = struct.pack("<II", zlib.crc32(rest, self._crc), length)
        return _GZIP_HEAD, self._deflated, b"".join((stored, rest, trailer))


class Versioned(Protocol):
    """What may be kept."""

    @property
    def version(self) -> Version: ...
    @property
    def size(self) -> int: ...


Held = TypeVar("Held", bound=Versioned)


class VersionedCache(Generic[Held]):
    """What is true of one version, by who keeps it (what a document, its operation's name and variables were judged to be); the least recently used go first."""

    def __init__(self, *, bytes_held: int = _BYTES_HELD) -> None:
        self._bytes_held = bytes_held
        self._bytes = 0
        self._held: OrderedDict[object, Held] = OrderedDict()
        self.hits = 0

    def find(self, key: object, version_of: Callable[[], Version]) -> Held | None:
        """What is kept under this key and true now."""
        held = self._held.get(key)
        if held is None or held.version != version_of():
            return None
        self.hits += 1
        self._held.move_to_end(key)
        return held

    def keep(self, key: object, held: Held) -> None:
        """Keep it in the place of an older one."""
        self._drop(key)
        self._held[key] = held
        self._bytes += held.size
        while self._bytes > self._bytes_held:
            self._drop(next(iter(self._held)))

    def _drop(self, key: object) -> None:
        dropped = self._held.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size


class ResponseCache(VersionedCache[Encoded]):
    """Encoded answers."""

    def __init__(self, *, bytes_held: int = _BYTES_HELD) -> None:
        super().__init__(bytes_held=bytes_held)
        self.misses = 0
        """Public operations that were executed, without an error."""

    def keep_data(self, key: object, version: Version, data: object) -> Encoded | None:
        """Encode and keep what an execution without errors gave; None where it cannot be encoded."""
        self.misses += 1
        try:
            encoded = Encoded(version, orjson.dumps(data))
        except orjson.JSONEncodeError:
            return None
        self.keep(key, encoded)
        return encoded
