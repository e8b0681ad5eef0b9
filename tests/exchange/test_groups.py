"""Orders that belong together: one ends the other, wholly or by what it fills."""

from typing import Any

import pytest

from core.order_vocabulary import OrderErrorCode as Code
from core.order_vocabulary import OrderStatus, OrderType, TrailingUnit
from core.vocabulary import OrderSide, PriceSource
from events.commands import (
    AmendOrder,
    CancelAll,
    CancelGroup,
    CancelOrder,
    Command,
    FreezeAccount,
    OrderWish,
    PlaceBracket,
    PlaceOco,
    ReferencePrice,
)
from exchange.engine import fold
from exchange.order import Order
from exchange.reply import Reply
from exchange.snapshot import digest
from tests.exchange.floor import BUY, EXACT, FUNDS, ROUNDING, SELL, Floor, wish

LOT_UNITS = 10**14


@pytest.fixture
def floor() -> Floor:
    floor = Floor("ann", "bob")
    price(floor, 100)
    return floor


def price(floor: Floor, ticks: int) -> None:
    floor.exchange.execute(
        ReferencePrice(EXACT.symbol, ticks * EXACT.tick, PriceSource.KRAKEN, floor.now_ms), floor.now_ms
    )
    floor.collect()


def held(floor: Floor, asset: str, who: str = "ann") -> tuple[int, int]:
    """What is available beyond the funds of the start, and what is held."""
    balance = floor.exchange.state.accounts[who].balances[asset]
    return balance.available - FUNDS[asset], balance.held


def exits(
    side: OrderSide, *, profit: int, stop: int, limit: int | None = None, lots: int | None = 100
) -> tuple[OrderWish, OrderWish]:
    kind = OrderType.STOP_LOSS if limit is None else OrderType.STOP_LOSS_LIMIT
    return wish(side, OrderType.LIMIT, lots=lots, price=profit), wish(side, kind, lots=lots, stop=stop, price=limit)


def oco(floor: Floor, side: OrderSide = SELL, *, key: str = "", **prices: Any) -> Reply:
    profit, stop = exits(side, **prices)
    reply = floor.exchange.execute(
        PlaceOco("ann", key or floor.key(), f"digest of {prices}", profit, stop), floor.now_ms
    )
    floor.collect()
    return reply


def bracket(floor: Floor, entry: OrderWish, *protection: OrderWish) -> Reply:
    reply = floor.exchange.execute(PlaceBracket("ann", floor.key(), "digest", entry, protection), floor.now_ms)
    floor.collect()
    return reply


def mine(floor: Floor) -> list[Order]:
    return list(floor.exchange.state.accounts["ann"].open.values())


def check(floor: Floor) -> None:
    """The journal tells the same."""
    assert digest(fold(floor.events)) == digest(floor.exchange.state)


class TestOco:
    def test_both_hold_once(self, floor: Floor) -> None:
        assert oco(floor, profit=110, stop=90).refusal is None
        profit, stop = mine(floor)
        assert (profit.status, stop.status) == (OrderStatus.OPEN, OrderStatus.TRIGGER_PENDING)
        assert held(floor, "ETH") == (-100 * LOT_UNITS, 100 * LOT_UNITS)
        check(floor)

    def test_a_purchase_holds_what_the_dearer_costs(self, floor: Floor) -> None:
        assert oco(floor, BUY, profit=90, stop=110, limit=112).refusal is None
        assert held(floor, "USDT")[1] == 11_200 + 17 + 2
        check(floor)

    def test_a_fill_of_one_ends_the_other(self, floor: Floor) -> None:
        oco(floor, profit=110, stop=90)
        profit, stop = mine(floor)
        floor.limit("bob", BUY, 110, 100)
        assert (profit.status, stop.status) == (OrderStatus.FILLED, OrderStatus.CANCELED)
        assert held(floor, "ETH") == (-100 * LOT_UNITS, 0)
        assert not floor.exchange.state.groups
        check(floor)

    def test_a_part_of_one_ends_as_much_of_the_other(self, floor: Floor) -> None:
        oco(floor, profit=110, stop=90)
        profit, stop = mine(floor)
        floor.limit("bob", BUY, 110, 30)
        assert (profit.remaining, stop.remaining, stop.lots) == (70, 70, 70)
        assert held(floor, "ETH") == (-100 * LOT_UNITS, 70 * LOT_UNITS)
        floor.limit("bob", BUY, 85, 100)
        price(floor, 90)
        assert (profit.status, stop.status, stop.remaining) == (OrderStatus.CANCELED, OrderStatus.CANCELED, 70)
        check(floor)

    def test_a_trigger_of_one_ends_the_other(self, floor: Floor) -> None:
        oco(floor, profit=110, stop=90, limit=80)
        profit, stop = mine(floor)
        floor.limit("bob", BUY, 85, 40)
        price(floor, 89)
        assert (profit.status, stop.status, stop.remaining) == (OrderStatus.CANCELED, OrderStatus.PARTIALLY_FILLED, 60)
        assert held(floor, "ETH") == (-100 * LOT_UNITS, 60 * LOT_UNITS)
        check(floor)

    def test_the_purchases_hold_pays_for_either(self, floor: Floor) -> None:
        for fills in ("profit", "stop"):
            oco(floor, BUY, profit=90, stop=110, limit=112)
            if fills == "profit":
                for lots in (2, 33, 65):
                    floor.limit("bob", SELL, 90, lots)
            else:
                for lots in (50, 50):
                    floor.limit("bob", SELL, 112, lots)
                price(floor, 111)
            assert not floor.exchange.state.groups
            assert held(floor, "USDT")[1] == 0
            price(floor, 100)
        check(floor)

    @pytest.mark.parametrize("by", ["order", "group", "all", "freeze"])
    def test_who_ends_one_ends_both(self, floor: Floor, by: str) -> None:
        group = oco(floor, profit=110, stop=90, key="mine").made
        first = mine(floor)[0]
        commands: dict[str, Command] = {
            "order": CancelOrder("ann", first.id),
            "group": CancelGroup("ann", group),
            "all": CancelAll("ann"),
            "freeze": FreezeAccount("ann", True),
        }
        assert floor.exchange.execute(commands[by], floor.now_ms).refusal is None
        floor.collect()
        assert (mine(floor), held(floor, "ETH")) == ([], (0, 0))
        check(floor)

    @pytest.mark.parametrize(
        ("prices", "code", "field"),
        [
            ({"profit": 90, "stop": 95}, Code.TERMS_CONFLICT, "stopPrice"),
            ({"profit": 110, "stop": 101}, Code.STOP_WOULD_TRIGGER, "stopPrice"),
            ({"profit": 0, "stop": 90}, Code.MALFORMED_NUMBER, "takeProfitPrice"),
            ({"profit": 110, "stop": 90, "lots": 10**9 + 1}, Code.QUANTITY_TOO_LARGE, "quantity"),
            ({"profit": 110, "stop": 90, "lots": 10**8}, Code.INSUFFICIENT_FUNDS, "quantity"),
            ({"profit": 110, "stop": 90, "limit": 0}, Code.MALFORMED_NUMBER, "stopLimitPrice"),
        ],
    )
    def test_refusals_change_nothing(self, floor: Floor, prices: dict[str, Any], code: Code, field: str) -> None:
        before = digest(floor.exchange.state)
        refusal = oco(floor, **prices).refusal
        assert refusal is not None
        assert (refusal.code, refusal.field) == (code, field)
        assert digest(floor.exchange.state) == before

    def test_a_profit_that_is_there_already_is_refused(self, floor: Floor) -> None:
        floor.limit("bob", BUY, 110, 30)
        refusal = oco(floor, profit=110, stop=90).refusal
        assert refusal is not None
        assert (refusal.code, refusal.field) == (Code.POST_ONLY_WOULD_TAKE, "takeProfitPrice")

    def test_its_key_does_once_and_its_orders_are_not_amended(self, floor: Floor) -> None:
        first = oco(floor, profit=110, stop=90, key="once")
        again = oco(floor, profit=110, stop=90, key="once")
        assert (again.made, again.replayed) == (first.made, True)
        other = oco(floor, profit=111, stop=90, key="once").refusal
        assert other is not None
        assert (other.code, other.field) == (Code.IDEMPOTENCY_MISMATCH, "clientGroupId")
        amended = floor.exchange.execute(AmendOrder("ann", mine(floor)[0].id, quantity=EXACT.lot), floor.now_ms).refusal
        assert amended is not None
        assert amended.code is Code.TERMS_CONFLICT
        stranger = floor.exchange.execute(CancelGroup("bob", first.made), floor.now_ms).refusal
        assert stranger is not None
        assert stranger.code is Code.UNKNOWN_ORDER


class TestAmendedExits:
    def amend(self, floor: Floor, order: Order, **changes: Any) -> object:
        reply = floor.exchange.execute(AmendOrder("ann", order.id, **changes), floor.now_ms)
        floor.collect()
        return reply.refusal.code if reply.refusal else None

    @pytest.mark.parametrize(
        ("which", "changes", "code"),
        [
            (0, {"quantity": 50 * EXACT.lot}, Code.TERMS_CONFLICT),
            (0, {"display_quantity": 5 * EXACT.lot}, Code.TERMS_CONFLICT),
            (0, {"price": 109 * EXACT.tick, "good_till_ms": 1}, Code.TERMS_CONFLICT),
            (0, {"price": 90 * EXACT.tick}, Code.TERMS_CONFLICT),
            (0, {"price": 95 * EXACT.tick}, Code.POST_ONLY_WOULD_TAKE),
            (1, {"stop_price": 101 * EXACT.tick}, Code.STOP_WOULD_TRIGGER),
            (1, {"stop_price": 1}, Code.PRICE_OFF_TICK),
        ],
    )
    def test_refusals_change_nothing(self, floor: Floor, which: int, changes: dict[str, int], code: Code) -> None:
        oco(floor, profit=110, stop=90)
        floor.limit("bob", BUY, 95, 10)
        before = digest(floor.exchange.state)
        assert self.amend(floor, mine(floor)[which], **changes) is code
        assert digest(floor.exchange.state) == before

    def test_prices_move_and_the_hold_stays(self, floor: Floor) -> None:
        oco(floor, profit=110, stop=90)
        profit, stop = mine(floor)
        floor.limit("bob", BUY, 110, 30)
        assert self.amend(floor, profit, price=120 * EXACT.tick) is None
        assert self.amend(floor, stop, stop_price=95 * EXACT.tick) is None
        assert held(floor, "ETH") == (-100 * LOT_UNITS, 70 * LOT_UNITS)
        assert (profit.price, profit.remaining, stop.remaining) == (120, 70, 70)
        floor.limit("bob", BUY, 120, 20)
        floor.limit("bob", BUY, 95, 50)
        price(floor, 95)
        assert (profit.status, stop.status, stop.lots) == (OrderStatus.CANCELED, OrderStatus.FILLED, 50)
        assert held(floor, "ETH") == (-100 * LOT_UNITS, 0)
        check(floor)

    def test_a_purchase_gets_no_dearer_than_its_hold_pays(self, floor: Floor) -> None:
        oco(floor, BUY, profit=90, stop=110, limit=112)
        profit, stop = mine(floor)
        assert self.amend(floor, stop, price=113 * EXACT.tick) is Code.TERMS_CONFLICT
        assert self.amend(floor, stop, price=111 * EXACT.tick, stop_price=108 * EXACT.tick) is None
        assert self.amend(floor, stop, price=112 * EXACT.tick) is None
        assert self.amend(floor, profit, price=99 * EXACT.tick) is None
        floor.limit("bob", SELL, 99, 40)
        floor.limit("bob", SELL, 112, 60)
        price(floor, 108)
        assert (profit.remaining, stop.status) == (60, OrderStatus.FILLED)
        assert held(floor, "USDT")[1] == 0
        check(floor)

    def test_an_exit_trails_by_another_distance_and_an_entry_has_another_price(self, floor: Floor) -> None:
        trailing = wish(SELL, OrderType.TRAILING_STOP, trail=100_000, unit=TrailingUnit.PERCENT)
        bracket(floor, wish(BUY, OrderType.LIMIT, lots=100, price=95), trailing)
        (entry,) = mine(floor)
        assert self.amend(floor, entry, price=96 * EXACT.tick) is None
        floor.limit("bob", SELL, 96, 100)
        (stop,) = mine(floor)
        price(floor, 200)
        assert self.amend(floor, stop, trail=50_000) is None
        floor.limit("bob", BUY, 190, 100)
        price(floor, 190)
        assert stop.status is OrderStatus.FILLED
        check(floor)


class TestBracket:
    ENTRY = wish(BUY, OrderType.LIMIT, lots=100, price=95)

    def test_exits_follow_the_entry_part_by_part(self, floor: Floor) -> None:
        bracket(floor, self.ENTRY, *exits(SELL, profit=110, stop=90, lots=None))
        assert len(mine(floor)) == 1
        floor.limit("bob", SELL, 95, 30)
        entry, profit, stop = mine(floor)
        assert (entry.remaining, profit.remaining, stop.remaining) == (70, 30, 30)
        assert held(floor, "ETH") == (0, 30 * LOT_UNITS)
        floor.limit("bob", SELL, 95, 50)
        assert (entry.remaining, profit.remaining, stop.remaining) == (20, 80, 80)
        floor.limit("bob", BUY, 110, 80)
        assert (profit.status, stop.status, entry.status) == (
            OrderStatus.FILLED,
            OrderStatus.CANCELED,
            OrderStatus.PARTIALLY_FILLED,
        )
        floor.limit("bob", SELL, 95, 20)
        assert [order.remaining for order in mine(floor)] == [20, 20], "what fills later is protected as well"
        check(floor)

    def test_a_stop_that_fires_ends_the_rest_of_the_entry(self, floor: Floor) -> None:
        bracket(floor, self.ENTRY, *exits(SELL, profit=110, stop=90, lots=None))
        floor.limit("bob", SELL, 95, 30)
        entry, profit, stop = mine(floor)
        floor.limit("bob", BUY, 90, 30)
        price(floor, 90)
        assert (entry.status, profit.status, stop.status) == (
            OrderStatus.CANCELED,
            OrderStatus.CANCELED,
            OrderStatus.FILLED,
        )
        assert not floor.exchange.state.groups
        assert held(floor, "ETH") == (0, 0)
        check(floor)

    def test_an_entry_at_once_has_its_exits_at_once(self, floor: Floor) -> None:
        floor.limit("bob", SELL, 95, 60)
        bracket(floor, wish(BUY, OrderType.MARKET, lots=100), *exits(SELL, profit=110, stop=90, lots=None))
        assert [(order.remaining, order.terms.type) for order in mine(floor)] == [
            (60, OrderType.LIMIT),
            (60, OrderType.STOP_LOSS),
        ]
        check(floor)

    def test_an_entry_that_waits_for_its_own_stop(self, floor: Floor) -> None:
        bracket(floor, wish(BUY, OrderType.STOP_LOSS, lots=100, stop=105), *exits(SELL, profit=130, stop=90, lots=None))
        floor.limit("bob", SELL, 105, 40)
        price(floor, 105)
        assert [order.remaining for order in mine(floor)] == [40, 40]
        check(floor)

    def test_one_that_trails_alone(self, floor: Floor) -> None:
        bracket(floor, self.ENTRY, wish(SELL, OrderType.TRAILING_STOP, trail=100_000, unit=TrailingUnit.PERCENT))
        floor.limit("bob", SELL, 95, 100)
        (stop,) = mine(floor)
        price(floor, 200)
        floor.limit("bob", BUY, 180, 100)
        price(floor, 180)
        assert stop.status is OrderStatus.FILLED
        check(floor)

    def test_a_sale_is_protected_by_purchases_it_can_pay(self, floor: Floor) -> None:
        floor.limit("bob", BUY, 105, 100)
        bracket(
            floor,
            wish(SELL, OrderType.LIMIT, lots=100, price=105),
            *exits(BUY, profit=90, stop=110, limit=112, lots=None),
        )
        assert held(floor, "USDT")[1] == 11_200 + 17 + 2
        floor.limit("bob", SELL, 90, 100)
        assert held(floor, "USDT")[1] == 0
        check(floor)

    @pytest.mark.parametrize("fills", [(100,), (40, 60)])
    def test_exits_that_cannot_be_paid_are_not_opened(self, floor: Floor, fills: tuple[int, ...]) -> None:
        floor.give("ann", "USDT", -FUNDS["USDT"])
        dear = exits(BUY, profit=90, stop=110, limit=10**9, lots=None)
        reply = bracket(floor, wish(SELL, OrderType.LIMIT, lots=100, price=105), *dear)
        assert reply.refusal is None
        for lots in fills:
            floor.limit("bob", BUY, 105, lots)
        assert (mine(floor), floor.exchange.state.groups) == ([], {})
        assert held(floor, "USDT")[1] == 0
        check(floor)

    @pytest.mark.parametrize(
        ("entry", "protection", "field"),
        [
            (ENTRY, (), "takeProfitPrice"),
            (ENTRY, (wish(BUY, OrderType.STOP_LOSS, stop=110),), "side"),
            (ENTRY, (wish(SELL, OrderType.STOP_LOSS, stop=90, rules=ROUNDING),), "symbol"),
            (
                wish(SELL, OrderType.LIMIT, lots=100, price=105),
                (wish(BUY, OrderType.TRAILING_STOP, trail=5),),
                "trailingDelta",
            ),
        ],
    )
    def test_exits_that_do_not_fit_are_refused(
        self, floor: Floor, entry: OrderWish, protection: tuple[OrderWish, ...], field: str
    ) -> None:
        before = digest(floor.exchange.state)
        refusal = bracket(floor, entry, *protection).refusal
        assert refusal is not None
        assert refusal.field == field
        assert digest(floor.exchange.state) == before

    def test_an_entry_that_fills_nothing_leaves_nothing(self, floor: Floor) -> None:
        group = bracket(floor, self.ENTRY, *exits(SELL, profit=110, stop=90, lots=None)).made
        assert floor.exchange.execute(CancelGroup("ann", group), floor.now_ms).refusal is None
        floor.collect()
        assert (mine(floor), held(floor, "USDT"), floor.exchange.state.groups) == ([], (0, 0), {})
        check(floor)


def test_exits_that_open_again_and_again_can_be_paid_each_time() -> None:
    """Each set of exits rounds by itself: what they paid together is more than one set would have paid."""
    floor = Floor("ann", "bob")
    entry = wish(SELL, OrderType.LIMIT, lots=12, price=101_674, rules=ROUNDING)
    profit = wish(BUY, OrderType.LIMIT, lots=None, price=100_562, rules=ROUNDING)
    stop = wish(BUY, OrderType.STOP_LOSS, lots=None, stop=101_776, rules=ROUNDING)
    assert bracket(floor, entry, profit, stop).refusal is None
    for _ in range(12):
        floor.place("bob", wish(BUY, OrderType.LIMIT, lots=1, price=101_674, rules=ROUNDING))
        assert len([order for order in mine(floor) if order.side is BUY]) == 2
        floor.place("bob", wish(SELL, OrderType.LIMIT, lots=1, price=100_562, rules=ROUNDING))
        assert [order.side for order in mine(floor)] in ([SELL], [])
    assert floor.exchange.state.groups == {}
    check(floor)
