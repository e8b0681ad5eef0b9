"""A preview tells what placing would do, and changes nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.order_vocabulary import OrderErrorCode as Code
from core.order_vocabulary import OrderType, TimeInForce
from core.vocabulary import MarketStatus
from events.commands import FreezeAccount, OrderWish, PlaceOrder, ReferenceBook, SetMarketStatus
from events.journal import OrderAccepted, Traded
from exchange.preview import Preview, preview
from exchange.snapshot import digest
from tests.exchange.floor import BUY, EXACT, SELL, Floor, wish
from tests.exchange.test_properties import PEOPLE, Script, actions, wishes


@pytest.fixture
def floor() -> Floor:
    floor = Floor("ann", "bob")
    for price, lots in ((100, 10), (101, 10), (101, 5)):
        floor.limit("bob", SELL, price, lots)
    return floor


def seen(floor: Floor, who: str, asked: OrderWish) -> Preview:
    before = digest(floor.exchange.state)
    found = preview(floor.exchange, who, asked, floor.now_ms)
    assert (digest(floor.exchange.state), floor.collect()) == (before, [])
    return found


def test_levels_are_merged_by_price_and_the_sums_told(floor: Floor) -> None:
    found = seen(floor, "ann", wish(BUY, OrderType.MARKET, lots=24))
    assert found == Preview(
        None,
        ((100, 10), (101, 14)),
        lots=24,
        average=-(-2414 * EXACT.tick // 24),
        worst=101,
        quote=2414,
        fee=4,
        hold=2418,
    )


def test_a_limit_order_takes_what_it_reaches_and_holds_for_all(floor: Floor) -> None:
    found = seen(floor, "ann", wish(BUY, OrderType.LIMIT, lots=24, price=100))
    assert (found.levels, found.quote, found.fee, found.hold) == (((100, 10),), 1000, 2, 2404)
    waits = seen(floor, "ann", wish(SELL, OrderType.STOP_LOSS, lots=24, stop=90))
    assert waits == Preview(None, hold=24 * 10**14)


def test_the_houses_quotes_count(floor: Floor) -> None:
    asks = ((99 * EXACT.tick, 5 * EXACT.lot),)
    floor.exchange.execute(ReferenceBook(EXACT.symbol, (), asks, True, 10**18), floor.now_ms)
    assert seen(floor, "ann", wish(BUY, OrderType.MARKET, lots=10)).levels == ((99, 5), (100, 5))


@pytest.mark.parametrize(
    ("who", "asked", "code", "levels"),
    [
        ("stranger", wish(BUY, OrderType.MARKET, lots=10), Code.INSUFFICIENT_FUNDS, ((100, 10),)),
        ("ann", wish(BUY, OrderType.LIMIT, lots=10**9, price=10**6), Code.INSUFFICIENT_FUNDS, ((100, 10), (101, 15))),
        ("ann", wish(BUY, OrderType.LIMIT, lots=99, price=101, time_in_force=TimeInForce.FOK), Code.FOK_NOT_FILLABLE, ((100, 10), (101, 15))),
        ("ann", wish(BUY, OrderType.LIMIT, lots=9, price=10), Code.NOTIONAL_TOO_SMALL, ()),
        ("ann", wish(SELL, OrderType.MARKET, lots=10), Code.NO_LIQUIDITY, ()),
        ("ann", wish(BUY, OrderType.MARKET, lots=10)._replace(symbol="ETH-PEBBLE"), Code.UNKNOWN_MARKET, ()),
    ],
)  # fmt: skip
def test_what_would_be_refused_is_told_with_what_it_would_find(
    floor: Floor, who: str, asked: OrderWish, code: Code, levels: tuple[Any, ...]
) -> None:
    found = seen(floor, who, asked)
    assert found.refusal is not None
    assert (found.refusal.code, found.levels) == (code, levels)
    assert who not in floor.exchange.state.accounts or who == "ann"


def test_what_cannot_be_paid_tells_what_it_would_hold(floor: Floor) -> None:
    assert seen(floor, "stranger", wish(BUY, OrderType.MARKET, lots=10)).hold == 1002


def test_a_frozen_account_and_a_closed_market_come_first(floor: Floor) -> None:
    asked = wish(BUY, OrderType.MARKET, lots=10)
    floor.exchange.execute(SetMarketStatus(EXACT.symbol, MarketStatus.HALTED, "a test"), floor.now_ms)
    floor.collect()
    found = seen(floor, "ann", asked)
    assert found.refusal is not None
    assert (found.refusal.code, found.levels) == (Code.MARKET_HALTED, ())
    floor.exchange.execute(SetMarketStatus(EXACT.symbol, MarketStatus.TRADING, "a test"), floor.now_ms)
    floor.exchange.execute(FreezeAccount("ann", True), floor.now_ms)
    floor.collect()
    found = seen(floor, "ann", asked)
    assert found.refusal is not None
    assert (found.refusal.code, found.levels) == (Code.ACCOUNT_FROZEN, ((100, 10),))


@given(st.lists(actions, max_size=25), st.sampled_from(PEOPLE), wishes())
@settings(max_examples=200, deadline=None)
def test_what_it_tells_is_what_happens(before: list[tuple[Any, ...]], who: str, asked: OrderWish) -> None:
    floor = Floor(*PEOPLE)
    script = Script(floor)
    for action in before:
        floor.exchange.execute(script.command(action), floor.now_ms)
    floor.collect()
    told = seen(floor, who, asked)
    reply = floor.exchange.execute(PlaceOrder(who, "the key", "", asked), floor.now_ms)
    events = floor.collect()
    assert reply.refusal == told.refusal
    if reply.refusal is not None:
        return
    accepted = next(event for event in events if isinstance(event, OrderAccepted))
    assert accepted.hold == told.hold
    taken: dict[int, int] = {}
    quote = fee = 0
    for event in events:
        if isinstance(event, Traded) and event.taker == reply.made:
            taken[event.price] = taken.get(event.price, 0) + event.lots
            quote += event.paid if asked.side is BUY else event.earned
            fee += event.taker_fee
    assert tuple(taken.items()) == told.levels
    assert (quote, fee) == (told.quote, told.fee)
    assert sum(taken.values()) == told.lots
