"""A database in memory with what `models/` use of PyMongo: ids, unique indexes, bulk writes and transactions, as MongoDB has them.

Rows are kept as BSON, so that what the database would not take is not taken here, and nothing is shared with who wrote it. A transaction
sees the moment of its first call; what it writes becomes visible at its commit, or never; of two that write one row the later fails.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar
from unittest import mock

import bson
from beanie import Document
from beanie.odm.interfaces.getters import OtherGettersInterface
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure
from sortedcontainers import SortedDict

from tests.simulation.faults import Faults
from tests.simulation.virtual_time import Life, current_life

Row = dict[str, Any]
Filter = Mapping[str, Any]
T = TypeVar("T")
_TRANSIENT = {"errorLabels": ["TransientTransactionError"]}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$in": lambda value, wanted: value in wanted,
    "$gt": lambda value, wanted: value is not None and value > wanted,
    "$gte": lambda value, wanted: value is not None and value >= wanted,
    "$lt": lambda value, wanted: value is not None and value < wanted,
    "$lte": lambda value, wanted: value is not None and value <= wanted,
}


class MemoryMongo:
    """One server. `version` counts commits."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.version = 0
        self.open: dict[MemorySession, None] = {}
        self._collections: dict[str, MemoryCollection] = {}

    @property
    def client(self) -> "MemoryMongo":
        """Itself; a collection's `database.client` leads here."""
        return self

    def start_session(self) -> "MemorySession":
        """One that has not begun a transaction."""
        return MemorySession(self)

    def collection(self, model: type[Document]) -> "MemoryCollection":
        """That of a document."""
        settings: Any = model.Settings
        name: str = settings.name
        if name not in self._collections:
            indexes = [index.document for index in getattr(settings, "indexes", ())]
            unique = [next(iter(index["key"])) for index in indexes if index.get("unique")]
            self._collections[name] = MemoryCollection(self, name, unique)
        return self._collections[name]

    @contextmanager
    def installed(self) -> Iterator[Self]:
        """Let all documents be kept here."""
        found = classmethod(self.collection)
        with mock.patch.object(OtherGettersInterface, "get_pymongo_collection", found):
            yield self


class MemorySession:
    """A session with at most one transaction, the context of both."""

    def __init__(self, server: MemoryMongo) -> None:
        self._server = server
        self._life: Life | None = current_life()
        self.in_transaction = False
        self.began = 0
        self.writes: dict[tuple[MemoryCollection, Any], bytes | None] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self.in_transaction and error is None:
            await self._commit()
        self.end()

    async def start_transaction(self) -> Self:
        """From here on; ended with the block that it is the context of."""
        self.in_transaction = True
        self.began = self._server.version
        self._server.open[self] = None
        return self

    def end(self) -> None:
        """Let nothing of it have happened that is not committed."""
        self.in_transaction = False
        self._server.open.pop(self, None)

    async def _commit(self) -> None:
        await self._server.faults.call(lambda part: self._apply())

    def _apply(self) -> None:
        self.check()
        self._server.version += 1
        for (collection, key), raw in self.writes.items():
            collection.put(key, raw)
        self.end()

    def check(self) -> None:
        """Raises OperationFailure for a transaction that is over."""
        if not self.in_transaction:
            raise OperationFailure("there is no such transaction", 251, _TRANSIENT)

    def write(self, collection: "MemoryCollection", key: object, raw: bytes | None) -> None:
        """Write a row, None: delete it. Raises OperationFailure, and is over, where another has written it since this one began."""
        self.check()
        others = any(
            (collection, key) in other.writes
            for other in self._server.open
            if other is not self and (other._life is None or other._life.alive)
        )
        if others or collection.changed.get(key, 0) > self.began:
            self.end()
            raise OperationFailure("write conflict", 112, _TRANSIENT)
        self.writes[collection, key] = raw


class MemoryCollection:
    """Rows by id, in the order of their first insertion."""

    def __init__(self, server: MemoryMongo, name: str, unique: Sequence[str]) -> None:
        self.database = server
        self.name = name
        self.changed: dict[Any, int] = {}
        """The version of the last commit that wrote or deleted a row."""
        self._raw: dict[Any, bytes] = {}
        self._rows: dict[Any, Row] = {}
        self._unique: dict[str, SortedDict] = {field: SortedDict() for field in unique}

    def with_options(self, **options: object) -> "MemoryCollection":
        """Everything here is durable at once."""
        return self

    def put(self, key: Any, raw: bytes | None) -> None:
        """Write or delete a row, as part of the present version."""
        before = self._rows.pop(key, None)
        self._raw.pop(key, None)
        for field, index in self._unique.items():
            if before is not None:
                index.pop(before.get(field), None)
        if raw is not None:
            row = bson.decode(raw)
            self._raw[key], self._rows[key] = raw, row
            for field, index in self._unique.items():
                index[row.get(field)] = key
        self.changed[key] = self.database.version

    def rows(self) -> list[Row]:
        """All of them, as anybody would read them; for audits."""
        return [bson.decode(raw) for raw in self._raw.values()]

    def newest(self) -> Row | None:
        """The row that was written last."""
        return self._rows[next(reversed(self._rows))] if self._rows else None

    def copy_from(self, other: "MemoryCollection") -> None:
        """Hold what another one holds."""
        for key, raw in other._raw.items():
            self.put(key, raw)

    async def find_one(self, wanted: Filter, projection: Mapping[str, int] | None = None) -> Row | None:
        """One that matches."""
        found = await self.database.faults.call(lambda part: self._matching(wanted))
        return found[0] if found else None

    async def find(self, wanted: Filter) -> AsyncIterator[Row]:
        """All that match."""
        for row in await self.database.faults.call(lambda part: self._matching(wanted)):
            yield row

    def _matching(self, wanted: Filter) -> list[Row]:
        return [bson.decode(self._raw[key]) for key in self._keys(wanted, None)]

    def _keys(self, wanted: Filter, session: MemorySession | None) -> list[Any]:
        """Ids of those that match; of its own writes a transaction sees only the deleted ones."""
        found = [key for key in self._candidates(wanted) if key in self._rows and _matches(self._rows[key], wanted)]
        if session is None:
            return found
        return [key for key in found if session.writes.get((self, key), b"") is not None]

    def _candidates(self, wanted: Filter) -> Sequence[Any]:
        by_id = wanted.get("_id")
        if by_id is not None:
            return list(by_id["$in"]) if isinstance(by_id, dict) else [by_id]
        for field, index in self._unique.items():
            if set(wanted.get(field, ())) == {"$gt", "$lte"}:
                low, high = wanted[field]["$gt"], wanted[field]["$lte"]
                return [index[value] for value in index.irange(low, high, inclusive=(False, True))]
        return list(self._rows)

    async def insert_one(self, row: Row, session: MemorySession | None = None) -> None:
        """Add a row. Raises DuplicateKeyError."""

        def apply(part: float) -> None:
            if problem := self._insert([row], session):
                raise DuplicateKeyError(problem[0]["errmsg"], 11000)

        await self.database.faults.call(apply)

    async def insert_many(self, rows: Sequence[Row], *, ordered: bool, session: MemorySession | None = None) -> None:
        """Add rows, each for itself. Raises BulkWriteError; outside of a transaction those that could be added stay."""
        assert not ordered

        def apply(part: float) -> None:
            some = rows if session is not None else rows[: round(len(rows) * part)]
            if problems := self._insert(some, session):
                raise BulkWriteError({"writeErrors": problems, "writeConcernErrors": [], "nInserted": 0})

        await self.database.faults.call(apply)

    def _insert(self, rows: Sequence[Row], session: MemorySession | None) -> list[Row]:
        problems: list[Row] = []
        if session is None:
            self.database.version += 1
        for place, row in enumerate(rows):
            if self._is_taken(row, session):
                problems.append({"index": place, "code": 11000, "errmsg": f"E11000 duplicate key in {self.name}"})
            elif session is None:
                self.put(row["_id"], bson.encode(row))
            else:
                session.write(self, row["_id"], bson.encode(row))
        if problems and session is not None:
            session.end()
        return problems

    def _is_taken(self, row: Row, session: MemorySession | None) -> bool:
        if session is not None and (self, row["_id"]) in session.writes:
            return session.writes[self, row["_id"]] is not None
        return row["_id"] in self._rows or any(row.get(field) in index for field, index in self._unique.items())

    async def delete_one(self, wanted: Filter) -> None:
        """Delete what matches, of which there is one at most."""
        await self.delete_many(wanted)

    async def delete_many(self, wanted: Filter, session: MemorySession | None = None) -> None:
        """Delete all that match."""

        def apply(part: float) -> None:
            if session is None:
                self.database.version += 1
            else:
                session.check()
            for key in self._keys(wanted, session):
                if session is None:
                    self.put(key, None)
                else:
                    session.write(self, key, None)

        await self.database.faults.call(apply)

    async def update_one(self, wanted: Filter, update: Row, session: MemorySession | None = None) -> "Updated":
        """Change one that matches, by $set and $inc."""

        def apply(part: float) -> Updated:
            keys = self._keys(wanted, session)[:1]
            for key in keys:
                row = bson.decode(self._raw[key]) | update["$set"]
                for field, by in update.get("$inc", {}).items():
                    row[field] = row.get(field, 0) + by
                if session is None:
                    self.database.version += 1
                    self.put(key, bson.encode(row))
                else:
                    session.write(self, key, bson.encode(row))
            return Updated(len(keys))

        return await self.database.faults.call(apply)

    async def bulk_write(
        self, operations: Sequence[Any], *, ordered: bool, session: MemorySession | None = None
    ) -> None:
        """Replace rows or add them."""
        assert not ordered

        def apply(part: float) -> None:
            if session is not None:
                session.check()
                for operation in operations:
                    session.write(self, operation._filter["_id"], bson.encode(operation._doc))
                return
            self.database.version += 1
            for operation in operations[: round(len(operations) * part)]:
                self.put(operation._filter["_id"], bson.encode(operation._doc))

        await self.database.faults.call(apply)


class Updated:
    """What `update_one` says."""

    def __init__(self, matched_count: int) -> None:
        self.matched_count = matched_count


def _matches(row: Row, wanted: Filter) -> bool:
    for field, condition in wanted.items():
        value = row.get(field)
        if isinstance(condition, dict):
            if not all(_COMPARE[name](value, bound) for name, bound in condition.items()):
                return False
        elif value != condition:
            return False
    return True
