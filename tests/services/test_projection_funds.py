"""Deposits, debts and withdrawals as people read them: statements, balances, logs, costs and keys; and that the audits agree."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.database import Database
from core.order_vocabulary import OrderErrorCode, TransactionKind
from events.commands import (
    MOVEMENTS,
    Command,
    CreditDeposit,
    HoldWithdrawal,
    MoveFunds,
    MoveHouseFunds,
    ReleaseWithdrawal,
    RepayDebt,
    ReverseDeposit,
    SettleWithdrawal,
)
from events.trading import LoggedBalance
from exchange.accounts import House, cold_reserve, hot_reserve
from models import client_key, trading_account
from services import journal_audit, ledger_audit, statements
from services.projection_rows import AccountRows
from services.projection_view import Changes, ProjectionView
from services.trading_accounts import Funds, OpenWithdrawal, TradingAccount, read_row
from tests.exchange.floor import FUNDS, SELL, Floor
from tests.exchange.test_properties import Script, actions
from tests.models import query_guard
from tests.trading_house import CASH, SCALES, TradingHouse

D = Decimal
Kind = TransactionKind
HOT, COLD = hot_reserve("ethereum"), cold_reserve("ethereum")
ONE = 10**8


class Readers:
    """A floor, and the view that follows it; each command is a batch of its own."""

    def __init__(self) -> None:
        self.floor = Floor()
        self.view = ProjectionView(SCALES, CASH)
        self.view.apply(self.floor.events, 1)

    def do(self, command: Command) -> Changes:
        reply = self.floor.exchange.execute(command, self.floor.now_ms)
        assert reply.refusal is None
        self.made = reply.made
        return self.view.apply(self.floor.collect(), 2)

    def credit(self, units: int, key: str = "§in", asset: str = "BTC") -> Changes:
        return self.do(CreditDeposit("ann", asset, units, HOT, key, "in"))

    def reverse(self, units: int, key: str = "§back") -> Changes:
        return self.do(ReverseDeposit("ann", "BTC", units, HOT, key, "back"))

    def hold(self, units: int) -> Changes:
        return self.do(HoldWithdrawal("ann", "BTC", units, f"out-{units}", "out"))

    def row(self) -> TradingAccount:
        return read_row("ann", AccountRows(self.view).row("ann"))


def said(changes: Changes) -> list[tuple[TransactionKind, Decimal, Decimal]]:
    return [(line.kind, line.amount, line.balance_after) for line in changes.lines.get("ann", [])]


def logged(changes: Changes) -> list[tuple[Decimal, Decimal, Decimal]]:
    """Available, held and owed of the balances that the log says have changed."""
    balances = [event.balance for event in changes.logged["ann"] if isinstance(event, LoggedBalance)]
    assert all(each.asset == "BTC" for each in balances)
    return [(each.available, each.held, each.debt) for each in balances]


@pytest.fixture
def readers() -> Readers:
    return Readers()


def test_a_deposit_is_a_line(readers: Readers) -> None:
    changes = readers.credit(3 * ONE)
    assert said(changes) == [(Kind.DEPOSIT, D(3), D(3))]
    assert logged(changes) == [(D(3), D(0), D(0))]
    assert [tuple(key) for key in changes.keys] == [("ann", "§in", "in", readers.floor.exchange.state.sequence)]
    assert set(changes.accounts) == {"ann", HOT}


def test_a_reversal_takes_back_and_the_rest_is_owed(readers: Readers) -> None:
    readers.credit(3 * ONE)
    readers.hold(2 * ONE)
    changes = readers.reverse(3 * ONE)
    assert said(changes) == [(Kind.REVERSAL, D(-1), D(2))]
    assert logged(changes) == [(D(0), D(2), D(2))]
    assert set(changes.accounts) == {"ann", HOT, House.CHAIN_LOSS}
    nothing = readers.reverse(ONE, "§again")
    assert (said(nothing), logged(nothing)) == ([], [(D(0), D(2), D(3))]), "there was nothing left to take"
    row = readers.row()
    assert row.balances["BTC"] == Funds(D(0), D(2), D(3))
    assert row.holds == {}
    assert row.withdrawals == [OpenWithdrawal(readers.made - 2, "BTC", D(2))]


def test_what_repays_a_debt_is_a_line_of_its_own(readers: Readers) -> None:
    readers.reverse(2 * ONE)
    assert readers.row().balances == {"BTC": Funds(D(0), D(0), D(2))}
    changes = readers.credit(3 * ONE)
    assert said(changes) == [(Kind.DEPOSIT, D(3), D(3)), (Kind.REVERSAL, D(-2), D(1))]
    assert logged(changes) == [(D(1), D(0), D(0))]
    assert set(changes.accounts) == {"ann", HOT, House.CHAIN_LOSS}
    readers.reverse(2 * ONE, "§more")
    readers.do(MoveFunds("ann", House.TEST_FUNDS, "BTC", 5 * ONE, "funds", ""))
    repaid = readers.do(RepayDebt("ann", "BTC"))
    assert said(repaid) == [(Kind.REVERSAL, D(-1), D(4))]
    assert logged(repaid) == [(D(4), D(0), D(0))]
    assert (repaid.keys, set(repaid.accounts)) == ([], {"ann", House.CHAIN_LOSS})


@pytest.mark.parametrize(
    ("fee", "lines"),
    [
        (0, [(Kind.WITHDRAWAL, D(-2), D(1))]),
        (ONE // 2, [(Kind.WITHDRAWAL, D("-1.5"), D("1.5")), (Kind.FEE, D("-0.5"), D(1))]),
        (2 * ONE, [(Kind.FEE, D(-2), D(1))]),
    ],
)
def test_a_withdrawal_is_a_line_when_it_has_left(
    readers: Readers, fee: int, lines: list[tuple[TransactionKind, Decimal, Decimal]]
) -> None:
    readers.credit(3 * ONE)
    held = readers.hold(2 * ONE)
    assert (said(held), logged(held), set(held.accounts)) == ([], [(D(1), D(2), D(0))], {"ann"})
    assert [key.made for key in held.keys] == [readers.made]
    settled = readers.do(SettleWithdrawal("ann", readers.made, HOT, fee, "§end", "settled"))
    assert (said(settled), logged(settled)) == (lines, [(D(1), D(0), D(0))])
    assert set(settled.accounts) == {"ann", HOT, *([House.FEES] if fee else [])}
    assert readers.row().withdrawals == []


def test_a_withdrawal_that_is_released_is_no_line(readers: Readers) -> None:
    readers.credit(3 * ONE)
    readers.hold(2 * ONE)
    released = readers.do(ReleaseWithdrawal("ann", readers.made, "§end", "released"))
    assert (said(released), logged(released), set(released.accounts)) == ([], [(D(3), D(0), D(0))], {"ann"})
    assert [key.key for key in released.keys] == ["§end"]


def test_movements_of_the_house_are_rows_and_a_key(readers: Readers) -> None:
    changes = readers.do(MoveHouseFunds(COLD, HOT, "BTC", 5 * ONE, "§sweep", "sweep"))
    assert (changes.lines, changes.logged, set(changes.accounts)) == ({}, {}, {COLD, HOT, MOVEMENTS})
    assert [tuple(key)[:2] for key in changes.keys] == [(MOVEMENTS, "§sweep")]
    rows = AccountRows(readers.view)
    assert read_row(COLD, rows.row(COLD)).balances == {"BTC": Funds(D(-5), D(0))}
    assert read_row(MOVEMENTS, rows.row(MOVEMENTS)).balances == {}


def test_what_comes_in_has_no_known_cost_and_what_goes_out_takes_the_average(readers: Readers) -> None:
    readers.credit(3 * ONE)
    readers.view.lists_of("ann").positions["BTC"].uncovered = 0
    readers.view.lists_of("ann").positions["BTC"].covered = 3 * ONE
    readers.view.lists_of("ann").positions["BTC"].cost = {"USDT": 300}
    readers.credit(3 * ONE, "§second")
    readers.hold(2 * ONE)
    readers.do(SettleWithdrawal("ann", readers.made, HOT, ONE, "§end", ""))
    position = readers.view.lists_of("ann").positions["BTC"]
    assert (position.covered + position.uncovered, position.realized) == (4 * ONE, {})
    assert position.cost == {"USDT": 200}
    readers.reverse(7 * ONE)
    assert (position.covered, position.uncovered, position.cost) == (0, 0, {})
    readers.credit(5, "§cash", "USDT")
    assert "USDT" not in readers.view.lists_of("ann").positions


@given(st.lists(actions, max_size=50))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_statements_rows_and_audits_agree(script: list[tuple[Any, ...]]) -> None:
    floor = Floor("ann", "bob", "cat")
    translate, view = Script(floor), ProjectionView(SCALES, CASH)
    ends: dict[str, dict[str, Decimal]] = {}
    rows, touched, batch = AccountRows(view), set[str](), floor.events[:]
    for action in script:
        floor.exchange.execute(translate.command(action), floor.now_ms)
        changes = view.apply([*batch, *floor.collect()], 1)
        batch = []
        touched |= set(changes.accounts)
        for account, lines in changes.lines.items():
            for line in lines:
                of_account = ends.setdefault(account, {})
                of_account[line.asset] = of_account.get(line.asset, D(0)) + line.amount
                assert line.amount
                assert of_account[line.asset] == line.balance_after
        facts = [ledger_audit.facts_of(read_row(each, rows.row(each)), ends.get(each, {})) for each in sorted(touched)]
        assert [line for line in ledger_audit.audit(facts) if line.difference] == []


async def test_documents_audits_and_answers(database: Database) -> None:
    house = TradingHouse()
    async with house.open("ann"):
        before = FUNDS["ETH"]
        ask = house.gateway.ask
        credited = await ask(CreditDeposit("ann", "ETH", 7, HOT, "§in", "in"))
        await house.limit("ann", SELL, 10**6, 10)
        held = await ask(HoldWithdrawal("ann", "ETH", 100, "out", "out"))
        await ask(SettleWithdrawal("ann", held.made, HOT, 1, "§end", "settled"))
        open_one = await ask(HoldWithdrawal("ann", "ETH", 50, "out-2", "out"))
        await ask(MoveHouseFunds(COLD, HOT, "ETH", 3, "§sweep", "sweep"))
        refused = await ask(HoldWithdrawal("ann", "ETH", before, "out-3", "out"))
        await ask(ReverseDeposit("ann", "ETH", before, HOT, "§back", "back"))
        blocked = await ask(HoldWithdrawal("ann", "BTC", 1, "out-4", "out"))
        unknown = await ask(CreditDeposit("ann", "SHELLS", 1, HOT, "§shells", "in"))
        await house.projected()
        assert credited.refusal is None
        assert refused.refusal is not None
        assert (refused.refusal.code, str(refused.refusal.actual)) == (
            OrderErrorCode.INSUFFICIENT_FUNDS,
            f"{before // 10**18}.{'0' * 18}",
        )
        assert blocked.refusal is not None
        assert blocked.refusal.code is OrderErrorCode.DEBT_OUTSTANDING
        assert unknown.refusal is not None
        assert (unknown.refusal.code, unknown.refusal.field) == (OrderErrorCode.INVALID_INPUT, "asset")
        account = read_row("ann", await trading_account.by_id("ann"))
        owed = 10 * 10**14 + 150 - 7
        assert account.balances["ETH"].debt == D(owed).scaleb(-18)
        assert account.withdrawals == [OpenWithdrawal(open_one.made, "ETH", D(50).scaleb(-18))]
        kinds = [line.kind for line in await statements.between("ann", 1, account.lines + 1)]
        assert kinds == [Kind.TEST_FUNDS] * 4 + [Kind.DEPOSIT, Kind.WITHDRAWAL, Kind.FEE, Kind.REVERSAL]
        keys = [("ann", "§in"), ("ann", "out"), ("ann", "§end"), ("ann", "§back"), (MOVEMENTS, "§sweep")]
        assert len(await client_key.find_keys(keys)) == len(keys)
        with query_guard.RECORDER.recording(database.handle.name):  # audits read everybody
            report, journal = await ledger_audit.read(), await journal_audit.audit(SCALES, patience_seconds=30)
    eth = next(line for line in report.lines if line.asset == "ETH")
    assert report.balanced
    assert (eth.debts, eth.withdrawals) == (account.balances["ETH"].debt, D(50).scaleb(-18))
    assert (list(eth.hot.values()), list(eth.cold.values())) == (
        [D(7 - 99 - before - 3).scaleb(-18)],
        [D(3).scaleb(-18)],
    )
    assert (journal.problems, journal.accounts, journal.debts) == ([], 1, {"ETH": account.balances["ETH"].debt})
