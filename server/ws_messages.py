"""Messages of graphql-transport-ws: reading them strictly, and the codes a socket is closed with.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import orjson

from core.errors import InvalidInput
from graph.request import GraphQLRequest, request_from_json

_LONGEST_ID = 128
_REASON_BYTES = 123
"""RFC 6455, 5.5: a control frame carries at most 125 bytes, two of them the code."""


class CloseCode(IntEnum):
    """Why the server closes a socket."""

    INTERNAL = 1011
    TRY_AGAIN_LATER = 1013
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY = 4429


class CloseSocket(Exception):
    """Raised to close the socket; the reason is shown to the client."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_REASON_BYTES].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class ConnectionInit:
    """The first message of a client."""

    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered at once, with the same payload."""

    payload: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Pong:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Start an operation of any kind."""

    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class Complete:
    """End an operation; the id may be unknown by now."""

    id: str


ClientMessage = ConnectionInit | Ping | Pong | Subscribe | Complete


def read_message(text: str | bytes) -> ClientMessage:
    """The message of a text frame. Raises CloseSocket, 4400, for anything the protocol does not know."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _bad("the message is not JSON, or nested too deeply, or holds a number too large") from error
    if not isinstance(message, dict):
        raise _bad("a message must be a JSON object")
    match message.get("type"):
        case "connection_init":
            return ConnectionInit(_payload(message) or {})
        case "ping":
            return Ping(_payload(message))
        case "pong":
            _payload(message)
            return Pong()
        case "subscribe":
            return Subscribe(_id(message), _request(message))
        case "complete":
            return Complete(_id(message))
    raise _bad("type must be connection_init, ping, pong, subscribe or complete")


def _payload(message: dict[str, object]) -> Mapping[str, object] | None:
    payload = message.get("payload")
    if payload is None or isinstance(payload, dict):
        return payload
    raise _bad("payload must be an object")


def _id(message: dict[str, object]) -> str:
    given = message.get("id")
    if isinstance(given, str) and 0 < len(given) <= _LONGEST_ID:
        return given
    raise _bad(f"id must be a string of 1 to {_LONGEST_ID} characters")


def _request(message: dict[str, object]) -> GraphQLRequest:
    try:
        return request_from_json(message.get("payload"))
    except InvalidInput as error:
        raise _bad(f"payload: {error.message}") from error


def _bad(reason: str) -> CloseSocket:
    return CloseSocket(CloseCode.BAD_MESSAGE, reason)
