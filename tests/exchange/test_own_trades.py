"""A market without a reference: its own last trade is what stops listen to."""

import pytest

from core.order_vocabulary import OrderErrorCode as Code
from core.order_vocabulary import OrderStatus, OrderType, TriggerSource
from core.vocabulary import PriceSource
from events.commands import ConfigureMarket, PlaceBracket, ReferenceLost, ReferencePrice
from events.journal import OrderTriggered, ReferenceExtreme, TrailStarted
from exchange.engine import Exchange
from exchange.order import Order
from exchange.reply import Reply
from exchange.snapshot import chunks, restore
from tests.exchange.floor import BUY, EXACT, SELL, Floor, wish


@pytest.fixture
def floor() -> Floor:
    floor = Floor("ann", "bob", "cat")
    floor.exchange.execute(ConfigureMarket(EXACT._replace(has_reference=False)), floor.now_ms)
    trade(floor, 100)
    return floor


def trade(floor: Floor, price: int, lots: int = 10) -> None:
    """Two people trade at this price."""
    floor.limit("bob", BUY, price, lots)
    floor.limit("cat", SELL, price, lots)


def order_of(reply: Reply) -> Order:
    assert reply.order is not None, reply.refusal
    return reply.order


def stop(floor: Floor, at: int, lots: int = 10) -> Order:
    return order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=lots, stop=at)))


def fired(floor: Floor) -> list[OrderTriggered]:
    return [event for event in floor.events if isinstance(event, OrderTriggered)]


def test_a_trade_fires_what_it_reaches_and_says_whose_price_it_was(floor: Floor) -> None:
    order = stop(floor, 90)
    trade(floor, 91)
    assert order.status is OrderStatus.TRIGGER_PENDING
    floor.limit("bob", BUY, 85, 10)
    trade(floor, 90)
    assert fired(floor) == [OrderTriggered(order.id, 90, 90, 91, 0, PriceSource.EXCHANGE, floor.now_ms)]


def test_what_fires_may_fire_more_until_nothing_does(floor: Floor) -> None:
    limits = (93, 90, 85)
    orders = [
        order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS_LIMIT, lots=10, stop=at, price=limit)))
        for at, limit in zip((95, 93, 90), limits, strict=True)
    ]
    last = stop(floor, 84)
    for price in (95, *limits):
        floor.limit("bob", BUY, price, 10)
    floor.limit("cat", SELL, 95, 10)
    assert [(event.order, event.trigger_price, event.previous_price) for event in fired(floor)] == [
        (orders[0].id, 95, 100),
        (orders[1].id, 93, 95),
        (orders[2].id, 90, 93),
    ]
    assert {order.status for order in orders} == {OrderStatus.FILLED}
    assert last.status is OrderStatus.TRIGGER_PENDING


def test_one_command_is_judged_once_by_its_last_trade(floor: Floor) -> None:
    order = order_of(floor.place("ann", wish(BUY, OrderType.STOP_LOSS, lots=10, stop=110)))
    for price in (105, 109):
        floor.limit("bob", SELL, price, 10)
    floor.limit("cat", BUY, 109, 20)
    assert order.status is OrderStatus.TRIGGER_PENDING
    floor.limit("bob", SELL, 110, 10)
    floor.limit("bob", SELL, 111, 5)
    floor.limit("cat", BUY, 111, 11)
    (event,) = fired(floor)
    assert (event.trigger_price, event.previous_price) == (111, 109)


def test_stops_that_trail_follow_the_trades(floor: Floor) -> None:
    order = order_of(floor.place("ann", wish(SELL, OrderType.TRAILING_STOP, lots=10, trail=10)))
    assert TrailStarted(order.id, 100, PriceSource.EXCHANGE, 0) in floor.events
    trade(floor, 120)
    extreme = ReferenceExtreme(EXACT.symbol, TriggerSource.LAST, SELL, 120, PriceSource.EXCHANGE, floor.now_ms)
    assert extreme in floor.events
    trade(floor, 111)
    assert order.status is OrderStatus.TRIGGER_PENDING
    trade(floor, 110)
    (event,) = fired(floor)
    assert (event.order, event.peak) == (order.id, 120)


def test_a_stop_that_would_fire_at_once_is_refused(floor: Floor) -> None:
    refused = floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=10, stop=100)).refusal
    assert refused is not None
    assert refused.code is Code.STOP_WOULD_TRIGGER
    assert stop(floor, 99).status is OrderStatus.TRIGGER_PENDING


def test_before_the_first_trade_nothing_is_known() -> None:
    floor = Floor("ann")
    floor.exchange.execute(ConfigureMarket(EXACT._replace(has_reference=False)), floor.now_ms)
    assert stop(floor, 100).status is OrderStatus.TRIGGER_PENDING
    refused = floor.place("ann", wish(SELL, OrderType.TRAILING_STOP, lots=10, trail=10)).refusal
    assert refused is not None
    assert refused.code is Code.PRICE_STALE


def test_a_stop_for_the_median_does_not_listen_to_trades(floor: Floor) -> None:
    order = order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=10, stop=90, source=TriggerSource.MARK)))
    trade(floor, 80)
    assert order.status is OrderStatus.TRIGGER_PENDING


def test_a_market_that_has_a_reference_fires_nothing_by_its_trades() -> None:
    floor = Floor("ann", "bob", "cat")
    order = stop(floor, 90)
    trade(floor, 80)
    assert order.status is OrderStatus.TRIGGER_PENDING
    assert not fired(floor)


def test_a_reference_that_speaks_all_the_same_is_what_counts_until_it_is_lost(floor: Floor) -> None:
    order = stop(floor, 90)
    floor.exchange.execute(ReferencePrice(EXACT.symbol, 100 * EXACT.tick, PriceSource.KRAKEN, 0), floor.now_ms)
    trade(floor, 90)
    assert order.status is OrderStatus.TRIGGER_PENDING
    floor.exchange.execute(ReferenceLost(EXACT.symbol), floor.now_ms)
    trade(floor, 90)
    assert [event.order for event in fired(floor)] == [order.id]


def test_exits_of_a_bracket_are_judged_by_the_trades_that_opened_them(floor: Floor) -> None:
    protection = (wish(SELL, OrderType.STOP_LOSS, stop=97),)
    entry = wish(BUY, OrderType.LIMIT, lots=20, price=100)
    floor.exchange.execute(PlaceBracket("ann", floor.key(), "digest", entry, protection), floor.now_ms)
    floor.limit("bob", BUY, 97, 5)
    floor.limit("cat", SELL, 97, 25)
    (event,) = fired(floor)
    assert event.trigger_price == 97
    assert not floor.exchange.state.groups


def test_what_is_restored_fires_the_same(floor: Floor) -> None:
    stop(floor, 90)
    restored = Exchange(restore(chunks(floor.exchange.state)))
    before, floor.exchange = floor.exchange, restored
    trade(floor, 85)
    again = fired(floor)
    floor.exchange, floor.events = before, []
    floor._keys -= 2
    trade(floor, 85)
    assert again == fired(floor) != []
