"""The made-up market: deterministic, on tick and lot, consistent with itself."""

import asyncio
import itertools
from collections.abc import Sequence
from decimal import Decimal

import pytest

from core.clock import ManualClock
from core.vocabulary import CandleInterval, OrderSide, PriceSource
from events.feed import FeedBookDelta, FeedBookSnapshot, FeedConnected, FeedMessage, FeedQuote, FeedTrade
from integrations.feeds.base import Feed, HistoryFeed, ProviderCandle, ProviderUnavailable
from integrations.feeds.simulated import SimulatedFeed, SimulatedMarket
from services.books import Book, ReferenceBook
from services.catalogue import read_files

D = Decimal
NOW = 1_790_000_012_345
MINUTE, DAY = 60_000, 86_400_000
MARKETS = [
    SimulatedMarket("BTC-USD", D(86000), D("0.01"), D("0.00000001")),
    SimulatedMarket("BTC-EUR", D(74500), D("0.01"), D("0.00001")),
    SimulatedMarket("ETH-USD", D(2800), D("0.01"), D("0.0001")),
    SimulatedMarket("ETH-BTC", D("0.03256"), D("0.00001"), D("0.0001")),
    SimulatedMarket("SHIB-USDT", D("0.0000078"), D("0.00000001"), D(1)),
    SimulatedMarket("USDC-USDT", D(1), D("0.0001"), D(1)),
]
PEGGED = {"USD", "EUR", "USDT", "USDC"}


class Ended(Exception):
    """The virtual time is over."""


class Recording:
    """What a feed said in a stretch of virtual time, and when."""

    def __init__(
        self,
        markets: Sequence[SimulatedMarket] = MARKETS,
        *,
        seed: int = 1,
        start_ms: int = NOW,
        history_days: int = 400,
    ) -> None:
        self.clock = ManualClock(start_ms)
        self.feed = SimulatedFeed(
            markets, seed=seed, pegged=PEGGED, clock=self.clock, sleep=self._sleep, history_days=history_days
        )
        self.said: list[tuple[int, FeedMessage]] = []
        self.asleep_s = 0
        """How much longer than asked the next sleep takes."""
        self._end_ms = start_ms

    async def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.clock.advance(seconds + self.asleep_s)
        self.asleep_s = 0
        if self.clock.now_ms() >= self._end_ms:
            raise Ended

    async def _emit(self, message: FeedMessage) -> None:
        self.said.append((self.clock.now_ms(), message))

    async def run(self, seconds: int) -> "Recording":
        self._end_ms = self.clock.now_ms() + seconds * 1000
        with pytest.raises(Ended):
            await self.feed.run(self._emit)
        return self

    def of(self, symbol: str) -> list[FeedMessage]:
        return [
            message for _, message in self.said if not isinstance(message, FeedConnected) and symbol == _symbol(message)
        ]


def _symbol(message: FeedMessage) -> str:
    assert isinstance(message, FeedTrade | FeedQuote | FeedBookSnapshot | FeedBookDelta)
    return message.symbol


def numbers(message: FeedMessage) -> tuple[list[Decimal], list[Decimal]]:
    """Prices and quantities in it."""
    if isinstance(message, FeedTrade):
        return [message.price], [message.quantity]
    if isinstance(message, FeedQuote):
        return [message.bid, message.ask], []
    assert isinstance(message, FeedBookSnapshot | FeedBookDelta)
    both = (*message.bids, *message.asks)
    return [price for price, _ in both], [quantity for _, quantity in both]


async def minutes(feed: SimulatedFeed, symbol: str, from_ms: int, to_ms: int) -> Sequence[ProviderCandle]:
    return await feed.candles(symbol, CandleInterval.MINUTE_1, from_ms=from_ms, to_ms=to_ms)


def test_it_is_a_feed_with_a_history() -> None:
    feed: Feed = Recording().feed
    assert feed.source is PriceSource.SIMULATED
    assert isinstance(feed, HistoryFeed)


async def test_the_same_seed_says_the_same_and_another_one_does_not() -> None:
    first, again, other = await Recording().run(60), await Recording().run(60), await Recording(seed=2).run(60)
    assert first.said == again.said
    assert first.of("BTC-USD") != other.of("BTC-USD")
    assert await minutes(first.feed, "BTC-USD", NOW - DAY, NOW) != await minutes(other.feed, "BTC-USD", NOW - DAY, NOW)


async def test_every_market_has_one_to_five_messages_a_second_and_trades() -> None:
    recording = await Recording().run(300)
    assert recording.said[0][1] == FeedConnected(PriceSource.SIMULATED)
    for market in MARKETS:
        said = recording.of(market.symbol)
        assert 1 <= len(said) / 300 <= 5
        trades = [message for message in said if isinstance(message, FeedTrade)]
        assert len(trades) > 100
        assert len({trade.trade_id for trade in trades}) == len(trades)
        assert {trade.taker_side for trade in trades} == {OrderSide.BUY, OrderSide.SELL}


async def test_prices_are_on_the_tick_and_quantities_on_the_lot() -> None:
    recording = await Recording().run(120)
    for market in MARKETS:
        for message in recording.of(market.symbol):
            prices, quantities = numbers(message)
            assert all(price > 0 and price % market.tick_size == 0 for price in prices)
            assert all(quantity >= 0 and quantity % market.lot_size == 0 for quantity in quantities)
        for candle in await minutes(recording.feed, market.symbol, NOW - 3_600_000, NOW):
            for price in (candle.open, candle.high, candle.low, candle.close):
                assert price % market.tick_size == 0
            assert candle.volume % market.lot_size == 0


async def test_the_book_is_never_crossed_and_every_trade_is_taken_from_it() -> None:
    recording = await Recording().run(300)
    for market in MARKETS:
        reference, book = ReferenceBook(market.symbol), Book(market.symbol)
        reference.lead(PriceSource.SIMULATED)
        said = recording.of(market.symbol)
        assert isinstance(said[0], FeedBookSnapshot)
        expected: tuple[Decimal, Decimal] | None = None
        for message in said:
            if isinstance(message, FeedTrade):
                side = book.asks if message.taker_side is OrderSide.BUY else book.bids
                assert message.price == side.best(), "a trade takes the best level"
                expected = message.price, side.get(message.price) - message.quantity
                assert expected[1] >= 0
            elif isinstance(message, FeedQuote):
                assert (message.bid, message.ask) == (book.bids.best(), book.asks.best())
            else:
                assert isinstance(message, FeedBookSnapshot | FeedBookDelta)
                event = reference.apply(message)
                assert reference.snapshot() is not None, "refused"
                if event is not None:
                    book.apply(event)
                if expected is not None:
                    price, left = expected
                    assert (book.bids.get(price), book.asks.get(price)) in {(left, D(0)), (D(0), left)}
                    expected = None
                assert 20 <= len(book.bids) <= 30
                assert 20 <= len(book.asks) <= 30


async def test_history_depends_on_the_minute_alone() -> None:
    feed = Recording().feed
    day = await minutes(feed, "BTC-USD", NOW - DAY, NOW)
    assert len(day) == 1440 - 1, "the first began before the range, the last is still open"
    assert await minutes(feed, "BTC-USD", NOW - 3 * 3_600_000, NOW) == day[-179:]
    later = Recording(start_ms=NOW + 5 * DAY).feed
    assert await minutes(later, "BTC-USD", NOW - DAY, day[-1].open_time_ms + 1) == day
    alone = Recording(MARKETS[:1]).feed
    assert await minutes(alone, "BTC-USD", NOW - DAY, NOW) == day, "other markets do not matter"


async def test_candles_are_well_formed_and_join() -> None:
    feed = Recording().feed
    for market in MARKETS:
        day = await minutes(feed, market.symbol, NOW - DAY, NOW)
        for candle, following in itertools.pairwise(day):
            assert following.open_time_ms == candle.open_time_ms + MINUTE
            assert following.open == candle.close
        for candle in day:
            assert 0 < candle.low <= min(candle.open, candle.close)
            assert max(candle.open, candle.close) <= candle.high
            assert candle.volume > 0
            assert candle.trades is not None
            assert candle.trades > 0
            assert candle.quote_volume is not None
            assert candle.low * candle.volume <= candle.quote_volume <= candle.high * candle.volume


@pytest.mark.parametrize("interval", list(CandleInterval))
async def test_every_interval_is_the_sum_of_its_minutes(interval: CandleInterval) -> None:
    feed = Recording().feed
    from_ms = NOW - 16 * DAY if interval.length_ms >= DAY else NOW - DAY
    candles = await feed.candles("ETH-USD", interval, from_ms=from_ms, to_ms=NOW)
    assert candles
    fine = {candle.open_time_ms: candle for candle in await minutes(feed, "ETH-USD", from_ms, NOW)}
    for candle in candles:
        end = candle.open_time_ms + interval.length_ms
        assert from_ms <= candle.open_time_ms
        assert end <= NOW, "an open candle is no history"
        assert interval.open_time_ms(candle.open_time_ms) == candle.open_time_ms
        inside = [fine[time] for time in range(candle.open_time_ms, end, MINUTE)]
        assert (candle.open, candle.close) == (inside[0].open, inside[-1].close)
        assert candle.high == max(minute.high for minute in inside)
        assert candle.low == min(minute.low for minute in inside)
        assert candle.volume == sum(minute.volume for minute in inside)
        assert candle.quote_volume == sum(minute.quote_volume or 0 for minute in inside)
        assert candle.trades == sum(minute.trades or 0 for minute in inside)


async def test_the_live_price_continues_the_history() -> None:
    recording = await Recording().run(120)
    for market in MARKETS:
        (last,) = (await minutes(recording.feed, market.symbol, NOW - 2 * MINUTE, NOW - NOW % MINUTE))[-1:]
        first = next(message for message in recording.of(market.symbol) if isinstance(message, FeedTrade))
        assert abs(first.price / last.close - 1) < D("0.005"), market.symbol
        prices = [message.price for message in recording.of(market.symbol) if isinstance(message, FeedTrade)]
        assert all(abs(after / before - 1) < D("0.01") for before, after in itertools.pairwise(prices))


async def test_what_was_live_becomes_history_near_it() -> None:
    recording = await Recording().run(600)
    for market in MARKETS:
        for candle in await minutes(recording.feed, market.symbol, NOW, recording.clock.now_ms()):
            for time_ms, message in recording.said:
                if isinstance(message, FeedTrade) and message.symbol == market.symbol:
                    inside = candle.open_time_ms <= time_ms < candle.open_time_ms + MINUTE
                    assert not inside or candle.low * D("0.99") <= message.price <= candle.high * D("1.01")


async def test_prices_wander_plausibly_and_pegged_assets_do_not() -> None:
    feed = Recording().feed
    days = await feed.candles("BTC-USD", CandleInterval.DAY_1, from_ms=NOW - 60 * DAY, to_ms=NOW)
    moves = [abs(day.close / day.open - 1) for day in days]
    assert D("0.005") < sum(moves) / len(moves) < D("0.06")
    assert all(D(86000) * D("0.6") < day.low <= day.high < D(86000) * D("1.4") for day in days)
    pegged = await feed.candles("USDC-USDT", CandleInterval.DAY_1, from_ms=NOW - 60 * DAY, to_ms=NOW)
    assert all(abs(day.close - 1) <= D("0.001") for day in pegged)


async def test_markets_of_the_same_asset_move_together() -> None:
    feed = Recording().feed
    usd, eur, eth, cross = [
        await feed.candles(symbol, CandleInterval.HOUR_1, from_ms=NOW - 10 * DAY, to_ms=NOW)
        for symbol in ("BTC-USD", "BTC-EUR", "ETH-USD", "ETH-BTC")
    ]
    for in_usd, in_eur, eth_usd, eth_btc in zip(usd, eur, eth, cross, strict=True):
        assert abs(in_usd.close / in_eur.close / (D(86000) / D(74500)) - 1) < D("0.0001")
        assert abs(eth_usd.close / in_usd.close / eth_btc.close - 1) < D("0.001")


async def test_history_is_bounded_and_odd_ranges_are_empty() -> None:
    feed = Recording(history_days=35).feed
    days = await feed.candles("BTC-USD", CandleInterval.WEEK_1, from_ms=0, to_ms=2**53)
    assert len(days) == 4, "35 days hold four whole weeks that are over"
    assert await minutes(feed, "BTC-USD", NOW, NOW - DAY) == []
    assert await minutes(feed, "BTC-USD", NOW, NOW) == []
    assert await minutes(feed, "BTC-USD", NOW + DAY, NOW + 2 * DAY) == []
    with pytest.raises(ProviderUnavailable, match="DOGE-USD"):
        await minutes(feed, "DOGE-USD", NOW - DAY, NOW)


async def test_history_lets_others_run() -> None:
    feed = Recording().feed
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await feed.candles("BTC-USD", CandleInterval.WEEK_1, from_ms=NOW - 20 * DAY, to_ms=NOW)
    task.cancel()
    assert turns > 10


async def test_a_pause_of_the_machine_is_not_made_up_for() -> None:
    recording = Recording()
    recording.asleep_s = 3600
    await recording.run(3610)
    assert 0 < len(recording.said) < 10 * 5 * len(MARKETS)


def test_a_price_of_too_few_ticks_is_refused() -> None:
    with pytest.raises(ValueError, match="X-USD: the simulated price must be at least 200 ticks"):
        SimulatedFeed([SimulatedMarket("X-USD", D(1), D("0.01"), D(1))], seed=1, pegged=PEGGED, clock=ManualClock())


@pytest.mark.parametrize(
    ("price", "tick", "lot"), [(D(86_000), D("0.00000001"), D(1)), (D(86_000), D("0.01"), D("0.0000000001"))]
)
def test_numbers_that_do_not_fit_are_refused(price: Decimal, tick: Decimal, lot: Decimal) -> None:
    with pytest.raises(ValueError, match="X-USD: the simulated price has too small a tick"):
        SimulatedFeed([SimulatedMarket("X-USD", price, tick, lot)], seed=1, pegged=PEGGED, clock=ManualClock())


async def test_the_largest_numbers_add_up() -> None:
    """A week of a market whose every number is just small enough."""
    market = SimulatedMarket("X-Y", D("90000"), D("0.0001"), D("0.0001"))
    feed = Recording([market]).feed
    (week,) = await feed.candles("X-Y", CandleInterval.WEEK_1, from_ms=NOW - 14 * DAY, to_ms=NOW)
    days = await feed.candles("X-Y", CandleInterval.DAY_1, from_ms=week.open_time_ms, to_ms=week.open_time_ms + 7 * DAY)
    assert week.quote_volume == sum(day.quote_volume or 0 for day in days)
    assert week.low * week.volume <= (week.quote_volume or 0) <= week.high * week.volume


async def test_the_whole_catalogue_can_be_simulated() -> None:
    catalogue = read_files()
    markets = [
        SimulatedMarket(entry.symbol, entry.simulated_price, entry.rules.tick_size, entry.rules.lot_size)
        for entry in catalogue.markets.values()
    ]
    recording = await Recording(markets).run(5)
    for market in markets:
        assert any(isinstance(message, FeedTrade) for message in recording.of(market.symbol))
        assert len(await minutes(recording.feed, market.symbol, NOW - 10 * MINUTE, NOW)) == 9
