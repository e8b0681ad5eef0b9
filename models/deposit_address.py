"""Addresses that people deposit to: one for each account and family of chains, derived from an extended public key at its index, which nobody else ever gets."""

from dataclasses import dataclass
from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.vocabulary import ChainFamily
from models.base import stored


@dataclass(frozen=True, slots=True)
class DepositPlace:
    """Where an account deposits on a chain; with a `memo`, what has none is nobody's."""

    user_id: str
    address: str
    memo: str | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class DepositLink:
    """What a wallet opens to deposit an asset."""

    asset: str
    uri: str


class DepositAddressDocument(Document):
    """One address under `account:family`; `path` is where its private key is found by whoever has the seed."""

    id: str  # type: ignore[assignment]
    user_id: str
    family: ChainFamily
    index: int
    address: str
    path: str
    created_ms: int

    class Settings:
        """Where it is kept."""

        name = "deposit_addresses"
        indexes: ClassVar = [
            IndexModel([("family", ASCENDING), ("index", ASCENDING)], unique=True),
            IndexModel([("family", ASCENDING), ("address", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING)]),
        ]


class DepositCountDocument(Document):
    """How many addresses of a family were given out: a hint, the rows decide."""

    id: str  # type: ignore[assignment]
    last: int

    class Settings:
        """Where it is kept."""

        name = "deposit_counts"


def address_id(user_id: str, family: ChainFamily) -> str:
    """The id of an account's address."""
    return f"{user_id}:{family}"


async def insert(row: DepositAddressDocument) -> bool:
    """Store an address. False when its index, or the account's place, is taken."""
    try:
        await DepositAddressDocument.get_pymongo_collection().insert_one(stored(row))
    except DuplicateKeyError:
        return False
    await DepositCountDocument.get_pymongo_collection().update_one(
        {"_id": row.family}, {"$max": {"last": row.index}}, upsert=True
    )
    return True


async def next_index(family: ChainFamily) -> int:
    """An index that was not given out yet, the lowest as far as was noted."""
    noted = await DepositCountDocument.find_one({"_id": family})
    index = 0 if noted is None else noted.last + 1
    while await DepositAddressDocument.find_one({"family": family, "index": index}) is not None:
        index += 1
    return index


async def of_account(user_id: str, family: ChainFamily) -> DepositAddressDocument | None:
    """The account's address; None before it asked for one."""
    return await DepositAddressDocument.find_one({"_id": address_id(user_id, family)})


async def from_index(family: ChainFamily, low: int, high: int) -> list[DepositAddressDocument]:
    """Addresses with low <= index < high, lowest first.

    An index is given out only after the one below it was stored, so that none below the highest that is seen turns up later.
    """
    found = await DepositAddressDocument.find({"family": family, "index": {"$gte": low, "$lt": high}}).to_list()
    return sorted(found, key=lambda row: row.index)
