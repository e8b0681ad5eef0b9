"""Deposits, debts, withdrawals and the house's own funds: each refusal in the order of precedence, and what each command does."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from core.errors import InvariantBroken
from core.order_vocabulary import OrderErrorCode as Code
from events import journal
from events.commands import (
    MOVEMENTS,
    Command,
    CreditDeposit,
    FreezeAccount,
    HoldWithdrawal,
    MoveFunds,
    MoveHouseFunds,
    ReleaseWithdrawal,
    RepayDebt,
    ReverseDeposit,
    SettleWithdrawal,
)
from exchange.accounts import MOST_UNITS, House, cold_reserve, hot_reserve, is_house
from exchange.engine import Exchange, fold
from exchange.reply import Reply
from exchange.snapshot import chunks, digest, restore
from tests.exchange.floor import FUNDS, SELL, Floor
from tests.exchange.test_properties import check_money

HOT, COLD = hot_reserve("ethereum"), cold_reserve("ethereum")
HAS = FUNDS["ETH"]


@pytest.fixture
def floor() -> Floor:
    return Floor("ann", "bob")


def do(floor: Floor, command: Command) -> Reply:
    reply = floor.exchange.execute(command, floor.now_ms)
    check_money(floor.exchange.state)
    return reply


def credit(units: int, key: str = "§in", who: str = "ann") -> CreditDeposit:
    return CreditDeposit(who, "ETH", units, HOT, key, f"in {units}")


def reverse(units: int, key: str = "§back", who: str = "ann") -> ReverseDeposit:
    return ReverseDeposit(who, "ETH", units, HOT, key, f"back {units}")


def hold(units: int, key: str = "out", asset: str = "ETH") -> HoldWithdrawal:
    return HoldWithdrawal("ann", asset, units, key, f"out {units} {asset}")


def settle(withdrawal: int, fee: int = 0, key: str = "§end") -> SettleWithdrawal:
    return SettleWithdrawal("ann", withdrawal, HOT, fee, key, f"settled {withdrawal}")


def release(withdrawal: int, key: str = "§end") -> ReleaseWithdrawal:
    return ReleaseWithdrawal("ann", withdrawal, key, f"released {withdrawal}")


def sweep(units: int, key: str = "§sweep") -> MoveHouseFunds:
    return MoveHouseFunds(COLD, HOT, "ETH", units, key, f"sweep {units}")


def give(units: int, key: str = "fresh") -> MoveFunds:
    return MoveFunds("ann", House.TEST_FUNDS, "ETH", units, key, f"give {units}")


def eth(floor: Floor, who: str = "ann") -> tuple[int, int, int]:
    """Available, held and owed."""
    account = floor.exchange.state.accounts[who]
    return account.balance("ETH").available, account.balance("ETH").held, account.debts.get("ETH", 0)


def house(floor: Floor, name: str = HOT) -> int:
    return floor.exchange.state.house_account(name)["ETH"]


@dataclass(frozen=True)
class Row:
    """What is refused; every one breaks the rules that stand after its own as well, as far as one command can."""

    code: Code
    field: str
    command: Command
    before: Callable[[Floor], object] = lambda floor: None
    limit: int | None = None
    actual: int | None = None


def frozen(floor: Floor) -> None:
    floor.exchange.execute(FreezeAccount("ann", True), floor.now_ms)


def indebted(floor: Floor) -> None:
    do(floor, reverse(HAS + 5))


def used(floor: Floor) -> None:
    assert do(floor, hold(5, "used")).refusal is None


def reserved(floor: Floor) -> None:
    """The reserve owes as much as there can be."""
    for command in (credit(MOST_UNITS - HAS, "§most"), credit(HAS, "§rest", "bob")):
        assert do(floor, command).refusal is None


def then(*steps: Callable[[Floor], object]) -> Callable[[Floor], None]:
    def all_of_them(floor: Floor) -> None:
        for step in steps:
            step(floor)

    return all_of_them


TABLE = [
    Row(Code.INVALID_INPUT, "account", credit(0)._replace(account="house:fees"), frozen),
    Row(Code.INVALID_INPUT, "account", hold(0)._replace(account=MOVEMENTS)),
    Row(Code.INVALID_INPUT, "house", credit(0)._replace(house="house:pocket"), frozen),
    Row(Code.INVALID_INPUT, "house", reverse(0)._replace(house="house:hot:Ethereum")),
    Row(Code.INVALID_INPUT, "house", settle(0)._replace(house=House.CHAIN_LOSS)),
    Row(Code.INVALID_INPUT, "house", MoveFunds("ann", House.CHAIN_LOSS, "ETH", -(10**30), "fresh", ""), frozen),
    Row(Code.INVALID_INPUT, "house", MoveFunds("ann", "house:pocket", "ETH", 1, "fresh", "")),
    Row(Code.INVALID_INPUT, "key", credit(0, "in")),
    Row(Code.INVALID_INPUT, "key", reverse(0, "back")),
    Row(Code.INVALID_INPUT, "key", settle(0, key="end")),
    Row(Code.INVALID_INPUT, "key", release(0, key="end")),
    Row(Code.INVALID_INPUT, "key", sweep(0, "sweep")),
    Row(Code.INVALID_INPUT, "source", sweep(0)._replace(source=HOT)),
    Row(Code.INVALID_INPUT, "source", sweep(0)._replace(source=House.CHAIN_LOSS)),
    Row(Code.INVALID_INPUT, "source", sweep(0)._replace(source="ann")),
    Row(Code.INVALID_INPUT, "target", sweep(0)._replace(target=MOVEMENTS)),
    Row(Code.ACCOUNT_FROZEN, "", hold(0, "used"), then(used, indebted, frozen)),
    Row(Code.IDEMPOTENCY_MISMATCH, "key", hold(0, "used"), then(used, indebted)),
    Row(Code.IDEMPOTENCY_MISMATCH, "key", credit(0), lambda floor: do(floor, credit(5))),
    Row(Code.IDEMPOTENCY_MISMATCH, "key", reverse(0), lambda floor: do(floor, reverse(5))),
    Row(Code.IDEMPOTENCY_MISMATCH, "key", sweep(0), lambda floor: do(floor, sweep(5))),
    Row(Code.MALFORMED_NUMBER, "amount", hold(0), indebted),
    Row(Code.MALFORMED_NUMBER, "amount", credit(0)),
    Row(Code.MALFORMED_NUMBER, "amount", reverse(-1)),
    Row(Code.MALFORMED_NUMBER, "amount", sweep(0)),
    Row(Code.MALFORMED_NUMBER, "fee", settle(0, 6), used),
    Row(Code.MALFORMED_NUMBER, "fee", settle(0, -1), used),
    Row(Code.MALFORMED_NUMBER, "amount", hold(10**34), indebted),
    Row(Code.MALFORMED_NUMBER, "amount", credit(10**34)),
    Row(Code.MALFORMED_NUMBER, "amount", credit(2**255)),
    Row(Code.MALFORMED_NUMBER, "amount", reverse(10**34)),
    Row(Code.MALFORMED_NUMBER, "amount", sweep(10**34)),
    Row(Code.MALFORMED_NUMBER, "amount", sweep(2**255)),
    Row(Code.MALFORMED_NUMBER, "amount", give(10**34)),
    Row(Code.MALFORMED_NUMBER, "amount", give(-(10**34))),
    Row(Code.MALFORMED_NUMBER, "fee", settle(0, 10**34), used),
    Row(Code.QUANTITY_TOO_LARGE, "amount", credit(MOST_UNITS - HAS + 1)),
    Row(Code.QUANTITY_TOO_LARGE, "amount", credit(1)._replace(account="bob"), reserved),
    Row(Code.QUANTITY_TOO_LARGE, "amount", reverse(MOST_UNITS, "§fresh"), indebted),
    Row(Code.QUANTITY_TOO_LARGE, "amount", give(MOST_UNITS - HAS + 1)),
    Row(Code.QUANTITY_TOO_LARGE, "amount", sweep(1), lambda floor: do(floor, sweep(MOST_UNITS, "§all"))),
    Row(Code.DEBT_OUTSTANDING, "", hold(10**30), indebted),
    Row(Code.DEBT_OUTSTANDING, "", hold(1, asset="BTC"), indebted),
    Row(Code.INSUFFICIENT_FUNDS, "amount", hold(HAS + 1), limit=HAS, actual=HAS + 1),
    Row(Code.INSUFFICIENT_FUNDS, "amount", hold(1, asset="PEBBLE"), limit=0, actual=1),
    Row(Code.INSUFFICIENT_FUNDS, "amount", hold(HAS), used, limit=HAS - 5, actual=HAS),
    Row(Code.UNKNOWN_WITHDRAWAL, "withdrawal", settle(10**9, -1), used),
    Row(Code.UNKNOWN_WITHDRAWAL, "withdrawal", release(10**9), used),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{type(row.command).__name__}-{row.code}-{row.field}")
def test_what_is_refused_changes_nothing(row: Row, floor: Floor) -> None:
    row.before(floor)
    floor.collect()
    command, before = row.command, digest(floor.exchange.state)
    if row.code is Code.MALFORMED_NUMBER and isinstance(command, SettleWithdrawal):
        command = command._replace(withdrawal=next(iter(floor.exchange.state.withdrawals)))
    reply = do(floor, command)
    assert reply.refusal is not None
    assert (reply.refusal.code, reply.refusal.field) == (row.code, row.field)
    assert (reply.refusal.limit, reply.refusal.actual) == (row.limit, row.actual)
    assert (floor.collect(), digest(floor.exchange.state)) == ([], before)


def test_the_table_is_in_the_order_of_precedence() -> None:
    places = [list(Code).index(row.code) for row in TABLE]
    assert places == sorted(places)


def test_the_most_that_is_stored_is_moved_and_moved_back(floor: Floor) -> None:
    most = MOST_UNITS - HAS
    for command in (give(most - HAS), give(HAS - most, "back"), credit(most), reverse(most), sweep(MOST_UNITS)):
        assert do(floor, command).refusal is None
    assert (eth(floor), house(floor, COLD)) == ((HAS, 0, 0), -MOST_UNITS)


def test_a_withdrawal_that_no_reserve_could_hold_is_not_settled(floor: Floor) -> None:
    held = do(floor, hold(5)).made
    do(floor, sweep(MOST_UNITS - 4))
    refusal = do(floor, settle(held)).refusal
    assert refusal is not None
    assert (refusal.code, refusal.field) == (Code.QUANTITY_TOO_LARGE, "withdrawal")
    assert do(floor, settle(held, 1)).refusal is None
    assert house(floor) == MOST_UNITS


def test_a_deposit_is_credited_once(floor: Floor) -> None:
    first, again = do(floor, credit(7)), do(floor, credit(7))
    assert (again.made, again.replayed, first.replayed) == (first.made, True, False)
    assert (eth(floor), house(floor)) == ((HAS + 7, 0, 0), -7)


def test_a_reversal_takes_what_is_available_and_the_rest_is_owed(floor: Floor) -> None:
    floor.limit("ann", SELL, 10**6, 10**6)
    available, held, _ = eth(floor)
    assert held == 10**6 * 10**14
    do(floor, reverse(available + 9))
    assert (eth(floor), house(floor), house(floor, House.CHAIN_LOSS)) == ((0, held, 9), available + 9, -9)


def test_a_debt_is_repaid_first_and_then_nothing_is_left_of_it(floor: Floor) -> None:
    do(floor, reverse(HAS + 9))
    floor.collect()
    do(floor, credit(4))
    assert (eth(floor), house(floor, House.CHAIN_LOSS)) == ((0, 0, 5), -5)
    do(floor, credit(7, "§more"))
    assert (eth(floor), house(floor, House.CHAIN_LOSS)) == ((2, 0, 0), 0)
    assert [event.repaid for event in floor.collect() if isinstance(event, journal.DepositCredited)] == [4, 5]
    assert floor.exchange.state.accounts["ann"].debts == {}


def test_a_debt_is_repaid_from_what_is_available(floor: Floor) -> None:
    do(floor, reverse(HAS + 9))
    floor.give("ann", "ETH", 5)
    floor.collect()
    do(floor, RepayDebt("ann", "ETH"))
    assert (eth(floor), house(floor, House.CHAIN_LOSS)) == ((0, 0, 4), -4)
    floor.give("ann", "ETH", 5)
    do(floor, RepayDebt("ann", "ETH"))
    assert (eth(floor), house(floor, House.CHAIN_LOSS)) == ((1, 0, 0), 0)
    assert [event.units for event in floor.collect() if isinstance(event, journal.DebtRepaid)] == [5, 4]
    for command in (RepayDebt("ann", "ETH"), RepayDebt("ann", "BTC"), RepayDebt("nobody", "ETH")):
        assert do(floor, command) == Reply()
    assert floor.collect() == []


def test_a_withdrawal_is_held_and_settled_with_its_fee(floor: Floor) -> None:
    made = do(floor, hold(100)).made
    assert eth(floor) == (HAS - 100, 100, 0)
    assert do(floor, hold(100)).made == made
    do(floor, settle(made, 3))
    assert (eth(floor), house(floor), house(floor, House.FEES)) == ((HAS - 100, 0, 0), 97, 3)
    assert floor.exchange.state.withdrawals == {}


def test_a_withdrawal_is_held_and_released(floor: Floor) -> None:
    made = do(floor, hold(100)).made
    do(floor, release(made))
    assert (eth(floor), house(floor)) == ((HAS, 0, 0), 0)
    assert floor.exchange.state.accounts["ann"].withdrawals == {}


@pytest.mark.parametrize("forgotten", [False, True])
def test_settle_and_release_exclude_each_other_under_one_key(floor: Floor, forgotten: bool) -> None:
    made = do(floor, hold(100)).made
    settled = do(floor, settle(made)).made
    if forgotten:
        account = floor.exchange.state.accounts["ann"]
        stored = {("ann", key): used for key, used in account.keys.items()}
        account.keys.clear()
        floor.exchange.recall(stored)
    again, other, elsewhere = do(floor, settle(made)), do(floor, release(made)), do(floor, release(made, "§new"))
    assert (again.made, again.replayed) == (settled, True)
    assert other.refusal is not None
    assert other.refusal.code is Code.IDEMPOTENCY_MISMATCH
    assert elsewhere.refusal is not None
    assert elsewhere.refusal.code is Code.UNKNOWN_WITHDRAWAL


def test_nobody_ends_the_withdrawal_of_another(floor: Floor) -> None:
    made = do(floor, hold(100)).made
    refusal = do(floor, release(made)._replace(account="bob")).refusal
    assert refusal is not None
    assert refusal.code is Code.UNKNOWN_WITHDRAWAL


def test_what_a_chain_did_is_done_for_a_frozen_account(floor: Floor) -> None:
    one, two = do(floor, hold(100)).made, do(floor, hold(50, "two")).made
    frozen(floor)
    assert do(floor, hold(100)).replayed, "what was done before the freeze is said"
    for command in (credit(7), settle(one), release(two, "§two"), reverse(HAS), RepayDebt("ann", "ETH")):
        assert do(floor, command).refusal is None
    assert eth(floor) == (0, 0, 93)
    do(floor, MoveFunds("bob", House.TEST_FUNDS, "ETH", 1, "bob", ""))
    assert do(floor, credit(94, "§last")).refusal is None
    assert eth(floor) == (1, 0, 0)


def test_the_house_moves_its_own_funds_once(floor: Floor) -> None:
    first, again = do(floor, sweep(5)), do(floor, sweep(5))
    assert (again.made, again.replayed) == (first.made, True)
    assert (house(floor, COLD), house(floor)) == (-5, 5)
    account = floor.exchange.state.accounts[MOVEMENTS]
    assert (account.balances, list(account.keys)) == ({}, ["§sweep"])


def test_a_house_account_that_there_is_not_stops_the_exchange(floor: Floor) -> None:
    for name in (
        "house:pocket",
        "house:hot:",
        "house:hot:9lives",
        "house:warm:ethereum",
        f"house:cold:{'a' * 33}",
        "ann",
    ):
        assert not is_house(name)
        with pytest.raises(InvariantBroken, match="no account"):
            fold([journal.HouseFundsMoved(HOT, name, "ETH", 1, "§", "")])
    assert is_house(f"house:cold:{'a' * 32}")


@pytest.mark.parametrize(
    "event",
    [
        journal.DebtRepaid("ann", "ETH", 1),
        journal.DepositCredited("ann", HOT, "ETH", 5, 1, "§", ""),
        journal.DepositReversed("ann", HOT, "ETH", HAS + 5, 4, "§", ""),
        journal.WithdrawalHeld("ann", "ETH", HAS + 1, "key", ""),
    ],
)
def test_what_cannot_be_stops_the_exchange(floor: Floor, event: journal.Event) -> None:
    with pytest.raises(InvariantBroken):
        floor.exchange.state.evolve(event)


def test_a_snapshot_keeps_debts_withdrawals_and_reserves(floor: Floor) -> None:
    made = do(floor, hold(100)).made
    do(floor, MoveHouseFunds(House.NETWORK_FEES, hot_reserve("polygon"), "ETH", 2**70, "§fee", ""))
    do(floor, sweep(5))
    do(floor, reverse(HAS))
    restored = Exchange(restore(chunks(floor.exchange.state)))
    assert digest(restored.state) == digest(floor.exchange.state)
    assert restored.state.accounts["ann"].debts == {"ETH": 100}
    for command in (credit(1), sweep(5), settle(made, 1)):
        ours, theirs = floor.exchange.execute(command, 0), restored.execute(command, 0)
        assert ours == theirs
    assert digest(restored.state) == digest(floor.exchange.state)
