"""A POST that has arrived as a whole, before the application has heard of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.request_id import HEADER
from server.header_values import header_values
from server.media_types import answer_type, is_json_in_utf8, streaming_type
from server.origins import Header

AUTHORIZATION = b"authorization"
REQUEST_ID = HEADER.encode()
LEFT_TO_THE_APPLICATION = frozenset(
    {
        b"content-encoding",
        b"cookie",
        b"expect",
        b"transfer-encoding",
        b"upgrade",
        b"x-api-key",
        b"x-exchange-sequence",
    }
)
"""Headers that say what is not judged here."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What its headers ask for: the values by name, and the media type of the answer."""

    values: Mapping[bytes, str]
    media_type: str


@dataclass(slots=True)
class Arrived:
    """Its path, headers and body. `wish`: what its headers ask for, once somebody has read them."""

    path: str
    headers: Sequence[Header]
    body: bytes
    wish: Wish | None = None

    def read(self) -> Wish | None:
        """What its headers ask for; None: something that only the application can judge."""
        if self.wish is None:
            self.wish = _wish(self.headers)
        return self.wish

    @property
    def may_come_again(self) -> bool:
        """Whether another may be the same to the byte; nothing is held that shows a credential."""
        return self.wish is not None and self.wish.values.keys().isdisjoint((AUTHORIZATION, REQUEST_ID))


def _wish(headers: Sequence[Header]) -> Wish | None:
    values = header_values(headers)
    if len(values) < len(headers) or not LEFT_TO_THE_APPLICATION.isdisjoint(values):
        return None
    accept = values.get(b"accept", "")
    if streaming_type(accept) is not None or not is_json_in_utf8(values.get(b"content-type", "")):
        return None
    media_type = answer_type(accept)
    return None if media_type is None else Wish(values, media_type)
