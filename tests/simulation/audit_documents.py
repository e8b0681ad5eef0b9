"""The documents: what a storm left is what a rebuild from nothing writes, every list is dense, and every statement adds up."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from beanie import Document
from pymongo.errors import AutoReconnect

from events import codec, journal
from events.commands import MOVEMENTS
from events.journal import Event
from events.trading import AccountLogged, Logged, StatementLine, in_order
from exchange.accounts import Account
from exchange.state import State
from models.base import unpacked
from models.client_key import ClientKeyDocument
from models.fill import FillDocument
from models.journal import JournalDocument
from models.order import OrderDocument
from models.order_group import OrderGroupDocument
from models.packs import AccountLogDocument, StatementDocument
from models.trading_account import TradingAccountDocument
from services import statement_rows
from tests.simulation.faults import Faults
from tests.simulation.memory_mongo import MemoryMongo
from tests.simulation.processes import Process, Tape
from tests.trading_house import SCALES

if TYPE_CHECKING:
    from tests.simulation.world import World

Rows = dict[Any, Any]


async def check(world: "World", state: State, events: list[Event]) -> None:
    """All of it. Raises AssertionError."""
    await _project(world)
    documents = read(world.mongo)
    tape, world.ground.tape = world.ground.tape, Tape()
    anew = MemoryMongo(Faults("anew", random.Random(0), Counter(), AutoReconnect))
    anew.collection(JournalDocument).copy_from(world.mongo.collection(JournalDocument))
    with anew.installed():
        await _project(world)
    again = read(anew)
    for name in documents:
        _compare(name, documents[name], again[name])
    assert tape.trades == world.ground.tape.trades
    _check_lists(documents)
    _check_money(documents, state)
    _check_fills(documents)
    _check_keys(documents, events)
    for key, item in world.publications.logged.items():
        assert documents["log"][key] == item, f"published and stored differ: {item} and {documents['log'][key]}"
    assert len(tape.trades) == sum(isinstance(event, journal.Traded) for event in events)


async def _project(world: "World") -> None:
    """A fresh projector writes what is not written yet."""
    process = Process(world.ground, "auditor", "auditor", (), (), is_remote=False)
    projector = process.new_projector()
    await projector.load()
    newest = world.mongo.collection(JournalDocument).newest()
    assert newest is not None
    task = process.life.start(projector.run())
    while projector.place.batch < newest["_id"]:
        assert not task.done(), task
        await asyncio.sleep(0.01)
    await projector.flush()
    process.life.kill()


def read(mongo: MemoryMongo) -> dict[str, Rows]:
    """Every collection, decoded; what depends on where a flush ended is left out."""
    return {
        "orders": _unpacked(mongo, OrderDocument),
        "groups": _by_id(mongo, OrderGroupDocument),
        "fills": _unpacked(mongo, FillDocument),
        "keys": _by_id(mongo, ClientKeyDocument),
        "accounts": {key: _account(row) for key, row in _unpacked(mongo, TradingAccountDocument).items()},
        "log": _packed(mongo, AccountLogDocument, _logged),
        "statements": _packed(mongo, StatementDocument, statement_rows.decode),
    }


def _by_id(mongo: MemoryMongo, model: type[Document]) -> Rows:
    return {row["_id"]: row for row in mongo.collection(model).rows()}


def _unpacked(mongo: MemoryMongo, model: type[Document]) -> Rows:
    return {key: unpacked(row) for key, row in _by_id(mongo, model).items()}


def _account(row: dict[str, Any]) -> dict[str, Any]:
    row.pop("sequence")
    row["balances"] = {
        asset: {kind: units.to_decimal() for kind, units in balance.items()}
        for asset, balance in row["balances"].items()
        if any(units.to_decimal() for units in balance.values())
    }
    return row


def _logged(payload: bytes) -> list[Logged]:
    logged = codec.decode(payload)
    assert isinstance(logged, AccountLogged)
    return in_order(logged)


def _packed(mongo: MemoryMongo, model: type[Document], decode: Callable[[bytes], list[Any]]) -> Rows:
    """Rows of all packs by account and number; where packs overlap they are equal."""
    found: Rows = {}
    for pack in mongo.collection(model).rows():
        rows = decode(bytes(pack["payload"]))
        assert [row.number for row in rows] == list(range(pack["first"], pack["last"] + 1))
        for row in rows:
            known = found.setdefault((pack["account"], row.number), row)
            assert known == row, f"two packs of {pack['account']} differ: {known} and {row}"
    return found


def _compare(name: str, stored: Rows, again: Rows) -> None:
    for key in stored.keys() | again.keys():
        assert stored.get(key) == again.get(key), (
            f"{name} {key}: stored is {stored.get(key)}, a rebuild writes {again.get(key)}"
        )


def _check_lists(documents: Mapping[str, Rows]) -> None:
    """The numbers of everything an account has are dense from 1, and the account knows the highest."""
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for kind in ("orders", "fills"):
        for row in documents[kind].values():
            numbers[row["account"], kind].append(row["number"])
    for kind, named in (("log", "logged"), ("statements", "lines")):
        for account, number in documents[kind]:
            numbers[account, named].append(number)
    for (account, kind), found in numbers.items():
        assert sorted(found) == list(range(1, len(found) + 1)), f"the {kind} of {account} have a hole"
        assert documents["accounts"][account][kind] == len(found)


def _check_money(documents: Mapping[str, Rows], state: State) -> None:
    """Statements add up to balances, and these are the exchange's."""
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for account, number in sorted(documents["statements"]):
        line: StatementLine = documents["statements"][account, number]
        totals[account, line.asset] += line.amount
        assert totals[account, line.asset] == line.balance_after, f"line {number} of {account} does not add up: {line}"
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for account, row in documents["accounts"].items():
        for asset, balance in row["balances"].items():
            sums[asset] += balance["available"] + balance["held"]
            if account in state.accounts:
                assert balance["available"] + balance["held"] == totals[account, asset]
                core = state.accounts[account].balance(asset)
                assert balance["available"] == Decimal(core.available).scaleb(-SCALES[asset])
                assert balance["held"] == Decimal(core.held).scaleb(-SCALES[asset])
    assert not any(sums.values()), f"the books do not balance: {dict(sums)}"
    for account in state.accounts.values():
        row = documents["accounts"][account.id]
        assert row["open"] == list(account.open)
        assert [each["id"] for each in row["withdrawals"]] == list(account.withdrawals)
        _check_debts_and_holds(row, account)


def _check_debts_and_holds(row: Mapping[str, Any], account: Account) -> None:
    """What is owed is the exchange's, and what is on hold is what orders and withdrawals hold."""
    owed = {asset: Decimal(units).scaleb(-SCALES[asset]) for asset, units in account.debts.items()}
    assert {asset: units.to_decimal() for asset, units in row["debts"].items()} == owed
    holds: dict[str, Decimal] = defaultdict(Decimal, {asset: each.to_decimal() for asset, each in row["holds"].items()})
    for each in row["withdrawals"]:
        holds[each["asset"]] += each["amount"].to_decimal()
    held = {asset: balance["held"] for asset, balance in row["balances"].items() if balance["held"]}
    assert held == dict(holds), f"{account.id}: {held} is on hold, orders and withdrawals hold {dict(holds)}"


def _check_fills(documents: Mapping[str, Rows]) -> None:
    """Each order's fills are numbered and sum up to what it says."""
    quantities: dict[int, Decimal] = defaultdict(Decimal)
    quotes: dict[int, Decimal] = defaultdict(Decimal)
    fees: dict[int, Decimal] = defaultdict(Decimal)
    numbers: dict[int, list[int]] = defaultdict(list)
    for row in documents["fills"].values():
        order = row["order"]
        quantities[order] += row["quantity"].to_decimal()
        quotes[order] += row["quote_quantity"].to_decimal()
        fees[order] += row["fee"].to_decimal()
        numbers[order].append(row["order_fill"])
    for key, row in documents["orders"].items():
        assert row["filled_quantity"].to_decimal() == quantities[key], f"fills of order {key}"
        assert row["filled_quote"].to_decimal() == quotes[key], f"fills of order {key}"
        assert row["fee"].to_decimal() == fees[key], f"fees of order {key}"
        assert sorted(numbers[key]) == list(range(1, len(numbers[key]) + 1))


def _check_keys(documents: Mapping[str, Rows], events: list[Event]) -> None:
    """Every key that was used can be looked up."""
    for sequence, event in enumerate(events, 1):
        match event:
            case journal.OrderAccepted(group=0) | journal.GroupAccepted():
                key = f"{event.account}:{event.client_id}"
            case journal.HouseFundsMoved():
                key = f"{MOVEMENTS}:{event.key}"
            case (
                journal.FundsMoved() | journal.DepositCredited() | journal.DepositReversed()
                | journal.WithdrawalHeld() | journal.WithdrawalSettled() | journal.WithdrawalReleased()
            ):  # fmt: skip
                key = f"{event.account}:{event.key}"
            case _:
                continue
        assert documents["keys"][key]["made"] == sequence
