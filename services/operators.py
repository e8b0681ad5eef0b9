"""What operators see of accounts."""

from collections.abc import Sequence

from core.account_vocabulary import UserStatus
from core.clock import Clock
from core.paging import Page, PageRequest
from core.vocabulary import TimeOrder
from models import user
from models.user import UserDocument
from services.email_addresses import EmailInvalid, parse_email
from services.time_ranks import RANKS, Ranked, rank_places, ranked
from services.window_paging import History, read_page

FIRST_MS = 1_767_225_600_000
"""2026-01-01: there is no older account."""
_STEP_MS = 300_000
"""A page that finds few looks at a week at a time."""


async def find(search: str) -> UserDocument | None:
    """The account of this id or of this address."""
    try:
        address = parse_email(search)
    except EmailInvalid:
        return await user.by_id(search)
    return await user.by_email_key(address.key)


async def page(status: UserStatus | None, request: PageRequest, clock: Clock) -> Page[Ranked[UserDocument]]:
    """Accounts by sign-up, newest first; deleted ones only when asked for. Raises InvalidInput."""

    async def fetch(low: int, high: int) -> Sequence[Ranked[UserDocument]]:
        from_ms, to_ms = rank_places(low, high)
        found = await user.created_between(from_ms, to_ms, status)
        rows = sorted(found, key=lambda row: (row.created_ms, row.id))
        return [
            row
            for row in ranked(rows, lambda row: row.created_ms)
            if low <= row.place < high and (status is not None or row.row.status is not UserStatus.DELETED)
        ]

    history = History(
        low=FIRST_MS * RANKS,
        high=(clock.now_ms() + 1) * RANKS,
        step=_STEP_MS * RANKS,
        fetch=fetch,
        place=lambda row: row.place,
    )
    return await read_page(history, TimeOrder.NEWEST_FIRST, request)
