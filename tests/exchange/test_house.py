"""The house's quotes: the reference's book, mirrored."""

from typing import Any

import pytest

from core.order_vocabulary import OrderErrorCode as Code
from core.order_vocabulary import OrderStatus, OrderType, TimeInForce
from core.vocabulary import MarketStatus
from events.commands import ReferenceBook, ReferenceLost, SetMarketStatus
from events.journal import Event, Traded
from exchange.accounts import House
from exchange.order import Order
from exchange.reply import Reply
from tests.exchange.floor import BUY, EXACT, SELL, Floor, wish

LOT_UNITS = 10**14
Levels = tuple[tuple[int, int], ...]


@pytest.fixture
def floor() -> Floor:
    return Floor("ann", "bob")


def mirror(
    floor: Floor, *, bids: Levels = (), asks: Levels = (), snapshot: bool = True, limit: int = 10**6
) -> list[Event]:
    """The reference reports these levels, in ticks and lots; the house may own or owe `limit` lots."""

    def scaled(levels: Levels) -> Levels:
        return tuple((price * EXACT.tick, lots * EXACT.lot) for price, lots in levels)

    command = ReferenceBook(EXACT.symbol, scaled(bids), scaled(asks), snapshot, limit * LOT_UNITS)
    floor.exchange.execute(command, floor.now_ms)
    return floor.collect()


def order_of(reply: Reply) -> Order:
    assert reply.order is not None, reply.refusal
    return reply.order


def market(floor: Floor, side: Any, lots: int, **more: Any) -> Reply:
    return floor.place("ann", wish(side, OrderType.MARKET, lots=lots, **more))


def trades(floor: Floor) -> list[tuple[int, int, int]]:
    """Maker, price, lots."""
    return [(event.maker, event.price, event.lots) for event in floor.events if isinstance(event, Traded)]


def test_a_lone_order_fills_at_the_references_prices_and_the_house_takes_the_other_side(floor: Floor) -> None:
    mirror(floor, asks=((100, 10), (101, 10)))
    order = order_of(market(floor, BUY, 15))
    assert order.status is OrderStatus.FILLED
    assert trades(floor) == [(0, 100, 10), (0, 101, 5)]
    state = floor.exchange.state
    assert state.house[House.INVENTORY] == {"ETH": -15 * LOT_UNITS, "USDT": 1505}
    assert state.house[House.FEES]["USDT"] == order.fees == 3


def test_people_come_first_at_an_equal_price_and_a_better_house_before_them(floor: Floor) -> None:
    maker = order_of(floor.limit("bob", SELL, 100, 5))
    mirror(floor, asks=((99, 5), (100, 50)))
    order_of(market(floor, BUY, 12))
    assert trades(floor) == [(0, 99, 5), (maker.id, 100, 5), (0, 100, 2)]


def test_what_is_used_up_stays_so_until_the_reference_reports_a_change_there(floor: Floor) -> None:
    mirror(floor, asks=((100, 10),))
    order_of(market(floor, BUY, 10))
    refused = market(floor, BUY, 1).refusal
    assert refused is not None
    assert refused.code is Code.NO_LIQUIDITY
    mirror(floor, asks=((101, 5),), snapshot=False)
    order_of(market(floor, BUY, 1))
    mirror(floor, asks=((100, 7), (101, 0)), snapshot=False)
    assert order_of(market(floor, BUY, 10)).remaining == 3


def test_a_snapshot_that_repeats_a_level_does_not_fill_it_again(floor: Floor) -> None:
    mirror(floor, asks=((100, 10), (101, 10)))
    order_of(market(floor, BUY, 10))
    mirror(floor, asks=((100, 10), (101, 10)))
    order_of(market(floor, BUY, 1))
    mirror(floor, asks=((100, 9), (101, 10)))
    order_of(market(floor, BUY, 10))
    assert trades(floor) == [(0, 100, 10), (0, 101, 1), (0, 100, 9), (0, 101, 1)]
    mirror(floor, asks=((102, 10),))
    assert quoted(floor, SELL) == [(102, 10)]


def quoted(floor: Floor, side: Any) -> list[tuple[int, int]]:
    quotes = floor.exchange.quotes(EXACT.symbol)
    assert quotes is not None
    return list(quotes.levels(side))


def between_ticks(floor: Floor, bids: Levels, asks: Levels, *, snapshot: bool = False) -> None:
    """Levels in tenths of ticks, and lots."""
    sides = [tuple((price * EXACT.tick // 10, lots * EXACT.lot) for price, lots in levels) for levels in (bids, asks)]
    floor.exchange.execute(ReferenceBook(EXACT.symbol, sides[0], sides[1], snapshot, 10**20), floor.now_ms)
    floor.collect()


def test_levels_that_come_to_one_tick_add_up(floor: Floor) -> None:
    between_ticks(floor, ((999, 3), (995, 4), (980, 5)), ((1001, 3), (1005, 4), (1020, 5)), snapshot=True)
    assert quoted(floor, BUY) == [(99, 7), (98, 5)]
    assert quoted(floor, SELL) == [(101, 7), (102, 5)]
    between_ticks(floor, ((995, 0),), ((1001, 6), (1009, 1)))
    assert quoted(floor, BUY) == [(99, 3), (98, 5)]
    assert quoted(floor, SELL) == [(101, 11), (102, 5)]
    between_ticks(floor, ((999, 0),), ((1001, 0), (1005, 0), (1009, 0)))
    assert quoted(floor, BUY) == [(98, 5)]
    assert quoted(floor, SELL) == [(102, 5)]


def test_of_levels_on_one_tick_each_is_used_up_by_itself(floor: Floor) -> None:
    between_ticks(floor, (), ((1001, 3), (1005, 4)), snapshot=True)
    order_of(market(floor, BUY, 5))
    assert quoted(floor, SELL) == [(101, 2)]
    between_ticks(floor, (), ((1001, 8),))
    assert quoted(floor, SELL) == [(101, 10)], "the other has two left"
    between_ticks(floor, (), ((1001, 8), (1005, 4)), snapshot=True)
    assert quoted(floor, SELL) == [(101, 10)]
    order_of(market(floor, BUY, 10))
    assert quoted(floor, SELL) == []
    between_ticks(floor, (), ((1001, 0), (1005, 4)))
    assert quoted(floor, SELL) == []
    between_ticks(floor, (), ((1005, 0),))
    between_ticks(floor, (), ((1005, 4),))
    assert quoted(floor, SELL) == [(101, 4)]


def test_a_reference_that_moves_through_an_order_fills_it_at_its_price(floor: Floor) -> None:
    first, second = order_of(floor.limit("ann", SELL, 105, 20)), order_of(floor.limit("bob", SELL, 106, 20))
    assert mirror(floor, bids=((104, 50),)) == []
    mirror(floor, bids=((106, 12), (105, 30)))
    assert [
        (event.maker, event.taker, event.price, event.lots) for event in floor.events if isinstance(event, Traded)
    ] == [
        (first.id, 0, 105, 12),
        (first.id, 0, 105, 8),
    ]
    assert (first.status, second.status) == (OrderStatus.FILLED, OrderStatus.OPEN)
    assert floor.exchange.state.house[House.INVENTORY]["ETH"] == 20 * LOT_UNITS
    again = order_of(floor.limit("ann", BUY, 95, 20))
    mirror(floor, asks=((94, 5),))
    assert again.remaining == 15


def test_the_house_owns_and_owes_no_more_than_its_limit(floor: Floor) -> None:
    mirror(floor, bids=((99, 100),), asks=((100, 100),), limit=10)
    assert order_of(market(floor, BUY, 100)).remaining == 90
    refused = market(floor, BUY, 1).refusal
    assert refused is not None
    assert refused.code is Code.NO_LIQUIDITY
    assert order_of(market(floor, SELL, 100)).remaining == 80, "back to nothing, and ten more"
    resting = order_of(floor.limit("ann", SELL, 98, 10))
    assert resting.remaining == 10


def test_quotes_vanish_with_the_reference(floor: Floor) -> None:
    mirror(floor, asks=((100, 10),))
    floor.exchange.execute(ReferenceLost(EXACT.symbol), floor.now_ms)
    refused = market(floor, BUY, 1).refusal
    assert refused is not None
    assert refused.code is Code.NO_LIQUIDITY


def test_a_halted_market_moves_nothing(floor: Floor) -> None:
    order = order_of(floor.limit("ann", SELL, 105, 20))
    floor.exchange.execute(SetMarketStatus(EXACT.symbol, MarketStatus.HALTED, "a test"), floor.now_ms)
    floor.collect()
    assert mirror(floor, bids=((106, 12),)) == []
    assert order.remaining == 20


def test_prices_between_ticks_are_never_the_houses_loss(floor: Floor) -> None:
    half, lots = EXACT.tick // 2, 10 * EXACT.lot
    book = ReferenceBook(
        EXACT.symbol, ((99 * EXACT.tick + half, lots),), ((100 * EXACT.tick + half, lots + 1),), True, 10**30
    )
    floor.exchange.execute(book, floor.now_ms)
    quotes = floor.exchange.quotes(EXACT.symbol)
    assert quotes is not None
    assert (quotes.best(BUY), quotes.best(SELL)) == ((99, 10), (101, 10))


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"post_only": True}, Code.POST_ONLY_WOULD_TAKE),
        ({"time_in_force": TimeInForce.FOK}, Code.FOK_NOT_FILLABLE),
    ],
)
def test_terms_count_the_houses_quotes(floor: Floor, more: dict[str, Any], code: Code) -> None:
    mirror(floor, asks=((100, 10),))
    refused = floor.limit("ann", BUY, 100, 11, **more).refusal
    assert refused is not None
    assert refused.code is code
    assert order_of(floor.limit("ann", BUY, 100, 10, time_in_force=TimeInForce.FOK)).status is OrderStatus.FILLED
