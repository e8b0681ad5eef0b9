"""Everything that happens to an account, for its owner: the same log as a stream and as pages.

A cursor holds one position for each source of events. Within a source nothing is missed or repeated; between sources there is no order.
Today the one source is security, the account's audit log.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import orjson

from core.bus import Bus, BusMessage
from core.errors import InvalidInput
from core.paging import Page
from events.account import AuditAppended, account_topic
from models import audit_event
from models.audit_event import AuditEventDocument
from services.audit_pages import last_number

_SECURITY = "s"
_AT_ONCE = 100
_LONGEST_CURSOR = 200
_LARGEST = 2**53
MOST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Positions:
    """How far each source was read."""

    security: int = 0

    def cursor(self) -> str:
        """The text clients hold."""
        return urlsafe_b64encode(orjson.dumps({_SECURITY: self.security})).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class SecurityHappened:
    """A row of the audit log, and the cursor behind it."""

    cursor: str
    row: AuditEventDocument


def read_cursor(text: str) -> Positions:
    """The positions of a cursor. Raises InvalidInput."""
    try:
        if len(text) > _LONGEST_CURSOR:
            raise ValueError(text)
        held = orjson.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        security = held[_SECURITY]
        if type(security) is not int or not 0 <= security < _LARGEST:
            raise ValueError(text)
    except (Base64Error, ValueError, KeyError, TypeError, UnicodeError) as error:
        raise InvalidInput("after must be a cursor of this log", field=["after"]) from error
    return Positions(security)


async def newest(user_id: str) -> str:
    """The cursor behind everything that has happened."""
    return Positions(await last_number(user_id)).cursor()


async def page(user_id: str, after: str | None, first: int | None) -> Page[SecurityHappened]:
    """Events after a cursor, or from the beginning, oldest first. Raises InvalidInput."""
    count = _AT_ONCE if first is None else first
    if not 0 <= count <= MOST_EVENTS:
        raise InvalidInput(
            f"first must be between 0 and {MOST_EVENTS}", field=["first"], limit=MOST_EVENTS, actual=count
        )
    start = read_cursor(after).security if after is not None else 0
    rows = await audit_event.between(user_id, start + 1, start + count + 2)
    return Page([_happened(row) for row in rows[:count]], has_next=len(rows) > count, has_previous=start > 0)


async def watch(user_id: str, after: str | None, bus: Bus) -> AsyncGenerator[SecurityHappened, None]:
    """Events after a cursor, or from now on, as they happen. They are read from storage at the reader's pace: none is skipped."""
    positions = read_cursor(after) if after is not None else None
    async with bus.subscribe(account_topic(user_id)) as subscription:
        seen = positions.security if positions is not None else await last_number(user_id)
        told = aiter(subscription)
        while True:
            while rows := await audit_event.between(user_id, seen + 1, seen + 1 + _AT_ONCE):
                for row in rows:
                    seen = row.sequence
                    yield _happened(row)
            item = await anext(told, None)
            while isinstance(item, BusMessage) and _is_known(item.event, seen):
                item = await anext(told, None)
            if item is None:
                return


def _is_known(event: object, seen: int) -> bool:
    return isinstance(event, AuditAppended) and event.sequence <= seen


def _happened(row: AuditEventDocument) -> SecurityHappened:
    return SecurityHappened(Positions(row.sequence).cursor(), row)
