"""Clients' keys: each does once, for ever, also when the core no longer remembers it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.order_vocabulary import OrderErrorCode as Code
from core.order_vocabulary import OrderStatus, OrderType
from events.commands import (
    MOVEMENTS,
    AmendOrder,
    CancelAll,
    CancelGroup,
    CancelOrder,
    Command,
    CreditDeposit,
    ForgetKeys,
    FreezeAccount,
    HoldWithdrawal,
    MoveFunds,
    MoveHouseFunds,
    PlaceBracket,
    PlaceOco,
    PlaceOrder,
    ReleaseWithdrawal,
    ReverseDeposit,
    SettleWithdrawal,
)
from events.journal import KeysForgotten
from exchange.accounts import House, hot_reserve
from exchange.engine import Exchange
from exchange.keys import Used
from exchange.snapshot import digest
from tests.exchange.floor import BUY, EXACT, SELL, Floor, wish
from tests.exchange.test_snapshot import says

LIMIT = wish(BUY, OrderType.LIMIT, lots=10, price=100)
HOT = hot_reserve("ethereum")
EXITS = (wish(SELL, OrderType.LIMIT, lots=10, price=120), wish(SELL, OrderType.STOP_LOSS, lots=10, stop=90))


@pytest.fixture
def floor() -> Floor:
    return Floor("ann", "bob")


def forget(floor: Floor, through: int = 10**9) -> dict[tuple[str, str], Used]:
    """Let all keys up to a sequence be forgotten; returns them, as storage has them."""
    stored = {
        (account.id, key): used
        for account in floor.exchange.state.accounts.values()
        for key, used in account.keys.items()
    }
    floor.exchange.execute(ForgetKeys(through), floor.now_ms)
    return {name: used for name, used in stored.items() if used[1] <= through}


def find(exchange: Exchange, stored: dict[tuple[str, str], Used], command: Command) -> None:
    """What the writer does before a command."""
    exchange.recall({name: stored[name] for name in exchange.lookups(command) if name in stored})


def commands_of(key: str, who: str = "ann") -> list[Command]:
    """One of every kind that names a key."""
    return [
        PlaceOrder(who, key, "", LIMIT),
        PlaceOco(who, key, "", *EXITS),
        PlaceBracket(who, key, "", LIMIT, EXITS),
        CancelOrder(who, client_id=key),
        CancelGroup(who, client_id=key),
        AmendOrder(who, client_id=key),
        MoveFunds(who, House.TEST_FUNDS, "ETH", 1, key, ""),
        HoldWithdrawal(who, "ETH", 1, key, ""),
    ]


def commands_of_the_house(key: str, who: str = "ann") -> list[Command]:
    """One of every kind whose key the house chooses."""
    return [
        CreditDeposit(who, "ETH", 5, HOT, f"§{key}", "in"),
        ReverseDeposit(who, "ETH", 10**21, HOT, f"§{key}", "back"),
        SettleWithdrawal(who, 1, HOT, 0, f"§{key}", "settled"),
        ReleaseWithdrawal(who, 1, f"§{key}", "released"),
        MoveHouseFunds(House.NETWORK_FEES, HOT, "ETH", 1, f"§{key}", "fee"),
    ]


def test_nothing_is_looked_up_until_something_was_forgotten(floor: Floor) -> None:
    floor.limit("bob", BUY, 100, 10)
    for command in commands_of("new"):
        assert floor.exchange.lookups(command) == ()
    floor.exchange.execute(ForgetKeys(6), floor.now_ms)
    assert floor.exchange.state.accounts["ann"].forgot
    for who, needed in (("ann", (("ann", "new"),)), ("bob", ()), ("stranger", ())):
        for command in commands_of("new", who):
            assert floor.exchange.lookups(command) == needed
    floor.limit("ann", BUY, 100, 10)
    for command in commands_of(f"key-{floor._keys}"):
        assert floor.exchange.lookups(command) == (), "it is remembered"
    for command in (CancelOrder("ann", 1), CancelGroup("ann", 1), AmendOrder("ann", 1), CancelAll("ann")):
        assert floor.exchange.lookups(command) == ()


def test_the_houses_own_keys_are_looked_up_like_clients(floor: Floor) -> None:
    *of_ann, moved = commands_of_the_house("new")
    floor.exchange.execute(moved, floor.now_ms)
    stored = forget(floor)
    for command in of_ann:
        assert floor.exchange.lookups(command) == (("ann", "§new"),)
    assert floor.exchange.lookups(moved) == ((MOVEMENTS, "§new"),)
    find(floor.exchange, stored, moved)
    assert floor.exchange.execute(moved, floor.now_ms).replayed


def test_only_keys_up_to_the_mark_are_forgotten(floor: Floor) -> None:
    first, second = (floor.place("ann", LIMIT, key).made for key in ("first", "second"))
    floor.exchange.execute(ForgetKeys(first), floor.now_ms)
    assert floor.collect() == [KeysForgotten(first)]
    assert floor.exchange.state.accounts["ann"].keys == {"second": (f"digest of {LIMIT}", second)}
    assert [made for made, _, _ in floor.exchange.state.remembered] == [second]
    floor.exchange.execute(ForgetKeys(first), floor.now_ms)
    assert floor.collect() == [], "there is nothing left to forget"


def test_a_recalled_key_replays_or_mismatches_with_its_precedence(floor: Floor) -> None:
    first = floor.place("ann", LIMIT, "key")
    floor.exchange.recall(forget(floor))
    before = digest(floor.exchange.state)
    again = floor.place("ann", LIMIT, "key")
    assert (again.made, again.order, again.replayed) == (first.made, first.order, True)
    for command in (
        PlaceOrder("ann", "key", "other", LIMIT._replace(symbol="ETH-PEBBLE")),
        PlaceOco("ann", "key", "other", *EXITS),
        PlaceBracket("ann", "key", "other", LIMIT, EXITS),
        MoveFunds("ann", House.TEST_FUNDS, "ETH", -(10**30), "key", "other"),
    ):
        refusal = floor.exchange.execute(command, floor.now_ms).refusal
        assert refusal is not None
        assert refusal.code is Code.IDEMPOTENCY_MISMATCH
    assert digest(floor.exchange.state) == before, "what is recalled is no part of it"
    floor.exchange.execute(FreezeAccount("ann", True), floor.now_ms)
    assert floor.place("ann", LIMIT, "key").replayed
    other = floor.place("ann", LIMIT._replace(side=SELL), "key").refusal
    assert other is not None
    assert other.code is Code.ACCOUNT_FROZEN
    floor.exchange.execute(FreezeAccount("ann", False), floor.now_ms)
    floor.exchange.recall({})
    assert not floor.place("ann", LIMIT, "key").replayed, "the next batch does not know what the last one looked up"


def test_an_open_order_is_amended_and_canceled_by_a_key_that_was_forgotten(floor: Floor) -> None:
    order = floor.place("ann", LIMIT, "key").order
    group = floor.exchange.execute(PlaceOco("ann", "both", "", *EXITS), floor.now_ms).made
    assert order is not None
    stored = forget(floor)
    commands = (
        AmendOrder("ann", client_id="key", quantity=9 * EXACT.lot, price=99 * EXACT.tick),
        CancelOrder("ann", client_id="key"),
        CancelGroup("ann", client_id="both"),
    )
    for command in commands:
        refusal = floor.exchange.execute(command, floor.now_ms).refusal
        assert refusal is not None
        assert refusal.code is Code.UNKNOWN_ORDER, "unless it is looked up"
    made = []
    for command in commands:
        find(floor.exchange, stored, command)
        made.append(floor.exchange.execute(command, floor.now_ms).made)
    assert made == [order.id, order.id, group]
    assert (order.status, floor.exchange.state.orders) == (OrderStatus.CANCELED, {})
    find(floor.exchange, stored, commands[1])
    refusal = floor.exchange.execute(commands[1], floor.now_ms).refusal
    assert refusal is not None
    assert refusal.code is Code.ORDER_NOT_OPEN


@given(
    st.lists(
        st.one_of(st.tuples(st.integers(0, 12), st.integers(0, 5)), st.tuples(st.just(-1), st.integers(0, 5))),
        max_size=40,
    )
)
@settings(max_examples=100, deadline=None)
def test_nobody_can_tell_what_is_remembered_from_what_is_recalled(script: list[tuple[int, int]]) -> None:
    """Beside one that forgets stands one that does not, whose sequence is the same."""
    remembers, forgets = Floor("ann", "bob"), Floor("ann", "bob")
    stored: dict[tuple[str, str], Used] = {}
    for kind, number in script:
        if kind < 0:
            found = forget(forgets, forgets.exchange.state.sequence - number)
            stored |= found
            if forgets.collect():
                remembers.exchange.start_writer(0)
                remembers.collect()
            continue
        key = f"key-{number}" if number < 3 else f"again-{number}"
        command = [*commands_of(key), *commands_of_the_house(key)][kind]
        find(forgets.exchange, stored, command)
        ours, theirs = (floor.exchange.execute(command, floor.now_ms) for floor in (remembers, forgets))
        assert says(ours) == says(theirs)
        assert remembers.collect() == forgets.collect()
