"""What a transport hands to the pipeline and what it gets back; the same over HTTP and over a socket."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from graphql import OperationType

from core.client_address import limit_key
from core.errors import InvalidInput
from graph.judged import Judged
from graph.response_cache import Encoded, Parts
from services.read_marks import Reader
from services.sessions import IssuedTokens
from services.viewer import Client, Viewer

Kind = TypeVar("Kind")
QUERIES = frozenset({OperationType.QUERY})
QUERIES_AND_MUTATIONS = frozenset({OperationType.QUERY, OperationType.MUTATION})
QUERIES_AND_SUBSCRIPTIONS = frozenset({OperationType.QUERY, OperationType.SUBSCRIPTION})
ALL_OPERATIONS = frozenset(OperationType)


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The parameters of a request, of proven types (GraphQL over HTTP, section 5.1)."""

    query: str | None
    operation_name: str | None = None
    variables: Mapping[str, object] | None = None
    extensions: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ShownCookies:
    """Cookies of ours beside the one that signs in."""

    refresh_token: str | None = None
    browser_token: str | None = None
    """Ties an answer of an external provider to the browser that asked for it."""


@dataclass(slots=True)
class Outgoing:
    """What an operation wants sent back in cookies; the transport sends it. None: nothing about it."""

    tokens: IssuedTokens | None = None
    device_token: str | None = None
    browser_token: str | None = None
    signs_out: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and through what: everything a context is made of. Made anew for every operation."""

    client: Client
    transport: str = "http"
    """`http`, `websocket`, `sse` or `multipart`."""
    viewer: Viewer | None = None
    cookies: ShownCookies = ShownCookies()
    outgoing: Outgoing | None = None
    """None where cookies cannot be sent."""
    limit_key: str = ""
    """What requests are charged to; the viewer's account or API key, or the address, when empty."""
    events_key: str = ""
    """What the events of subscriptions are charged to: each socket has a budget of its own. As `limit_key` when empty."""
    reader: Reader = field(default_factory=Reader, compare=False, repr=False)
    """What the client has been shown of the exchange's journal."""

    def __post_init__(self) -> None:
        if not self.limit_key:
            key = limit_key(self.client.address) if self.viewer is None else self.viewer.limit_key
            object.__setattr__(self, "limit_key", key)
        if not self.events_key:
            object.__setattr__(self, "events_key", self.limit_key)

    @property
    def request_id(self) -> str:
        """Id of the request, as in the log."""
        return self.client.request_id


ContextFactory = Callable[[Caller], object]
"""Makes the context of one operation."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. `refused` is the code of what kept the operation from running, or ended its stream; None when it ran."""

    body: dict[str, object]
    refused: str | None = None
    operation: str = "unknown"
    """Kind and first root field, such as `query markets`: names of the schema, fit for a metric's label."""
    retry_after_seconds: int | None = None
    remaining: int | None = None
    """Points the caller has left; None where nothing was charged."""
    encoded: "EncodedAnswer | None" = None
    """The answer in the place of `body`, where the transport takes bytes."""
    did_not_wait: Judged | None = None
    """What was asked for, where it was answered without waiting and may be again, for whoever asks the same."""


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """An answer whose data may be shared with other callers, and what this one is told beside it, as JSON."""

    shared: Encoded
    extensions: bytes

    def parts(self, *, zipped: bool) -> Parts:
        """The whole answer, compressed or not."""
        return self.shared.gzipped(self.extensions) if zipped else self.shared.plain(self.extensions)


def cost_alone(points: int, *, remaining: int, restore_rate: int) -> bytes:
    """The extensions of an answer to a caller who is told nothing but the cost, and has so many points left."""
    return b'{"cost":{"requested":%d,"remaining":%d,"restoreRate":%d}}' % (points, remaining, restore_rate)


def request_from_json(value: object) -> GraphQLRequest:
    """The request in a decoded JSON body or socket payload.

    Raises:
        InvalidInput: not an object, or a parameter of the wrong type.
    """
    if isinstance(value, list):
        raise InvalidInput("batches are not served; send one operation per request")
    if not isinstance(value, dict):
        raise InvalidInput(f"expected a JSON object with a query, not {_kind(value)}")
    query = _optional(value, "query", str)
    extensions = _optional(value, "extensions", dict)
    if query is None and not (extensions and extensions.get("persistedQuery")):
        raise InvalidInput("query is missing: it must be a string with a GraphQL document", field="query")
    return GraphQLRequest(
        query=query,
        operation_name=_optional(value, "operationName", str) or None,
        variables=_optional(value, "variables", dict),
        extensions=extensions,
    )


def _optional(parameters: Mapping[str, object], name: str, kind: type[Kind]) -> Kind | None:
    value = parameters.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise InvalidInput(f"{name} must be {_NAMES[kind]}, not {_kind(value)}", field=name)


def _kind(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


_NAMES: dict[type, str] = {
    str: "a string",
    dict: "an object",
    list: "an array",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}
