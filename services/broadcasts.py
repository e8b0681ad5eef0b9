"""Sending what people have signed: once for each of their keys, its bytes stored before any node gets them."""

from dataclasses import dataclass
from hashlib import sha256

import orjson

from core.clock import Clock, to_datetime
from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus, WalletErrorCode
from events.chain_transaction import ChainTransactionState
from integrations.chains.errors import ChainError
from models import broadcast, chain_transaction, prepared_transaction
from models.broadcast import BroadcastDocument, broadcast_id
from models.prepared_transaction import PreparedTransactionDocument
from services.chain_failures import refused
from services.chain_tracking import KEPT, ChainTracking
from services.chain_transactions import ChainTransactions
from services.order_refusals import is_client_key
from services.sending_families import SendingFamilies, SendingFamily, Signed


@dataclass(frozen=True, slots=True)
class BroadcastWish:
    """What is to be sent: `signed` in the text form of the chain's family; `prepared_id` is of what it must be, None: nothing was prepared here."""

    client_id: str
    chain: str
    signed: str
    prepared_id: str | None

    @property
    def digest(self) -> str:
        """Of everything under the key."""
        signed = self.signed.lower() if self.signed.startswith("0x") else self.signed
        return sha256(orjson.dumps([self.chain, signed, self.prepared_id])).hexdigest()


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that a node has; `replayed`: an earlier request has sent it."""

    state: ChainTransactionState
    replayed: bool


class Broadcasts:
    """One per process."""

    def __init__(
        self, families: SendingFamilies, tracking: ChainTracking, transactions: ChainTransactions, clock: Clock
    ) -> None:
        self._families = families
        self._tracking = tracking
        self._transactions = transactions
        self._clock = clock

    async def send(self, user_id: str, wish: BroadcastWish) -> Sent:
        """Send it, or tell what became of it when the key was used for the same. Raises WalletRefused."""
        if not is_client_key(wish.client_id):
            text = "a key has 1 to 64 printable ASCII characters"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["clientBroadcastId"])
        family = self._families.of(wish.chain)
        row = await broadcast.by_client_id(user_id, wish.client_id)
        signed = None if row is not None and row.sent_ms is not None else await self._read(family, wish)
        if row is None and signed is not None:
            row = await self._stored(user_id, family, wish, signed)
        if row is None or row.digest != wish.digest:
            text = "the key was used before with other content"
            raise WalletRefused(text, reason=WalletErrorCode.IDEMPOTENCY_MISMATCH, field=["clientBroadcastId"])
        replayed = row.sent_ms is not None
        if not replayed and signed is not None:
            await self._send(family, row, signed)
        state = await self._transactions.read(row.chain, row.hash)
        return Sent(state or ChainTransactionState(row.chain, row.hash, ChainTxStatus.PENDING), replayed)

    async def _read(self, family: SendingFamily, wish: BroadcastWish) -> Signed:
        try:
            return await family.read(wish.chain, wish.signed)
        except ChainError as error:
            raise refused(error) from error

    async def _stored(
        self, user_id: str, family: SendingFamily, wish: BroadcastWish, signed: Signed
    ) -> BroadcastDocument:
        """The row of a transaction that may be sent; that of another request where one was quicker."""
        swap_id = None
        if wish.prepared_id is not None:
            swap_id = (await self._compare(user_id, family, wish, signed)).swap_id
        now_ms = self._clock.now_ms()
        row = BroadcastDocument(
            id=broadcast_id(user_id, wish.client_id),
            user_id=user_id,
            client_id=wish.client_id,
            digest=wish.digest,
            chain=wish.chain,
            hash=signed.hash,
            counterparties=list(signed.counterparties),
            prepared_id=wish.prepared_id,
            swap_id=swap_id,
            created_ms=now_ms,
            purge_at=to_datetime(now_ms) + KEPT,
        )
        if await broadcast.insert(row):
            return row
        known = await broadcast.by_client_id(user_id, wish.client_id)
        return row if known is None else known

    async def _compare(
        self, user_id: str, family: SendingFamily, wish: BroadcastWish, signed: Signed
    ) -> PreparedTransactionDocument:
        """What was prepared. Refuse what is not what was prepared for this account, or is over. Raises WalletRefused."""
        row = await prepared_transaction.by_id(wish.prepared_id or "")
        if row is None or row.user_id != user_id or row.expires_ms <= self._clock.now_ms():
            text = "what was prepared is over, or was never prepared; prepare it again"
            raise WalletRefused(text, reason=WalletErrorCode.TRANSACTION_EXPIRED, field=["preparedId"])
        found = [f"chain: {wish.chain} ≠ {row.chain}"] if row.chain != wish.chain else family.differences(signed, row)
        if found:
            text = "what was signed is not what was prepared: {differences}"
            raise WalletRefused(
                text,
                {"differences": "; ".join(found)},
                reason=WalletErrorCode.TRANSACTION_MISMATCH,
                field=["signed"],
            )
        return row

    async def _send(self, family: SendingFamily, row: BroadcastDocument, signed: Signed) -> None:
        """Hand it to the nodes. Raises WalletRefused; then nothing was sent, unless no node answered: the same request again finds out."""
        await self._tracking.begin(row.chain, signed, row.swap_id)
        try:
            await family.send(row.chain, signed.raw, signed.hash)
        except WalletRefused:
            await broadcast.forget(row)
            await chain_transaction.forget_unsent(row.chain, row.hash)
            raise
        except ChainError as error:
            raise refused(error) from error
        await self._tracking.was_sent(row.chain, row.hash, signed.sender, of_swap=row.swap_id is not None)
        await broadcast.was_sent(row, self._clock.now_ms())
