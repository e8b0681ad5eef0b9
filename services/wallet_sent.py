"""What was sent from here from the wallets that one reader follows, as `chain_tracking.py` tells of it: read once, and again when something of an address has changed."""

import asyncio
from collections.abc import Collection

import structlog

from core.bus import Bus, BusMessage, Subscription
from events.chain_transaction import ChainTransactionState, sent_topic
from events.wallet import WalletMovement
from integrations.chains.errors import ChainError
from models.chain import ChainEntry
from services.own_movements import OwnMovement, OwnMovements

log = structlog.get_logger(__name__)
Place = tuple[str, str]
"""A chain and an address on it."""


class SentRows:
    """Of one reader, whose `turn` is set whenever there is something to look at."""

    def __init__(self, own: OwnMovements, bus: Bus, turn: asyncio.Event) -> None:
        self._own = own
        self._bus = bus
        self._turn = turn
        self._rows: dict[Place, list[OwnMovement]] = {}
        self._stale: set[Place] = set()
        self._topics: frozenset[str] = frozenset()
        self._subscription: Subscription | None = None
        self._listening: asyncio.Task[None] | None = None

    def follow(self, addresses: Collection[str]) -> None:
        """Hear of these addresses, and of no others. What happens from here on is not missed."""
        topics = frozenset(map(sent_topic, addresses))
        if topics == self._topics:
            return
        before = self._subscription
        self._rows = {place: rows for place, rows in self._rows.items() if place[1] in addresses}
        self._stale = set(self._rows)
        self._topics = topics
        self._subscription = subscription = self._bus.subscribe(*sorted(topics))
        self._listening = asyncio.create_task(self._listen(subscription))
        if before is not None:
            before.close()

    async def movements(self, entry: ChainEntry, address: str) -> list[WalletMovement]:
        """Of an address on a chain: what may change yet, and what has ended since it was followed. Where a token's words cannot be asked for, what was known before."""
        place = entry.key, address
        known = self._rows.get(place)
        if known is None or place in self._stale:
            self._stale.discard(place)
            try:
                found = await self._own.sent(entry, address)
            except ChainError as error:
                log.info("wallets.sent_waits", chain=entry.key, reason=str(error))
                self._stale.add(place)
                found = known or []
            seen = {each.movement.hash for each in known or ()}
            self._rows[place] = [each for each in found if not each.over or each.movement.hash in seen]
        return [each.movement for each in self._rows[place]]

    def close(self) -> None:
        """Hear of nothing any more."""
        if self._subscription is not None:
            self._subscription.close()
        if self._listening is not None:
            self._listening.cancel()

    async def _listen(self, subscription: Subscription) -> None:
        async for item in subscription:
            chain = None
            if isinstance(item, BusMessage) and isinstance(item.event, ChainTransactionState):
                chain = item.event.chain
            self._stale |= {
                place for place in self._rows if sent_topic(place[1]) == item.topic and chain in (None, place[0])
            }
            self._turn.set()
