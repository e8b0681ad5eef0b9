"""Unsigned transactions between the house's own wallets, as they were exported to be signed offline; and what came back signed. Kept: it says who moved what."""

from collections.abc import Mapping
from typing import Any

from beanie import Document
from pydantic import BaseModel

from models.base import stored


class MoveEntry(BaseModel, frozen=True):
    """One transaction. `units` and `fee` (the most it costs) in the chain's smallest units, `unsigned` as its family needs it; `stage` 2 waits for all of stage 1.

    `sources` and `target` are addresses of the house, `paths` where the keys of the sources are found, as far as this server knows. `raw` was signed, and is stored before it
    is sent.
    """

    number: int
    stage: int = 1
    purpose: str
    asset: str
    units: str
    fee: str
    sources: tuple[str, ...]
    paths: tuple[str | None, ...]
    target: str
    unsigned: dict[str, str]
    hash: str | None = None
    raw: bytes | None = None


class TreasuryExportDocument(Document):
    """One export, of one chain."""

    id: str  # type: ignore[assignment]
    kind: str
    chain: str
    moves: tuple[MoveEntry, ...]
    created_ms: int
    version: int = 1

    class Settings:
        """Where it is kept."""

        name = "treasury_exports"
        keep_nulls = False


async def insert(row: TreasuryExportDocument) -> None:
    """Store a new one."""
    await TreasuryExportDocument.get_pymongo_collection().insert_one(stored(row))


async def by_id(export_id: str) -> TreasuryExportDocument | None:
    """The export of this id."""
    return await TreasuryExportDocument.find_one({"_id": export_id})


async def replace(row: TreasuryExportDocument, changes: Mapping[str, Any]) -> TreasuryExportDocument | None:
    """Write these changes over the version that was read; None when somebody else was faster."""
    new: TreasuryExportDocument = row.model_copy(update={**changes, "version": row.version + 1})
    result = await TreasuryExportDocument.get_pymongo_collection().replace_one(
        {"_id": row.id, "version": row.version}, stored(new)
    )
    return new if result.matched_count == 1 else None
