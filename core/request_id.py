"""The id of the request being served: it stands in every log line, error answer and bus message that the request causes."""

import re
from contextvars import ContextVar

from core.ids import public_id

HEADER = "x-request-id"
_ACCEPTED = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current_request_id() -> str | None:
    """Id of the request this task works for; None outside of any."""
    return _current.get()


def accepted_or_new(offered: str | None) -> str:
    """The id a caller offered when it is 8 to 64 letters, digits, `_` or `-`; otherwise a new one."""
    if offered is not None and _ACCEPTED.fullmatch(offered):
        return offered
    return public_id()


class RequestScope:
    """See `request_scope`. Every request enters one, and a generator would cost three times as much."""

    __slots__ = ("_request_id", "_token")

    def __init__(self, request_id: str | None) -> None:
        self._request_id = request_id

    def __enter__(self) -> None:
        self._token = _current.set(self._request_id)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def request_scope(request_id: str | None) -> RequestScope:
    """Everything inside, and every task started inside, works for this request. A worker enters it with the id a message carries."""
    return RequestScope(request_id)
