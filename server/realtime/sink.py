"""Where the frames of one connection go: what a transport offers to shared subscriptions."""

from collections.abc import Callable
from typing import Protocol


class Sink(Protocol):
    """One connection that takes whole frames. Nothing here ever waits."""

    paused: bool
    """The peer has left more unread than the transport buffers: what is written now only piles up."""
    watchers: dict[object, Callable[[], None]]
    """Called whenever `paused` has changed, by who wants to know."""

    def write(self, frame: bytes) -> None:
        """Send these bytes; once the connection is closing, nothing happens."""
        ...


class Framing(Protocol):
    """How a transport puts a response on the wire: a head that all readers share, then what is the reader's own."""

    def head(self, payload: bytes, suffix_length: int) -> bytes:
        """The frame's bytes up to a suffix of this length."""
        ...


class WebSocketFraming:
    """A `next` message of graphql-transport-ws in a text frame; the suffix is the operation's id and the closing brace. RFC 6455, 5.2."""

    _BEFORE = b'{"type":"next","payload":'
    _AFTER = b',"id":'

    def head(self, payload: bytes, suffix_length: int) -> bytes:
        length = len(self._BEFORE) + len(payload) + len(self._AFTER) + suffix_length
        if length < 126:
            header = bytes((0x81, length))
        elif length < 65_536:
            header = b"\x81\x7e" + length.to_bytes(2, "big")
        else:
            header = b"\x81\x7f" + length.to_bytes(8, "big")
        return b"".join((header, self._BEFORE, payload, self._AFTER))


class EventStreamFraming:
    """GraphQL over server-sent events, distinct connections mode (https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverSSE.md)."""

    content_type = b"text/event-stream; charset=utf-8"
    opening = b":\n\n"
    heartbeat = b":\n\n"
    suffix = b"\n\n"

    def head(self, payload: bytes, suffix_length: int) -> bytes:  # noqa: ARG002
        return b"event: next\ndata: " + payload

    def closing(self, errors: bytes | None) -> bytes:
        """The last bytes; `errors`: a JSON array of what the stream ended with."""
        last = b"" if errors is None else self.head(b'{"errors":' + errors + b"}", 0) + self.suffix
        return last + b"event: complete\ndata:\n\n"


class MultipartFraming:
    """Apollo's multipart protocol for subscriptions (https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol).

    A part counts as whole when the delimiter after it has arrived, so that each is sent with it.
    """

    content_type = b'multipart/mixed;boundary="-";subscriptionSpec=1.0'
    _PART = b"\r\ncontent-type: application/json\r\n\r\n"
    _DELIMITER = b"\r\n---"
    opening = _DELIMITER
    heartbeat = _PART + b"{}" + _DELIMITER
    suffix = b"}" + _DELIMITER

    def head(self, payload: bytes, suffix_length: int) -> bytes:  # noqa: ARG002
        return self._PART + b'{"payload":' + payload

    def closing(self, errors: bytes | None) -> bytes:
        """The last bytes; `errors`: a JSON array of what the stream ended with."""
        last = b"" if errors is None else self._PART + b'{"payload":null,"errors":' + errors + b"}" + self._DELIMITER
        return last + b"--\r\n"


HttpFraming = EventStreamFraming | MultipartFraming
WEBSOCKET = WebSocketFraming()
EVENT_STREAM = EventStreamFraming()
MULTIPART = MultipartFraming()
