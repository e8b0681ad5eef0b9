"""Transactions that were prepared for somebody to sign."""

from datetime import datetime
from typing import ClassVar

from beanie import Document
from pydantic import BaseModel
from pymongo import IndexModel

from core.wallet_vocabulary import EffectKind, TransactionWarningCode
from models.base import stored


class TokenEntry(BaseModel, frozen=True):
    """A coin or token as it was then (`events/token.py`)."""

    chain: str
    contract: str | None = None
    symbol: str
    name: str
    decimals: int
    asset: str | None = None
    spam: bool = False


class EffectEntry(BaseModel, frozen=True):
    """What a transaction does. `units` of the token, as a text; None where they are not known or without a limit."""

    kind: EffectKind
    token: TokenEntry | None = None
    sender: str | None = None
    to: str | None = None
    spender: str | None = None
    units: str | None = None
    unlimited: bool = False


class WarningEntry(BaseModel, frozen=True):
    """A warning: its code, and its words, an English template and what stands in it."""

    code: TransactionWarningCode
    text: str
    values: dict[str, str | int] = {}


class PreparedTransactionDocument(Document):
    """An unsigned transaction of any family. `payload` is what wallets take, `terms` what the family needs beside it; `fee`, the most it can cost, is a text in
    whole coins of the chain; `gas` and `nonce` are of EVM chains alone.

    `swap_id` is of the swap that it makes. `summary` is an English template, `summary_values` what stands in it. It stays for a while after its end, so that it can be told from none.
    """

    id: str  # type: ignore[assignment]
    user_id: str
    chain: str
    sender: str
    to: str
    payload: dict[str, str]
    terms: dict[str, str] = {}
    fee: str
    gas: int | None = None
    nonce: int | None = None
    summary: str
    summary_values: dict[str, str | int]
    effects: list[EffectEntry]
    warnings: list[WarningEntry]
    created_ms: int
    swap_id: str | None = None
    expires_ms: int
    purge_at: datetime

    class Settings:
        """Where it is kept."""

        name = "prepared_transactions"
        keep_nulls = False
        indexes: ClassVar = [IndexModel([("user_id", 1)]), IndexModel([("purge_at", 1)], expireAfterSeconds=0)]


async def insert(row: PreparedTransactionDocument) -> None:
    """Store a new one."""
    await PreparedTransactionDocument.get_pymongo_collection().insert_one(stored(row))


async def by_id(prepared_id: str) -> PreparedTransactionDocument | None:
    """The one of this id."""
    return await PreparedTransactionDocument.find_one({"_id": prepared_id})


async def delete_all(user_id: str) -> None:
    """Forget what was prepared for an account."""
    await PreparedTransactionDocument.get_pymongo_collection().delete_many({"user_id": user_id})
