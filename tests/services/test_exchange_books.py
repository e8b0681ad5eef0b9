"""The exchange's own books: what is shown of people's orders and the house's quotes, and how readers follow it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from random import Random

import pytest

from core.bus import BusMessage
from core.order_vocabulary import OrderType
from core.vocabulary import MarketDataOrigin, MarketStatus, OrderSide, PriceSource
from events.commands import (
    CancelOrder,
    Command,
    ConfigureMarket,
    PlaceOrder,
    ReferenceBook,
    ReferencePrice,
    SetMarketStatus,
)
from events.market import EXCHANGE_TOPIC, BookChanged, BookLost, BookReset, BooksConfirmed
from exchange.accounts import House
from services import market_view
from services.exchange_books import CONFIRMED_MS, MOST_LEVELS, PERIOD_MS, ExchangeBooks
from services.market_states import ExchangeUnavailable
from services.market_view import MarketView
from tests.exchange.floor import BUY, EXACT, SELL, Floor, wish
from tests.markets import Markets, levels, ticker

ETH = EXACT.symbol
LOT_UNITS = 10**14
OTHER = EXACT._replace(symbol="ETH-USD", quote="USD", quote_scale=2)


class Writer:
    """A writer with its books, and a process that follows them."""

    def __init__(self, *people: str) -> None:
        self.floor = Floor(*people)
        self.markets = Markets()
        self.bus = self.markets.bus
        self.view = self.markets.exchange_view
        self.books = ExchangeBooks(self.bus)
        self.heard = self.bus.subscribe(EXCHANGE_TOPIC)
        self.books.all_touched(self.floor.exchange)
        self.publish()

    def do(self, command: Command) -> None:
        reply = self.floor.exchange.execute(command, self.floor.now_ms)
        self.floor.collect()
        self.books.touched(self.floor.exchange, command, reply)

    def limit(
        self, person: str, side: OrderSide, price: int, lots: int, *, key: str = "", display: int | None = None
    ) -> None:
        self.do(
            PlaceOrder(
                person,
                key or self.floor.key(),
                "",
                wish(side, OrderType.LIMIT, price=price, lots=lots, display=display),
            )
        )

    def mirror(
        self, *, bids: tuple[tuple[int, int], ...] = (), asks: tuple[tuple[int, int], ...] = (), limit: int = 10**6, snapshot: bool = True
    ) -> None:  # fmt: skip
        scaled = [tuple((price * EXACT.tick, lots * EXACT.lot) for price, lots in side) for side in (bids, asks)]
        self.do(ReferenceBook(ETH, scaled[0], scaled[1], snapshot, limit * LOT_UNITS))

    def publish(self, after_ms: int = PERIOD_MS) -> list[object]:
        self.floor.now_ms += after_ms
        self.books.publish(self.floor.exchange, self.floor.now_ms)
        return self.told()

    def told(self) -> list[object]:
        """What was told, folded by the reader as well."""
        events = []
        while self.heard._items:
            item = self.heard._items.popleft()
            assert isinstance(item, BusMessage)
            self.view.apply(item.event)
            events.append(item.event)
        return events

    def shown(self) -> tuple[list[tuple[str, str, int | None]], ...]:
        window = self.view.book_window(ETH, depth=MOST_LEVELS, grouping=None)
        return tuple(
            [(f"{price:f}", f"{quantity:f}", count) for (price, quantity), count in zip(side, orders, strict=True)]
            for side, orders in ((window.bids, window.bid_orders), (window.asks, window.ask_orders))
        )


def test_an_empty_market_is_a_book_without_levels() -> None:
    writer = Writer()
    window = writer.view.book_window(ETH, depth=5, grouping=None)
    assert (window.bids, window.asks, window.mid, window.checksum) == ((), (), None, "0")


def test_people_and_the_house_stand_at_one_price_and_only_people_are_counted() -> None:
    writer = Writer("ann", "bob")
    writer.limit("ann", BUY, 1000, 5)
    writer.limit("bob", BUY, 1000, 7)
    writer.limit("ann", SELL, 1100, 9, display=2)
    writer.mirror(bids=((1000, 30), (990, 1)), asks=((1090, 4),))
    (event,) = writer.publish()
    assert isinstance(event, BookChanged)
    assert writer.shown() == (
        [("10", "0.0042", 2), ("9.9", "0.0001", 0)],
        [("10.9", "0.0004", 0), ("11", "0.0002", 1)],
    )


def test_every_change_is_one_number_and_a_touch_without_one_is_none() -> None:
    writer = Writer("ann", "bob")
    first = writer.view.books[ETH].sequence
    writer.limit("ann", BUY, 1000, 5, key="a")
    assert [event.sequence for event in writer.publish() if isinstance(event, BookChanged)] == [first + 1]
    writer.limit("bob", BUY, 1000, 5, key="b")
    writer.do(CancelOrder("ann", client_id="a"))
    assert writer.publish() == [], "another order of the same size: nothing that is shown is another"
    writer.do(CancelOrder("bob", client_id="b"))
    (event,) = writer.publish()
    assert event == BookChanged(ETH, first + 2, levels(("10", "0")), (), writer.floor.now_ms, (0,), ())
    writer.do(CancelOrder("bob", client_id="b"))
    assert writer.publish() == [], "what was refused touches nothing"


def test_a_change_of_the_count_alone_is_a_change() -> None:
    writer = Writer("ann", "bob")
    writer.limit("ann", BUY, 1000, 6)
    writer.publish()
    with (
        writer.view.share_window(ETH, depth=5, grouping=None),
        writer.view.share_window(ETH, depth=5, grouping=Decimal(5)),
    ):
        writer.do(CancelOrder("ann", client_id="key-9"))
        writer.limit("bob", BUY, 1000, 1)
        writer.limit("bob", BUY, 1000, 5)
        assert len(writer.publish()) == 1
    assert writer.shown() == ([("10", "0.0006", 2)], [])
    grouped = writer.view.book_window(ETH, depth=5, grouping=Decimal(5))
    assert (grouped.bids, grouped.bid_orders) == (levels(("10", "0.0006")), (2,))


def test_changes_within_a_period_are_one() -> None:
    writer = Writer("ann")
    writer.limit("ann", BUY, 1000, 5)
    assert len(writer.publish()) == 1
    writer.limit("ann", BUY, 1001, 5)
    assert writer.publish(PERIOD_MS - 1) == []
    writer.limit("ann", BUY, 1002, 5)
    (event,) = writer.publish(1)
    assert isinstance(event, BookChanged)
    assert len(event.bids) == 2


def test_the_house_is_shown_as_far_as_it_has_room() -> None:
    writer = Writer("ann")
    writer.mirror(bids=((1000, 5), (999, 5)), asks=((1001, 5), (1002, 5), (1003, 5)), limit=7)
    writer.publish()
    assert writer.shown() == (
        [("10", "0.0005", 0), ("9.99", "0.0002", 0)],
        [("10.01", "0.0005", 0), ("10.02", "0.0002", 0)],
    )
    writer.limit("ann", BUY, 1001, 5)
    writer.publish()
    assert writer.shown() == (
        [("10", "0.0005", 0), ("9.99", "0.0005", 0)],
        [("10.02", "0.0002", 0)],
    ), "what it sold it may buy back, and sell no more"


def test_what_the_house_trades_in_one_market_it_has_no_room_for_in_another() -> None:
    writer = Writer("ann")
    writer.do(ConfigureMarket(OTHER))
    writer.do(ReferenceBook(OTHER.symbol, (), ((1001 * EXACT.tick, 5 * EXACT.lot),), True, 7 * LOT_UNITS))
    writer.mirror(asks=((1001, 5),), limit=7)
    writer.publish()
    writer.limit("ann", BUY, 1001, 5)
    writer.publish()
    window = writer.view.book_window(OTHER.symbol, depth=5, grouping=None)
    assert window.asks == levels(("10.01", "0.0002"))


def test_a_market_that_does_not_trade_shows_people_alone() -> None:
    writer = Writer("ann")
    writer.limit("ann", SELL, 1010, 1)
    writer.mirror(bids=((1000, 5),))
    writer.do(SetMarketStatus(ETH, MarketStatus.HALTED, "test"))
    writer.mirror(bids=((1020, 5),))
    writer.publish()
    assert writer.shown() == ([], [("10.1", "0.0001", 1)])
    writer.do(SetMarketStatus(ETH, MarketStatus.TRADING, "test"))
    writer.publish()
    assert writer.shown() == ([], [("10.1", "0.0001", 1)]), (
        "never crossed: the house takes this order with its next book"
    )
    writer.mirror(bids=((1020, 5),))
    writer.publish()
    assert writer.shown() == ([("10.2", "0.0004", 0)], [])


def test_a_price_is_looked_at_only_where_it_fired_something() -> None:
    writer = Writer("ann", "bob")
    price = ReferencePrice(ETH, 1000 * EXACT.tick, PriceSource.BINANCE, 1)
    writer.do(price)
    assert not writer.books._dirty
    writer.limit("bob", BUY, 990, 5)
    writer.do(PlaceOrder("ann", "stop", "", wish(SELL, OrderType.STOP_LOSS_LIMIT, lots=5, price=995, stop=998)))
    writer.publish()
    writer.do(price._replace(price=998 * EXACT.tick))
    writer.publish()
    assert writer.shown() == ([("9.9", "0.0005", 1)], [("9.95", "0.0005", 1)])


def test_the_levels_are_bounded() -> None:
    writer = Writer("ann")
    writer.do(ConfigureMarket(EXACT._replace(max_open_orders=1000)))
    for price in range(1, MOST_LEVELS + 20):
        writer.limit("ann", BUY, 1000 + price, 1)
    writer.mirror(bids=tuple((price, 1) for price in range(900, 1300)))
    writer.publish()
    bids, _ = writer.shown()
    assert len(bids) == MOST_LEVELS
    assert bids[0][0] == "12.99"


@pytest.mark.parametrize("seed", range(5))
def test_whoever_follows_holds_the_book_of_the_exchange(seed: int) -> None:
    source = Random(seed)
    writer = Writer("ann", "bob")
    keys: list[tuple[str, str]] = []
    for _ in range(400):
        kind = source.random()
        if kind < 0.5:
            who, side, key = source.choice(["ann", "bob"]), source.choice([BUY, SELL]), writer.floor.key()
            away = source.randint(-3, 20)
            lots = source.randint(2, 9)
            display = source.randint(1, lots) if source.random() < 0.3 else None
            writer.limit(who, side, 1000 - away if side is BUY else 1000 + away, lots, key=key, display=display)
            keys.append((who, key))
        elif kind < 0.8 and keys:
            who, key = source.choice(keys)
            writer.do(CancelOrder(who, client_id=key))
        else:
            bid = source.randint(980, 1010)
            writer.mirror(
                bids=tuple((bid - n, source.randint(0, 9)) for n in range(5)),
                asks=tuple((bid + 2 + n, source.randint(0, 9)) for n in range(5)),
                limit=source.randint(0, 60),
                snapshot=True,
            )
        writer.publish(source.randint(1, PERIOD_MS * 2))
    writer.publish(PERIOD_MS)
    assert writer.shown() == expected(writer.floor)


def expected(floor: Floor) -> tuple[list[tuple[str, str, int]], ...]:
    """The book from nothing but open orders and quotes."""
    exchange = floor.exchange
    market = exchange.state.markets[ETH]
    quotes = exchange.quotes(ETH)
    sides = []
    for side, sign in ((BUY, -1), (SELL, 1)):
        found: dict[int, list[int]] = {}
        for order in exchange.state.orders.values():
            if order.side is side:
                level = found.setdefault(order.price, [0, 0])
                level[0] += order.visible
                level[1] += 1
        inventory = exchange.state.house[House.INVENTORY].get("ETH", 0)
        room = 0 if quotes is None else quotes.room(side, market, inventory)
        for price, lots in () if quotes is None else quotes.levels(side):
            shown = min(lots, room)
            room -= shown
            if shown:
                found.setdefault(price, [0, 0])[0] += shown
        sides.append([
            (f"{(Decimal(price) / 100).normalize():f}", f"{(Decimal(lots) / 10_000).normalize():f}", count)
            for price, (lots, count) in sorted(found.items(), key=lambda level: sign * level[0])
        ])  # fmt: skip
    return tuple(sides)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_new_writer_counts_on_above_the_old_one(elsewhere: bool) -> None:
    writer = Writer("ann")
    for number in range(50):
        writer.limit("ann", BUY, 1000 + number, 1)
        writer.publish()
    reached = writer.view.books[ETH].sequence
    if elsewhere:
        writer.books = ExchangeBooks(writer.bus)
    writer.books.all_touched(writer.floor.exchange)
    resets = [event for event in writer.publish() if isinstance(event, BookReset) and event.symbol == ETH]
    assert [reset.sequence > reached for reset in resets] == [True]
    assert len(writer.shown()[0]) == 50


def test_who_hears_of_no_change_hears_that_the_books_hold() -> None:
    writer = Writer("ann")
    assert writer.publish(CONFIRMED_MS - 1) == []
    assert writer.publish(1) == [BooksConfirmed(writer.floor.now_ms)]
    assert writer.publish(CONFIRMED_MS - 1) == []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_process_that_joins_late_is_told_the_book_it_can_go_on_with() -> None:
    writer = Writer("ann")
    writer.limit("ann", BUY, 1000, 5)
    writer.publish()
    late = MarketView(
        writer.bus, writer.markets.catalogue, process="late", observer=writer.markets.losses, origin=MarketDataOrigin.EXCHANGE
    )  # fmt: skip
    with pytest.raises(ExchangeUnavailable, match="no book has been received"):
        late.book_window(ETH, depth=5, grouping=None)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(writer.books.run()), tasks.create_task(late.run())]
        async with asyncio.timeout(30):
            await late.synced.wait()
        assert late.book_window(ETH, depth=5, grouping=None).bids == levels(("10", "0.0005"))
        writer.limit("ann", BUY, 1001, 5)
        writer.publish()
        await until(lambda: len(late.book_window(ETH, depth=5, grouping=None).bids) == 2)
        for task in running:
            task.cancel()


async def test_a_silent_writer_loses_its_books_whoever_else_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_view, "RESYNC_SECONDS", 0.02)
    monkeypatch.setattr(market_view, "SILENT_SECONDS", 0.05)
    writer = Writer()
    writer.view.apply(ticker(ETH))
    running = asyncio.create_task(writer.view.run())
    try:
        while writer.view.books[ETH].lost is None:
            writer.bus.publish(EXCHANGE_TOPIC, ticker(ETH))
            await asyncio.sleep(0.001)
        with pytest.raises(ExchangeUnavailable, match="silent"):
            writer.view.book_window(ETH, depth=5, grouping=None)
        assert writer.view.states[ETH].ticker is not None, "the last known values stay"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def test_the_best_quotes_of_the_ticker_are_those_of_the_book() -> None:
    writer = Writer("ann")
    writer.view.apply(ticker(ETH))
    state = writer.view.states[ETH]
    assert state.ticker is not None
    assert (state.ticker.bid, state.ticker.ask) == (None, None)
    writer.limit("ann", BUY, 1000, 5)
    writer.publish()
    assert (state.ticker.bid, state.ticker.ask) == (Decimal(10), None)
    writer.view.apply(BookLost(ETH, "test"))
    assert (state.ticker.bid, state.ticker.last) == (None, Decimal(100))
