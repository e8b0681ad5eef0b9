"""Reading a chain of blocks, of whatever family, block by block. Which block is the next one, and whether the last one still stands, is decided by all nodes together (`chain_votes.py`).

What a block brings and how far was read are written in one transaction (`deposit_blocks.py`); what follows for deposits is done afterwards (`deposit_follow.py`). A crash
repeats a step or not, and finds the same deposits under the same ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from core.clock import Clock
from integrations.chains.errors import ChainError, NodesContradict
from models import deposit, deposit_address
from models.chain import ChainEntry
from models.deposit import ChainCursorDocument
from services.chain_votes import Vote, count_votes
from services.deposit_blocks import DepositBlocks
from services.deposit_chain import ChainBlock, DepositChain
from services.deposit_follow import DepositFollow
from services.deposit_forms import Form, require_storable
from services.deposits import Deposits, Seen
from services.exchange_gateway import ExchangeGateway
from services.house_transfers import HotWallet, HouseWallets, Sorted
from services.transfer_log import TransferLog
from services.unclear_blocks import count_of, some_blocks, with_block, without_block

log = structlog.get_logger(__name__)
KEPT_BLOCKS = 512
"""Hashes of blocks that are kept: so deep may a reorganisation go."""
_SOONEST_SECONDS, _LATEST_SECONDS, _LOOKS = 1.0, 15.0, 12
"""How long to wait for a next block before nodes are asked again: so many times within the usual time between two."""
_AGAIN_MS, _AGAIN_BLOCKS = 60_000, 20
"""How often blocks are looked at again of which no node told all, and how many at a time."""
_APART = 3
"""One node that is so many blocks ahead of the others is said to be."""
_AT_ONCE = 500
"""Addresses that are learnt in one query."""


async def no_hot_wallet() -> str | None:
    """Where nothing is paid out."""
    return None


@dataclass(frozen=True, slots=True)
class Watched:
    """A chain, the way to its nodes, what is taken on it (by contract), and the house's own wallets there."""

    chain: ChainEntry
    reader: DepositChain
    forms: Mapping[str | None, Form]
    hot: HotWallet = no_hot_wallet
    cold: frozenset[str] = frozenset()


class DepositWatch:
    """Of one chain."""

    def __init__(
        self, watched: Watched, deposits: Deposits, transfers: TransferLog, gateway: ExchangeGateway, clock: Clock
    ) -> None:
        chain = watched.chain
        self._watched = watched
        self._chain = chain
        self._reader = watched.reader
        self._blocks = DepositBlocks(chain, transfers, clock)
        self._follow = DepositFollow(chain, watched.reader, watched.forms.values(), deposits, gateway)
        self._owners: dict[str, str] = {}
        self._next_index = 0
        self._again_ms, self._again_after = 0, -1
        self._clock = clock

    @property
    def pause_seconds(self) -> float:
        """How long to wait when a step found nothing to do."""
        return min(max(self._chain.block_seconds / _LOOKS, _SOONEST_SECONDS), _LATEST_SECONDS)

    async def step(self) -> bool:
        """Take in the next block, or give up the last one, and do what follows for deposits. False: there is nothing to do now.

        What goes wrong with the chain is noted beside its cursor, until a step finds nothing wrong. Raises ChainError, LedgerSilent, PyMongoError.
        """
        cursor = await deposit.cursor(self._chain.key)
        if cursor is None:
            await self._begin()
            return True
        try:
            more, problem = await self._step(cursor)
        except ChainError as error:
            await self._blocks.note(str(error), cursor.problem)
            raise
        await self._blocks.note(problem, cursor.problem)
        return more

    async def _step(self, cursor: ChainCursorDocument) -> tuple[bool, str | None]:
        """Whether there may be more to do at once, and what is wrong."""
        await self._follow.take_back()
        after = await self._vote(cursor.number + 1)
        block = after.witnessed
        if block is None or block.parent != cursor.hash:
            here = await self._vote(cursor.number)
            if here.has_given_up(cursor.hash):
                await self._give_up(cursor)
                return True, None
            problem = self._at_tip(cursor, after, here) or await self._alone(after)
            is_clearer = await self._look_again(cursor)
            return is_clearer, await self._follow.follow(cursor.number) or problem or self._unclear(cursor.unclear)
        now = await self._take_in(cursor, block)
        dissent = self._dissent(after, block.hash)
        return True, await self._follow.follow(block.number) or dissent or self._unclear(now.unclear)

    async def _begin(self) -> None:
        """The first block ever read is the newest that all nodes have: nobody was given an address on this chain before. Raises ChainError."""
        number = min(await self._reader.heads(), default=0)
        vote = await self._vote(number)
        block = vote.witnessed
        if block is None and len({each.hash for each in vote.blocks.values()}) < 2:
            raise ChainError(self._too_few(vote))
        if block is None:
            raise NodesContradict(f"nodes of {self._chain.key} have different blocks {number}")
        await deposit.start(
            ChainCursorDocument(id=self._chain.key, number=block.number, hash=block.hash, recent=[block.hash])
        )

    def _at_tip(self, cursor: ChainCursorDocument, after: Vote[ChainBlock], here: Vote[ChainBlock]) -> str | None:
        """What is wrong where no block follows ours and ours was not given up. Raises NodesContradict."""
        if not here.blocks:
            return f"all nodes of {self._chain.key} that answer are behind block {cursor.number}, which was seen"
        if here.winner is None or here.winner.hash != cursor.hash:
            raise NodesContradict(self._dissent(here, cursor.hash) or "")
        if after.asked > 1 and (after.witnessed is not None or len({each.hash for each in after.blocks.values()}) > 1):
            raise NodesContradict(f"nodes of {self._chain.key} have different blocks {after.number}")
        return self._dissent(here, cursor.hash)

    async def _alone(self, after: Vote[ChainBlock]) -> str | None:
        """What is wrong where too few nodes have a next block. One that is a little ahead of the others is waited for without a word."""
        if not after.blocks:
            return None
        if after.asked - len(after.silent) < after.needed:
            return self._too_few(after)
        return self._too_few(after) if (await self._vote(after.number + _APART - 1)).blocks else None

    def _too_few(self, vote: Vote[ChainBlock]) -> str:
        silent = "".join(f"; {name}: {reason}" for name, reason in vote.silent.items())
        names = ", ".join(sorted(vote.blocks)) or "nobody"
        return f"too few nodes of {self._chain.key} have block {vote.number}: {names} of {vote.asked}{silent}"

    def _dissent(self, vote: Vote[ChainBlock], hash_: str) -> str | None:
        """Who has another block there; None: nobody."""
        names = vote.against(hash_)
        if not names:
            return None
        return f"nodes of {self._chain.key} contradict each other: {', '.join(names)} has another block {vote.number}"

    async def _vote(self, number: int) -> Vote[ChainBlock]:
        return count_votes(self._chain.key, number, await self._reader.blocks_at(number))

    async def _take_in(self, cursor: ChainCursorDocument, block: ChainBlock) -> ChainCursorDocument:
        known = await self._reader.brought(block, self._wallets)
        unclear = None if known.is_all else with_block(cursor.unclear, block.number)
        new = deposit.forward(cursor, block.number, block.hash, most=KEPT_BLOCKS, unclear=unclear)
        await self._blocks.take_in(new, self._seen(known, block), known.transfers)
        return new

    async def _look_again(self, cursor: ChainCursorDocument) -> bool:
        """Look at blocks again of which no node told all, once in a while. Whether one is clear now."""
        now_ms = self._clock.now_ms()
        if now_ms < self._again_ms:
            return False
        for number in some_blocks(cursor.unclear, self._again_after, _AGAIN_BLOCKS):
            self._again_after = number
            block = (await self._vote(number)).witnessed
            known = None if block is None else await self._reader.brought(block, self._wallets)
            if block is not None and known is not None and known.is_all:
                cleared = deposit.cleared(cursor, without_block(cursor.unclear, number))
                await self._blocks.take_in(cleared, self._seen(known, block), ())
                return True
        self._again_ms = now_ms + _AGAIN_MS
        return False

    def _seen(self, known: Sorted, block: ChainBlock) -> list[Seen]:
        """Raises ChainError for what cannot be stored."""
        for each in known.deposits:
            require_storable(each)
        return [Seen(each, self._owners[each.address], block.number, block.hash) for each in known.deposits]

    def _unclear(self, blocks: Sequence[tuple[int, int]]) -> str | None:
        """What an operator is told while no node tells all of some blocks."""
        if not blocks:
            return None
        return (
            f"in {count_of(blocks)} blocks of {self._chain.key}, the first of which is {blocks[0][0]}, contracts may have paid coins to deposit addresses, and no "
            "node tells: one is needed that keeps traces of them (trace_block or debug_traceBlockByHash)"
        )

    async def _wallets(self) -> HouseWallets:
        """The house's addresses, those included that were given out by now: asked for after a block is there, none is missed that it could pay to."""
        family = self._chain.family
        while found := await deposit_address.from_index(family, self._next_index, self._next_index + _AT_ONCE):
            self._owners |= {row.address: row.user_id for row in found}
            self._next_index = found[-1].index + 1
        hot = await self._watched.hot()
        return HouseWallets(self._chain.key, self._chain.native, hot, self._watched.cold, self._owners)

    async def _give_up(self, cursor: ChainCursorDocument) -> None:
        """Go one block back. Raises ChainError when the one before is not known any more."""
        if len(cursor.recent) < 2:
            log.error("deposits.reorganised_too_deep", chain=self._chain.key, block=cursor.number)
            raise ChainError(
                f"{self._chain.key} was reorganised deeper than is kept here; an operator has to look at it"
            )
        log.warning("deposits.block_given_up", chain=self._chain.key, block=cursor.number, hash=cursor.hash)
        await self._blocks.give_up(cursor)
        await self._follow.take_back()

    async def note(self, problem: str) -> None:
        """Note what is wrong that no step could say itself, until one finds nothing wrong."""
        await deposit.note_problem(self._chain.key, problem)
