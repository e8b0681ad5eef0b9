"""What the documents share: their stored form and bulk writes that serve both database engines.

The embedded engine scans for findAndModify, so nothing here uses `document.save()`; writes are replaced or updated by `_id`, in bulk.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from beanie import Document
from beanie.odm.utils.dump import get_dict
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

D = TypeVar("D", bound=Document)

DUPLICATE_KEY = 11000


def stored(document: Document) -> dict[str, object]:
    """The document as BSON values, `_id` included, without absent ones where its settings say so."""
    encoded: dict[str, object] = get_dict(document, to_db=True, keep_nulls=document.get_settings().keep_nulls)
    return encoded


async def replace_many(model: type[D], documents: Sequence[D]) -> None:
    """Write these documents over whatever is stored under their ids, in one round trip."""
    await replace_rows(model, [stored(document) for document in documents])


async def replace_rows(model: type[Document], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write these rows, already BSON values, over whatever is stored under their ids, in one round trip."""
    if rows:
        await model.get_pymongo_collection().bulk_write(
            [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows], ordered=False
        )


async def insert_new_rows(model: type[Document], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Insert these rows, already BSON values; returns those whose id is stored already and which changed nothing."""
    if not rows:
        return []
    try:
        await model.get_pymongo_collection().insert_many(rows, ordered=False)
    except BulkWriteError as error:
        problems = error.details.get("writeErrors", ())
        if error.details.get("writeConcernErrors") or any(p.get("code") != DUPLICATE_KEY for p in problems):
            raise
        return [rows[problem["index"]] for problem in problems]
    return []


async def update_older_rows(model: type[Document], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the fields of these rows over those of stored rows with a lower `sequence`, in one round trip."""
    if rows:
        await model.get_pymongo_collection().bulk_write(
            [
                UpdateOne({"_id": row["_id"], "sequence": {"$lt": row["sequence"]}}, {"$set": _fields(row)})
                for row in rows
            ],
            ordered=False,
        )


async def put_newer_rows(model: type[Document], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write these whole rows over older ones, or where there are none; a stored row of the same or a higher `sequence` stays."""
    if not rows:
        return
    writes = [ReplaceOne({"_id": row["_id"], "sequence": {"$lt": row["sequence"]}}, row) for row in rows]
    result = await model.get_pymongo_collection().bulk_write(writes, ordered=False)
    if result.matched_count < len(rows):
        await insert_new_rows(model, [dict(row) for row in rows])


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_id"}
