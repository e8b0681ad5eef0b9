"""What the exchange is told of the reference: every turn of a price, the newest book, and nothing that is not believed."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from core.clock import ManualClock
from core.database import Database
from core.order_vocabulary import OrderStatus, OrderType, TriggerSource
from core.settings import Mode, Settings
from core.vocabulary import FeedStatus, OrderSide, PriceSource, Series
from events.commands import (
    Command,
    ConfigureMarket,
    MoveFunds,
    PlaceOrder,
    ReferenceBook,
    ReferenceLost,
    ReferencePrice,
)
from events.feed import FeedConnected
from events.market import BookLost, MarketRulesChanged, TradeAccepted
from exchange.accounts import House
from exchange.engine import Exchange
from exchange.market import ATTO
from services.catalogue import UnknownMarket
from services.exchange_references import (
    BOOK_MS,
    MOST_LEVELS,
    MOST_TURNS,
    SETTLED_MS,
    ExchangeReferences,
    ReferencePolicy,
)
from tests.exchange.floor import wish
from tests.markets import BTC, ETH, NOW_MS, D, Levels, Markets, book, book_change, feed, levels, rules_of, tick, trade
from tests.services.test_market_data import BINANCE, COINBASE, started

EVERYWHERE = ReferencePolicy(frozenset([BTC, ETH]), frozenset(Series), D(1_000_000), 15_000)


class Writer:
    """Follows the markets, and executes what it is told on a real exchange."""

    def __init__(self, policy: ReferencePolicy = EVERYWHERE) -> None:
        self.markets = Markets()
        self.clock = ManualClock(NOW_MS + 10_000)
        self.references = ExchangeReferences(self.markets.view, self.clock, policy)
        self.exchange = Exchange()
        for symbol in (BTC, ETH):
            self.exchange.execute(ConfigureMarket(rules_of(self.markets.catalogue, symbol)), NOW_MS)

    def apply(self, *events: object) -> "Writer":
        self.markets.apply(*events)
        return self

    def take(self, after_ms: int = BOOK_MS) -> list[Command]:
        self.clock.advance(after_ms / 1000)
        commands = self.references.take()
        for command in commands:
            self.exchange.execute(command, self.clock.now_ms())
        return commands

    def quoted(self, side: OrderSide, symbol: str = BTC) -> list[tuple[Decimal, Decimal]]:
        """What the house quotes now."""
        quotes, market = self.exchange.quotes(symbol), self.exchange.state.markets[symbol]
        assert quotes is not None
        return [(D(price * market.tick) / ATTO, D(lots * market.lot) / ATTO) for price, lots in quotes.levels(side)]


@contextmanager
def following(policy: ReferencePolicy = EVERYWHERE) -> Iterator[Writer]:
    writer = Writer(policy)
    with writer.references.following():
        yield writer


def prices(commands: Sequence[Command], *, mark: bool = False) -> list[int]:
    return [
        command.price // ATTO
        for command in commands
        if isinstance(command, ReferencePrice) and command.is_mark is mark and command.symbol == BTC
    ]


def kinds(commands: Sequence[Command]) -> list[type]:
    return [type(command) for command in commands]


def test_the_last_trade_is_last_and_the_median_is_mark() -> None:
    with following() as writer:
        writer.apply(feed(), trade(1, price="100.25"), tick(1, "100.5"))
        assert writer.take() == [
            ReferencePrice(BTC, 100_250_000_000_000_000_000, BINANCE, NOW_MS + 1000),
            ReferencePrice(BTC, 100_500_000_000_000_000_000, BINANCE, NOW_MS + 1, is_mark=True),
        ]
        assert writer.take() == []
        known = writer.exchange.references(BTC).newest(TriggerSource.LAST)
        assert known is not None
        assert (known.price, known.time_ms) == (10_025, NOW_MS + 1000)


def test_what_was_known_before_it_began_is_told_as_well() -> None:
    writer = Writer()
    writer.apply(feed(), tick(1), book(1))
    with writer.references.following():
        assert prices(writer.take(SETTLED_MS - 1), mark=True) == [], "it may be the tick from before a silence"
        assert prices(writer.take(1), mark=True) == [100]
        assert kinds(writer.take()) == [ReferenceBook]


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([100, 101, 102], [102]),
        ([100, 90, 110, 100], [90, 110, 100]),
        ([100, 100, 100], [100]),
        ([105, 95, 100, 110, 104, 104, 120, 101], [105, 95, 110, 104, 120, 101]),
        ([99, 98, 97, 98, 99], [97, 99]),
    ],
)
def test_every_turn_since_the_last_time_is_told_in_its_order(seen: list[int], told: list[int]) -> None:
    with following() as writer:
        writer.apply(feed(), trade(1, price="100"))
        assert prices(writer.take()) == [100]
        for number, price in enumerate(seen, 2):
            writer.apply(replace(trade(number, price=str(price)), time_ms=NOW_MS + 1000 + number))
            writer.apply(replace(tick(number, str(price)), time_ms=NOW_MS + 1000 + number))
        commands = writer.take()
        assert prices(commands) == told
        assert prices(commands, mark=True)[-len(told) :] == told


@pytest.mark.parametrize("seed", range(20))
def test_conflation_fires_the_same_stops_as_every_price_would(seed: int) -> None:
    source = Random(seed)
    seen = [source.randint(89, 111) for _ in range(40)]
    fired = []
    for every in (1, 7, 40):
        with following() as writer:
            stops(writer)
            writer.apply(feed(), trade(1, price="100")).take()
            for number, price in enumerate(seen, 2):
                writer.apply(replace(trade(number, price=str(price)), time_ms=NOW_MS + 1000 + number))
                if number % every == 0:
                    writer.take(1)
            writer.take()
            fired.append({order.client_id for order in writer.exchange.state.accounts["ann"].open.values()})
    assert fired[0] == fired[1] == fired[2]
    assert 0 < len(fired[0]) < 23


def stops(writer: Writer) -> None:
    """Stops at many prices, and some that trail, of somebody who can pay; what fires finds nobody and is over."""
    rules = rules_of(writer.markets.catalogue, BTC)
    for asset, units in (("BTC", 10**12), ("USDT", 10**15)):
        writer.exchange.execute(MoveFunds("ann", House.TEST_FUNDS, asset, units, asset, ""), NOW_MS)
    writer.apply(feed(), trade(0, price="100"))
    writer.take()
    for price in (*range(81, 100, 3), *range(102, 120, 3)):
        side = OrderSide.SELL if price < 100 else OrderSide.BUY
        order = wish(side, OrderType.STOP_LOSS, lots=1000, stop=price * 100, rules=rules)
        reply = writer.exchange.execute(PlaceOrder("ann", f"stop-{price}", "", order), NOW_MS)
        assert reply.refusal is None
    for trail in range(2, 30, 3):
        order = wish(OrderSide.SELL, OrderType.TRAILING_STOP, lots=1000, trail=trail * 100, rules=rules)
        reply = writer.exchange.execute(PlaceOrder("ann", f"trail-{trail}", "", order), NOW_MS)
        assert reply.refusal is None


def test_a_price_that_nobody_takes_costs_bounded_memory_and_keeps_its_extremes() -> None:
    with following() as writer:
        writer.apply(feed())
        for number in range(1, 10 * MOST_TURNS):
            price = 200 if number == 77 else 50 if number == 33 else 100 + number % 2
            writer.apply(replace(trade(number, price=str(price)), time_ms=NOW_MS + 1000 + number))
        told = prices(writer.take())
        assert len(told) <= MOST_TURNS
        assert (told[0], told[1]) == (50, 200)
        assert told[-1] == 101


def test_the_book_is_mirrored_level_by_level_and_not_too_often() -> None:
    with following() as writer:
        writer.apply(feed(), tick(1), book(1))
        assert [c for c in writer.take() if isinstance(c, ReferenceBook)] == [
            ReferenceBook(BTC, atto(("99", "1"), ("98", "2")), atto(("101", "1"), ("102", "2")), True, 10_000 * 10**8)
        ]
        writer.apply(book_change(2, bids=levels(("99", "3"))))
        writer.apply(book_change(3, bids=levels(("98", "0"), ("97", "5"))))
        assert writer.take(BOOK_MS - 1) == []
        assert writer.take(1) == [
            ReferenceBook(BTC, atto(("99", "3"), ("97", "5"), ("98", "0")), (), False, 10_000 * 10**8)
        ]
        assert writer.quoted(OrderSide.BUY) == levels_of((99, 3), (97, 5))
        assert writer.quoted(OrderSide.SELL) == levels_of((101, 1), (102, 2))


def levels_of(*pairs: tuple[int, int]) -> list[tuple[Decimal, Decimal]]:
    return [(D(price), D(quantity)) for price, quantity in pairs]


def atto(*pairs: tuple[str, str]) -> tuple[tuple[int, int], ...]:
    return tuple((int(D(price) * ATTO), int(D(quantity) * ATTO)) for price, quantity in pairs)


def test_what_was_taken_comes_back_only_where_the_reference_changed() -> None:
    with following() as writer:
        writer.apply(feed(), tick(1), book(1)).take()
        quotes, market = writer.exchange.quotes(BTC), writer.exchange.state.markets[BTC]
        assert quotes is not None
        quotes.use(OrderSide.SELL, int(D(101) * ATTO) // market.tick, int(D(1) * ATTO) // market.lot)
        writer.apply(book(2, asks=levels(("101", "1"), ("102", "7")))).take()
        assert writer.quoted(OrderSide.SELL) == levels_of((102, 7)), (
            "a snapshot that repeats a level is no change there"
        )
        writer.apply(book_change(3, asks=levels(("101", "4")))).take()
        assert writer.quoted(OrderSide.SELL) == levels_of((101, 4), (102, 7))


@pytest.mark.parametrize("seed", range(5))
def test_the_mirror_holds_the_best_levels_whatever_happens(seed: int) -> None:
    source = Random(seed)
    with following() as writer:
        writer.apply(feed(), tick(1), book(1))
        for number in range(2, 300):
            writer.apply(book_change(number, bids=noise(source, 1, 99), asks=noise(source, 101, 199)))
            if source.random() < 0.3:
                writer.take(source.choice([50, BOOK_MS]))
        writer.take()
        known = writer.markets.view.books[BTC]
        assert writer.quoted(OrderSide.BUY) == known.bids.top(MOST_LEVELS)
        assert writer.quoted(OrderSide.SELL) == known.asks.top(MOST_LEVELS)


def noise(source: Random, low: int, high: int) -> Levels:
    return tuple((D(source.randint(low, high)), D(source.randint(0, 5))) for _ in range(4))


def test_a_lost_book_is_no_longer_quoted_and_prices_go_on() -> None:
    with following() as writer:
        writer.apply(feed(), tick(1), book(1)).take()
        writer.apply(BookLost(BTC, "test"), tick(2, "101"))
        assert kinds(writer.take()) == [ReferenceBook, ReferencePrice]
        assert writer.quoted(OrderSide.BUY) == []
        assert writer.take() == []
        writer.apply(book(9)).take()
        assert len(writer.quoted(OrderSide.BUY)) == 2


@pytest.mark.parametrize("status", [FeedStatus.STALE, FeedStatus.DOWN])
def test_a_stale_reference_is_lost_once_and_nothing_of_it_is_told(status: FeedStatus) -> None:
    with following() as writer:
        writer.apply(feed(), tick(1), trade(1), book(1)).take()
        writer.apply(tick(2, "150"), trade(2, price="150"), feed(status=status))
        assert writer.take() == [ReferenceLost(BTC)], "what waited is stale as well"
        writer.apply(tick(3, "160"), trade(3, price="160"), book(2), feed(status=status))
        assert writer.take() == []
        assert writer.exchange.references(BTC).newest(TriggerSource.LAST) is None
        writer.apply(feed())
        assert kinds(writer.take(1)) == []
        writer.apply(tick(4, "170"))
        commands = writer.take()
        assert kinds(commands) == [ReferenceBook, ReferencePrice]
        assert prices(commands, mark=True) == [170]


def test_a_reference_that_never_spoke_is_not_lost() -> None:
    with following() as writer:
        writer.apply(feed(status=FeedStatus.DOWN, series=None), feed(), feed(status=FeedStatus.STALE))
        assert writer.take() == []


def test_lost_and_back_between_two_batches_is_still_lost() -> None:
    with following() as writer:
        writer.apply(feed(), tick(1), book(1)).take()
        writer.apply(feed(status=FeedStatus.STALE), feed(), tick(2, "140"))
        assert kinds(writer.take()) == [ReferenceLost, ReferenceBook, ReferencePrice]


def test_another_series_is_another_reference() -> None:
    with following() as writer:
        simulated = feed(series=Series.SIMULATED, status=FeedStatus.SIMULATED)
        writer.apply(simulated, tick(1, source=PriceSource.SIMULATED), book(1)).take()
        writer.apply(feed(), tick(2, "140"), book(2))
        commands = writer.take()
        assert kinds(commands) == [ReferenceLost, ReferenceBook, ReferencePrice]
        assert writer.exchange.references(BTC).newest(TriggerSource.MARK) is not None


@pytest.mark.parametrize("series", [Series.SIMULATED, Series.REPLAY])
def test_production_is_never_told_what_is_not_real(series: Series) -> None:
    known = Markets().catalogue
    settings = Settings.model_construct(mode=Mode.PRODUCTION, liquidity=("mirror",))
    policy = ReferencePolicy.of(settings, known)
    source = PriceSource(series.value)
    with following(policy) as writer:
        made_up = feed(series=series, status=FeedStatus(series.value))
        writer.apply(made_up, tick(1, source=source), trade(1, series=series), book(1))
        assert writer.take() == []
        writer.apply(feed(), tick(2), book(2))
        assert kinds(writer.take()) == [ReferenceBook, ReferencePrice]
        writer.apply(made_up, tick(3, "999", source=source), trade(2, series=series), book(3))
        assert writer.take() == [ReferenceLost(BTC)]
        assert writer.take() == []


def test_a_trade_that_is_late_or_old_is_no_last_price() -> None:
    with following() as writer:
        old = replace(trade(1), time_ms=writer.clock.now_ms() - EVERYWHERE.stale_ms - 1)
        writer.apply(feed(), old)
        assert writer.take() == []
        writer.apply(trade(5, price="105"), replace(trade(6, price="7"), time_ms=NOW_MS + 1))
        assert prices(writer.take()) == [105]


def test_a_recording_keeps_its_times() -> None:
    with following() as writer:
        playing = feed(series=Series.REPLAY, status=FeedStatus.REPLAY)
        recorded = TradeAccepted(BTC, Series.REPLAY, PriceSource.REPLAY, "1", D(5), D(1), None, 1_600_000_000_000, 1)
        writer.apply(playing, recorded)
        assert prices(writer.take()) == [5]


def test_a_market_without_liquidity_gets_prices_alone() -> None:
    with following(replace(EVERYWHERE, mirrored=frozenset([ETH]))) as writer:
        writer.apply(feed(), tick(1), book(1), feed(ETH), tick(1, symbol=ETH), book(1, symbol=ETH))
        commands = writer.take()
        assert {command.symbol for command in commands if isinstance(command, ReferencePrice)} == {BTC, ETH}
        assert {command.symbol for command in commands if isinstance(command, ReferenceBook)} == {ETH}


def limit_of(commands: Sequence[Command], symbol: str) -> int:
    (found,) = [c for c in commands if isinstance(c, ReferenceBook) and c.symbol == symbol]
    return found.inventory_limit


def test_the_exposure_is_counted_in_units_of_the_base_asset_at_the_mark_of_the_moment() -> None:
    with following() as writer:
        writer.apply(feed(), tick(1, "50000"), book(1))
        assert limit_of(writer.take(), BTC) == 20 * 10**8
        writer.apply(tick(2, "100000"), book_change(2, bids=levels(("99", "9"))))
        assert limit_of(writer.take(), BTC) == 10 * 10**8


def test_an_asset_priced_in_another_one_is_worth_what_that_is_worth() -> None:
    pair = "ETH-BTC"
    with following(replace(EVERYWHERE, mirrored=frozenset([pair]))) as writer:
        writer.exchange.execute(ConfigureMarket(rules_of(writer.markets.catalogue, pair)), NOW_MS)
        writer.apply(feed(pair), tick(1, "0.05", pair), book(1, symbol=pair))
        assert not [command for command in writer.take() if isinstance(command, ReferenceBook)], (
            "worth nobody knows what"
        )
        writer.apply(feed(), tick(1, "40000"))
        assert limit_of(writer.take(), pair) == 500 * 10**18
        writer.apply(feed(ETH), tick(1, "4000", ETH), book_change(2, symbol=pair, bids=levels(("99", "9"))))
        assert limit_of(writer.take(), pair) == 250 * 10**18


async def test_ready_says_that_there_is_something() -> None:
    writer = Writer()
    running = asyncio.create_task(writer.references.run())
    try:
        await asyncio.sleep(0)
        assert writer.take() == []
        assert not writer.references.ready.is_set()
        writer.apply(feed(), trade(1))
        async with asyncio.timeout(30):
            await writer.references.ready.wait()
        assert prices(writer.take()) == [100]
        assert not writer.references.ready.is_set()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert writer.markets.view.ticks.followers == []
    assert writer.markets.view.ticks.readers(BTC) == 0, "a replay is paced by people alone"


async def test_outliers_and_doubted_prices_never_arrive(database: Database) -> None:
    worker = await started(BINANCE, COINBASE)
    writer = Writer()

    async def say(*messages: Any) -> list[Command]:
        writer.apply(*await worker.send(*messages), *await worker.check())
        return writer.take()

    writer.clock = worker.clock
    writer.references = ExchangeReferences(writer.markets.view, worker.clock, EVERYWHERE)
    with writer.references.following():
        await say(FeedConnected(BINANCE), FeedConnected(COINBASE))
        await say(worker.trade(BINANCE, "100"), worker.trade(COINBASE, "100"))
        outlier = await say(worker.trade(COINBASE, "200"), worker.trade(BINANCE, "1"))
        assert set(prices(outlier) + prices(outlier, mark=True)) <= {100}
        told = await say(worker.trade(BINANCE, "101"))
        assert prices(told) == [101]
        assert prices(told, mark=True)[-1] in (100, 101)


@pytest.mark.parametrize(
    ("mode", "liquidity", "mirrored"),
    [
        ("EMBEDDED", None, True),
        ("SANDBOX", None, True),
        ("PRODUCTION", None, False),
        ("PRODUCTION", ("mirror",), True),
        ("EMBEDDED", ("none",), False),
        ("EMBEDDED", ("none", "BTC-USDT=mirror"), True),
        ("EMBEDDED", ("BTC-USDT=none",), False),
        ("PRODUCTION", ("ETH-USDT=mirror",), False),
    ],
)
def test_which_markets_the_house_mirrors(mode: str, liquidity: tuple[str, ...] | None, mirrored: bool) -> None:
    settings = Settings.model_construct(mode=Mode(mode), liquidity=liquidity)
    assert (BTC in ReferencePolicy.of(settings, Markets().catalogue).mirrored) is mirrored


def test_liquidity_of_a_market_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownMarket):
        ReferencePolicy.of(Settings.model_construct(liquidity=("NO-PE=mirror",)), Markets().catalogue)


def test_the_next_writer_is_told_everything_anew() -> None:
    writer = Writer()
    writer.apply(feed(), tick(1), trade(1), book(1))
    for _ in range(2):
        with writer.references.following():
            writer.apply(tick(2, "101"), trade(2))
            commands = writer.take(SETTLED_MS)
            assert kinds(commands)[0] is ReferenceBook
            assert prices(commands, mark=True)
        assert writer.take(SETTLED_MS) == []


def test_a_market_that_counts_in_other_ticks_is_told_anew() -> None:
    with following() as writer:
        writer.apply(feed(), tick(1), trade(1, price="100"), book(1)).take()
        known = writer.markets.catalogue
        rules = known.market(BTC).rules
        coarse = MarketRulesChanged(BTC, D("0.1"), rules.lot_size, rules.min_quantity, None, rules.min_notional)
        writer.apply(coarse)
        assert writer.take() == [ReferenceLost(BTC)]
        writer.exchange.execute(ConfigureMarket(rules_of(known, BTC)), NOW_MS)
        writer.apply(tick(2, "101"))
        assert kinds(writer.take()) == [], "what came before it was to be told anew is too old"
        writer.apply(tick(3, "102"))
        assert kinds(writer.take()) == [ReferenceBook, ReferencePrice]
        assert writer.quoted(OrderSide.BUY) == levels_of((99, 1), (98, 2))


def test_a_fired_stop_finds_the_mirrored_book() -> None:
    with following() as writer:
        rules = rules_of(writer.markets.catalogue, BTC)._replace(band_ppm=100_000)
        writer.exchange.execute(ConfigureMarket(rules), NOW_MS)
        writer.exchange.execute(MoveFunds("ann", House.TEST_FUNDS, "BTC", 10**12, "funds", ""), NOW_MS)
        writer.apply(feed(), tick(1), trade(1, price="100"), book(1)).take()
        order = wish(OrderSide.SELL, OrderType.STOP_LOSS, lots=100_000, stop=9_600, rules=rules)
        placed = writer.exchange.execute(PlaceOrder("ann", "stop", "", order), NOW_MS)
        assert placed.order is not None
        writer.apply(trade(2, price="95"), trade(3, price="99"), book_change(2, bids=levels(("99", "0"), ("94", "8"))))
        writer.take()
        assert placed.order.status is OrderStatus.FILLED
