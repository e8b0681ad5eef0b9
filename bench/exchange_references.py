"""`python -m bench.exchange_references`: what does it cost the exchange to follow the simulated feed on every market, mirroring all its books?

The feed plays as fast as it is taken while its clock counts. CPU seconds per second of the feed, in one run each: aggregating it and keeping a view of it
(the reference, which every process pays anyway), and what comes on top of that: ExchangeReferences and Exchange.execute (goal: under 10 %), then ExchangeBooks.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal

from core.bus import MemoryBus
from core.clock import ManualClock
from core.money import use_wide_context
from core.vocabulary import PriceSource, Series
from events.commands import Command, ConfigureMarket
from events.feed import FeedBookDelta, FeedBookSnapshot, FeedConnected, FeedMessage
from events.market import FeedChanged, TradeAccepted
from exchange.engine import Exchange
from integrations.feeds.simulated import SimulatedFeed, SimulatedMarket
from services import catalogue
from services.books import ReferenceBook
from services.exchange_books import ExchangeBooks
from services.exchange_references import ExchangeReferences, ReferencePolicy
from services.market_view import MarketView
from services.price_sources import PriceLimits
from services.prices import PriceAggregator
from tests.markets import Losses, rules_of

LOOK_SECONDS = 0.05


class Over(Exception):
    """The seconds have been played."""


class Feed:
    """The simulated feed of every market, aggregated into a view."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_700_000_000_000)
        self.known = catalogue.read_files()
        self.view = MarketView(MemoryBus(), self.known, process="bench", observer=Losses())
        limits = PriceLimits(max_deviation=Decimal("0.05"), stale_ms=15_000)
        self._prices = {s: PriceAggregator(s, [PriceSource.SIMULATED], limits) for s in self.known.markets}
        self._books = {symbol: ReferenceBook(symbol) for symbol in self.known.markets}
        self._trades = dict.fromkeys(self.known.markets, 0)

    async def play(self, seconds: float, every: Callable[[], None]) -> float:
        """CPU seconds it took; `every` is called every LOOK_SECONDS of the feed."""
        markets = [
            SimulatedMarket(market.symbol, market.simulated_price, market.rules.tick_size, market.rules.lot_size)
            for market in self.known.markets.values()
        ]
        end, look = self.clock.monotonic() + seconds, self.clock.monotonic()

        async def sleep(pause: float) -> None:
            nonlocal look
            target = self.clock.monotonic() + pause
            while look <= target:
                self.clock.advance(max(0.0, look - self.clock.monotonic()))
                every()
                look += LOOK_SECONDS
            self.clock.advance(max(0.001, target - self.clock.monotonic()))
            if self.clock.monotonic() >= end:
                raise Over

        feed = SimulatedFeed(markets, seed=1, pegged=["USD", "USDT", "USDC", "EUR"], clock=self.clock, sleep=sleep)
        start = time.process_time()
        try:
            await feed.run(self._take)
        except Over:
            return time.process_time() - start
        return 0.0

    async def _take(self, message: FeedMessage) -> None:
        if isinstance(message, FeedConnected):
            return
        symbol = getattr(message, "symbol", "")
        outcome = self._prices[symbol].apply(message, self.clock.now_ms())
        for event in outcome.events:
            self.view.apply(event)
            if isinstance(event, FeedChanged) and (book := self._books[symbol].lead(event.source)) is not None:
                self.view.apply(book)
        for trade in outcome.trades:
            self._trades[symbol] += 1
            self.view.apply(
                TradeAccepted(
                    symbol, Series.SIMULATED, trade.source, trade.trade_id, trade.price, trade.quantity, trade.taker_side,
                    trade.time_ms, self._trades[symbol],
                )
            )  # fmt: skip
        if isinstance(message, FeedBookSnapshot | FeedBookDelta):
            changed = self._books[symbol].apply(message)
            if changed is not None:
                self.view.apply(changed)


def measure(seconds: float, *, exchange: bool, books: bool) -> tuple[float, int]:
    """CPU seconds per second of the feed, and how many commands the exchange executed."""
    feed, floor, told = Feed(), Exchange(), 0
    policy = ReferencePolicy(frozenset(feed.known.markets), frozenset(Series), Decimal(1_000_000), 15_000)
    references = ExchangeReferences(feed.view, feed.clock, policy)
    bus = MemoryBus()
    shown = ExchangeBooks(bus)

    for symbol in feed.known.markets:
        floor.execute(ConfigureMarket(rules_of(feed.known, symbol)), 0)

    def every() -> None:
        nonlocal told
        now_ms = feed.clock.now_ms()
        commands: list[Command] = references.take()
        told += len(commands)
        for command in commands:
            reply = floor.execute(command, now_ms)
            if books:
                shown.touched(floor, command, reply)
        floor.take_events()
        if books:
            shown.publish(floor, now_ms)

    with ExitStack() as stack:
        if exchange:
            stack.enter_context(references.following())
        spent = asyncio.run(feed.play(seconds, every if exchange else lambda: None))
    return spent / seconds, told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="seconds of the feed to play")
    seconds = parser.parse_args().seconds
    use_wide_context()
    measure(10.0, exchange=True, books=True)
    alone, _ = measure(seconds, exchange=False, books=False)
    told, commands = measure(seconds, exchange=True, books=False)
    shown, _ = measure(seconds, exchange=True, books=True)
    print(f"feed, aggregated and kept in view      {alone:7.1%} of a core")
    print(f"references and execute, on top         {told - alone:7.1%} of a core, {commands / seconds:,.0f} commands/s")
    print(f"books of the exchange, on top          {shown - told:7.1%} of a core")


if __name__ == "__main__":
    main()
