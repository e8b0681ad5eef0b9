"""Proving audit logs: whatever somebody does who can write to the database, and has not the server's key, is found."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection

from core.account_vocabulary import AuditAction
from core.bus import MemoryBus
from core.clock import ManualClock
from core.database import Database
from core.secret_box import SecretBox
from models import audit_event
from models.audit_event import AuditEventDocument
from models.base import stored
from services.audit import AuditLog, hash_of
from services.audit_check import AuditReport, check
from tests.accounts import BOX, CLIENT
from tests.models import query_guard

ROWS = 8
MANY = 2_000
MANY_SECONDS = 5.0
"""It takes about a quarter of a second; a slower way, such as a query for each row, takes longer than this."""

Collection = AsyncCollection[dict[str, Any]]


class Vault:
    """Logs of two accounts, and the hands of somebody who may write to the database."""

    def __init__(self, database: Database) -> None:
        self.rows: Collection = database.handle["audit_events"]
        self.heads: Collection = database.handle["audit_heads"]
        self.box = BOX
        self._database = database
        self._log = AuditLog(BOX, MemoryBus(), ManualClock())

    async def fill(self, account: str, count: int = ROWS) -> None:
        """So many rows more."""
        for number in range(count):
            await self._log.record(account, AuditAction.LOG_OUT, client=CLIENT, detail={"number": number})

    async def check(self, anchor: dict[str, tuple[int, str]] | None = None, account: str | None = None) -> AuditReport:
        """What is found."""
        with query_guard.RECORDER.recording(self._database.handle.name):  # everything is read, by no request
            return await check(self.box, anchor or {}, account)

    async def row(self, number: int, account: str = "anna") -> dict[str, Any]:
        """A row as it is stored."""
        found = await self.rows.find_one({"_id": f"{account}:{number}"})
        assert found is not None
        return found

    @asynccontextmanager
    async def put_back(self) -> AsyncIterator[None]:
        """Whatever is done in the block is undone at its end."""
        with query_guard.RECORDER.recording(self._database.handle.name):
            before = [(each, await each.find({}).to_list()) for each in (self.rows, self.heads)]
        yield
        with query_guard.RECORDER.recording(self._database.handle.name):
            for collection, documents in before:
                await collection.delete_many({})
                await collection.insert_many(documents)

    async def change(self, number: int, **changes: object) -> None:
        """Write over fields of a row."""
        await self.rows.update_one({"_id": f"anna:{number}"}, {"$set": changes})


@pytest.fixture
async def vault(database: Database) -> Vault:
    made = Vault(database)
    await made.fill("anna")
    await made.fill("ben", 3)
    return made


Deed = Callable[[Vault], Awaitable[object]]


async def rehashed(vault: Vault) -> None:
    """A row is changed and the chain behind it made anew, as far as that goes without the key."""
    previous = ""
    for number in range(4, ROWS + 1):
        row = AuditEventDocument.model_validate(await vault.row(number))
        changes: dict[str, object] = {"previous_hash": previous} if previous else {"ip": "203.0.113.9"}
        changed = row.model_copy(update=changes)
        previous = hash_of(changed)
        await vault.change(number, **changes, hash=previous)
    await vault.heads.update_one({"_id": "anna"}, {"$set": {"hash": previous}})


async def resealed(vault: Vault) -> None:
    """The same with a key of one's own."""
    await rehashed(vault)
    mine = SecretBox([bytes(32)])
    for number in range(4, ROWS + 1):
        digest = (await vault.row(number))["hash"]
        await vault.change(number, seal=mine.digest(digest.encode(), "audit"))


async def swapped(vault: Vault) -> None:
    """Two rows change places."""
    third, fourth = await vault.row(3), await vault.row(4)
    await vault.rows.replace_one({"_id": "anna:3"}, {**fourth, "_id": "anna:3", "sequence": 3})
    await vault.rows.replace_one({"_id": "anna:4"}, {**third, "_id": "anna:4", "sequence": 4})


async def moved(vault: Vault) -> None:
    """A row of Anna's becomes one of Ben's."""
    row = await vault.row(ROWS)
    await vault.rows.delete_one({"_id": row["_id"]})
    await vault.rows.insert_one({**row, "_id": "ben:4", "user_id": "ben", "sequence": 4})


async def cut(vault: Vault) -> None:
    """The newest two rows go."""
    for number in (ROWS - 1, ROWS):
        await vault.rows.delete_one({"_id": f"anna:{number}"})


async def forged(vault: Vault, sequence: int) -> None:
    """A row that the server never wrote."""
    row = await vault.row(ROWS)
    await vault.rows.insert_one({**row, "_id": f"anna:{sequence}", "sequence": sequence})


async def without_head(vault: Vault) -> None:
    """A row is changed, and the head, by which the account would be found, is gone."""
    await vault.change(4, ip="203.0.113.9")
    await vault.heads.delete_one({"_id": "anna"})


CHANGES: dict[str, object] = {
    "action": "LOG_IN",
    "outcome": "REFUSED",
    "actor": "OPERATOR",
    "ip": "203.0.113.9",
    "user_agent": None,
    "request_id": "another",
    "detail": {"number": 1, "more": True},
    "time_ms": 1,
    "previous_hash": "0" * 64,
    "hash": "0" * 64,
    "seal": "0" * 64,
    "user_id": "carl",
    "sequence": 400,
}
DEEDS: dict[str, tuple[Deed, str]] = {
    "another hash, and the chain made anew": (rehashed, "account anna, row 4: it was not written by this server"),
    "the same, sealed with another key": (resealed, "account anna, row 4: it was not written by this server"),
    "a row taken out": (
        lambda vault: vault.rows.delete_one({"_id": "anna:4"}),
        "account anna, row 5: rows 4 to 4 are missing",
    ),
    "the first row taken out": (
        lambda vault: vault.rows.delete_one({"_id": "anna:1"}),
        "account anna, row 2: rows 1 to 1 are missing",
    ),
    "the end cut off": (cut, "account anna: rows 7 to 8 are missing"),
    "everything taken out": (
        lambda vault: vault.rows.delete_many({"user_id": "anna"}),
        "account anna: rows 1 to 8 are missing",
    ),
    "no head": (
        lambda vault: vault.heads.delete_one({"_id": "anna"}),
        "account anna: the head is missing, or was not made by this server",
    ),
    "no head, and a row changed": (without_head, "account anna, row 4: it was changed"),
    "a head that says less": (
        lambda vault: vault.heads.update_one({"_id": "anna"}, {"$set": {"sequence": 1}}),
        "account anna: the head is missing, or was not made by this server",
    ),
    "a head that cannot be read": (
        lambda vault: vault.heads.update_one({"_id": "anna"}, {"$set": {"sequence": "many"}}),
        "account anna: the head is missing, or was not made by this server",
    ),
    "rows in another order": (swapped, "account anna, row 3: it does not follow the row before it"),
    "a row that becomes somebody else's": (moved, "account ben, row 4: it does not follow the row before it"),
    "a row added behind": (lambda vault: forged(vault, ROWS + 1), "account anna, row 9: it does not follow the row"),
    "a row added far behind": (lambda vault: forged(vault, 10**15), "rows 9 to 999999999999999 are missing"),
    "a row added before": (lambda vault: forged(vault, 0), "account anna, row 0: it does not stand where it belongs"),
    "a row that cannot be read": (
        lambda vault: vault.change(4, action="NEVER_HEARD_OF"),
        "account anna, row 4: it cannot be read any more",
    ),
    "a row without a field": (
        lambda vault: vault.rows.update_one({"_id": "anna:4"}, {"$unset": {"hash": ""}}),
        "account anna, row 4: it cannot be read any more",
    ),
    **{
        f"another {name}": (lambda vault, name=name, value=value: vault.change(4, **{name: value}), "account anna")  # type: ignore[misc]
        for name, value in CHANGES.items()
    },
}


async def test_an_untouched_log_is_in_order(vault: Vault) -> None:
    report = await vault.check()
    assert (report.accounts, report.rows, report.problems) == (2, ROWS + 3, [])
    newest = await vault.row(ROWS)
    assert report.heads["anna"] == (ROWS, newest["hash"])


def test_every_field_of_a_row_is_changed_by_some_deed() -> None:
    assert set(CHANGES) == set(AuditEventDocument.model_fields) - {"id", "revision_id"}


async def test_what_was_done_to_a_log_is_found(vault: Vault) -> None:
    for deed, (do, expected) in DEEDS.items():
        async with vault.put_back():
            await do(vault)
            problems = (await vault.check()).problems
            assert any(expected in problem for problem in problems), (deed, problems)
            assert (await vault.check(account="anna")).problems != [], deed
            assert [each for each in problems if "account ben" in each] == [] or "somebody else's" in deed
    assert (await vault.check()).problems == []


@pytest.mark.parametrize("length", [1, 5])
async def test_a_log_that_was_put_back_is_found_by_an_anchor(vault: Vault, length: int) -> None:
    """Rows and head are what they once were; they hold by themselves, and are shorter than they were known to be."""
    anchor = (await vault.check()).heads
    row = AuditEventDocument.model_validate(await vault.row(length))
    for number in range(length + 1, ROWS + 1):
        await vault.rows.delete_one({"_id": f"anna:{number}"})
    head = AuditLog(BOX, MemoryBus(), ManualClock()).head_of(row)
    await vault.heads.replace_one({"_id": "anna"}, stored(head))
    assert (await vault.check()).problems == []
    assert (await vault.check(anchor)).problems == ["account anna: row 8 is not the one the anchor says"]


async def test_an_account_that_is_gone_as_a_whole_is_found_by_an_anchor(vault: Vault) -> None:
    anchor = (await vault.check()).heads
    await vault.rows.delete_many({"user_id": "anna"})
    await vault.heads.delete_one({"_id": "anna"})
    assert (await vault.check()).problems == []
    assert "account anna: row 8 is not the one the anchor says" in (await vault.check(anchor)).problems


async def test_a_log_that_has_grown_agrees_with_its_anchor(vault: Vault) -> None:
    anchor = (await vault.check()).heads
    await vault.fill("anna", 3)
    report = await vault.check(anchor)
    assert (report.problems, report.heads["anna"][0]) == ([], ROWS + 3)


async def test_a_head_that_is_behind_is_no_problem(vault: Vault) -> None:
    """So a crash between row and head leaves it; the next row repairs it."""
    row = AuditEventDocument.model_validate(await vault.row(3))
    head = AuditLog(BOX, MemoryBus(), ManualClock()).head_of(row)
    await vault.heads.replace_one({"_id": "anna"}, stored(head))
    report = await vault.check()
    assert (report.problems, report.heads["anna"][0]) == ([], ROWS)


async def test_seals_of_a_former_key_hold(vault: Vault) -> None:
    vault.box = SecretBox([bytes(31) + b"\1", bytes(range(32))])
    assert (await vault.check()).problems == []
    vault.box = SecretBox([bytes(31) + b"\1"])
    assert len((await vault.check(account="anna")).problems) == ROWS + 1


async def test_a_long_log_is_proven_quickly(vault: Vault) -> None:
    log = AuditLog(BOX, MemoryBus(), ManualClock())
    draft = AuditEventDocument.model_validate(await vault.row(1)).model_copy(update={"user_id": "long"})
    rows, previous = [], "0" * 64
    for number in range(1, MANY + 1):
        rows.append(log._chained(draft, number, previous))
        previous = rows[-1].hash
    await vault.rows.insert_many([stored(row) for row in rows])
    await audit_event.advance_head(log.head_of(rows[-1]))
    started = time.monotonic()
    report = await vault.check(account="long")
    spent = time.monotonic() - started
    assert (report.rows, report.problems) == (MANY, [])
    assert spent < MANY_SECONDS
