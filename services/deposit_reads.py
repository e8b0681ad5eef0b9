"""Deposits as they are read: one, a page of an account's, and the stream of their changes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from core.bus import Bus
from core.paging import Page, PageRequest
from core.transfer_filters import TransferCriteria
from core.vocabulary import TimeOrder
from core.wallet_vocabulary import DepositStatus
from events.transfer import DepositState
from models import deposit
from models.deposit import DepositDocument
from services.deposits import to_state
from services.trading_accounts import ReadMarks
from services.transfer_streams import changes_of, shown
from services.window_paging import History, read_page

_RECENT = 50
_UNDER_WAY = (DepositStatus.SEEN, DepositStatus.CONFIRMING, DepositStatus.ORPHANED)


class DepositReads:
    """One per process."""

    def __init__(self, bus: Bus, marks: ReadMarks) -> None:
        self._bus = bus
        self._marks = marks

    async def own(self, user_id: str, deposit_id: str) -> DepositState | None:
        """The account's deposit of this id."""
        row = await deposit.by_id(deposit_id)
        return to_state(row) if row is not None and row.user_id == user_id else None

    async def page(
        self, user_id: str, criteria: TransferCriteria, order: TimeOrder, request: PageRequest
    ) -> Page[DepositDocument]:
        """A page of an account's deposits; the cursor is the row's number. Raises InvalidInput."""
        criteria.check_statuses(DepositStatus.__members__)

        async def fetch(low: int, high: int) -> Sequence[DepositDocument]:
            rows = await deposit.between(user_id, low, high)
            return [row for row in rows if criteria.admits(row.asset, row.chain, row.status, row.seen_ms)]

        high = await deposit.last_number(user_id) + 1
        return await read_page(History(1, high, 1, fetch, lambda row: row.number), order, request)

    async def problem(self, chain: str) -> str | None:
        """Why nothing is credited on a chain now; None: nothing is known to be wrong, or its blocks are not read here."""
        row = await deposit.cursor(chain)
        return None if row is None else row.problem

    def state(self, row: DepositDocument) -> DepositState:
        """The row as its owner sees it."""
        return to_state(row)

    async def watch(self, user_id: str) -> AsyncGenerator[DepositState, None]:
        """Deposits that are under way, the oldest first, then every state that one takes on. Who is told that one is credited finds it in the balance."""
        async with aclosing(changes_of(user_id, DepositState, self._bus, lambda: self._under_way(user_id))) as states:
            async for state in states:
                await shown(self._marks, state)
                yield state

    async def _under_way(self, user_id: str) -> list[DepositState]:
        high = await deposit.last_number(user_id) + 1
        rows = await deposit.between(user_id, max(1, high - _RECENT), high)
        return [to_state(row) for row in rows if row.status in _UNDER_WAY]
