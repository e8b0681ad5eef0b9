"""Withdrawals as they are read: one, a page of an account's, those in review, and the stream of their changes."""

from collections.abc import AsyncGenerator, Sequence

from core.bus import Bus
from core.clock import Clock
from core.paging import Page, PageRequest
from core.transfer_filters import TransferCriteria
from core.vocabulary import TimeOrder
from core.wallet_vocabulary import WithdrawalStatus
from events.transfer import WithdrawalState
from models import withdrawal
from models.withdrawal import WithdrawalDocument
from services.time_ranks import RANKS, Ranked, rank_places, ranked
from services.transfer_streams import changes_of
from services.window_paging import History, read_page
from services.withdrawal_states import to_state

_REVIEW_DAYS = 365
_DAY_MS = 86_400_000
_OPEN = (
    WithdrawalStatus.AWAITING_CONFIRMATION,
    WithdrawalStatus.IN_REVIEW,
    WithdrawalStatus.APPROVED,
    WithdrawalStatus.HELD,
    WithdrawalStatus.SIGNING,
    WithdrawalStatus.BROADCAST,
)
_RECENT = 50


class WithdrawalReads:
    """One per process."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def page(
        self, user_id: str, criteria: TransferCriteria, order: TimeOrder, request: PageRequest
    ) -> Page[WithdrawalDocument]:
        """A page of an account's withdrawals; the cursor is the row's number. Raises InvalidInput."""
        criteria.check_statuses(WithdrawalStatus.__members__)

        async def fetch(low: int, high: int) -> Sequence[WithdrawalDocument]:
            rows = await withdrawal.between(user_id, low, high)
            return [row for row in rows if criteria.admits(row.asset, row.chain, row.status, row.created_ms)]

        high = await withdrawal.last_number(user_id) + 1
        return await read_page(History(1, high, 1, fetch, lambda row: row.number), order, request)

    def state(self, row: WithdrawalDocument) -> WithdrawalState:
        """The row as its owner sees it."""
        return to_state(row)

    async def in_review(self, request: PageRequest) -> Page[Ranked[WithdrawalDocument]]:
        """What waits for an operator, the oldest first. Raises InvalidInput."""

        async def fetch(low: int, high: int) -> Sequence[Ranked[WithdrawalDocument]]:
            from_ms, to_ms_ = rank_places(low, high)
            found = await withdrawal.in_status(WithdrawalStatus.IN_REVIEW, from_ms, to_ms_)
            return [row for row in ranked(found, lambda row: row.created_ms) if low <= row.place < high]

        now_ms = self._clock.now_ms()
        history = History(
            low=(now_ms - _REVIEW_DAYS * _DAY_MS) * RANKS,
            high=(now_ms + 1) * RANKS,
            step=_DAY_MS * RANKS // 24,
            fetch=fetch,
            place=lambda row: row.place,
        )
        return await read_page(history, TimeOrder.OLDEST_FIRST, request)

    async def watch(self, user_id: str) -> AsyncGenerator[WithdrawalState, None]:
        """Withdrawals that are not over, the oldest first, then every state that one takes on. Raises EventsMissed."""
        async for state in changes_of(user_id, WithdrawalState, self._bus, lambda: self._open(user_id)):
            yield state

    async def _open(self, user_id: str) -> list[WithdrawalState]:
        high = await withdrawal.last_number(user_id) + 1
        rows = await withdrawal.between(user_id, max(1, high - _RECENT), high)
        return [to_state(row) for row in rows if row.status in _OPEN]
