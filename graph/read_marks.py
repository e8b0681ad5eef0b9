"""What a client has been shown of the exchange's journal, in `extensions` of requests and answers."""

from core.clock import to_datetime
from graph.request import Caller, GraphQLRequest
from graph.scalars import LONG_MAX, datetime_text

EXCHANGE_SEQUENCE = "exchangeSequence"


def take_mark(request: GraphQLRequest, caller: Caller) -> None:
    """What the client says it has been shown of the exchange's journal, in `extensions` as it was told."""
    shown = (request.extensions or {}).get(EXCHANGE_SEQUENCE)
    if type(shown) is int and 0 < shown <= LONG_MAX:
        caller.reader.see(shown)


def marks(caller: Caller) -> dict[str, object]:
    """What the client has been shown by now, and since when the answer is behind it, if it is."""
    reader = caller.reader
    marks: dict[str, object] = {EXCHANGE_SEQUENCE: reader.shown} if reader.shown else {}
    if reader.stale_since_ms is not None:
        marks["staleSince"] = datetime_text(to_datetime(reader.stale_since_ms))
        reader.stale_since_ms = None
    return marks
