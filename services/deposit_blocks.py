"""What a block brings, and what goes with one that is given up, written together with how far the chain was read: all of it or nothing."""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from core.clock import Clock
from events.transfer import TransferLogged, transfers_topic
from models import deposit, house_transfer
from models.base import is_duplicate, transaction
from models.chain import ChainEntry
from models.deposit import ChainCursorDocument, DepositDocument
from models.house_transfer import HouseTransferDocument
from services.deposits import Seen, deposit_id, given_up, in_another_block, new_row, to_state
from services.transfer_log import TransferLog, log_all

log = structlog.get_logger(__name__)
_TRIES = 8
Row = tuple[DepositDocument, bool]
"""A row as it is to be, and whether it is new."""


class DepositBlocks:
    """Of one chain."""

    def __init__(self, chain: ChainEntry, transfers: TransferLog, clock: Clock) -> None:
        self._chain = chain
        self._transfers = transfers
        self._clock = clock

    async def take_in(
        self, cursor: ChainCursorDocument, seen: Sequence[Seen], moved: Sequence[HouseTransferDocument]
    ) -> None:
        """Let the chain be read up to this cursor, whose block brings these deposits and movements of the house."""
        if not seen and not moved:
            await deposit.advance(cursor)
            return

        async def house(session: AsyncClientSession) -> None:
            await house_transfer.insert(moved, session)

        await self._write(cursor, lambda: self._rows(seen), house)

    async def give_up(self, cursor: ChainCursorDocument) -> None:
        """Let the last block never have been; the cursor must know the one before."""
        moved = await house_transfer.in_block(self._chain.key, cursor.number)
        for each in moved:
            if not each.open:
                log.error("house.booked_and_given_up", chain=self._chain.key, hash=each.hash, key=each.key)

        async def rows() -> list[Row]:
            return [(given_up(row), False) for row in await deposit.in_block(self._chain.key, cursor.number)]

        async def house(session: AsyncClientSession) -> None:
            for each in moved:
                await house_transfer.forget(each, session)

        await self._write(deposit.back(cursor), rows, house)

    async def note(self, problem: str | None, known: str | None) -> None:
        """Note beside the cursor what is wrong with the chain, when it is something else than what is known."""
        if known != problem:
            log.warning("deposits.chain", chain=self._chain.key, problem=problem or "none any more")
            await deposit.note_problem(self._chain.key, problem)

    async def _rows(self, seen: Sequence[Seen]) -> list[Row]:
        """The rows that a block makes; a deposit that was in a block that was given up comes back under its id."""
        known = await deposit.by_ids([deposit_id(self._chain.key, each.sighting) for each in seen])
        numbers: dict[str, int] = {}
        now_ms = self._clock.now_ms()
        rows = []
        for each in seen:
            row = known.get(deposit_id(self._chain.key, each.sighting))
            if row is None:
                number = numbers.get(each.user_id) or await deposit.last_number(each.user_id)
                numbers[each.user_id] = number + 1
                rows.append((new_row(self._chain, each, number + 1, now_ms), True))
            elif row.block_hash != each.block_hash:
                rows.append((in_another_block(row, each), False))
        return rows

    async def _write(
        self,
        cursor: ChainCursorDocument,
        make_rows: Callable[[], Awaitable[list[Row]]],
        house: Callable[[AsyncClientSession], Awaitable[None]],
    ) -> None:
        """Also when others write to the same accounts at the same time. Nothing is written when somebody else has moved the cursor.

        What another transaction holds for longer, as that of a process that was killed does, is not waited for. Raises PyMongoError.
        """
        contended = 0
        while True:
            rows = await make_rows()
            try:
                told = await self._write_once(cursor, rows, house)
            except PyMongoError as error:
                if not is_duplicate(error):
                    contended += 1
                    if contended == _TRIES or not error.has_error_label("TransientTransactionError"):
                        raise
                continue  # another chain's watcher wrote to the account's log, or gave its next number away
            if told is not None:
                for hint in told:
                    self._transfers.tell(transfers_topic(hint.account), hint)
                return
            now = await deposit.cursor(self._chain.key)
            if now is None or now.version >= cursor.version:
                return

    async def _write_once(
        self, cursor: ChainCursorDocument, rows: Sequence[Row], house: Callable[[AsyncClientSession], Awaitable[None]]
    ) -> list[TransferLogged] | None:
        """What was added to owners' logs; None: nothing was written, since a row or the cursor was changed by somebody else."""
        changed = [row for row, is_new in rows if not is_new]
        async with transaction(ChainCursorDocument) as session:
            if not await deposit.advance(cursor, session) or not await deposit.replace_all(changed, session):
                await session.abort_transaction()
                return None
            await deposit.insert_all([row for row, is_new in rows if is_new], session)
            told = await log_all([to_state(row) for row, _ in rows], self._clock.now_ms(), session)
            await house(session)
        return told
