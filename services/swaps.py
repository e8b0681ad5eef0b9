"""Swaps that were prepared here, followed over both chains.

A row changes only from the version that was read; who comes second reads again. The aggregator is asked about swaps on their way from chain to chain, ever
more seldom, and its silence changes nothing.
"""

import dataclasses
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from core.bus import Bus, BusMessage
from core.clock import Clock, to_datetime
from core.ids import random_id, random_share
from core.refusals import UnknownObject
from core.wallet_vocabulary import ChainTxStatus, SwapProvider, SwapStatus
from events.swap import SwapChanged, swap_topic
from integrations.swaps.base import SwapFollower, SwapProgress, SwapSourceError
from models import swap
from models.swap import SwapDocument, SwapStepEntry
from models.swap_quote import SwapQuoteDocument
from services.catalogue import Catalogue
from services.swap_states import SourceFate, SwapEvent, SwapState, advance

_FIRST_MS, _MOST_MS = 10_000, 300_000
_MOST_DOUBLINGS = 16
UNSENT_KEPT, KEPT = timedelta(days=1), timedelta(days=400)
"""After it was prepared: one that was never sent, and any other."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Way:
    """EIP-155 ids of the two chains."""

    from_chain: int
    to_chain: int


class Swaps:
    """One per process. `followers`: who can tell of swaps across chains, by aggregator."""

    def __init__(
        self, followers: dict[SwapProvider, SwapFollower], *, catalogue: Catalogue, bus: Bus, clock: Clock
    ) -> None:
        self._followers = followers
        self._catalogue = catalogue
        self._bus = bus
        self._clock = clock

    async def prepare(self, row: SwapQuoteDocument) -> SwapDocument:
        """The swap of a quote, PREPARED; the same one when it was prepared before."""
        now_ms = self._clock.now_ms()
        new = SwapDocument(
            id=random_id(),
            user_id=row.user_id,
            quote_id=row.id,
            quote=row.quote,
            status=SwapStatus.PREPARED,
            timeline=(SwapStepEntry(status=SwapStatus.PREPARED, time_ms=now_ms),),
            created_ms=now_ms,
            purge_at=to_datetime(now_ms) + UNSENT_KEPT,
        )
        if await swap.insert(new):
            return new
        return await swap.of_quote(row.user_id, row.id) or new

    async def of_quote(self, user_id: str, quote_id: str) -> SwapDocument | None:
        """The swap of a quote, when it was prepared before."""
        return await swap.of_quote(user_id, quote_id)

    async def own(self, user_id: str, swap_id: str) -> SwapDocument | None:
        """An account's swap."""
        row = await swap.by_id(swap_id)
        return row if row is not None and row.user_id == user_id else None

    async def sent(self, user_id: str, swap_id: str, fate: SourceFate) -> SwapDocument | None:
        """Its transaction was handed to the chain. None: the account has no such swap."""
        row = await self.own(user_id, swap_id)
        return None if row is None else await self._apply(row, fate)

    async def source_seen(self, swap_id: str, fate: SourceFate) -> None:
        """News of a transaction that was made for this swap. Of several with one nonce, the one that is in a block is the swap's."""
        row = await swap.by_id(swap_id)
        if row is None:
            return
        if fate.status in (ChainTxStatus.CONFIRMED, ChainTxStatus.FINAL) and row.source not in (None, fate.hash):
            row = row.model_copy(update={"source": fate.hash})
        await self._apply(row, fate)

    async def watch(self, user_id: str, swap_id: str) -> AsyncGenerator[SwapDocument, None]:
        """An account's swap as it is, then whenever it changes. Raises UnknownObject."""
        async with self._bus.subscribe(swap_topic(swap_id)) as subscription:
            row = await self.own(user_id, swap_id)
            if row is None:
                raise UnknownObject("you have no such swap", field=["id"])
            yield row
            async for item in subscription:
                new: SwapDocument | None
                if isinstance(item, BusMessage) and isinstance(item.event, SwapChanged):
                    new = row.model_copy(update=dataclasses.asdict(item.event))
                else:
                    new = await self.own(user_id, swap_id)
                if new is not None and new.version > row.version:
                    row = new
                    yield row

    async def source_changed(self, fate: SourceFate) -> list[SwapDocument]:
        """News of a transaction that may be a swap's first; gives the swaps that changed."""
        rows = await swap.by_source(fate.hash)
        found = [(row, await self._apply(row, fate)) for row in rows]
        return [new for row, new in found if new.version != row.version]

    async def follow(self) -> list[SwapDocument]:
        """Ask about everything that is due; gives the swaps whose status changed."""
        rows: Sequence[SwapDocument] = await swap.due(self._clock.now_ms())
        found = [(row, await self._apply(row, await self._progress(row))) for row in rows]
        return [new for row, new in found if new.status is not row.status]

    async def _progress(self, row: SwapDocument) -> SwapEvent | None:
        follower = self._followers.get(row.quote.provider)
        way = self._way(row)
        if follower is None or way is None or row.source is None:
            return None
        try:
            return await follower.progress(row.source, way.from_chain, way.to_chain, row.quote.bridge)
        except SwapSourceError as error:
            log.warning("swap not followed", provider=row.quote.provider, swap=row.id, reason=str(error))
            return None

    async def _apply(self, row: SwapDocument, event: SwapEvent | None) -> SwapDocument:
        """The row after an event, as it is stored. `event` None: it was asked for and there was none."""
        while True:
            new = self._after(row, event)
            if new is None:
                return row
            if await swap.replace(new):
                self._tell(row, new)
                return new
            again = await swap.by_id(row.id)
            if again is None:
                return row
            row = again

    def _after(self, row: SwapDocument, event: SwapEvent | None) -> SwapDocument | None:
        """The next version; None: nothing changes."""
        before = SwapState(_crosses(row), row.status, row.source, row.destination)
        after = before if event is None else advance(before, event)
        asked = event is None or isinstance(event, SwapProgress)
        if after == before and not asked:
            return None
        now_ms, changed = self._clock.now_ms(), after.status is not before.status
        times_asked = row.asked + 1 if after == before else 0
        step = (SwapStepEntry(status=after.status, time_ms=now_ms),) if changed else ()
        due_ms = now_ms + _pause_ms(times_asked) if after.status is SwapStatus.BRIDGING else None
        new: SwapDocument = row.model_copy(
            update={
                "status": after.status,
                "source": after.source,
                "destination": after.destination,
                "timeline": (*row.timeline, *step),
                "asked": times_asked,
                "due_ms": due_ms,
                "version": row.version + 1,
                "purge_at": to_datetime(row.created_ms) + (UNSENT_KEPT if after.source is None else KEPT),
            }
        )
        return new

    def _tell(self, row: SwapDocument, new: SwapDocument) -> None:
        if (row.status, row.source, row.destination) != (new.status, new.source, new.destination):
            told = SwapChanged(new.id, new.version, new.status, new.source, new.destination)
            self._bus.publish(swap_topic(new.id), told)

    def _way(self, row: SwapDocument) -> _Way | None:
        ids = [
            chain.chain_id
            for token in (row.quote.from_token, row.quote.to_token)
            if (chain := self._catalogue.chains.get(token.chain)) is not None
        ]
        if len(ids) != 2 or ids[0] is None or ids[1] is None:
            return None
        return _Way(ids[0], ids[1])


def _crosses(row: SwapDocument) -> bool:
    return row.quote.from_token.chain != row.quote.to_token.chain


def _pause_ms(asked: int) -> int:
    """Until the next question: longer each time, and not for all at once."""
    pause = min(_FIRST_MS << min(asked, _MOST_DOUBLINGS), _MOST_MS)
    return pause + int(pause * random_share()) // 10
