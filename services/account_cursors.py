"""Places in everything that happens to an account: one position for each source of events, as one text that clients hold."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any

import orjson

from core.errors import InvalidInput

_SECURITY = "s"
_EXCHANGE = "x"
_TRANSFERS = "t"
_LONGEST_CURSOR = 200
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class Positions:
    """How far each source was read: the account's audit log, what the exchange did to it, and the log of its deposits and withdrawals."""

    security: int = 0
    exchange: int = 0
    transfers: int = 0

    def cursor(self) -> str:
        """The text clients hold."""
        held = {_SECURITY: self.security, _EXCHANGE: self.exchange, _TRANSFERS: self.transfers}
        return urlsafe_b64encode(orjson.dumps(held)).decode().rstrip("=")


def read_cursor(text: str) -> Positions:
    """The positions of a cursor. One of before a source was added begins at that source's first event: nothing is missed. Raises InvalidInput."""
    try:
        if len(text) > _LONGEST_CURSOR:
            raise ValueError(text)
        held = orjson.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        later = [_number(held.get(source, 0)) for source in (_EXCHANGE, _TRANSFERS)]
        return Positions(_number(held[_SECURITY]), *later)
    except (Base64Error, ValueError, KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise InvalidInput("after must be a cursor of this log", field=["after"]) from error


def _number(held: Any) -> int:
    if type(held) is not int or not 0 <= held < _LARGEST:
        raise ValueError(held)
    return held
