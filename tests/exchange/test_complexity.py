"""What a command costs does not grow with what rests, waits or was ever done: shown by counting calls, not by a clock."""

import sys
from collections.abc import Callable
from types import FrameType

from core.order_vocabulary import OrderType
from core.vocabulary import PriceSource
from events.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    ConfigureMarket,
    CreditDeposit,
    HoldWithdrawal,
    OrderWish,
    PlaceOrder,
    ReferencePrice,
    ReverseDeposit,
    SettleWithdrawal,
)
from exchange.accounts import hot_reserve
from tests.exchange.floor import BUY, EXACT, SELL, Floor, wish

FEW, MANY = 500, 20_000
HOT = hot_reserve("ethereum")
MARGIN = 1.2
"""Sorted lists split and join their pieces now and then."""


def crowded(number: int) -> Floor:
    """A floor on which so many orders rest, as many wait for their stop, as many trail, as many
    withdrawals are open, and twice as many orders have ended."""
    floor = Floor("ann", "bob")
    floor.exchange.execute(ConfigureMarket(EXACT._replace(max_open_orders=10**9)), floor.now_ms)
    floor.exchange.execute(told(50_000), floor.now_ms)
    for _ in range(50):
        floor.limit("ann", SELL, 59_999, 10)
    for place in range(number):
        floor.limit("ann", SELL, 60_000 + place % 3_000, 10)
        floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=1, stop=10_000 + place % 3_000))
        floor.place("ann", wish(SELL, OrderType.TRAILING_STOP, lots=1, trail=40_000 + place % 3_000))
        floor.exchange.execute(HoldWithdrawal("bob", "ETH", 1, floor.key(), ""), floor.now_ms)
        for _ in range(2):
            ended = floor.limit("bob", BUY, 1_000, 10).made
            floor.exchange.execute(CancelOrder("bob", ended), floor.now_ms)
    floor.collect()
    return floor


def told(ticks: int) -> ReferencePrice:
    return ReferencePrice(EXACT.symbol, ticks * EXACT.tick, PriceSource.KRAKEN, 0)


def calls(work: Callable[[], object]) -> int:
    """How many functions, ours and C's, the work calls."""
    counted = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


def script(floor: Floor) -> dict[str, list[Command]]:
    """Kinds of work, each some twenty times."""

    def place(order: OrderWish) -> PlaceOrder:
        key = floor.key()
        return PlaceOrder("bob", key, key, order)

    withdrawals = [
        floor.exchange.execute(HoldWithdrawal("bob", "ETH", 1, key, ""), floor.now_ms).made
        for key in (floor.key() for _ in range(20))
    ]
    resting = [floor.limit("bob", BUY, 900 - number, 10).made for number in range(40)]
    return {
        "rest": [place(wish(BUY, OrderType.LIMIT, lots=10, price=2_000 + number)) for number in range(20)],
        "rest far from the best": [
            place(wish(SELL, OrderType.LIMIT, lots=1, price=62_000 - number)) for number in range(20)
        ],
        "cross": [place(wish(BUY, OrderType.LIMIT, lots=3, price=59_999)) for _ in range(20)],
        "market": [place(wish(BUY, OrderType.MARKET, lots=3)) for _ in range(20)],
        "wait": [place(wish(SELL, OrderType.STOP_LOSS, lots=1, stop=9_000 + number)) for number in range(20)],
        "trail": [place(wish(SELL, OrderType.TRAILING_STOP, lots=1, trail=30_000 + number)) for number in range(20)],
        "cancel": [CancelOrder("bob", order) for order in resting[:20]],
        "amend": [AmendOrder("bob", order, price=(500 + order % 100) * EXACT.tick) for order in resting[20:]],
        "credit": [CreditDeposit("bob", "ETH", 10, HOT, f"§in-{number}", "") for number in range(20)],
        "hold": [HoldWithdrawal("bob", "ETH", 10, f"out-{number}", "") for number in range(20)],
        "settle": [SettleWithdrawal("bob", held, HOT, 0, f"§{held}", "") for held in withdrawals],
        "reverse": [ReverseDeposit("bob", "ETH", 10, HOT, f"§back-{number}", "") for number in range(20)],
        "a price that moves nothing": [told(49_000 + number) for number in range(20)],
    }


def counts(floor: Floor) -> dict[str, int]:
    def do(commands: list[Command]) -> None:
        for command in commands:
            assert floor.exchange.execute(command, floor.now_ms).refusal is None

    return {kind: calls(lambda commands=commands: do(commands)) for kind, commands in script(floor).items()}  # type: ignore[misc]


def test_no_work_grows_with_the_crowd() -> None:
    few, many = counts(crowded(FEW)), counts(crowded(MANY))
    assert {kind for kind in few if many[kind] > few[kind] * MARGIN} == set(), (few, many)
