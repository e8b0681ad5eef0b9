"""Offers of aggregators for a swap, kept for as long as their owners may come back to them."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pydantic import BaseModel
from pymongo import ASCENDING, IndexModel

from core.money import StoredDecimal
from core.wallet_vocabulary import SwapProvider
from models.base import stored


class TokenEntry(BaseModel, frozen=True):
    """A coin or token as it was known when it was quoted; `contract` None: the chain's own coin, `asset`: the asset here that it is a form of."""

    chain: str
    contract: str | None = None
    symbol: str
    name: str
    decimals: int
    asset: str | None = None
    spam: bool = False


class FeeEntry(BaseModel, frozen=True):
    """So much of an asset that is taken on the way."""

    asset: str
    amount: StoredDecimal


class StepEntry(BaseModel, frozen=True):
    """An exchange or bridge on the way."""

    tool: str
    from_token: TokenEntry
    to_token: TokenEntry
    seconds: int | None = None


class CallEntry(BaseModel, frozen=True):
    """The transaction that swaps, without nonce and fees. `value` in wei; `gas` as the aggregator estimates."""

    to: str
    data: bytes
    value: StoredDecimal
    gas: int | None = None


class QuoteEntry(BaseModel, frozen=True):
    """An offer. Amounts in whole units of their tokens; `price_impact` is the part of the worth that is lost. `spender` may take what is sold;
    `settler` is a contract inside the call that must be proven genuine."""

    provider: SwapProvider
    address: str
    from_token: TokenEntry
    to_token: TokenEntry
    amount_in: StoredDecimal
    amount_out: StoredDecimal
    minimum_out: StoredDecimal
    price_impact: StoredDecimal | None = None
    fees: tuple[FeeEntry, ...] = ()
    steps: tuple[StepEntry, ...] = ()
    spender: str | None = None
    call: CallEntry
    bridge: str | None = None
    settler: str | None = None
    expires_ms: int


class SwapQuoteDocument(Document):
    """An offer to an account. It stays for a while after its end, so that one that is over can be told from one that never was."""

    id: str  # type: ignore[assignment]
    user_id: str
    quote: QuoteEntry
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "swap_quotes"
        keep_nulls = False
        indexes: ClassVar = [IndexModel([("purge_at", ASCENDING)], expireAfterSeconds=0)]


async def insert(rows: list[SwapQuoteDocument]) -> None:
    """Store new offers."""
    await SwapQuoteDocument.get_pymongo_collection().insert_many([stored(row) for row in rows])


async def by_id(quote_id: str) -> SwapQuoteDocument | None:
    """The offer of this id."""
    return await SwapQuoteDocument.find_one({"_id": quote_id})
