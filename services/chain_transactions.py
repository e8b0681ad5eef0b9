"""What has become of transactions on chains: those sent from here as they are followed, any other as its nodes say at the moment."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import structlog

from core.bus import Bus, BusMessage
from core.clock import Clock
from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus, WalletErrorCode
from events.chain_transaction import ChainTransactionState, chain_transaction_topic
from integrations.chains.errors import ChainError
from models import chain_transaction
from services.chain_failures import refused
from services.chain_tracking import ChainTracking, tracked_state
from services.sending_families import SendingFamilies, SendingFamily, Sighting, SightKind

log = structlog.get_logger(__name__)
MOST_WATCHED = 10
"""Transactions that were not sent from here and that one account may watch at a time, in one process."""
PATIENCE_SECONDS = 15 * 60
"""So long one that no node knows is waited for."""
_STATUSES: Mapping[SightKind, ChainTxStatus] = {
    SightKind.UNKNOWN: ChainTxStatus.DROPPED,
    SightKind.WAITING: ChainTxStatus.PENDING,
    SightKind.INCLUDED: ChainTxStatus.CONFIRMED,
    SightKind.FAILED: ChainTxStatus.FAILED,
    SightKind.TAKEN: ChainTxStatus.REPLACED,
    SightKind.EXPIRED: ChainTxStatus.DROPPED,
}


class ChainTransactions:
    """One per process."""

    def __init__(self, families: SendingFamilies, tracking: ChainTracking, bus: Bus, clock: Clock) -> None:
        self._families = families
        self._tracking = tracking
        self._bus = bus
        self._clock = clock
        self._watched: Counter[str] = Counter()

    async def read(self, chain: str, hash_: str) -> ChainTransactionState | None:
        """The transaction; None when no node knows it. Of one that was sent from here, what was seen last when no node answers now. Raises WalletRefused."""
        family = self._families.of(chain)
        normal = family.transaction_hash(hash_)
        row = await chain_transaction.by_hash(chain, normal)
        try:
            if row is None:
                return await self._seen(family, chain, normal)
            return tracked_state(await self._tracking.look(row))
        except ChainError as error:
            if row is None:
                raise refused(error) from error
            log.warning("chain_transaction.not_seen", chain=chain, hash=normal, reason=str(error))
            return tracked_state(row)

    async def watch(self, user_id: str, chain: str, hash_: str) -> AsyncGenerator[ChainTransactionState, None]:
        """The transaction as it is, then whenever it changes, until it is over. Raises WalletRefused."""
        normal = self._families.of(chain).transaction_hash(hash_)
        shown = 0
        async with aclosing(self._states(user_id, chain, normal)) as states:
            async for state in states:
                if state.version > shown or state.version == 0:
                    shown = state.version
                    yield state
                if state.over:
                    return

    async def _states(self, user_id: str, chain: str, hash_: str) -> AsyncGenerator[ChainTransactionState, None]:
        """What is stored, or polled until it is; then whatever is told of it. Some may come twice."""
        async with self._bus.subscribe(chain_transaction_topic(chain, hash_)) as subscription:
            if await self._stored(chain, hash_) is None:
                async with aclosing(self._polled(user_id, chain, hash_)) as polled:
                    async for state in polled:
                        yield state
            stored = await self._stored(chain, hash_)
            if stored is None:
                return
            yield stored
            async for item in subscription:
                told = item.event if isinstance(item, BusMessage) else await self._stored(chain, hash_)
                if isinstance(told, ChainTransactionState):
                    yield told

    async def _polled(self, user_id: str, chain: str, hash_: str) -> AsyncGenerator[ChainTransactionState, None]:
        """One that was not sent from here: its nodes are asked about once a block. Ends where it is over, or is sent from here meanwhile."""
        if self._watched[user_id] >= MOST_WATCHED:
            text = "you are watching too many transactions at a time"
            raise WalletRefused(text, reason=WalletErrorCode.LIMIT_EXCEEDED, field=["hash"])
        family, shown = self._families.of(chain), None
        self._watched[user_id] += 1
        known_at = self._clock.monotonic()
        try:
            while self._clock.monotonic() - known_at < PATIENCE_SECONDS:
                try:
                    state = await self._stored(chain, hash_) or await self._seen(family, chain, hash_)
                except ChainError as error:
                    if shown is None:
                        raise refused(error) from error
                    state = shown
                if state is not None:
                    known_at = self._clock.monotonic()
                if state is not None and state != shown:
                    shown = state
                    yield state
                    if state.over or state.version:
                        return
                await asyncio.sleep(self._tracking.pause_seconds(chain))
        finally:
            self._watched[user_id] -= 1
            self._watched += Counter()

    async def _stored(self, chain: str, hash_: str) -> ChainTransactionState | None:
        row = await chain_transaction.by_hash(chain, hash_)
        return None if row is None else tracked_state(row)

    async def _seen(self, family: SendingFamily, chain: str, hash_: str) -> ChainTransactionState | None:
        seen = await family.sight(chain, hash_)
        return None if seen.kind is SightKind.UNKNOWN else _state_of(chain, hash_, seen)


def _state_of(chain: str, hash_: str, seen: Sighting) -> ChainTransactionState:
    """What was seen, as it is told."""
    status = _STATUSES[seen.kind]
    if status is ChainTxStatus.CONFIRMED and seen.final:
        status = ChainTxStatus.FINAL
    return ChainTransactionState(
        chain=chain,
        hash=hash_,
        status=status,
        confirmations=seen.confirmations,
        block=seen.block,
        fee=seen.fee,
        error=seen.error,
        error_values=seen.error_values,
        over=seen.final,
    )
