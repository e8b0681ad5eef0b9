"""Real trades of a real market, as orders: the fast matcher and the obvious one make the same trades of them."""

import csv
from decimal import Decimal
from pathlib import Path

from core.order_vocabulary import OrderType, TimeInForce
from core.vocabulary import OrderSide
from events.journal import Traded
from exchange.engine import fold
from exchange.snapshot import digest
from exchange.state import State
from tests.exchange.floor import Floor, wish
from tests.exchange.obvious import ObviousBook

MAKERS, TAKERS = ("ann", "bob", "cat"), ("dan", "eve")
AHEAD = 25
"""So many trades before it is hit, an order begins to rest: by then the market has moved, and several wait at a time."""


def recorded(folder: Path) -> list[tuple[OrderSide, int, int]]:
    """Side of the taker, price in hundredths and quantity in ten-thousandths, at least one."""
    with (folder / "market" / "binance-btcusdt-trades-2021-01-08.csv").open() as file:
        return [
            (
                OrderSide.SELL if row["buyer_maker"].lower() == "true" else OrderSide.BUY,
                int(Decimal(row["price"]) * 100),
                max(1, int(Decimal(row["quantity"]) * 10_000)),
            )
            for row in csv.DictReader(file)
        ]


def test_recorded_trades_are_matched_as_the_obvious_matcher_does(shared_data: Path) -> None:
    floor, book = Floor(*MAKERS, *TAKERS), ObviousBook()
    for person in (*MAKERS, *TAKERS):
        for asset in ("ETH", "USDT"):
            floor.give(person, asset, 10**27)
    floor.collect()
    names: dict[int, str] = {}
    trades = recorded(shared_data)

    def place(name: str, owner: str, side: OrderSide, price: int, lots: int, *, force: TimeInForce) -> None:
        reply = floor.place(owner, wish(side, OrderType.LIMIT, lots=lots, price=price, time_in_force=force), name)
        assert reply.refusal is None, reply.refusal
        names[reply.made] = name
        book.limit(name, owner, side, price, lots, rests=force == "GTC", display=0, prevention="CANCEL_NEWEST")

    for number in range(-AHEAD, len(trades)):
        if number + AHEAD < len(trades):
            side, price, lots = trades[number + AHEAD]
            resting = OrderSide.SELL if side is OrderSide.BUY else OrderSide.BUY
            place(f"maker-{number + AHEAD}", MAKERS[number % 3], resting, price, lots, force=TimeInForce.GTC)
        if number >= 0:
            side, price, lots = trades[number]
            place(f"taker-{number}", TAKERS[number % 2], side, price, lots, force=TimeInForce.IOC)
    made = [
        (names[event.maker], names[event.taker], event.price, event.lots)
        for event in floor.events
        if isinstance(event, Traded)
    ]
    assert made == book.trades
    assert len(made) > len(trades) / 2
    assert digest(fold(floor.events, State())) == digest(floor.exchange.state)
