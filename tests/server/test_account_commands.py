"""What an operator does from the command line, beside a running server and without one."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from core.account_vocabulary import AuditAction, Role
from core.bus import MemoryBus
from core.clock import SystemClock
from core.database import Database
from core.settings import Settings
from models import DOCUMENTS, audit_event, user
from models.user import UserDocument
from services.audit import AuditLog
from tests import components, nursery
from tests.accounts import BOX


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[tuple[str, Database]]:
    """URL of a database with one person in it, and a connection."""
    async with components.secantus(tmp_path / "mongo") as (_, url):
        database = Database(url, Settings(_env_file=None), SystemClock())
        await database.connect(DOCUMENTS)
        now_ms = SystemClock().now_ms()
        person = UserDocument(
            id="anna",
            email="Anna@Example.com",
            email_key="anna@example.com",
            locale="en",
            quote_asset="USD",
            created_ms=now_ms,
            authority_ms=now_ms,
        )
        await user.insert(person)
        await AuditLog(BOX, MemoryBus(), SystemClock()).record("anna", AuditAction.SIGN_UP, client=None)
        yield url, database
        await database.close()


async def command(
    url: str | None, *arguments: str, data_dir: Path | None = None, settings: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Exit status, standard output, and what standard error says beside the log; with these settings more. In a process of its own."""
    environment = {"ENCRYPTION_KEY": components.ENCRYPTION_KEY, "PATH": "", "LOG_FORMAT": "json", **(settings or {})}
    environment |= {"MONGO_URL": url} if url is not None else {"DATA_DIR": str(data_dir)}
    ended = await asyncio.to_thread(nursery.run, *arguments, environment=environment, seconds=components.START_SECONDS)
    problems = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    return ended.returncode, ended.stdout, "\n".join(problems)


async def test_the_first_administrator_is_made_here(store: tuple[str, Database]) -> None:
    url, _ = store
    status, out, _ = await command(url, "role", "anna@EXAMPLE.com", "admin")
    assert (status, out) == (0, "anna@EXAMPLE.com: USER is now ADMIN\n")
    anna = await user.by_id("anna")
    assert anna is not None
    assert anna.role is Role.ADMIN
    row = await audit_event.by_number("anna", 2)
    assert row is not None
    assert (row.action, row.actor, row.detail) == ("ROLE_CHANGED", "SYSTEM", {"from": "USER", "to": "ADMIN"})


async def test_nobody_of_this_address_is_told(store: tuple[str, Database]) -> None:
    status, out, err = await command(store[0], "role", "bob@example.com", "admin")
    assert (status, out) == (1, "")
    assert err.startswith("cryptovault: there is no account bob@example.com; expected its address")


async def test_the_audit_logs_are_proven_and_a_change_is_found(store: tuple[str, Database], tmp_path: Path) -> None:
    url, database = store
    anchor = tmp_path / "anchor"
    status, out, _ = await command(url, "audit", "verify", "--save-anchor", str(anchor))
    assert (status, out) == (0, "1 accounts, 1 rows, 0 problems\n")
    assert list(json.loads(anchor.read_text())) == ["anna"]
    assert (await command(url, "audit", "verify", "--anchor", str(anchor), "--account", "anna@example.com"))[0] == 0
    await database.handle["audit_events"].update_one({"_id": "anna:1"}, {"$set": {"ip": "203.0.113.9"}})
    status, out, err = await command(url, "audit", "verify")
    assert (status, out) == (1, "1 accounts, 1 rows, 1 problems\n")
    assert err == "audit: account anna, row 1: it was changed"
    await database.handle["audit_events"].delete_many({"user_id": "anna"})
    await database.handle["audit_heads"].delete_many({"_id": "anna"})
    assert (await command(url, "audit", "verify"))[0] == 0
    status, _, err = await command(url, "audit", "verify", "--anchor", str(anchor))
    assert status == 1
    assert "row 1 is not the one the anchor says" in err


async def test_a_file_that_is_no_anchor_is_refused(store: tuple[str, Database], tmp_path: Path) -> None:
    (tmp_path / "anchor").write_text("[1]")
    status, _, err = await command(store[0], "audit", "verify", "--anchor", str(tmp_path / "anchor"))
    assert status == 1
    assert "is no anchor" in err


async def test_a_rotation_says_what_it_did(store: tuple[str, Database]) -> None:
    status, out, _ = await command(store[0], "encryption", "rotate")
    assert (status, out) == (0, "under the newest key now: 0 factors, 0 signing keys, 0 audit rows\n")


async def test_without_a_server_the_folders_own_database_is_used(tmp_path: Path) -> None:
    status, out, err = await command(None, "audit", "verify", data_dir=tmp_path / "data")
    assert (status, out, err) == (0, "0 accounts, 0 rows, 0 problems\n", "")


@pytest.mark.parametrize("arguments", [("role",), ("role", "a@b.io", "boss"), ("audit",), ("encryption", "x")])
async def test_wrong_usage_is_told(arguments: tuple[str, ...]) -> None:
    status, _, err = await command("mongodb://127.0.0.1:9", *arguments)
    assert status == 2
    assert "usage: python -m server" in err
