"""What the documents share: their stored form and a bulk write that serves both database engines.

The embedded engine scans for findAndModify, so nothing here uses `document.save()`; writes are replaced or updated by `_id`, in bulk.
"""

from collections.abc import Sequence
from typing import TypeVar

from beanie import Document
from beanie.odm.utils.dump import get_dict
from pymongo import ReplaceOne

D = TypeVar("D", bound=Document)


def stored(document: Document) -> dict[str, object]:
    """The document as BSON values, `_id` included."""
    encoded: dict[str, object] = get_dict(document, to_db=True)
    return encoded


async def replace_many(model: type[D], documents: Sequence[D]) -> None:
    """Write these documents over whatever is stored under their ids, in one round trip."""
    if documents:
        await model.get_pymongo_collection().bulk_write(
            [ReplaceOne({"_id": document.id}, stored(document), upsert=True) for document in documents],
            ordered=False,
        )
