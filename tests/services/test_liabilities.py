"""Reports of liabilities on the embedded database: of one moment while people trade, never half made, and linked."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.secret_box import SealBroken, SecretBox
from core.vocabulary import OrderSide
from models import liability_report, projection
from models.base import insert_new_rows
from models.liability_report import LiabilityReportDocument, TreeHead
from models.signing_key import SigningKeyDocument
from services import liabilities, liability_tree, peoples_funds
from services.journal_feed import JournalDamaged
from services.liabilities import (
    Liabilities,
    LiabilityReporter,
    NothingToReport,
    ReportOvertaken,
    ReportRules,
)
from services.liability_key import KID, LiabilityKey
from services.liability_tree import NegativeBalance
from services.peoples_funds import PeoplesFunds
from services.reseal import reseal_all
from tests.accounts import BOX
from tests.exchange.floor import EXACT
from tests.stored import everything, unchanged
from tests.trading_house import FUNDS, SCALES, TradingHouse

ALL = {asset: Decimal(units).scaleb(-SCALES[asset]) for asset, units in FUNDS.items()}


@asynccontextmanager
async def reporting(
    *, hours: int = 24, kept: int = 3, clock: ManualClock | None = None
) -> AsyncIterator[tuple[LiabilityReporter, Liabilities]]:
    key = LiabilityKey(BOX)
    await key.load()
    clock = clock or ManualClock(1_790_000_000_000)
    yield LiabilityReporter(key, clock, SCALES, ReportRules(hours, kept)), Liabilities(key)


@asynccontextmanager
async def house(*people: str) -> AsyncIterator[TradingHouse]:
    made = TradingHouse()
    async with made.open(*people):
        await made.projected()
        yield made


def folded(house: TradingHouse) -> dict[str, dict[str, int]]:
    """What the writer itself says that people have."""
    return {
        account.id: {asset: held.available + held.held for asset, held in account.balances.items()}
        for account in house.writer.exchange.state.accounts.values()
    }


async def test_everybodys_balances_are_in_it_and_the_houses_are_not(database: Database) -> None:
    async with house("anna", "ben") as here, reporting() as (reporter, reads):
        await here.limit("anna", OrderSide.SELL, 10_000, 1_000)
        await here.limit("ben", OrderSide.BUY, 10_000, 400)
        await here.projected()
        report = await reporter.make()
        assert (report.number, report.previous_root, report.accounts) == (1, None, 2)
        assert report.sequence == here.writer.exchange.state.sequence
        assert await reads.report() == report
        people = folded(here)
        for account, units in people.items():
            proof = await reads.proof(account)
            assert proof is not None
            assert proof.report == report
            assert proof.amounts == {asset: Decimal(units[asset]).scaleb(-SCALES[asset]) for asset in sorted(units)}
        sums = {asset: Decimal(sum(units[asset] for units in people.values())) for asset in sorted(SCALES)}
        assert report.totals == {asset: total.scaleb(-SCALES[asset]) for asset, total in sums.items()}
        assert people["anna"]["USDT"] != FUNDS["USDT"]
        for nobody in ("house:test-funds", "carl"):
            assert await reads.proof(nobody) is None


async def test_a_report_is_of_one_moment_while_trading_never_stops(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Money moves between two accounts without pause: whatever moment is read, together they have the same."""
    reads: list[PeoplesFunds] = []
    async with house("anna", "ben") as here:

        async def trade() -> None:
            while True:
                await here.limit("anna", OrderSide.SELL, 10_000, 10)
                await here.limit("ben", OrderSide.BUY, 10_000, 10)

        trading = asyncio.create_task(trade())
        first = here.projector.place.sequence
        while len({read.sequence for read in reads}) < 4:
            if len(reads) == 2:
                await here.projector.snapshot()
            reads.append(await peoples_funds.read())
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
    for read in reads:
        fees = 2 * FUNDS["USDT"] - read.totals()["USDT"]
        assert read.totals()["ETH"] == 2 * FUNDS["ETH"]
        traded = read.accounts["ben"]["ETH"] - FUNDS["ETH"]
        assert FUNDS["ETH"] - read.accounts["anna"]["ETH"] == traded
        assert traded % (10 * EXACT.lot) == 0
        assert fees >= 0
    assert reads[-1].sequence > first


async def test_it_is_of_what_the_documents_show_not_of_what_follows(database: Database) -> None:
    async with house("anna") as here:
        mark = await projection.read_watermark()
        before = await peoples_funds.read()
        assert before.sequence == mark.sequence
        await here.projector._may_follow.acquire()  # the documents stay behind
        await here.give("anna", "BTC", 5)
        assert await peoples_funds.read() == before
        here.projector._may_follow.release()
        await here.projected()
        assert (await peoples_funds.read()).totals()["BTC"] == FUNDS["BTC"] + 5


async def test_documents_ahead_of_the_journal_are_not_reported(database: Database) -> None:
    async with house("anna"):
        pass
    await projection.ProjectionDocument.get_pymongo_collection().update_one(
        {"_id": "exchange"}, {"$inc": {"batch": 1, "sequence": 5}}
    )
    async with reporting() as (reporter, _):
        with pytest.raises(JournalDamaged):
            await reporter.make()
        assert await liability_report.newest_number() == 0


async def test_without_accounts_there_is_nothing_to_report(database: Database) -> None:
    async with reporting() as (reporter, reads):
        assert await reporter.is_due()
        async with unchanged(database):
            with pytest.raises(NothingToReport):
                await reporter.make()
        assert await reads.report() is None
        assert await reads.proof("anna") is None


async def test_reports_are_linked_and_trees_forgotten(database: Database) -> None:
    async with house("anna", "ben"), reporting(kept=2) as (reporter, reads):
        made = [await reporter.make() for _ in range(4)]
        assert [report.number for report in made] == [1, 2, 3, 4]
        assert [report.previous_root for report in made] == [None, *(report.root for report in made[:3])]
        assert len({report.root for report in made}) == 4, "salts are of one report alone"
        for report in made:
            assert await reads.report(report.root) == report
        kept = [await reads.proof("anna", report.root) for report in made]
        assert [proof is not None for proof in kept] == [False, False, True, True]
        assert await reads.report("ab" * 32) is None
        for wrong in ("", "AB" * 32, "ab" * 31, "zz" * 32):
            with pytest.raises(InvalidInput) as refused:
                await reads.report(wrong)
            assert refused.value.details["field"] == ["reportRoot"]
        rows = await everything(database)
        assert (len(rows["liability_trees"]), len(rows["liability_chunks"])) == (2, 2)


class Killed(BaseException):
    """The process is no more."""


@pytest.mark.parametrize("moment", ["before the chunks", "between chunks", "before it is published"])
async def test_whoever_is_killed_leaves_nothing_to_be_seen(
    database: Database, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(liability_tree, "CHUNK", 1)
    monkeypatch.setattr(liability_report, "_AT_ONCE", 1)
    written = 0

    async def insert(model: Any, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal written
        if moment == "before the chunks" or (moment == "between chunks" and written == 2):
            raise Killed
        written += 1
        return await insert_new_rows(model, list(rows))

    async def publish(_: LiabilityReportDocument) -> None:
        raise Killed

    async with house("anna", "ben", "carl"), reporting() as (reporter, reads):
        first = await reporter.make()
        with monkeypatch.context() as patch:
            patch.setattr(liability_report, "insert_new_rows", insert)
            patch.setattr(liability_report, "publish", publish)
            with pytest.raises(Killed):
                await reporter.make()
        assert await reads.report() == first
        assert await reads.proof("carl") is not None
        assert len((await everything(database))["liability_trees"]) == 2
        second = await reporter.make()
        assert (second.number, second.previous_root) == (2, first.root)
        rows = await everything(database)
        assert (len(rows["liability_trees"]), len(rows["liability_chunks"])) == (2, 6)
        assert len(rows["liability_reports"]) == 2


async def test_of_two_that_make_a_report_one_is_too_late(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease was lost without the loser's noticing: nothing that the winner has made is touched."""
    async with house("anna"), reporting() as (reporter, reads):
        await reporter.make()
        insert = liability_report.insert_tree
        winners = []

        async def slow(head: TreeHead, chunks: Sequence[bytes]) -> None:
            await insert(head, chunks)
            monkeypatch.setattr(liability_report, "insert_tree", insert)
            winners.append(await reporter.make())

        monkeypatch.setattr(liability_report, "insert_tree", slow)
        with pytest.raises(ReportOvertaken):
            await reporter.make()
        assert await reads.report() == winners[0]
        assert (await reads.proof("anna")) is not None
        assert await liability_report.newest_number() == 2


async def test_a_tree_that_was_cleared_away_is_never_published(database: Database) -> None:
    async with house("anna"), reporting() as (reporter, reads):
        report = await reporter.make()
        row = await liability_report.by_number(1)
        assert row is not None
        late = row.model_copy(update={"id": 2, "root": "ab" * 32, "previous_root": row.root, "tree": "gone"})
        async with unchanged(database):
            with pytest.raises(liability_report.NotPublished):
                await liability_report.publish(late)
        assert await reads.report() == report


async def test_less_than_nothing_is_not_signed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def read() -> PeoplesFunds:
        return PeoplesFunds(3, {"anna": {"BTC": 10}, "ben": {"BTC": -1}})

    monkeypatch.setattr(peoples_funds, "read", read)
    async with reporting() as (reporter, _), unchanged(database):
        with pytest.raises(NegativeBalance):
            await reporter.make()


async def test_when_a_report_is_due(database: Database) -> None:
    clock = ManualClock(1_790_000_000_000)
    async with house("anna"), reporting(hours=2, clock=clock) as (reporter, _):
        assert await reporter.is_due()
        await reporter.make()
        clock.advance(7_199.999)
        assert not await reporter.is_due()
        clock.advance(0.001)
        assert await reporter.is_due()
    async with reporting(hours=0) as (never, _):
        assert not await never.is_due()


async def test_all_processes_have_one_key_which_is_sealed_and_can_be_resealed(database: Database) -> None:
    keys = [LiabilityKey(BOX) for _ in range(3)]
    await asyncio.gather(*(key.load() for key in keys))
    assert len({key.public for key in keys}) == 1
    jwks = keys[0].jwks()
    assert jwks == {
        "keys": [
            {
                **{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KID},
                "x": keys[0].public,
            }
        ]
    }
    row = await SigningKeyDocument.find_one({"_id": KID})
    assert row is not None
    with pytest.raises(SealBroken):
        await LiabilityKey(SecretBox([b"k" * 32])).load()
    clock = ManualClock(86_400_000)
    assert (await reseal_all(SecretBox([b"k" * 32, bytes(range(32))]), clock)).signing_keys == 1
    moved = LiabilityKey(SecretBox([b"k" * 32]))
    await moved.load()
    assert moved.public == keys[0].public
    assert moved.sign("text") == keys[0].sign("text")


def test_what_is_signed_says_everything() -> None:
    given: dict[str, Any] = {
        **{"number": 2, "previous": "ab" * 32, "root": "cd" * 32, "sequence": 5, "accounts": 3},
        **{"totals": "BTC=1", "time_ms": 1_790_000_000_000},
    }
    others: dict[str, Any] = {
        **{"number": 3, "previous": None, "root": "ce" * 32, "sequence": 6, "accounts": 4},
        **{"totals": "BTC=2", "time_ms": 1_790_000_000_001},
    }
    texts = {liabilities.report_text(**{**given, name: value}) for name, value in others.items()}
    assert len(texts | {liabilities.report_text(**given)}) == len(given) + 1
    assert liabilities.report_text(**given) == (
        "cryptovault/liability-report/1\nTGlhYmlsaXR5UmVwb3J0OjI\n"
        f"{'ab' * 32}\n{'cd' * 32}\n5\n3\nBTC=1\n2026-09-21T14:13:20.000Z\n"
    )
