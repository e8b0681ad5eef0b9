"""The blocks of an EVM chain as they come, for everybody who follows addresses on it: read once for all of them, and only while there is somebody.

A block whose place another one takes is given up, and what it moved is told as such. Readers are woken, and look at what is; whoever is slow misses steps in
between, but no row: rows are kept for KEPT_BLOCKS after they are final.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import structlog

from core.clock import Clock
from events.wallet import WalletMovement
from integrations.chains.errors import ChainError, ChainUnavailable
from integrations.chains.evm.activity import ActivityReader, Movement
from integrations.chains.evm.block_movements import movements_of_block
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import EvmBlock, read_block
from integrations.chains.json_rpc import Call
from models.chain import ChainEntry
from services.tokens import Tokens
from services.wallet_activity import as_seen

log = structlog.get_logger(__name__)
MOST_ADDRESSES = 1_000
"""That are followed on one chain at a time, by this process."""
MOST_ROWS = 1_000
"""Of one address."""
KEPT_BLOCKS = 300
SILENT_SECONDS = 60.0
"""After so long without an answer of any node, readers are told so, and end."""
Pause = Callable[[float], Awaitable[None]]


class TooManyFollowed(Exception):
    """The chain is followed for as many addresses as it may be."""


class TooMuchMoves(Exception):
    """More moves from and to an address than can be followed."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A movement, and the time of its block in epoch milliseconds; None: that was given up, and no other has it."""

    moved: Movement
    time_ms: int | None

    @property
    def key(self) -> tuple[str, str]:
        """The same in whatever block it is."""
        return self.moved.hash, self.moved.part


@dataclass(slots=True)
class _Address:
    """What is followed of an address. `turns` are of its readers, who wait for them."""

    turns: list[asyncio.Event] = field(default_factory=list)
    rows: dict[tuple[str, str], Followed] = field(default_factory=dict)
    overflowed: bool = False

    def put(self, row: Followed) -> None:
        """Add it, or let it take the place of what it was."""
        self.rows[row.key] = row
        self.overflowed = self.overflowed or len(self.rows) > MOST_ROWS

    def forget(self, before: int) -> None:
        """What happened before this block."""
        old = [key for key, row in self.rows.items() if row.moved.block < before]
        for key in old:
            del self.rows[key]


class ChainFollower:
    """Of one chain, for this process."""

    def __init__(
        self, entry: ChainEntry, client: EvmClient, tokens: Tokens, clock: Clock, pause: Pause = asyncio.sleep
    ) -> None:
        self.entry = entry
        self._client = client
        self._tokens = tokens
        self._clock = clock
        self._pause = pause
        self._reader = ActivityReader()
        self._addresses: dict[str, _Address] = {}
        self._blocks: deque[EvmBlock] = deque(maxlen=entry.final_after + KEPT_BLOCKS)
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._failure: ChainError | None = None

    async def join(self, address: str, turn: asyncio.Event) -> None:
        """Follow an address (EIP-55); `turn` is set whenever there is something to look at. Raises ChainError, TooManyFollowed; then nothing is followed.

        No block is read meanwhile, so that the first one after is read for this address, too.
        """
        async with self._lock:
            known = self._addresses.get(address)
            if known is not None:
                known.turns.append(turn)
                return
            if len(self._addresses) >= MOST_ADDRESSES:
                raise TooManyFollowed
            self._addresses[address] = known = _Address(turns=[turn])
            try:
                if self._task is None:
                    self._blocks.extend(await self._newest())
                    self._task = asyncio.create_task(self._run())
                await self._look_back(address, known)
            except BaseException:
                self.leave(address, turn)
                raise

    def leave(self, address: str, turn: asyncio.Event) -> None:
        """Follow it no more for this reader; the last one ends the reading of blocks."""
        known = self._addresses.get(address)
        if known is None or turn not in known.turns:
            return
        known.turns.remove(turn)
        if not known.turns:
            del self._addresses[address]
        if not self._addresses:
            self._stop()

    async def movements(self, address: str) -> Sequence[WalletMovement]:
        """What is known of an address that is followed, lowest place first. Raises ChainError when nodes fell silent, TooMuchMoves."""
        if self._failure is not None:
            raise self._failure
        known = self._addresses[address]
        if known.overflowed:
            raise TooMuchMoves
        head = self._blocks[-1].number
        rows = sorted(known.rows.values(), key=lambda each: each.moved.place)
        return [await self._seen(address, row, head) for row in rows]

    async def close(self) -> None:
        """End the reading of blocks; whoever still reads hears nothing more."""
        task = self._task
        self._addresses.clear()
        self._stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._failure = None
        self._blocks.clear()

    async def _newest(self) -> list[EvmBlock]:
        """The newest block, and those before it that could still be given up."""
        head = await self._client.block()
        if head is None:
            raise ChainUnavailable(self.entry.key, {"all": "has no newest block"})
        numbers = range(max(0, head.number - self.entry.final_after), head.number)
        calls = [Call("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        blocks = [each for each in await self._client.batch(calls, read_block) if isinstance(each, EvmBlock)]
        blocks.append(head)
        if len(blocks) <= len(numbers) or any(each.parent != before.hash for before, each in pairwise(blocks)):
            raise ChainUnavailable(self.entry.key, {"all": "tells blocks that do not follow one another"})
        return [_header(each) for each in blocks]

    async def _look_back(self, address: str, known: _Address) -> None:
        """What is not final yet of the blocks before."""
        blocks = {each.number: each for each in self._blocks}
        high = self._blocks[-1].number
        low = max(0, high - self.entry.final_after + 2)
        while low <= high:
            looked = await self._client.pool.use(
                partial(self._reader.look, address=address, low=low, high=high, downwards=True)
            )
            for moved in looked.moved:
                block = blocks.get(moved.block)
                if block is not None and moved.block_hash in (None, block.hash):
                    known.put(Followed(replace(moved, block_hash=block.hash), block.time_ms))
            high = looked.low - 1

    async def _seen(self, address: str, row: Followed, head: int) -> WalletMovement:
        chain, contract = self.entry.key, row.moved.contract
        token = self._tokens.coin(chain) if contract is None else await self._tokens.describe(chain, contract)
        return as_seen(address, self.entry, token, row.moved, head=head, time_ms=row.time_ms)

    async def _run(self) -> None:
        """Read blocks until cancelled, or until the nodes have been silent for too long."""
        heard = self._clock.monotonic()
        while self._failure is None:
            try:
                async with self._lock:
                    more = await self._step()
                heard = self._clock.monotonic()
            except ChainError as error:
                more = False
                log.warning("wallets.following_waits", chain=self.entry.key, reason=str(error))
                if self._clock.monotonic() - heard > SILENT_SECONDS:
                    self._failure = error
                    self._wake()
            if not more:
                await self._pause(min(max(self.entry.block_seconds / 2, 0.5), 6.0))

    async def _step(self) -> bool:
        """Take in the next block, or give up the last. False: there is none yet."""
        last = self._blocks[-1]
        addresses = self._addresses.keys()
        found = await self._client.pool.use(lambda node: movements_of_block(node, last.number + 1, addresses))
        if found is None:
            return False
        block, moved = found
        if block.parent != last.hash:
            self._give_up(last)
            return True
        self._blocks.append(_header(block))
        for each in moved:
            for address in {each.sender, each.to} & addresses:
                self._addresses[address].put(Followed(each, block.time_ms))
        for known in self._addresses.values():
            known.forget(block.number - self.entry.final_after - KEPT_BLOCKS)
        self._wake()
        return True

    def _give_up(self, block: EvmBlock) -> None:
        if len(self._blocks) < 2:
            self._failure = ChainUnavailable(self.entry.key, {"all": "was reorganised deeper than is followed"})
            self._wake()
            return
        self._blocks.pop()
        for known in self._addresses.values():
            for key, row in known.rows.items():
                if row.moved.block_hash == block.hash:
                    known.rows[key] = replace(row, time_ms=None)

    def _wake(self) -> None:
        for known in self._addresses.values():
            if known.rows or self._failure is not None:
                for turn in known.turns:
                    turn.set()


def _header(block: EvmBlock) -> EvmBlock:
    """The block without its transactions, of which many are kept."""
    return replace(block, transactions=())
