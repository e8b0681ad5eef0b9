"""What each kind of order does."""

from fractions import Fraction
from math import ceil
from math import floor as floor_of
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.order_vocabulary import OrderErrorCode as Code
from core.order_vocabulary import OrderStatus, OrderType, SelfTradePrevention, TimeInForce, TrailingUnit, TriggerSource
from core.vocabulary import MarketStatus, OrderSide, PriceSource
from events.commands import (
    Advance,
    AmendOrder,
    CancelAll,
    FreezeAccount,
    ReferenceLost,
    ReferencePrice,
    SetCancelTimer,
    SetFeeTier,
    SetMarketStatus,
)
from events.journal import OrderEnded, OrderTriggered, ReferenceExtreme, Traded
from exchange.accounts import House
from exchange.order import Order
from exchange.reply import Reply
from exchange.snapshot import digest
from tests.exchange.floor import BUY, EXACT, FUNDS, ROUNDING, SELL, Floor, wish

LOT_UNITS = 10**14


@pytest.fixture
def floor() -> Floor:
    return Floor("ann", "bob", "cat")


def order_of(reply: Reply) -> Order:
    assert reply.refusal is None, reply.refusal
    assert reply.order is not None
    return reply.order


def waits(order: Order) -> bool:
    return order.status is OrderStatus.TRIGGER_PENDING


def balance(floor: Floor, who: str, asset: str) -> tuple[int, int]:
    """What is available beyond the funds of the start, and what is held."""
    found = floor.exchange.state.accounts[who].balances[asset]
    return found.available - FUNDS[asset], found.held


def market(floor: Floor, who: str, side: OrderSide, **more: Any) -> Reply:
    return floor.place(who, wish(side, OrderType.MARKET, **more))


def price(floor: Floor, ticks: int, *, mark: bool = False, rules: Any = EXACT) -> list[object]:
    command = ReferencePrice(rules.symbol, ticks * rules.tick, PriceSource.KRAKEN, floor.now_ms, is_mark=mark)
    floor.exchange.execute(command, floor.now_ms)
    return list(floor.collect())


class TestLimit:
    def test_it_rests_with_its_cost_and_the_taker_fee_held(self, floor: Floor) -> None:
        order = order_of(floor.limit("ann", BUY, 1000, 20))
        assert order.status is OrderStatus.OPEN
        assert balance(floor, "ann", "USDT") == (-20_030, 20_030)

    def test_it_trades_at_the_makers_price_and_the_rest_of_the_hold_comes_back(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 900, 20)
        order = order_of(floor.limit("ann", BUY, 1000, 20))
        assert order.status is OrderStatus.FILLED
        assert balance(floor, "ann", "USDT") == (-18_027, 0)
        assert balance(floor, "ann", "ETH") == (20 * LOT_UNITS, 0)
        assert balance(floor, "bob", "USDT") == (18_000 - 18, 0)
        assert balance(floor, "bob", "ETH") == (-20 * LOT_UNITS, 0)
        assert floor.exchange.state.house[House.FEES]["USDT"] == 27 + 18

    def test_price_comes_before_time_and_time_before_size(self, floor: Floor) -> None:
        for who, at, lots in (("ann", 101, 5), ("bob", 100, 1), ("cat", 100, 50)):
            floor.limit(who, SELL, at, lots)
        floor.events.clear()
        floor.limit("ann", BUY, 100, 3)
        trades = [(event.maker, event.lots) for event in floor.events if isinstance(event, Traded)]
        makers = {order.id: order.account.id for order in floor.exchange.state.orders.values()}
        assert [lots for _, lots in trades] == [1, 2]
        assert makers[trades[1][0]] == "cat"

    def test_what_an_immediate_one_does_not_get_is_over(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 100, 5)
        order = order_of(floor.limit("ann", BUY, 100, 20, time_in_force=TimeInForce.IOC))
        assert (order.status, order.remaining) == (OrderStatus.CANCELED, 15)
        assert isinstance(floor.events[-1], OrderEnded)
        assert floor.events[-1].code is Code.NO_LIQUIDITY
        assert balance(floor, "ann", "USDT") == (-501, 0)

    def test_all_or_nothing_takes_hidden_parts_too(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 100, 20, display=2)
        order = order_of(floor.limit("ann", BUY, 100, 20, time_in_force=TimeInForce.FOK))
        assert order.status is OrderStatus.FILLED

    def test_it_ends_at_its_time_and_not_before(self, floor: Floor) -> None:
        till = floor.now_ms + 1000
        order = order_of(floor.limit("ann", BUY, 100, 20, time_in_force=TimeInForce.GTD, good_till_ms=till))
        assert floor.exchange.execute(Advance(), till - 1).ended == []
        assert floor.exchange.execute(Advance(), till).ended == [order]
        assert order.status is OrderStatus.EXPIRED
        assert balance(floor, "ann", "USDT") == (0, 0)


class TestMarket:
    def test_a_purchase_holds_and_pays_what_the_book_asks(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 100, 10)
        floor.limit("bob", SELL, 110, 10)
        order = order_of(market(floor, "ann", BUY, lots=15))
        assert (order.status, order.quote, order.fees) == (OrderStatus.FILLED, 1550, 3)
        assert balance(floor, "ann", "USDT") == (-1553, 0)

    @pytest.mark.parametrize(("units", "lots"), [(1001, 9), (1002, 10), (1003, 10), (2103, 19), (2104, 20)])
    def test_a_purchase_by_amount_spends_no_more_than_it_fee_included(
        self, floor: Floor, units: int, lots: int
    ) -> None:
        floor.limit("bob", SELL, 100, 10)
        floor.limit("bob", SELL, 110, 10)
        order = order_of(floor.place("ann", wish(BUY, OrderType.MARKET)._replace(quote_quantity=units * 10**12)))
        assert order.lots == lots
        assert order.quote + order.fees <= units
        assert order.status is OrderStatus.FILLED

    def test_a_sale_by_amount_sells_until_it_is_earned(self, floor: Floor) -> None:
        floor.limit("bob", BUY, 100, 10)
        floor.limit("bob", BUY, 90, 10)
        order = order_of(floor.place("ann", wish(SELL, OrderType.MARKET)._replace(quote_quantity=1180 * 10**12)))
        assert (order.lots, order.quote) == (12, 1180)

    def test_what_the_book_does_not_have_is_over(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 100, 10)
        order = order_of(market(floor, "ann", BUY, lots=15))
        assert (order.status, order.remaining) == (OrderStatus.CANCELED, 5)
        assert balance(floor, "ann", "USDT") == (-1002, 0)

    def test_beyond_the_slippage_it_does_not_go(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 1000, 10)
        floor.limit("bob", SELL, 1011, 10)
        order = order_of(market(floor, "ann", BUY, lots=15, max_slippage_ppm=10_000))
        assert (order.status, order.remaining) == (OrderStatus.CANCELED, 5)
        assert floor.events[-1] == OrderEnded(order.id, OrderStatus.CANCELED, Code.SLIPPAGE_EXCEEDED)


class TestAmendment:
    def amend(self, floor: Floor, order: Order, **changes: Any) -> object:
        reply = floor.exchange.execute(AmendOrder("ann", order.id, **changes), floor.now_ms)
        floor.collect()
        return reply.refusal.code if reply.refusal else None

    @pytest.mark.parametrize(
        ("changes", "first"),
        [
            ({"quantity": 12 * EXACT.lot}, "ann"),
            ({"quantity": 21 * EXACT.lot}, "bob"),
            ({"price": 99 * EXACT.tick}, "ann"),
            ({"price": 101 * EXACT.tick}, "bob"),
            ({"display_quantity": 5 * EXACT.lot}, "bob"),
        ],
    )
    def test_less_keeps_the_place_and_all_else_loses_it(
        self, floor: Floor, changes: dict[str, int], first: str
    ) -> None:
        order = order_of(floor.limit("ann", SELL, 100, 20))
        floor.limit("bob", SELL, 100, 20)
        assert self.amend(floor, order, **changes) is None
        asks = floor.exchange.state.markets[EXACT.symbol].asks
        assert asks.best is not None
        assert asks.best.first is not None
        assert asks.best.first.account.id == first

    def test_what_is_held_follows(self, floor: Floor) -> None:
        order = order_of(floor.limit("ann", BUY, 1000, 20))
        for quantity, price_, held in ((10, None, 10_015), (None, 2000, 20_030), (40, 500, 20_030)):
            changes = {"quantity": quantity and quantity * EXACT.lot, "price": price_ and price_ * EXACT.tick}
            assert self.amend(floor, order, **changes) is None
            assert balance(floor, "ann", "USDT") == (-held, held)

    def test_one_that_now_crosses_trades(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 110, 5)
        order = order_of(floor.limit("ann", BUY, 100, 20))
        assert self.amend(floor, order, price=110 * EXACT.tick) is None
        assert (order.remaining, order.status) == (15, OrderStatus.PARTIALLY_FILLED)
        assert self.amend(floor, order, quantity=5 * EXACT.lot) is Code.QUANTITY_TOO_SMALL
        assert self.amend(floor, order, quantity=6 * EXACT.lot) is None
        assert (order.lots, order.remaining) == (6, 1)

    def test_a_stop_waits_for_its_new_price(self, floor: Floor) -> None:
        price(floor, 100)
        order = order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS_LIMIT, lots=100, stop=90, price=88)))
        assert self.amend(floor, order, stop_price=101 * EXACT.tick) is Code.STOP_WOULD_TRIGGER
        assert self.amend(floor, order, stop_price=80 * EXACT.tick) is None
        price(floor, 85)
        assert waits(order)
        price(floor, 80)
        assert order.status is OrderStatus.OPEN
        assert self.amend(floor, order, stop_price=70 * EXACT.tick) is Code.TERMS_CONFLICT
        assert self.amend(floor, order, price=70 * EXACT.tick) is None
        assert order.price == 70

    def test_it_ends_at_its_new_time(self, floor: Floor) -> None:
        till = floor.now_ms + 1000
        order = order_of(floor.limit("ann", BUY, 100, 20, time_in_force=TimeInForce.GTD, good_till_ms=till))
        for changed in (till - 500, till + 500):
            assert self.amend(floor, order, good_till_ms=changed) is None
        assert floor.exchange.execute(Advance(), till + 499).ended == []
        assert floor.exchange.execute(Advance(), till + 500).ended == [order]
        assert not floor.exchange.state.expiring

    def test_refusals_change_nothing(self, floor: Floor) -> None:
        order = order_of(floor.limit("ann", BUY, 100, 20, post_only=True))
        floor.limit("bob", SELL, 110, 5)
        before = digest(floor.exchange.state)
        for code, changes in (
            (Code.ORDER_CHANGED, {"expected_sequence": order.sequence - 1, "quantity": 1}),
            (Code.PRICE_OFF_TICK, {"price": 1}),
            (Code.QUANTITY_OFF_LOT, {"quantity": 1}),
            (Code.INSUFFICIENT_FUNDS, {"quantity": EXACT.max_lots * EXACT.lot, "price": 10**6 * EXACT.tick}),
            (Code.POST_ONLY_WOULD_TAKE, {"price": 110 * EXACT.tick}),
            (Code.TERMS_CONFLICT, {"stop_price": 110 * EXACT.tick}),
        ):
            assert self.amend(floor, order, **changes) is code
        reply = floor.exchange.execute(AmendOrder("bob", order.id, quantity=EXACT.lot), floor.now_ms)
        assert reply.refusal is not None
        assert reply.refusal.code is Code.UNKNOWN_ORDER
        assert digest(floor.exchange.state) == before


class TestSelfTrade:
    @pytest.mark.parametrize(
        ("prevention", "oldest", "newest"),
        [
            (SelfTradePrevention.CANCEL_NEWEST, OrderStatus.OPEN, OrderStatus.CANCELED),
            (SelfTradePrevention.CANCEL_OLDEST, OrderStatus.CANCELED, OrderStatus.OPEN),
            (SelfTradePrevention.CANCEL_BOTH, OrderStatus.CANCELED, OrderStatus.CANCELED),
        ],
    )
    def test_it_ends_as_the_newer_order_says(
        self, floor: Floor, prevention: SelfTradePrevention, oldest: OrderStatus, newest: OrderStatus
    ) -> None:
        first = order_of(floor.limit("ann", SELL, 100, 10))
        second = order_of(floor.limit("ann", BUY, 100, 10, self_trade=prevention))
        assert (first.status, second.status) == (oldest, newest)
        assert not any(isinstance(event, Traded) for event in floor.events)


class TestStops:
    @pytest.mark.parametrize(
        ("kind", "side", "prices"),
        [
            (OrderType.STOP_LOSS, SELL, (90, 91, 90)),
            (OrderType.STOP_LOSS, BUY, (110, 109, 111)),
            (OrderType.TAKE_PROFIT, SELL, (110, 109, 110)),
            (OrderType.TAKE_PROFIT, BUY, (90, 91, 80)),
        ],
    )
    def test_it_fires_at_its_price_and_beyond(
        self, floor: Floor, kind: OrderType, side: OrderSide, prices: tuple[int, int, int]
    ) -> None:
        stop, not_yet, fires = prices
        floor.limit("bob", BUY if side is SELL else SELL, stop, 100)
        price(floor, 100)
        order = order_of(floor.place("ann", wish(side, kind, lots=100, stop=stop)))
        assert waits(order)
        assert price(floor, not_yet) == []
        triggered, traded = price(floor, fires)
        assert triggered == OrderTriggered(order.id, stop, fires, not_yet, 0, PriceSource.KRAKEN, floor.now_ms)
        assert isinstance(traded, Traded)
        assert order.status is OrderStatus.FILLED

    def test_one_with_a_limit_rests_there(self, floor: Floor) -> None:
        order = order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS_LIMIT, lots=100, stop=90, price=88)))
        price(floor, 89)
        assert (order.status, order.price) == (OrderStatus.OPEN, 88)
        market_ = floor.exchange.state.markets[EXACT.symbol]
        assert market_.asks.best is not None
        assert market_.asks.best.price == 88

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            ({"post_only": True}, Code.POST_ONLY_WOULD_TAKE),
            ({"time_in_force": TimeInForce.FOK}, Code.FOK_NOT_FILLABLE),
        ],
    )
    def test_one_that_may_not_do_what_it_would_do_is_rejected(
        self, floor: Floor, more: dict[str, Any], code: Code
    ) -> None:
        floor.limit("bob", BUY, 89, 50)
        order = order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS_LIMIT, lots=100, stop=90, price=88, **more)))
        assert price(floor, 89)[1:] == [OrderEnded(order.id, OrderStatus.REJECTED, code)]
        assert balance(floor, "ann", "ETH") == (0, 0)

    def test_one_that_may_fills_whole(self, floor: Floor) -> None:
        floor.limit("bob", BUY, 89, 100)
        terms = wish(SELL, OrderType.STOP_LOSS_LIMIT, lots=100, stop=90, price=88, time_in_force=TimeInForce.FOK)
        order = order_of(floor.place("ann", terms))
        price(floor, 89)
        assert order.status is OrderStatus.FILLED

    def test_one_without_trades_within_the_band_of_its_stop(self, floor: Floor) -> None:
        floor.place("bob", wish(BUY, OrderType.LIMIT, lots=10, price=81, rules=ROUNDING))
        floor.place("bob", wish(BUY, OrderType.LIMIT, lots=10, price=80, rules=ROUNDING))
        order = order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=20, stop=90, rules=ROUNDING)))
        price(floor, 85, rules=ROUNDING)
        assert (order.price, order.remaining, order.status) == (81, 10, OrderStatus.CANCELED)

    def test_each_listens_to_its_own_source(self, floor: Floor) -> None:
        order = order_of(
            floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=100, stop=90, source=TriggerSource.MARK))
        )
        price(floor, 80)
        assert waits(order)
        price(floor, 90, mark=True)
        assert order.status is OrderStatus.CANCELED, "fired, into an empty book"

    def test_the_nearest_fires_first(self, floor: Floor) -> None:
        orders = [
            order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=100, stop=stop))).id
            for stop in (85, 90, 95, 90)
        ]
        fired = [event.order for event in price(floor, 80) if isinstance(event, OrderTriggered)]
        assert fired == [orders[2], orders[1], orders[3], orders[0]]

    def test_in_a_halted_market_it_waits_for_the_first_price_afterwards(self, floor: Floor) -> None:
        order = order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=100, stop=90)))
        floor.exchange.execute(SetMarketStatus(EXACT.symbol, MarketStatus.HALTED, "a test"), floor.now_ms)
        price(floor, 80)
        floor.exchange.execute(SetMarketStatus(EXACT.symbol, MarketStatus.TRADING, "a test"), floor.now_ms)
        assert waits(order)
        price(floor, 79)
        assert order.status is OrderStatus.CANCELED

    def test_a_freeze_ends_all_and_lets_nothing_in(self, floor: Floor) -> None:
        stop = order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=100, stop=90)))
        resting = order_of(floor.limit("ann", BUY, 100, 20))
        floor.exchange.execute(SetMarketStatus(EXACT.symbol, MarketStatus.HALTED, "a test"), floor.now_ms)
        assert floor.exchange.execute(FreezeAccount("ann", True), floor.now_ms).ended == [stop, resting]
        assert {stop.status, resting.status} == {OrderStatus.CANCELED}
        assert [balance(floor, "ann", asset) for asset in ("USDT", "ETH")] == [(0, 0), (0, 0)]
        again = floor.limit("ann", BUY, 100, 20).refusal
        assert again is not None
        assert again.code is Code.ACCOUNT_FROZEN
        floor.exchange.execute(FreezeAccount("ann", False), floor.now_ms)
        floor.exchange.execute(SetMarketStatus(EXACT.symbol, MarketStatus.TRADING, "a test"), floor.now_ms)
        assert floor.limit("ann", BUY, 100, 20).refusal is None

    def test_a_stale_reference_refuses_no_stop(self, floor: Floor) -> None:
        price(floor, 80)
        refused = floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=100, stop=90)).refusal
        assert refused is not None
        floor.exchange.execute(ReferenceLost(EXACT.symbol), floor.now_ms)
        order = order_of(floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=100, stop=90)))
        price(floor, 80)
        assert order.status is OrderStatus.CANCELED, "judged by the first fresh price"


class TestTrailing:
    def trailing(self, floor: Floor, side: OrderSide, **more: Any) -> Order:
        return order_of(floor.place("ann", wish(side, OrderType.TRAILING_STOP, lots=100, **more)))

    @pytest.mark.parametrize(
        ("side", "more", "prices"),
        [
            (SELL, {"trail": 10}, (100, 105, 120, 111, 110)),
            (SELL, {"trail": 100_000, "unit": TrailingUnit.PERCENT}, (100, 150, 136, 135)),
            (SELL, {"trail": 10, "activation": 110}, (100, 89, 109, 110, 101, 100)),
            (BUY, {"trail": 10}, (100, 90, 99, 100)),
            (BUY, {"trail": 100_000, "unit": TrailingUnit.PERCENT}, (100, 50, 54, 55)),
            (BUY, {"trail": 10, "activation": 90}, (100, 111, 91, 90, 99, 100)),
        ],
    )
    def test_it_follows_the_best_price_and_fires_that_far_from_it(
        self, floor: Floor, side: OrderSide, more: dict[str, Any], prices: tuple[int, ...]
    ) -> None:
        price(floor, prices[0])
        order = self.trailing(floor, side, **more)
        for ticks in prices[1:-1]:
            price(floor, ticks)
            assert waits(order)
        fired = [event for event in price(floor, prices[-1]) if isinstance(event, OrderTriggered)]
        assert [event.order for event in fired] == [order.id]
        best = max(prices[1:]) if side is SELL else min(prices[1:])
        assert fired[0].peak == best
        assert not floor.exchange.state.trailing[EXACT.symbol].peaks()

    def test_the_journal_tells_of_a_new_high_once_and_only_while_somebody_follows(self, floor: Floor) -> None:
        price(floor, 100)
        assert price(floor, 101) == []
        orders = [self.trailing(floor, SELL, trail=trail) for trail in (5, 6, 7)]
        floor.collect()
        (extreme,) = price(floor, 103)
        assert isinstance(extreme, ReferenceExtreme)
        assert (extreme.price, extreme.side) == (103, SELL)
        assert price(floor, 102) == []
        assert floor.exchange.state.trailing[EXACT.symbol].peaks() == {order.id: 103 for order in orders}

    def test_a_purchase_holds_what_its_first_stop_could_cost(self, floor: Floor) -> None:
        price(floor, 1000)
        self.trailing(floor, BUY, trail=100)
        assert balance(floor, "ann", "USDT") == (-110_165, 110_165)

    def test_its_distance_may_change_and_its_peak_stays(self, floor: Floor) -> None:
        price(floor, 100)
        order = self.trailing(floor, SELL, trail=10)
        price(floor, 120)
        assert floor.exchange.execute(AmendOrder("ann", order.id, trail=30 * EXACT.tick), floor.now_ms).refusal is None
        price(floor, 91)
        assert waits(order)
        price(floor, 90)
        assert not waits(order)

    @given(st.data())
    @settings(max_examples=100, deadline=None)
    def test_whatever_the_price_does_those_fire_that_a_plain_reading_says(self, data: st.DataObject) -> None:
        floor = Floor("ann")
        price(floor, 100)
        plain: dict[int, tuple[OrderSide, int, TrailingUnit, int]] = {}
        for ticks in data.draw(st.lists(st.integers(60, 140), max_size=40)):
            for side, trail, unit in data.draw(
                st.lists(
                    st.tuples(st.sampled_from(OrderSide), st.integers(1, 25), st.sampled_from(TrailingUnit)), max_size=2
                )
            ):
                trail = trail * 10_000 if unit is TrailingUnit.PERCENT else trail
                reply = floor.place("ann", wish(side, OrderType.TRAILING_STOP, lots=100, trail=trail, unit=unit))
                if reply.refusal is None:
                    newest = floor.exchange.references(EXACT.symbol).newest(TriggerSource.LAST)
                    assert newest is not None
                    plain[reply.made] = (side, trail, unit, newest.price)
            expected = set()
            for order_id, (side, trail, unit, peak) in list(plain.items()):
                peak = max(peak, ticks) if side is SELL else min(peak, ticks)
                plain[order_id] = (side, trail, unit, peak)
                away = Fraction(peak * trail, 10**6) if unit is TrailingUnit.PERCENT else Fraction(trail)
                stop = ceil(peak - away) if side is SELL else floor_of(peak + away)
                if ticks <= stop if side is SELL else ticks >= stop:
                    expected.add(order_id)
                    del plain[order_id]
            fired = {event.order for event in price(floor, ticks) if isinstance(event, OrderTriggered)}
            assert fired == expected
            assert floor.exchange.state.trailing[EXACT.symbol].peaks() == {
                key: entry[3] for key, entry in plain.items()
            }


class TestAccounts:
    def test_fees_are_those_of_the_tier_when_it_was_placed(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 1000, 10)
        floor.exchange.execute(SetFeeTier("bob", 0, 0), floor.now_ms)
        floor.exchange.execute(SetFeeTier("ann", 0, 500), floor.now_ms)
        order = order_of(floor.limit("ann", BUY, 1000, 10))
        assert order.fees == 5
        assert floor.exchange.state.house[House.FEES]["USDT"] == 5 + 10

    def test_a_dead_mans_switch_ends_all_unless_it_is_set_again(self, floor: Floor) -> None:
        order, other = order_of(floor.limit("ann", BUY, 90, 10)), order_of(floor.limit("bob", BUY, 90, 10))
        elsewhere = order_of(floor.place("ann", wish(BUY, OrderType.LIMIT, lots=10, price=90, rules=ROUNDING)))
        start = floor.now_ms

        def timer(timeout_ms: int, at: int, owner: str = "key 1") -> None:
            floor.exchange.execute(SetCancelTimer("ann", owner, timeout_ms, (EXACT.symbol,)), at)

        def ended(at: int) -> list[Order]:
            return list(floor.exchange.execute(Advance(), at).ended)

        timer(1000, start)
        timer(1000, start + 900)
        assert ended(start + 1899) == []
        timer(0, start + 1899)
        assert ended(start + 5000) == []
        timer(1000, start + 5000)
        timer(5000, start + 5000, "key 2")
        assert list(floor.exchange.state.accounts["ann"].timers) == ["key 1", "key 2"]
        assert ended(start + 6000) == [order]
        assert floor.collect()[-2] == OrderEnded(order.id, OrderStatus.CANCELED, Code.CANCELED_BY_TIMER)
        assert list(floor.exchange.state.accounts["ann"].timers) == ["key 2"]
        assert set(floor.exchange.state.orders) == {other.id, elsewhere.id}

    def test_all_are_canceled_that_were_meant(self, floor: Floor) -> None:
        buy, sell = order_of(floor.limit("ann", BUY, 90, 10)), order_of(floor.limit("ann", SELL, 110, 10))
        other = order_of(floor.place("ann", wish(BUY, OrderType.LIMIT, lots=10, price=90, rules=ROUNDING)))
        floor.limit("bob", BUY, 80, 10)

        def cancel(**which: Any) -> list[Order]:
            return list(floor.exchange.execute(CancelAll("ann", **which), floor.now_ms).ended)

        assert cancel(symbols=(EXACT.symbol,), sides=(SELL,)) == [sell]
        assert cancel(symbols=(EXACT.symbol,)) == [buy]
        assert cancel() == [other]
        assert cancel() == []
        assert len(floor.exchange.state.orders) == 1
