"""Reading an EVM chain block by block: a block is taken in when its parent is the one before, and given up when every node that answers has another in its place.

What a block brings and how far was read are written in one transaction, so a crash repeats a block or not, and finds the same deposits under the same ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from pymongo.errors import DuplicateKeyError, PyMongoError

from core.clock import Clock
from core.wallet_vocabulary import DepositStatus
from events import codec
from events.transfer import TransferLogged, transfers_topic
from integrations.chains.errors import ChainError, NodesContradict
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import EvmBlock
from models import deposit, deposit_address, transfer_event
from models.base import transaction
from models.chain import ChainEntry
from models.deposit import ChainCursorDocument, DepositDocument
from services.deposit_sightings import Form, Sighting, agreed, in_block
from services.deposits import Deposits, Seen, deposit_id, new_row, to_state
from services.transfer_log import TransferLog

log = structlog.get_logger(__name__)
S = DepositStatus
KEPT_BLOCKS = 512
"""Hashes of blocks that are kept: so deep may a reorganisation go."""
_OVERLAP_MS = 60_000
"""New addresses are looked for from so long before the newest that is known: of those who make them some may be slow to write."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A chain, the way to its nodes, and what is taken on it."""

    chain: ChainEntry
    client: EvmClient
    forms: Mapping[str | None, Form]


class DepositWatch:
    """Of one chain."""

    def __init__(self, watched: Watched, deposits: Deposits, transfers: TransferLog, clock: Clock) -> None:
        self._chain = watched.chain
        self._client = watched.client
        self._forms = watched.forms
        self._deposits = deposits
        self._transfers = transfers
        self._clock = clock
        self._owners: dict[str, str] = {}
        self._newest_ms = 0

    async def step(self) -> bool:
        """Take in the next block, or give up the last one, and do what follows for deposits. False: there is nothing to do now.

        Raises ChainError, PyMongoError.
        """
        cursor = await deposit.cursor(self._chain.key)
        if cursor is None:
            await self._begin()
            return True
        at_tip = await self._client.block(cursor.number)
        if at_tip is None or at_tip.hash != cursor.hash:
            return await self._give_up(cursor)
        found = await self._client.full_block(cursor.number + 1)
        if found is None or found[0].parent != cursor.hash:
            await self._follow(cursor.number)
            return False
        block, transactions = found
        await self._learn_addresses()
        sightings = await in_block(self._client, block, transactions, self._forms, self._owners)
        await self._take_in(cursor, block, sightings)
        await self._follow(block.number)
        return True

    async def _begin(self) -> None:
        """The first block ever read is the newest: nobody was given an address before."""
        block = await self._client.block()
        if block is None:
            raise ChainError(f"{self._chain.key} has no block")
        row = ChainCursorDocument(id=self._chain.key, number=block.number, hash=block.hash, recent=[block.hash])
        await deposit.start(row)

    async def _learn_addresses(self) -> None:
        family = self._chain.family
        for row in await deposit_address.made_since(family, max(0, self._newest_ms - _OVERLAP_MS)):
            self._owners[row.address] = row.user_id
            self._newest_ms = max(self._newest_ms, row.created_ms)

    async def _take_in(self, cursor: ChainCursorDocument, block: EvmBlock, sightings: list[Sighting]) -> None:
        new = cursor.model_copy(
            update={
                "number": block.number,
                "hash": block.hash,
                "recent": [*cursor.recent, block.hash][-KEPT_BLOCKS:],
                "version": cursor.version + 1,
            }
        )
        seen = [Seen(each, self._owners[each.address], block.number, block.hash) for each in sightings]
        while True:
            rows = await self._rows(seen)
            try:
                await self._write(new, rows)
            except DuplicateKeyError:
                continue  # another chain's watcher gave the account's next number away
            except PyMongoError as error:
                if not error.has_error_label("TransientTransactionError"):
                    raise
                continue
            return

    async def _rows(self, seen: list[Seen]) -> list[tuple[DepositDocument, bool]]:
        """The rows that a block makes, and whether each is new; one that was in a block that was given up comes back under its id."""
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
                status = row.status if row.status is S.BELOW_MINIMUM else S.SEEN
                changes = {"block": each.block, "block_hash": each.block_hash, "confirmations": 1, "status": status}
                rows.append((deposit.changed(row, {**changes, "open": True}), False))
        return rows

    async def _write(self, cursor: ChainCursorDocument, rows: list[tuple[DepositDocument, bool]]) -> None:
        now_ms, told = self._clock.now_ms(), []
        async with transaction(ChainCursorDocument) as session:
            if not await deposit.advance(cursor, session):
                await session.abort_transaction()
                return
            for row, is_new in rows:
                if is_new:
                    await deposit.insert(row, session)
                elif not await deposit.replace(row, session):
                    await session.abort_transaction()
                    return
                number = await transfer_event.append(row.user_id, codec.encode(to_state(row)), now_ms, session)
                told.append(TransferLogged(row.user_id, number))
        for hint in told:
            self._transfers.tell(transfers_topic(hint.account), hint)

    async def _give_up(self, cursor: ChainCursorDocument) -> bool:
        """Go one block back, when every node that answers has another block there, or a chain that is longer without it."""
        said = await self._client.blocks_of_all(cursor.number)
        answers = [each for each in said.values() if not isinstance(each, ChainError)]
        if not answers:
            raise next((each for each in said.values() if isinstance(each, ChainError)), ChainError("no node answers"))
        hashes = {each.hash for each in answers if each is not None}
        if cursor.hash in hashes and len(hashes) > 1:
            raise NodesContradict(f"nodes of {self._chain.key} have different blocks {cursor.number}")
        if cursor.hash in hashes or not hashes:
            return False  # the node that was asked is behind, or all are: nothing is known to be gone
        if len(cursor.recent) < 2:
            log.error("deposits.reorganised_too_deep", chain=self._chain.key, block=cursor.number)
            raise ChainError(
                f"{self._chain.key} was reorganised deeper than is kept here; an operator has to look at it"
            )
        for row in await deposit.open_of(self._chain.key):
            if row.block_hash == cursor.hash:
                await self._deposits.lose(row)
        log.warning("deposits.block_given_up", chain=self._chain.key, block=cursor.number, hash=cursor.hash)
        recent = cursor.recent[:-1]
        new = cursor.model_copy(
            update={"number": cursor.number - 1, "hash": recent[-1], "recent": recent, "version": cursor.version + 1}
        )
        async with transaction(ChainCursorDocument) as session:
            await deposit.advance(new, session)
        return True

    async def _follow(self, head: int) -> None:
        """Count confirmations, credit what has enough of them, and close what nothing can change any more."""
        for row in await deposit.open_of(self._chain.key):
            if row.block is None or row.block > head:
                continue
            counted = await self._deposits.count(row, head)
            if counted.status in {S.SEEN, S.CONFIRMING} and counted.confirmations >= counted.required:
                counted = await self._credit(counted)
            is_over = counted.status in {S.CREDITED, S.BELOW_MINIMUM}
            if is_over and head - row.block + 1 >= max(self._chain.final_after, row.required):
                await self._deposits.close(counted)

    async def _credit(self, row: DepositDocument) -> DepositDocument:
        form = next((form for form in self._forms.values() if form.asset.code == row.asset), None)
        if form is None:
            return row
        units = int(row.amount.scaleb(form.network.decimals))
        sighting = Sighting(form, row.address, units, row.hash, row.place)
        try:
            if await agreed(self._client, sighting, row.block_hash or ""):
                return await self._deposits.credit(row)
            await self._deposits.hold_up(row, "not every node has it")
        except NodesContradict as contradiction:
            log.error("deposits.nodes_contradict", chain=self._chain.key, deposit=row.id, reason=str(contradiction))
            await self._deposits.hold_up(row, str(contradiction))
        return row
