"""Movements of addresses on chains that are read address by address (Bitcoin, Solana): the newest page of each is looked at again and again, once for all who follow it, and
only while there is somebody.

A movement that was not final and is not in the list any more was given up with its block; one that waited was dropped, or another one has taken its place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from core.clock import Clock
from core.paging import Page
from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus
from events.wallet import WalletMovement
from models.chain import ChainEntry
from services.wallet_following import SILENT_SECONDS, Pause, TooManyFollowed, TooMuchMoves

log = structlog.get_logger(__name__)
PAGE = 25
"""Movements of one look, those in blocks. Where more are new, some may have been missed, and the reader is told so."""
_KEPT_ROWS = 200
_GIVEN_UP = frozenset({ChainTxStatus.REVERTED, ChainTxStatus.DROPPED})
ReadNewest = Callable[[str], Awaitable[Page[WalletMovement]]]
"""The newest movements of an address. Raises WalletRefused."""
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PollPace:
    """How often each address is looked at, and how many are by this process."""

    seconds: float
    most: int


@dataclass(slots=True)
class _Polled:
    """What is followed of an address; what has `final_after` confirmations stays. `old` was so before anybody followed it; `listed` is what the last look has found in
    blocks."""

    final_after: int
    first: asyncio.Task[None]
    turns: list[asyncio.Event] = field(default_factory=list)
    rows: dict[Key, WalletMovement] = field(default_factory=dict)
    old: set[Key] = field(default_factory=set)
    listed: set[Key] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    failure: WalletRefused | TooMuchMoves | None = None

    def take(self, page: Page[WalletMovement], *, is_first: bool = False) -> None:
        """The newest page as it is now. Raises TooMuchMoves."""
        found = {(each.hash, each.part): each for each in page.items}
        if not is_first and page.has_next and self.listed and self.listed.isdisjoint(found):
            raise TooMuchMoves
        if is_first:
            self.old = {key for key, each in found.items() if self._stays(each)}
        self.listed = {key for key, each in found.items() if each.confirmations}
        self.rows |= {key: each for key, each in found.items() if key not in self.old}
        lowest = min((each.place for each in page.items), default=0) if page.has_next else 0
        for key, row in list(self.rows.items()):
            if key not in found and not self._stays(row) and row.status not in _GIVEN_UP and row.place >= lowest:
                gone = ChainTxStatus.REVERTED if row.confirmations else ChainTxStatus.DROPPED
                self.rows[key] = replace(row, status=gone, confirmations=0, time_ms=None)
        while len(self.rows) > _KEPT_ROWS:
            del self.rows[min(self.rows, key=lambda key: (key in found, self.rows[key].place))]

    def _stays(self, row: WalletMovement) -> bool:
        return row.confirmations >= self.final_after


class PolledFollower:
    """Of one chain, for this process."""

    def __init__(
        self, entry: ChainEntry, read: ReadNewest, pace: PollPace, clock: Clock, pause: Pause = asyncio.sleep
    ) -> None:
        self.entry = entry
        self._read = read
        self._pace = pace
        self._clock = clock
        self._pause = pause
        self._addresses: dict[str, _Polled] = {}

    async def join(self, address: str, turn: asyncio.Event) -> None:
        """Follow an address; `turn` is set whenever there is something to look at. Raises WalletRefused, TooManyFollowed; then nothing is followed."""
        known = self._addresses.get(address)
        if known is None:
            if len(self._addresses) >= self._pace.most:
                raise TooManyFollowed
            known = self._addresses[address] = _Polled(
                self.entry.final_after, asyncio.create_task(self._begin(address))
            )
        known.turns.append(turn)
        try:
            await asyncio.shield(known.first)
        except BaseException:
            self.leave(address, turn)
            raise

    def leave(self, address: str, turn: asyncio.Event) -> None:
        """Follow it no more for this reader; after the last one it is not looked at any more."""
        known = self._addresses.get(address)
        if known is None or turn not in known.turns:
            return
        known.turns.remove(turn)
        if not known.turns:
            del self._addresses[address]
            for task in (known.first, known.task):
                if task is not None:
                    task.cancel()

    async def movements(self, address: str) -> Sequence[WalletMovement]:
        """What is known of an address that is followed, the oldest first. Raises WalletRefused when nodes fell silent, TooMuchMoves."""
        known = self._addresses[address]
        if known.failure is not None:
            raise known.failure
        return sorted(known.rows.values(), key=lambda each: each.place)

    async def close(self) -> None:
        """Look at nothing any more; whoever still reads hears nothing more."""
        tasks = [task for known in self._addresses.values() for task in (known.first, known.task) if task is not None]
        self._addresses.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, address: str) -> None:
        page = await self._read(address)
        known = self._addresses[address]
        known.take(page, is_first=True)
        known.task = asyncio.create_task(self._run(address, known))

    async def _run(self, address: str, known: _Polled) -> None:
        """Look again and again, until cancelled, or until the nodes have been silent for too long."""
        heard = self._clock.monotonic()
        while known.failure is None:
            await self._pause(self._pace.seconds)
            try:
                known.take(await self._read(address))
                heard = self._clock.monotonic()
            except TooMuchMoves as much:
                known.failure = much
            except WalletRefused as refused:
                log.warning("wallets.following_waits", chain=self.entry.key, reason=refused.message)
                if self._clock.monotonic() - heard > max(SILENT_SECONDS, 3 * self._pace.seconds):
                    known.failure = refused
            for turn in known.turns:
                turn.set()
