"""The audit of the journal: a real exchange's journal is sound, and whatever is done to it or to the documents is named."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from core.database import Database
from core.money import to_storage
from events.commands import ReverseDeposit
from events.journal import Event, FundsMoved
from events.journal_codec import FORMAT, encode
from exchange.engine import Exchange
from exchange.state import State
from models import journal
from models.journal import NO_HASH, JournalDocument, batch_of
from models.projection import Watermark
from models.trading_account import TradingAccountDocument, by_id
from services import journal_audit
from services.journal_audit import JournalReport, debts, holds, sums
from tests.exchange.floor import BUY, SELL, Floor
from tests.models import query_guard
from tests.trading_rows import put_accounts, write_watermark

SCALES = {"ETH": 18, "USDT": 6, "BTC": 8, "USD": 2}


def busy_floor() -> Floor:
    """Orders that rest, trade and end, with fees."""
    floor = Floor("ann", "bob")
    for number in range(30):
        floor.limit("ann", SELL, 10_000 + number, 1_000)
        floor.limit("bob", BUY, 9_990 + number, 700)
    return floor


async def store_journal(events: Sequence[Event], in_batch: int = 17) -> None:
    sequence, prev = 0, NO_HASH
    for number, start in enumerate(range(0, len(events), in_batch), 1):
        part = events[start : start + in_batch]
        batch = batch_of(
            number=number, epoch=1, first_seq=sequence + 1, last_seq=sequence + len(part), time_ms=number,
            written_in=FORMAT, prev_hash=prev, payload=encode(part),
        )  # fmt: skip
        assert await journal.append(batch)
        sequence, prev = batch.last_seq, batch.hash


def _amount(units: int, asset: str) -> Any:
    return to_storage(Decimal(units).scaleb(-SCALES[asset]))


async def store_documents(state: State) -> None:
    """Every account as the projection would write it."""
    rows: list[dict[str, Any]] = [
        {
            "_id": account.id,
            "sequence": account.sequence,
            "balances": {
                asset: {"available": _amount(balance.available, asset), "held": _amount(balance.held, asset)}
                for asset, balance in account.balances.items()
            },
            "debts": {asset: _amount(units, asset) for asset, units in account.debts.items()},
        }
        for account in state.accounts.values()
    ]
    rows += [
        {
            "_id": str(house),
            "sequence": state.sequence,
            "balances": {
                asset: {"available": _amount(units, asset), "held": _amount(0, asset)} for asset, units in held.items()
            },
        }
        for house, held in state.house.items()
    ]
    await put_accounts(rows)
    await write_watermark(Watermark(1, state.sequence, 1))


async def audited(database: Database) -> JournalReport:
    with query_guard.RECORDER.recording(database.handle.name):  # an audit reads everybody
        return await journal_audit.audit(SCALES, patience_seconds=0.05)


async def test_a_journal_and_its_documents_are_sound(database: Database) -> None:
    floor = busy_floor()
    await store_journal(floor.events)
    await store_documents(floor.exchange.state)
    report = await audited(database)
    assert (report.problems, report.newer, report.accounts) == ([], 0, 2)
    assert report.sequence == len(floor.events)


async def test_an_empty_journal_is_sound(database: Database) -> None:
    assert (await audited(database)).problems == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"payload": b"[]"}, "batch 3 is not as it was written"),
        ({"prev_hash": "1" * 64}, "batch 3 is not as it was written"),
        ({"hash": "1" * 64}, "batch 3 is not as it was written"),
        ({"time_ms": 99}, "batch 3 is not as it was written"),
        ({"first_seq": 36}, "batch 3 does not follow batch 2, which ends at 34"),
    ],
)
async def test_a_changed_batch_is_named(database: Database, change: dict[str, Any], said: str) -> None:
    floor = busy_floor()
    await store_journal(floor.events)
    await JournalDocument.get_pymongo_collection().update_one({"_id": 3}, {"$set": change})
    report = await audited(database)
    assert report.problems == [said]
    assert report.batches == 2


async def test_a_batch_that_is_gone_is_named(database: Database) -> None:
    await store_journal(busy_floor().events)
    await JournalDocument.get_pymongo_collection().delete_one({"_id": 3})
    assert (await audited(database)).problems == ["batch 4 does not follow batch 2, which ends at 34"]


async def test_what_cannot_have_happened_is_named(database: Database) -> None:
    events = [*Floor().events, FundsMoved("ann", "house:test-funds", "BTC", -5, "k", "d")]
    await store_journal(events, in_batch=100)
    (problem,) = (await audited(database)).problems
    assert problem.startswith("batch 1 cannot have happened: InvariantBroken")


async def change(account: str, asset: str, available: int, **fields: int) -> None:
    """Write something else into a stored account."""
    row = dict(await by_id(account) or {})
    balances = {**row["balances"], asset: {**row["balances"][asset], "available": to_storage(Decimal(available))}}
    await put_accounts([{**row, "balances": balances, **fields}])


async def test_documents_that_say_otherwise_are_named(database: Database) -> None:
    floor = busy_floor()
    await store_journal(floor.events)
    await store_documents(floor.exchange.state)
    rows = TradingAccountDocument.get_pymongo_collection()
    await change("ann", "BTC", 7)
    await rows.delete_one({"_id": "bob"})
    await change("house:fees", "USDT", 0)
    problems = sorted((await audited(database)).problems)
    assert [problem.split(":")[0] for problem in problems] == ["ann", "bob", "house"]
    assert "7 + 0 BTC" in problems[0]


async def test_documents_that_are_behind_are_named_and_newer_ones_are_not_compared(database: Database) -> None:
    floor = busy_floor()
    await store_journal(floor.events)
    await store_documents(floor.exchange.state)
    await write_watermark(Watermark(1, 5, 1))
    (problem,) = (await audited(database)).problems
    assert problem.startswith("the documents reach to 5 of")
    await write_watermark(Watermark(1, floor.exchange.state.sequence, 1))
    await change("ann", "BTC", 7, sequence=10**9)
    report = await audited(database)
    assert (report.problems, report.newer) == ([], 1)


def test_sums_and_holds_that_are_off_are_named() -> None:
    exchange: Exchange = busy_floor().exchange
    state = exchange.state
    assert sums(state) == []
    assert [holds(account, state) for account in state.accounts.values()] == [[], []]
    ann = state.accounts["ann"]
    ann.balances["ETH"].held += 5
    assert sums(state) == ["ETH: all accounts and the house sum to 5 units, not 0"]
    assert len(holds(ann, state)) == 1


def test_debts_that_the_house_has_not_lost_are_named() -> None:
    floor = busy_floor()
    floor.exchange.execute(ReverseDeposit("ann", "BTC", 10**20, "house:hot:bitcoin", "§back", ""), floor.now_ms)
    state = floor.exchange.state
    assert (sums(state), debts(state)) == ([], [])
    owed = state.accounts["ann"].debts["BTC"]
    state.accounts["ann"].debts["BTC"] -= 5
    assert debts(state) == [f"BTC: people owe {owed - 5} units, the house has lost {owed}"]


async def test_a_debt_that_the_documents_lack_is_named(database: Database) -> None:
    floor = busy_floor()
    floor.exchange.execute(ReverseDeposit("ann", "BTC", 10**11 + 5, "house:hot:bitcoin", "§back", ""), floor.now_ms)
    floor.collect()
    await store_journal(floor.events)
    await store_documents(floor.exchange.state)
    assert (await audited(database)).problems == []
    row = await by_id("ann")
    assert row is not None
    await put_accounts([{**row, "debts": {}}])
    report = await audited(database)
    assert report.problems == ["ann: the documents say 0 + 0 BTC, the journal 0 + 0 (owing 0.00000005)"]
    assert report.debts == {"BTC": Decimal("0.00000005")}
