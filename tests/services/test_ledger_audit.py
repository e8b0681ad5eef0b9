"""The audit of the documents: what agrees is balanced, and every way in which it cannot agree is seen."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from core.database import Database
from events.funds import AuditLine
from models import projection
from models.projection import Watermark
from services import ledger_audit
from services.ledger_audit import AccountFacts, LedgerMoves, audit
from services.trading_accounts import Funds
from tests.models import query_guard
from tests.trading_rows import account_row, line, put_accounts, put_lines, stored, write_watermark

D = Decimal


def facts(
    account: str, funds: tuple[str, str], posted: str | None = None, holds: str | None = None, asset: str = "BTC"
) -> AccountFacts:
    """Of one asset; statement and orders agree unless they are given."""
    available, held = map(D, funds)
    return AccountFacts(
        account,
        {asset: Funds(available, held)},
        {} if account.startswith("house:") else {asset: available + held if posted is None else D(posted)},
        {asset: held if holds is None else D(holds)},
    )


SOUND = [facts("anna", ("2", "1")), facts("ben", ("0", "4")), facts("house:test-funds", ("-7", "0"))]
BROKEN: Mapping[str, list[AccountFacts]] = {
    "something came from nowhere": [facts("anna", ("3", "0")), facts("house:test-funds", ("-2", "0"))],
    "a statement says otherwise": [facts("anna", ("2", "1"), posted="2"), facts("house:test-funds", ("-3", "0"))],
    "nothing holds what is on hold": [facts("anna", ("2", "1"), holds="0"), facts("house:test-funds", ("-3", "0"))],
    "errors that cancel each other": [
        facts("anna", ("2", "0"), posted="3"),
        facts("ben", ("2", "0"), posted="1"),
        facts("house:test-funds", ("-4", "0")),
    ],
    "a debt that the house has not lost": [
        AccountFacts("anna", {"BTC": Funds(debt=D(2))}, {}, {}),
        facts("house:chain-loss", ("-1", "0")),
        facts("house:hot:bitcoin", ("1", "0")),
    ],
    "a loss that nobody owes": [facts("house:chain-loss", ("-1", "0")), facts("house:hot:bitcoin", ("1", "0"))],
    "a withdrawal that holds nothing": [
        AccountFacts("anna", {"BTC": Funds(D(3))}, {"BTC": D(3)}, {}, {"BTC": D(1)}),
        facts("house:test-funds", ("-3", "0")),
    ],
    "less than nothing": [facts("anna", ("-1", "0")), facts("house:fees", ("1", "0"))],
}


def test_what_agrees_has_no_difference() -> None:
    (line_,) = audit(SOUND)
    assert line_ == AuditLine("BTC", D(7), D(7), D(5), D(5), D(-7), D(0))
    assert line_.difference == 0


def test_debts_withdrawals_and_reserves_have_lines() -> None:
    (line_,) = audit(
        [
            AccountFacts("anna", {"BTC": Funds(D(0), D(3), D(2))}, {"BTC": D(3)}, {"BTC": D(1)}, {"BTC": D(2)}),
            facts("house:chain-loss", ("-2", "0")),
            facts("house:hot:bitcoin", ("-5", "0")),
            facts("house:hot:ethereum", ("1", "0")),
            facts("house:cold:bitcoin", ("3", "0")),
        ]
    )
    assert (line_.open_orders, line_.withdrawals, line_.holds) == (D(1), D(2), D(3))
    assert (line_.debts, line_.difference) == (D(2), D(0))
    assert (line_.hot, line_.cold) == ({"bitcoin": D(5), "ethereum": D(-1)}, {"bitcoin": D(-3)})


@pytest.mark.parametrize("name", BROKEN)
def test_every_fault_is_a_difference(name: str) -> None:
    (line_,) = audit(BROKEN[name])
    assert line_.difference > 0


async def _store() -> None:
    await put_lines(
        "anna",
        [line(1, "5", balance_after=D(5)), line(2, "-2", balance_after=D(3)), line(3, asset="ETH", balance_after=D(1))],
        balances={"BTC": ("2", "1"), "ETH": ("1", "0")},
        holds=stored({"BTC": "1"}),
    )
    await put_accounts([account_row("house:inventory", {"BTC": ("-3", "0"), "ETH": ("-1", "0")})])
    await write_watermark(Watermark(4, 40, 1_000))


async def test_the_documents_are_read(database: Database) -> None:
    await _store()
    with query_guard.RECORDER.recording(database.handle.name):  # an audit reads everybody
        report = await ledger_audit.read()
    assert (report.sequence, report.time_ms, report.balanced) == (40, 1_000, True)
    assert [(each.asset, each.postings, each.holds, each.open_orders) for each in report.lines] == [
        ("BTC", D(3), D(1), D(1)),
        ("ETH", D(1), D(0), D(0)),
    ]


async def test_a_statement_that_lacks_a_line_is_seen(database: Database) -> None:
    await put_lines("anna", [line(1, "1", balance_after=D(1))], balances={"BTC": ("3", "0")})
    await put_accounts([account_row("house:inventory", {"BTC": ("-3", "0")})])
    with query_guard.RECORDER.recording(database.handle.name):
        assert not (await ledger_audit.read()).balanced


async def test_documents_that_do_not_stand_still_are_not_judged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _store()
    batches = iter(range(100))

    async def moving() -> Watermark:
        return Watermark(next(batches), 1, 1)

    monkeypatch.setattr(projection, "read_watermark", moving)
    with query_guard.RECORDER.recording(database.handle.name), pytest.raises(LedgerMoves):
        await ledger_audit.read()
