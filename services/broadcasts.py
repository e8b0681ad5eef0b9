"""Sending what people have signed: once for each of their keys, its bytes stored before any node gets them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson

from core.clock import Clock
from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus, WalletErrorCode
from events.chain_transaction import ChainTransactionState
from events.token import TokenState
from integrations.chains.errors import ChainError, NodeRefused
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.errors import Refusal, meaning
from models import broadcast, prepared_transaction
from models.broadcast import BroadcastDocument, broadcast_id
from models.prepared_transaction import PreparedTransactionDocument
from services.chain_failures import refused
from services.chain_transactions import ChainTransactions
from services.chains import Chains
from services.evm_terms import Draft
from services.order_refusals import is_client_key
from services.signed_transactions import Expected, SignedEvm, differences, read_signed
from services.tokens import Tokens
from services.transaction_effects import counterparties, effects_of


@dataclass(frozen=True, slots=True)
class BroadcastWish:
    """What is to be sent: `signed` is 0x and hexadecimal digits; `prepared_id` is of what it must be, None: nothing was prepared here."""

    client_id: str
    chain: str
    signed: str
    prepared_id: str | None

    @property
    def digest(self) -> str:
        """Of everything under the key."""
        return sha256(orjson.dumps([self.chain, self.signed.lower(), self.prepared_id])).hexdigest()


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that a node has; `replayed`: an earlier request has sent it."""

    state: ChainTransactionState
    replayed: bool


class Broadcasts:
    """One per process."""

    def __init__(self, chains: Chains, tokens: Tokens, transactions: ChainTransactions, clock: Clock) -> None:
        self._chains = chains
        self._tokens = tokens
        self._transactions = transactions
        self._clock = clock

    async def send(self, user_id: str, wish: BroadcastWish) -> Sent:
        """Send it, or tell what became of it when the key was used for the same. Raises WalletRefused."""
        if not is_client_key(wish.client_id):
            text = "a key has 1 to 64 printable ASCII characters"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["clientBroadcastId"])
        client = self._chains.evm(wish.chain)
        row = await broadcast.by_client_id(user_id, wish.client_id) or await self._stored(user_id, client, wish)
        if row.digest != wish.digest:
            text = "the key was used before with other content"
            raise WalletRefused(text, reason=WalletErrorCode.IDEMPOTENCY_MISMATCH, field=["clientBroadcastId"])
        replayed = row.sent_ms is not None
        if not replayed:
            await self._send(client, row)
        state = await self._transactions.read(row.chain, row.hash)
        return Sent(state or ChainTransactionState(row.chain, row.hash, ChainTxStatus.PENDING), replayed)

    async def _stored(self, user_id: str, client: EvmClient, wish: BroadcastWish) -> BroadcastDocument:
        """The row of a transaction that may be sent; that of another request where one was quicker."""
        signed = read_signed(wish.signed)
        if signed.chain_id != client.chain_id:
            text = "it is signed for the chain {actual}, not for {wanted}"
            values: dict[str, str | int] = {"actual": signed.chain_id, "wanted": client.chain_id}
            raise WalletRefused(text, values, reason=WalletErrorCode.TRANSACTION_MISMATCH, field=["signed"])
        if wish.prepared_id is not None:
            await self._compare(user_id, wish.prepared_id, signed)
        row = BroadcastDocument(
            id=broadcast_id(user_id, wish.client_id),
            user_id=user_id,
            client_id=wish.client_id,
            digest=wish.digest,
            chain=wish.chain,
            hash=signed.hash,
            raw=signed.raw,
            sender=signed.sender,
            nonce=signed.nonce,
            counterparties=list(await self._counterparties(wish.chain, signed)),
            prepared_id=wish.prepared_id,
            created_ms=self._clock.now_ms(),
        )
        if await broadcast.insert(row):
            return row
        known = await broadcast.by_client_id(user_id, wish.client_id)
        return row if known is None else known

    async def _compare(self, user_id: str, prepared_id: str, signed: SignedEvm) -> None:
        """Refuse what is not what was prepared for this account, or is over. Raises WalletRefused."""
        row = await prepared_transaction.by_id(prepared_id)
        if row is None or row.user_id != user_id or row.expires_ms <= self._clock.now_ms():
            text = "what was prepared is over, or was never prepared; prepare it again"
            raise WalletRefused(text, reason=WalletErrorCode.TRANSACTION_EXPIRED, field=["preparedId"])
        found = differences(signed, _expected(row))
        if found:
            text = "what was signed is not what was prepared: {differences}"
            raise WalletRefused(
                text,
                {"differences": "; ".join(found)},
                reason=WalletErrorCode.TRANSACTION_MISMATCH,
                field=["signed"],
            )

    async def _counterparties(self, chain: str, signed: SignedEvm) -> Sequence[str]:
        if signed.to is None:
            return []
        coin = self._tokens.coin(chain)

        async def nameless(_contract: str) -> TokenState:
            return coin

        draft = Draft(signed.sender, signed.to, signed.value, signed.data)
        effects = await effects_of(coin, draft, nameless)
        return counterparties(effects, signed.to)

    async def _send(self, client: EvmClient, row: BroadcastDocument) -> None:
        """Hand it to a node. A node that has it already, in a block or not, has taken it. Raises WalletRefused; then nothing was sent, unless no node
        answered: the same request again finds out."""
        try:
            await client.send_raw(row.raw)
        except NodeRefused as error:
            if meaning(error).kind is not Refusal.ALREADY_KNOWN and not await self._is_known(client, row.hash):
                await broadcast.forget(row)
                raise refused(error, field=["signed"]) from error
        except ChainError as error:
            raise refused(error) from error
        await broadcast.was_sent(row, self._clock.now_ms())

    async def _is_known(self, client: EvmClient, hash_: str) -> bool:
        try:
            return await client.transaction(hash_) is not None
        except ChainError as error:
            raise refused(error) from error


def _expected(row: PreparedTransactionDocument) -> Expected:
    return Expected(
        sender=row.sender,
        chain_id=row.chain_id,
        nonce=row.nonce,
        to=row.to,
        value=int(row.value),
        gas=row.gas,
        max_fee=int(row.max_fee),
        data=bytes.fromhex(row.data),
    )
