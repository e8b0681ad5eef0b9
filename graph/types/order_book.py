"""Order books: the window a client looks at, and its live changes."""

from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from typing import Annotated

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.money import canonical
from core.vocabulary import MarketDataOrigin
from events.book import Level, WindowDelta, WindowSnapshot, depth_chart
from graph.scalars import Long


@strawberry.type(description="All that is offered at one price.")
class BookLevel:
    price: Decimal = strawberry.field(description="Price, in quote.")
    quantity: Decimal = strawberry.field(description="Quantity, in base.")
    total: Decimal | None = strawberry.field(description="Quantity from the best level to this one, in base.")
    orders: int | None = strawberry.field(
        description="People's orders at this price, 0: only the house quotes it; null when the venue does not say."
    )


@strawberry.type(description="A point of a depth chart.")
class DepthPoint:
    price: Decimal = strawberry.field(description="Price, in quote.")
    cumulative: Decimal = strawberry.field(description="Quantity offered from the best price to this one, in base.")


@strawberry.type(description="Cumulative quantities by price, for a chart.")
class DepthChart:
    bids: list[DepthPoint] = strawberry.field(description="From the best bid down.")
    asks: list[DepthPoint] = strawberry.field(description="From the best ask up.")


@strawberry.type(description="The best levels of a book.")
class OrderBook:
    window: strawberry.Private[WindowSnapshot]
    id: strawberry.ID = strawberry.field(description="Stable per market, origin, depth and grouping.")
    symbol: str = strawberry.field(description="The market.")
    origin: MarketDataOrigin = strawberry.field(description="Whose book.")
    sequence: Long = strawberry.field(description="+1 for every accepted change of the whole book.")
    checksum: str = strawberry.field(
        description=(
            "CRC32 as a decimal number over the best ten asks, then the best ten bids, "
            'each written as "price:quantity|" in canonical decimals.'
        )
    )
    time: datetime = strawberry.field(description="When the venue made the last change.")

    @strawberry.field(description="Levels to buy from a bidder, best first.")
    def bids(self) -> list[BookLevel]:
        return _levels(self.window.bids, self.window.bid_orders)

    @strawberry.field(description="Levels offered for sale, best first.")
    def asks(self) -> list[BookLevel]:
        return _levels(self.window.asks, self.window.ask_orders)

    @strawberry.field(description="Half way between the best bid and the best ask; null when a side is empty.")
    def mid(self) -> Decimal | None:
        return self.window.mid

    @strawberry.field(description="Best ask minus best bid; null when a side is empty.")
    def spread(self) -> Decimal | None:
        return self.window.spread

    @strawberry.field(description="(bids - asks) / (bids + asks) by quantity in this window, from -1 to 1.")
    def imbalance(self) -> Decimal | None:
        return self.window.imbalance

    @strawberry.field(description="Cumulative quantities of this window, for a chart.")
    def depth_chart(
        self, points: Annotated[int, strawberry.argument(description="Points of each side at most, 2 to 1000.")] = 50
    ) -> DepthChart:
        return DepthChart(
            bids=[DepthPoint(price=price, cumulative=total) for price, total in depth_chart(self.window.bids, points)],
            asks=[DepthPoint(price=price, cumulative=total) for price, total in depth_chart(self.window.asks, points)],
        )

    @staticmethod
    def of(window: WindowSnapshot, origin: MarketDataOrigin, *, depth: int, grouping: Decimal | None) -> "OrderBook":
        """A book's window as clients see it."""
        group = "" if grouping is None else canonical(grouping)
        return OrderBook(
            window=window,
            id=strawberry.ID(encode_id("OrderBook", window.symbol, origin, depth, group)),
            symbol=window.symbol,
            origin=origin,
            sequence=Long(window.sequence),
            checksum=window.checksum,
            time=to_datetime(window.time_ms),
        )


def _levels(levels: tuple[Level, ...], orders: tuple[int, ...]) -> list[BookLevel]:
    total = Decimal(0)
    result = []
    for (price, quantity), count in zip_longest(levels, orders):
        total += quantity
        result.append(BookLevel(price=price, quantity=quantity, total=total, orders=count))
    return result


@strawberry.type(description="A level's new quantity; 0 removes the level.")
class BookChange:
    price: Decimal = strawberry.field(description="Price, in quote.")
    quantity: Decimal = strawberry.field(description="Quantity now, in base.")
    orders: int | None = strawberry.field(
        description="People's orders at this price, 0: only the house quotes it; null when the venue does not say."
    )


@strawberry.type(description="The whole window; replaces what was known.")
class OrderBookSnapshot:
    symbol: str = strawberry.field(description="The market.")
    sequence: Long = strawberry.field(description="The book's sequence.")
    bids: list[BookChange] = strawberry.field(description="Bids, best first.")
    asks: list[BookChange] = strawberry.field(description="Asks, best first.")
    checksum: str = strawberry.field(description="As in OrderBook.checksum.")
    time: datetime = strawberry.field(description="When the venue made the last change.")


@strawberry.type(description="Changed levels. Applied to the window before it, they give the window now.")
class OrderBookDelta:
    symbol: str = strawberry.field(description="The market.")
    previous_sequence: Long = strawberry.field(description="Sequence of the message before; anything else is a gap.")
    sequence: Long = strawberry.field(description="The book's sequence now.")
    bids: list[BookChange] = strawberry.field(description="Changed bids.")
    asks: list[BookChange] = strawberry.field(description="Changed asks.")
    checksum: str = strawberry.field(description="As in OrderBook.checksum, after this change.")
    time: datetime = strawberry.field(description="When the venue made the change.")


OrderBookUpdate = Annotated[
    OrderBookSnapshot | OrderBookDelta,
    strawberry.union(
        "OrderBookUpdate",
        description="One snapshot, then deltas; a new snapshot after any loss.",
    ),
]


def order_book_update(update: WindowSnapshot | WindowDelta) -> OrderBookSnapshot | OrderBookDelta:
    """A window's message as clients see it."""
    bids, asks = _changes(update.bids, update.bid_orders), _changes(update.asks, update.ask_orders)
    if isinstance(update, WindowSnapshot):
        return OrderBookSnapshot(
            symbol=update.symbol,
            sequence=Long(update.sequence),
            bids=bids,
            asks=asks,
            checksum=update.checksum,
            time=to_datetime(update.time_ms),
        )
    return OrderBookDelta(
        symbol=update.symbol,
        previous_sequence=Long(update.previous_sequence),
        sequence=Long(update.sequence),
        bids=bids,
        asks=asks,
        checksum=update.checksum,
        time=to_datetime(update.time_ms),
    )


def _changes(levels: tuple[Level, ...], orders: tuple[int, ...]) -> list[BookChange]:
    return [
        BookChange(price=price, quantity=quantity, orders=count)
        for (price, quantity), count in zip_longest(levels, orders)
    ]
