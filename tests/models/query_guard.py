"""Finds queries that no index serves: every filter a test sends is remembered, and explained when the test is over.

The embedded engine's explanations are taken with two corrections: it explains an update or delete as a scan whatever its filter, so
those filters are explained as the find they are; and it calls `_id` with a further field a scan, though it reads by `_id` (not so
beside an `$or`, where it does scan).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo import monitoring
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

READ_WHOLE = frozenset(
    {
        *("assets", "audit_events", "audit_heads", "exchange_snapshots", "market_statuses", "markets"),
        *("liability_trees", "signing_keys", "trading_accounts"),
    }
)
"""Small collections that are read whole at start, and what commands of operators go through."""
TINY = frozenset({"leases"})
"""Collections of a handful of documents: a scan is a look."""

_WRITES = frozenset({"insert", "update", "delete", "findAndModify", "create"})
Query = tuple[str, dict[str, Any]]
"""Collection and filter."""


def queries_of(command_name: str, command: Mapping[str, Any]) -> list[Query]:
    """The filters a command sends to the database."""
    collection = command.get(command_name)
    if not isinstance(collection, str):
        return []
    match command_name:
        case "find":
            return [(collection, dict(command.get("filter", {})))]
        case "count" | "distinct" | "findAndModify":
            return [(collection, dict(command.get("query", {})))]
        case "update":
            return [(collection, dict(update["q"])) for update in command["updates"]]
        case "delete":
            return [(collection, dict(delete["q"])) for delete in command["deletes"]]
        case "aggregate":
            stages = command["pipeline"]
            return [(collection, dict(stages[0]["$match"]) if stages and "$match" in stages[0] else {})]
        case _:
            return []


class QueryRecorder(monitoring.CommandListener):
    """Remembers one query of each shape, per database, while it is asked to."""

    def __init__(self) -> None:
        self._recorded: dict[str, dict[str, Query]] = {}
        self._written: dict[str, set[str]] = {}

    def written(self, database: str) -> set[str]:
        """Collections of this database that this process has written to since it was last asked."""
        return self._written.pop(database, set())

    def may_hold_rows(self, database: str) -> frozenset[str]:
        """The same without forgetting them: all others are empty."""
        return frozenset(self._written.get(database, ()))

    def shared(self, database: str, collections: Iterable[str]) -> None:
        """Other processes write to these collections too."""
        self._written.setdefault(database, set()).update(collections)

    @contextmanager
    def recording(self, database: str) -> Iterator[dict[str, Query]]:
        """Queries of this database by shape, complete when the block ends; an outer recording does not see them."""
        outer = self._recorded.pop(database, None)
        self._recorded[database] = {}
        try:
            yield self._recorded[database]
        finally:
            self._recorded.pop(database, None)
            if outer is not None:
                self._recorded[database] = outer

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in _WRITES:
            self._written.setdefault(event.database_name, set()).add(str(event.command[event.command_name]))
        recorded = self._recorded.get(event.database_name)
        if recorded is not None and "explain" not in event.command:
            for collection, query in queries_of(event.command_name, event.command):
                recorded.setdefault(f"{collection} {json.dumps(_shape(query))}", (collection, query))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to learn from."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to learn from."""


def _shape(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _shape(entry) for key, entry in value.items()}
    return "?"


async def scans(handle: AsyncDatabase[dict[str, Any]], queries: Mapping[str, Query]) -> list[str]:
    """Those of these queries that walk a whole collection, as text. The indexes are always the same, so what was found well is not asked again."""
    found = []
    for shape, (collection, query) in queries.items():
        if collection in TINY or (collection in READ_WHOLE and not query) or _is_read_by_id(query):
            continue
        if shape in _SERVED:
            continue
        plan = await handle.command({"explain": {"find": collection, "filter": query}})
        if "COLLSCAN" in json.dumps(plan["queryPlanner"]["winningPlan"], default=str):
            found.append(shape)
        else:
            _SERVED.add(shape)
    return found


def _is_read_by_id(query: Mapping[str, Any]) -> bool:
    wanted = query.get("_id")
    exact = wanted is not None and (not isinstance(wanted, Mapping) or set(wanted) == {"$in"})
    return exact and not any(key.startswith("$") for key in query)


_SERVED: set[str] = set()
RECORDER = QueryRecorder()
monitoring.register(RECORDER)
