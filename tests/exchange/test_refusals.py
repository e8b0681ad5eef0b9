"""Each refusal, in the order of precedence, and that it changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from core.order_vocabulary import OrderErrorCode as Code
from core.order_vocabulary import OrderType, SelfTradePrevention, TimeInForce, TrailingUnit
from core.vocabulary import MarketStatus, PriceSource
from events.commands import CancelOrder, FreezeAccount, OrderWish, PlaceOrder, ReferencePrice, SetMarketStatus
from exchange.refusal import Refusal
from exchange.snapshot import digest
from tests.exchange.floor import BUY, EXACT, ROUNDING, SELL, Floor, wish

SOON = 1_700_000_060_000
LIMIT = wish(BUY, OrderType.LIMIT, lots=10, price=100)


def market(**more: Any) -> OrderWish:
    return wish(BUY, OrderType.MARKET, **more)


def stop(side: Any = SELL, kind: OrderType = OrderType.STOP_LOSS, **more: Any) -> OrderWish:
    return wish(side, kind, lots=100, **more)


@dataclass(frozen=True)
class Row:
    code: Code
    field: str
    wish: OrderWish
    before: Callable[[Floor], object] = lambda floor: None
    verified: bool = True
    key: str = ""


def status(new: MarketStatus) -> Callable[[Floor], object]:
    return lambda floor: floor.exchange.execute(SetMarketStatus(EXACT.symbol, new, "a test"), floor.now_ms)


def reference(price: int) -> Callable[[Floor], object]:
    def tell(floor: Floor) -> None:
        for rules in (EXACT, ROUNDING):
            command = ReferencePrice(rules.symbol, price * rules.tick, PriceSource.KRAKEN, floor.now_ms)
            floor.exchange.execute(command, floor.now_ms)

    return tell


def asks(*levels: tuple[str, int, int]) -> Callable[[Floor], object]:
    """Orders to sell: who, price, lots."""
    return lambda floor: [floor.limit(who, SELL, price, lots) for who, price, lots in levels]


def full(floor: Floor) -> None:
    for _ in range(EXACT.max_open_orders):
        assert floor.limit("ann", BUY, 10, 10).refusal is None


TABLE = [
    Row(Code.ACCOUNT_FROZEN, "", LIMIT, lambda floor: floor.exchange.execute(FreezeAccount("ann", True), floor.now_ms)),
    Row(Code.EMAIL_NOT_VERIFIED, "", LIMIT, verified=False),
    Row(Code.IDEMPOTENCY_MISMATCH, "clientOrderId", LIMIT, lambda floor: floor.place("ann", LIMIT._replace(symbol="BTC-USD"), "used"), key="used"),
    Row(Code.UNKNOWN_MARKET, "symbol", LIMIT._replace(symbol="ETH-PEBBLE")),
    Row(Code.MARKET_HALTED, "symbol", LIMIT, status(MarketStatus.HALTED)),
    Row(Code.MARKET_POST_ONLY, "postOnly", LIMIT, status(MarketStatus.POST_ONLY)),
    Row(Code.MARKET_CANCEL_ONLY, "symbol", LIMIT, status(MarketStatus.CANCEL_ONLY)),
    Row(Code.MALFORMED_NUMBER, "price", LIMIT._replace(malformed="price")),
    Row(Code.MALFORMED_NUMBER, "quantity", LIMIT._replace(quantity=-EXACT.lot)),
    Row(Code.MALFORMED_NUMBER, "price", LIMIT._replace(price=0)),
    Row(Code.PRICE_REQUIRED, "price", LIMIT._replace(price=None)),
    Row(Code.PRICE_REQUIRED, "stopPrice", stop()),
    Row(Code.PRICE_REQUIRED, "trailingDelta", stop(kind=OrderType.TRAILING_STOP)),
    Row(Code.PRICE_OFF_TICK, "trailingDelta", stop(kind=OrderType.TRAILING_STOP, trail=1)._replace(trail=1)),
    Row(Code.PRICE_OFF_TICK, "activationPrice", stop(kind=OrderType.TRAILING_STOP, trail=1)._replace(activation_price=1)),
    Row(Code.PRICE_OFF_TICK, "price", LIMIT._replace(price=100 * EXACT.tick + 1)),
    Row(Code.PRICE_OFF_TICK, "stopPrice", stop(stop=100)._replace(stop_price=EXACT.tick // 2)),
    Row(Code.QUANTITY_OFF_LOT, "quantity", LIMIT._replace(quantity=10 * EXACT.lot + 1)),
    Row(Code.QUANTITY_OFF_LOT, "displayQuantity", LIMIT._replace(display_quantity=1)),
    Row(Code.QUANTITY_TOO_SMALL, "quantity", market(lots=0)._replace(quantity=None, quote_quantity=None)._replace(quantity=EXACT.lot), lambda floor: setattr(floor.exchange.state.markets[EXACT.symbol], "min_lots", 2)),
    Row(Code.QUANTITY_TOO_LARGE, "quantity", wish(BUY, OrderType.LIMIT, lots=EXACT.max_lots + 1, price=1)),
    Row(Code.NOTIONAL_TOO_SMALL, "quantity", wish(BUY, OrderType.LIMIT, lots=9, price=11)),
    Row(Code.NOTIONAL_TOO_SMALL, "quantity", wish(SELL, OrderType.TRAILING_STOP, lots=4, trail=76), reference(100)),
    Row(Code.NOTIONAL_TOO_SMALL, "quantity", wish(SELL, OrderType.TRAILING_STOP, lots=10**6, trail=100), reference(100)),
    Row(Code.NOTIONAL_TOO_SMALL, "quantity", wish(SELL, OrderType.TRAILING_STOP, lots=9, trail=100_000, unit=TrailingUnit.PERCENT, activation=12)),
    Row(Code.PRICE_OUT_OF_BAND, "price", wish(BUY, OrderType.LIMIT, lots=10, price=111, rules=ROUNDING), reference(100)),
    Row(Code.PRICE_OUT_OF_BAND, "price", wish(SELL, OrderType.LIMIT, lots=10, price=89, rules=ROUNDING), reference(100)),
    Row(Code.STOP_WOULD_TRIGGER, "stopPrice", stop(stop=100), reference(100)),
    Row(Code.STOP_WOULD_TRIGGER, "stopPrice", stop(BUY, stop=100), reference(100)),
    Row(Code.STOP_WOULD_TRIGGER, "stopPrice", stop(SELL, OrderType.TAKE_PROFIT, stop=100), reference(100)),
    Row(Code.TERMS_CONFLICT, "quantity", market()),
    Row(Code.TERMS_CONFLICT, "quantity", market(lots=1)._replace(quote_quantity=1)),
    Row(Code.TERMS_CONFLICT, "quoteQuantity", LIMIT._replace(quantity=None, quote_quantity=10**18)),
    Row(Code.TERMS_CONFLICT, "price", market(lots=1, price=1)),
    Row(Code.TERMS_CONFLICT, "stopPrice", LIMIT._replace(stop_price=EXACT.tick)),
    Row(Code.TERMS_CONFLICT, "trailingDelta", LIMIT._replace(trail=EXACT.tick)),
    Row(Code.TERMS_CONFLICT, "trailingDelta", stop(kind=OrderType.TRAILING_STOP, trail=10**6, unit=TrailingUnit.PERCENT)),
    Row(Code.TERMS_CONFLICT, "trailingDelta", stop(kind=OrderType.TRAILING_STOP, trail=10**6, unit=TrailingUnit.PERCENT), reference(100)),
    Row(Code.TERMS_CONFLICT, "activationPrice", LIMIT._replace(activation_price=EXACT.tick)),
    Row(Code.TERMS_CONFLICT, "postOnly", LIMIT._replace(post_only=True, time_in_force=TimeInForce.IOC)),
    Row(Code.TERMS_CONFLICT, "displayQuantity", LIMIT._replace(display_quantity=11 * EXACT.lot)),
    Row(Code.TERMS_CONFLICT, "maxSlippage", LIMIT._replace(max_slippage_ppm=1)),
    Row(Code.TERMS_CONFLICT, "goodTillTime", LIMIT._replace(time_in_force=TimeInForce.GTD)),
    Row(Code.TERMS_CONFLICT, "goodTillTime", LIMIT._replace(good_till_ms=SOON)),
    Row(Code.EXPIRY_IN_PAST, "goodTillTime", LIMIT._replace(time_in_force=TimeInForce.GTD, good_till_ms=1_700_000_000_000)),
    Row(Code.TOO_MANY_OPEN_ORDERS, "symbol", LIMIT, full),
    Row(Code.PRICE_STALE, "symbol", stop(kind=OrderType.TRAILING_STOP, trail=5)),
    Row(Code.INSUFFICIENT_FUNDS, "quantity", wish(BUY, OrderType.LIMIT, lots=10**8, price=10**6)),
    Row(Code.POST_ONLY_WOULD_TAKE, "price", LIMIT._replace(post_only=True), asks(("bob", 100, 5))),
    Row(Code.FOK_NOT_FILLABLE, "quantity", LIMIT._replace(time_in_force=TimeInForce.FOK), asks(("bob", 100, 5), ("bob", 101, 5))),
    Row(Code.NO_LIQUIDITY, "symbol", market(lots=100)),
    Row(Code.SELF_TRADE, "quantity", market(lots=100, self_trade=SelfTradePrevention.CANCEL_NEWEST), asks(("ann", 100, 5), ("bob", 101, 5))),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.code}-{row.field}")
def test_a_refused_order_changes_nothing(row: Row) -> None:
    floor = Floor("ann", "bob")
    row.before(floor)
    floor.collect()
    before = digest(floor.exchange.state)
    command = PlaceOrder("ann", row.key or "fresh", "digest", row.wish, row.verified)
    reply = floor.exchange.execute(command, floor.now_ms)
    assert isinstance(reply.refusal, Refusal)
    assert (reply.refusal.code, reply.refusal.field) == (row.code, row.field)
    assert (floor.collect(), digest(floor.exchange.state)) == ([], before)
    if not row.key:
        assert "fresh" not in floor.exchange.state.accounts["ann"].keys


def test_the_table_is_in_the_order_of_precedence() -> None:
    order = list(Code)
    places = [order.index(row.code) for row in TABLE]
    assert places == sorted(places)


def test_the_first_that_applies_is_reported() -> None:
    """Everything wrong at once, then one thing after the other mended."""
    floor = Floor("ann")
    wrong = LIMIT._replace(symbol="ETH-PEBBLE", price=1, quantity=1, time_in_force=TimeInForce.GTD, good_till_ms=1)
    seen = []
    for mended in (
        {},
        {"symbol": EXACT.symbol},
        {"price": EXACT.tick},
        {"quantity": EXACT.lot},
        {"quantity": 10**15 * EXACT.lot},
        {"quantity": 10**9 * EXACT.lot, "price": 10**9 * EXACT.tick},
        {"good_till_ms": SOON},
    ):
        wrong = wrong._replace(**mended)
        refusal = floor.place("ann", wrong).refusal
        seen.append(refusal.code if refusal else None)
    assert seen == [
        Code.UNKNOWN_MARKET, Code.PRICE_OFF_TICK, Code.QUANTITY_OFF_LOT, Code.NOTIONAL_TOO_SMALL, Code.QUANTITY_TOO_LARGE,
        Code.EXPIRY_IN_PAST, Code.INSUFFICIENT_FUNDS,
    ]  # fmt: skip


def test_a_key_does_once_and_says_so() -> None:
    floor = Floor("ann")
    first = floor.place("ann", LIMIT, "key")
    for again in (floor.place("ann", LIMIT, "key"), floor.place("ann", LIMIT, "key")):
        assert (again.made, again.replayed, again.refusal) == (first.made, True, None)
    assert floor.exchange.execute(CancelOrder("ann", client_id="key"), floor.now_ms).refusal is None
    assert floor.place("ann", LIMIT, "key").made == first.made, "also of an order that has ended"
    other = floor.place("ann", LIMIT._replace(side=SELL), "key")
    assert other.refusal is not None
    assert other.refusal.code is Code.IDEMPOTENCY_MISMATCH


def test_nobody_cancels_what_is_not_theirs_or_not_open() -> None:
    floor = Floor("ann", "bob")
    order = floor.place("ann", LIMIT, "mine").made

    def cancel(who: str, **by: Any) -> object:
        reply = floor.exchange.execute(CancelOrder(who, **by), floor.now_ms)
        return reply.refusal.code if reply.refusal else None

    assert cancel("bob", order=order) is Code.UNKNOWN_ORDER
    assert cancel("bob", client_id="mine") is Code.UNKNOWN_ORDER
    assert cancel("stranger", order=order) is Code.UNKNOWN_ORDER
    assert cancel("ann", order=10**9) is Code.UNKNOWN_ORDER
    assert cancel("ann", order=order) is None
    assert cancel("ann", order=order) is Code.UNKNOWN_ORDER, "the projection knows more"
    assert cancel("ann", client_id="mine") is Code.ORDER_NOT_OPEN
