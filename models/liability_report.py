"""Reports of what people own together, kept for good, and their trees, of which the newest are kept.

A tree is written in pieces before its report; only `publish`, one transaction, makes both visible. A tree without a report is what is left of
one that was not finished.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from beanie import Document
from bson import Binary
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from models.base import insert_new_rows, stored, transaction

_NEWEST = "newest"
_AT_ONCE = 20
"""Chunks in one request: some 40 KB each."""


class NotPublished(Exception):
    """Another report took this number, or the tree was cleared away, meanwhile. Nothing was changed."""


class LiabilityReportDocument(Document):
    """A report under its number, from 1 on without a gap. `totals` are canonical decimal texts by asset, as they were signed; `tree` is its tree."""

    id: int  # type: ignore[assignment]
    root: str
    previous_root: str | None
    sequence: int
    totals: dict[str, str]
    accounts: int
    time_ms: int
    signature: str
    public_key: str
    tree: str

    class Settings:
        """Where it is kept."""

        name = "liability_reports"
        indexes: ClassVar = [IndexModel([("root", ASCENDING)], unique=True)]


class LiabilityHeadDocument(Document):
    """The number of the newest report."""

    id: str  # type: ignore[assignment]
    number: int

    class Settings:
        """Where it is kept."""

        name = "liability_heads"


class LiabilityTreeDocument(Document):
    """What finds a leaf in a tree (`services/liability_tree.py`), under a random id; `report` is the number of its report, once that is visible."""

    id: str  # type: ignore[assignment]
    report: int | None

    class Settings:
        """Where it is kept."""

        name = "liability_trees"


class LiabilityChunkDocument(Document):
    """A piece of a tree."""

    id: str  # type: ignore[assignment]
    tree: str

    class Settings:
        """Where it is kept."""

        name = "liability_chunks"
        indexes: ClassVar = [IndexModel([("tree", ASCENDING)])]


@dataclass(frozen=True, slots=True)
class TreeHead:
    """`secret` is what salts and places come from: no more secret than the balances beside it. `scales`: the digits of each asset's units."""

    id: str
    secret: bytes
    firsts: bytes
    scales: dict[str, int]


async def newest_number() -> int:
    """The number of the newest report; 0: there is none."""
    row = await LiabilityHeadDocument.get_pymongo_collection().find_one({"_id": _NEWEST})
    return 0 if row is None else int(row["number"])


async def by_number(number: int) -> LiabilityReportDocument | None:
    """One report."""
    return await LiabilityReportDocument.find_one({"_id": number})


async def by_root(root: str) -> LiabilityReportDocument | None:
    """The report of this root."""
    return await LiabilityReportDocument.find_one({"root": root})


async def insert_tree(head: TreeHead, chunks: Sequence[bytes]) -> None:
    """Write a tree that nobody sees yet."""
    await LiabilityTreeDocument.get_pymongo_collection().insert_one(
        {
            "_id": head.id,
            "report": None,
            "secret": Binary(head.secret),
            "firsts": Binary(head.firsts),
            "scales": head.scales,
        }
    )
    for start in range(0, len(chunks), _AT_ONCE):
        rows: list[dict[str, Any]] = [
            {"_id": _chunk_id(head.id, place), "tree": head.id, "payload": Binary(chunk)}
            for place, chunk in enumerate(chunks[start : start + _AT_ONCE], start)
        ]
        await insert_new_rows(LiabilityChunkDocument, rows)


async def publish(report: LiabilityReportDocument) -> None:
    """Make a report and its tree visible. Raises NotPublished."""
    heads = LiabilityHeadDocument.get_pymongo_collection()
    trees = LiabilityTreeDocument.get_pymongo_collection()
    before = report.id - 1
    try:
        async with transaction(LiabilityReportDocument) as session:
            tree = await trees.update_one(
                {"_id": report.tree, "report": None}, {"$set": {"report": report.id}}, session=session
            )
            if before == 0:
                await heads.insert_one({"_id": _NEWEST, "number": report.id}, session=session)
                is_next = True
            else:
                head = await heads.update_one(
                    {"_id": _NEWEST, "number": before}, {"$set": {"number": report.id}}, session=session
                )
                is_next = head.matched_count == 1
            if tree.matched_count != 1 or not is_next:
                raise NotPublished("another report was made meanwhile")
            await LiabilityReportDocument.get_pymongo_collection().insert_one(stored(report), session=session)
    except DuplicateKeyError as error:
        raise NotPublished("another report was made meanwhile") from error


async def read_tree(tree: str) -> TreeHead | None:
    """What finds a leaf; None: the tree is not kept any more."""
    row = await LiabilityTreeDocument.get_pymongo_collection().find_one({"_id": tree})
    return (
        None if row is None else TreeHead(row["_id"], bytes(row["secret"]), bytes(row["firsts"]), dict(row["scales"]))
    )


async def read_chunk(tree: str, place: int) -> bytes | None:
    """A piece of a tree; None: it is not kept any more."""
    row = await LiabilityChunkDocument.get_pymongo_collection().find_one({"_id": _chunk_id(tree, place)})
    return None if row is None else bytes(row["payload"])


async def delete_trees_before(number: int) -> int:
    """Forget the trees of reports before this one, and what is left of those that were never finished. How many."""
    rows = LiabilityTreeDocument.get_pymongo_collection().find({}, {"report": 1})
    gone = [row["_id"] async for row in rows if row["report"] is None or row["report"] < number]
    for tree in gone:
        await LiabilityTreeDocument.get_pymongo_collection().delete_one({"_id": tree})
        await LiabilityChunkDocument.get_pymongo_collection().delete_many({"tree": tree})
    return len(gone)


def _chunk_id(tree: str, place: int) -> str:
    return f"{tree}:{place}"
