"""What the documents share: their stored form and bulk writes that serve both database engines.

The embedded engine scans for findAndModify, so nothing here uses `document.save()`; writes are replaced or updated by `_id`, in bulk.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import bson
from beanie import Document
from beanie.odm.utils.dump import get_dict
from bson import Binary
from pymongo import ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

D = TypeVar("D", bound=Document)

DUPLICATE_KEY = 11000
INSERTED_AT_ONCE = 200
"""Rows in one request, so that others get in between."""


def stored(document: Document) -> dict[str, object]:
    """The document as BSON values, `_id` included, without absent ones where its settings say so."""
    encoded: dict[str, object] = get_dict(document, to_db=True, keep_nulls=document.get_settings().keep_nulls)
    return encoded


def is_duplicate(error: PyMongoError) -> bool:
    """Whether nothing is wrong but that an id, or what else is unique, is taken."""
    if not isinstance(error, BulkWriteError):
        return isinstance(error, DuplicateKeyError)
    problems = error.details.get("writeErrors", ())
    return bool(problems) and all(problem.get("code") == DUPLICATE_KEY for problem in problems)


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
    known: list[dict[str, Any]] = []
    for start in range(0, len(rows), INSERTED_AT_ONCE):
        piece = rows[start : start + INSERTED_AT_ONCE]
        try:
            await model.get_pymongo_collection().insert_many(piece, ordered=False)
        except BulkWriteError as error:
            problems = error.details.get("writeErrors", ())
            if error.details.get("writeConcernErrors") or any(p.get("code") != DUPLICATE_KEY for p in problems):
                raise
            known += [piece[problem["index"]] for problem in problems]
    return known


async def renew_rows(model: type[Document], rows: Sequence[Mapping[str, Any]], session: AsyncClientSession) -> None:
    """Write these whole rows over what is stored under their ids, within a transaction.

    By `_id` alone and whole: any other update costs the embedded engine two to four times as much.
    """
    if rows:
        await model.get_pymongo_collection().bulk_write(
            [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows], ordered=False, session=session
        )


def packed(row: Mapping[str, Any], *, beside: Sequence[str] = ()) -> dict[str, Any]:
    """A row as one value, with only its id and these fields `beside` it, by which it is found: every further field costs the embedded
    engine time at each write."""
    return {name: row[name] for name in ("_id", *beside)} | {"payload": Binary(bson.encode(row))}


def unpacked(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row that was packed."""
    return bson.decode(row["payload"])


@asynccontextmanager
async def transaction(model: type[Document]) -> AsyncIterator[AsyncClientSession]:
    """A transaction on the database of this model: all that is written with its session, or nothing."""
    async with (
        model.get_pymongo_collection().database.client.start_session() as session,
        await session.start_transaction(),
    ):
        yield session
