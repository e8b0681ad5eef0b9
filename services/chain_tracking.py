"""Following transactions that were sent to their chains from here: each look asks the nodes, stores what follows from it, and tells whoever watches.

A row changes only from the revision that was read; who comes second takes what the first has stored.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

import structlog
from pymongo.errors import PyMongoError

from core.bus import Bus
from core.clock import Clock, to_datetime
from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus
from events.chain_transaction import ChainTransactionState, chain_transaction_topic, sent_topic
from integrations.chains.errors import ChainError
from models import chain_transaction
from models.chain import ChainEntry
from models.chain_transaction import ChainTransactionDocument, chain_transaction_id
from services.sending_families import SendingFamilies, Signed
from services.transaction_tracks import Pace, advance, is_seen_change, pause_of

KEPT = timedelta(days=400)
"""After it was sent."""
UNSENT_AFTER_MS = 15_000
"""What was stored and not sent within this time is sent by the worker: whoever was about to has died."""
_AGAIN_MS = 5_000
"""After the nodes of a chain failed."""
_AFTER_FAULT_MS = 60_000
"""After something that nobody expected, in the log by then: it is about one transaction, and the others go on."""
log = structlog.get_logger(__name__)


class ChainTracking:
    """One per process."""

    def __init__(self, families: SendingFamilies, entries: Mapping[str, ChainEntry], bus: Bus, clock: Clock) -> None:
        self._families = families
        self._entries = entries
        self._bus = bus
        self._clock = clock

    async def begin(self, chain: str, signed: Signed, swap_id: str | None = None) -> None:
        """Remember one that is about to be sent, and the swap that it makes. One that is followed already stays as it is; one that was given up is followed anew."""
        now_ms = self._clock.now_ms()
        row = ChainTransactionDocument(
            id=chain_transaction_id(chain, signed.hash),
            chain=chain,
            hash=signed.hash,
            raw=signed.raw,
            sender=signed.sender,
            spends=list(signed.spends),
            terms=dict(signed.terms),
            created_ms=now_ms,
            due_ms=now_ms + UNSENT_AFTER_MS,
            swap_id=swap_id,
            purge_at=to_datetime(now_ms) + KEPT,
        )
        if await chain_transaction.insert(row):
            return
        await chain_transaction.begin_again(row)
        if swap_id is not None:
            await chain_transaction.is_of_swap(chain, signed.hash, swap_id)

    async def was_sent(self, chain: str, hash_: str, sender: str, *, of_swap: bool) -> None:
        """Remember that a node has taken it, and tell those who follow its sender."""
        await chain_transaction.was_sent(chain, hash_, self._clock.now_ms(), of_swap=of_swap)
        self._bus.publish(sent_topic(sender), ChainTransactionState(chain, hash_, ChainTxStatus.PENDING))

    async def due(self, limit: int) -> Sequence[tuple[str, str]]:
        """Those to be looked at now: chain and hash."""
        return [(row.chain, row.hash) for row in await chain_transaction.due(self._clock.now_ms(), limit)]

    async def step(self, chain: str, hash_: str) -> None:
        """Look at one for the worker: what nobody has sent is sent first, and what no node takes then is forgotten."""
        row = await chain_transaction.by_hash(chain, hash_)
        if row is None:
            return
        try:
            await (self._send_unsent(row) if row.sent_ms is None else self.look(row))
        except (ChainError, WalletRefused) as error:
            log.warning("chain_transaction.waits", chain=row.chain, hash=row.hash, reason=str(error))
            await chain_transaction.postpone(row, self._clock.now_ms() + _AGAIN_MS)
        except PyMongoError:
            raise
        except Exception:
            log.exception("chain_transaction.failed", chain=row.chain, hash=row.hash)
            await chain_transaction.postpone(row, self._clock.now_ms() + _AFTER_FAULT_MS)

    async def look(self, row: ChainTransactionDocument) -> ChainTransactionDocument:
        """Ask the nodes; gives the row as it is stored then. Raises ChainError; then nothing has changed."""
        if row.track.over:
            return row
        seen = await self._families.of(row.chain).sight(row.chain, row.hash, row)
        now_ms = self._clock.now_ms()
        pace = Pace(self.block_ms(row.chain), row.created_ms)
        after = advance(row.track, seen, pace, now_ms)
        changed = is_seen_change(row.track, after.track)
        new: ChainTransactionDocument = row.model_copy(
            update={
                "track": after.track,
                "due_ms": after.due_ms,
                "version": row.version + changed,
                "revision": row.revision + 1,
                "untold": True if changed and row.swap_id is not None else row.untold,
            }
        )
        if not await chain_transaction.replace(new):
            return await chain_transaction.by_hash(row.chain, row.hash) or row
        if changed:
            self._bus.publish(chain_transaction_topic(new.chain, new.hash), tracked_state(new))
            self._bus.publish(sent_topic(new.sender), tracked_state(new))
        if after.resend:
            await self._send_again(new)
        return new

    def block_ms(self, chain: str) -> int:
        """Between blocks, in milliseconds."""
        return round(self._entries[chain].block_seconds * 1000)

    def pause_seconds(self, chain: str) -> float:
        """Between two looks at what is not stored here."""
        return pause_of(self.block_ms(chain)) / 1000

    async def _send_unsent(self, row: ChainTransactionDocument) -> None:
        try:
            await self._families.of(row.chain).send(row.chain, row.raw, row.hash)
        except WalletRefused as refusal:
            log.info("chain_transaction.forgotten", chain=row.chain, hash=row.hash, reason=refusal.message)
            await chain_transaction.forget_unsent(row.chain, row.hash)
        else:
            await self.was_sent(row.chain, row.hash, row.sender, of_swap=row.swap_id is not None)

    async def _send_again(self, row: ChainTransactionDocument) -> None:
        try:
            await self._families.of(row.chain).send(row.chain, row.raw, row.hash)
        except (ChainError, WalletRefused) as error:
            log.info("chain_transaction.not_taken_again", chain=row.chain, hash=row.hash, reason=str(error))


def tracked_state(row: ChainTransactionDocument) -> ChainTransactionState:
    """A row as it is told."""
    track = row.track
    return ChainTransactionState(
        chain=row.chain,
        hash=row.hash,
        status=track.status,
        confirmations=track.confirmations,
        block=track.block,
        fee=None if track.fee is None else Decimal(track.fee),
        error=track.error,
        error_values=track.error_values,
        replaced_by=track.replaced_by,
        version=row.version,
        over=track.over,
    )
