"""An ASGI extension: a whole answer in one message, which goes out in one write. Written against uvicorn 0.54.

The message has `status`, `headers` and `body`, with the length among the headers. Who finds `WHOLE` in the scope's `extensions` may send it in the place of a start
and a body.
"""

from collections.abc import Iterable

from starlette.types import Message, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]
WHOLE = "http.response.whole"


def takes_whole(scope: Scope) -> bool:
    """Whether an answer to this request may be sent whole."""
    return WHOLE in scope.get("extensions", ())


def lines(headers: Iterable[Header]) -> bytes:
    """Headers as they stand in an answer's head."""
    return b"".join([b"%s: %s\r\n" % header for header in headers])


class WholeAnswers:
    """What an application sends on one request."""

    __slots__ = ("_cycle", "_send")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._send = cycle.send

    async def send(self, message: Message) -> None:
        """As uvicorn's, and whole answers."""
        if message["type"] != WHOLE:
            await self._send(message)  # type: ignore[arg-type]
            return
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if not cycle.disconnected:
            self._write(message)

    def _write(self, message: Message) -> None:
        cycle = self._cycle
        if cycle.response_started:
            raise RuntimeError("an answer was begun already")
        headers = message["headers"]
        head = lines(headers)
        if head.count(b"\n") != len(headers) or head.count(b"\r") != len(headers):
            raise RuntimeError("a header's value has a line of its own")
        ending = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        body = b"" if cycle.scope["method"] == "HEAD" else message["body"]
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(
            b"".join((STATUS_LINE[message["status"]], lines(cycle.default_headers), head, ending, body))
        )
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
