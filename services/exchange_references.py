"""What the exchange is told of the reference: prices that fire stops, and the books that the house mirrors. It runs where the writer runs.

It follows this process's `MarketView`, so that what arrives here was accepted: outlying, late and rejected prices never do. LAST is the
last trade, MARK the median of the sources. While a market's feed is stale or down, or of a series that may not be traded against, its
reference is lost; that is said once.

Conflation: between two calls of `take` a market's prices keep every turning point in its order, so that no high and no low is lost to a stop;
of its book the newest is taken, at most every BOOK_MS, and only the levels that differ from what was told before.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

from core.clock import Clock
from core.settings import Mode, Settings
from core.vocabulary import FeedStatus, Series, series_of
from events.commands import Command, ReferenceBook, ReferenceLost, ReferencePrice
from events.market import FeedChanged, TickAccepted, TradeAccepted
from services.books import Book, BookSide
from services.catalogue import Catalogue
from services.market_view import MarketView
from services.markets import DEFAULT_QUOTES

BOOK_MS = 250
"""A market's book is told at most once in this time."""
LOOK_SECONDS = 0.05
MOST_LEVELS = 50
"""Levels of each side that are mirrored."""
MOST_TURNS = 50
"""Turning points kept of a price that nobody takes; beyond them the highest, the lowest and the newest."""
SETTLED_MS = 500
"""A feed that is back has sent a tick within this time, unless the newest one still holds."""

Step = tuple[Decimal, Decimal]
"""A market's tick and lot."""
AttoLevels = tuple[tuple[int, int], ...]
"""Price and quantity in 10^-18."""


@dataclass(frozen=True, slots=True)
class ReferencePolicy:
    """What may be traded against: markets the house mirrors, series that count, what the house may own or owe of a base asset, and after
    how long a trade is no news."""

    mirrored: frozenset[str]
    series: frozenset[Series]
    exposure_usd: Decimal
    stale_ms: int

    @staticmethod
    def of(settings: Settings, catalogue: Catalogue) -> "ReferencePolicy":
        """As the settings say. Raises UnknownMarket for one they name that there is not."""
        for entry in settings.liquidity or ():
            symbol, equals, _ = entry.rpartition("=")
            if equals:
                catalogue.market(symbol)
        made_up = {Series.SIMULATED, Series.REPLAY} if settings.mode is not Mode.PRODUCTION else set()
        return ReferencePolicy(
            mirrored=frozenset(filter(settings.mirrors, catalogue.markets)),
            series=frozenset({Series.LIVE, *made_up}),
            exposure_usd=settings.house_exposure_usd,
            stale_ms=round(settings.price_stale_seconds * 1000),
        )


class _Path:
    """Prices of one kind that wait: every turn since the last one that was taken, oldest first, each with its place among all."""

    def __init__(self) -> None:
        self._turns: list[tuple[int, ReferencePrice]] = []
        self._before: int | None = None

    def add(self, place: int, price: ReferencePrice) -> None:
        """The newest price."""
        turns = self._turns
        if turns:
            newest = turns[-1][1].price
            before = turns[-2][1].price if len(turns) > 1 else self._before
            step = price.price - newest
            if step == 0 or (before is not None and (newest - before) * step >= 0):
                turns.pop()
        turns.append((place, price))
        if len(turns) > MOST_TURNS:
            kept = {min(turns, key=_price_of), max(turns, key=_price_of), turns[-1]}
            self._turns = sorted(kept, key=lambda turn: turn[0])

    def take(self) -> list[tuple[int, ReferencePrice]]:
        """What waits."""
        turns, self._turns = self._turns, []
        if turns:
            self._before = turns[-1][1].price
        return turns

    def forget(self) -> None:
        """Another price has nothing to do with those before it."""
        self._turns, self._before = [], None

    def __bool__(self) -> bool:
        return bool(self._turns)


class _Told:
    """What the exchange knows of one market's reference, and what waits for it. `series`: of the feed that counts now; None while it is
    lost. `book`: levels the exchange was told. `step`: what it counts in."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.series: Series | None = None
        self.lost = False
        self.spoke = False
        self.last, self.mark = _Path(), _Path()
        self.mark_price: Decimal | None = None
        self.settled_ms = 0
        self.trade_ms = 0
        self.book: tuple[dict[int, int], dict[int, int]] | None = None
        self.book_sequence = 0
        self.book_due_ms = 0
        self.step: Step | None = None

    def lose(self) -> None:
        """The reference is stale; what waits is so as well."""
        self.series = self.mark_price = self.book = None
        self.book_sequence = 0
        self.lost, self.spoke = self.lost or self.spoke, False
        self.last.forget()
        self.mark.forget()

    def prices(self) -> list[ReferencePrice]:
        """Those that wait, in their order."""
        if not (self.last or self.mark):
            return []
        self.spoke = True
        waiting = sorted(chain(self.last.take(), self.mark.take()), key=lambda turn: turn[0])
        return [price for _, price in waiting]


class ExchangeReferences:
    """`run` beside a writer; `ready` is set when `take` has something for its next batch. The next writer is told everything anew."""

    def __init__(self, view: MarketView, clock: Clock, policy: ReferencePolicy) -> None:
        self.ready = asyncio.Event()
        self._view = view
        self._clock = clock
        self._policy = policy
        self._told = {symbol: _Told(symbol) for symbol in view.states}
        self._place = 0
        self._version = 0
        self._again: list[_Told] = []
        """Markets that count in other steps since the last `take`."""

    async def run(self) -> None:
        """Follow the markets until cancelled."""
        with self.following():
            while True:
                if self._is_due(self._clock.now_ms()):
                    self.ready.set()
                await asyncio.sleep(LOOK_SECONDS)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow the markets until the block ends; then nothing has been told to anybody."""
        view = self._view
        view.ticks.followers.append(self._tick)
        view.trades.followers.append(self._trade)
        view.feeds.followers.append(self._feed)
        for state in view.states.values():
            if state.feed is not None:
                self._feed(state.feed)
        try:
            yield
        finally:
            view.ticks.followers.remove(self._tick)
            view.trades.followers.remove(self._trade)
            view.feeds.followers.remove(self._feed)
            self._told = {symbol: _Told(symbol) for symbol in view.states}
            self._version, self._again = 0, []

    def take(self) -> list[Command]:
        """What the exchange is to be told now, in its order; every market must be configured there. Books come before the prices that fire
        stops into them."""
        self.ready.clear()
        now_ms = self._clock.now_ms()
        commands: list[Command] = []
        self._follow_steps()
        for told in self._told.values():
            if told.lost:
                told.lost = False
                commands.append(ReferenceLost(told.symbol))
            self._settle(told, now_ms)
            if self._book_is_due(told, now_ms) and (book := self._book(told, now_ms)) is not None:
                commands.append(book)
            commands += told.prices()
        return commands

    def _follow_steps(self) -> None:
        """A market that counts in other ticks or lots loses its reference there; with the next batch it is told anew."""
        for told in self._again:
            if (feed := self._view.states[told.symbol].feed) is not None:
                self._feed(feed)
        self._again = []
        catalogue = self._view.catalogue
        if catalogue.version == self._version:
            return
        self._version = catalogue.version
        for told in self._told.values():
            rules = catalogue.market(told.symbol).rules
            before, told.step = told.step, (rules.tick_size, rules.lot_size)
            if before is not None and before != told.step:
                told.lose()
                self._again.append(told)

    def _is_due(self, now_ms: int) -> bool:
        return (
            bool(self._again)
            or self._view.catalogue.version != self._version
            or any(
                told.lost or told.last or told.mark or 0 < told.settled_ms <= now_ms or self._book_is_due(told, now_ms)
                for told in self._told.values()
            )
        )

    def _feed(self, feed: FeedChanged) -> None:
        told = self._told[feed.symbol]
        fresh = feed.status not in (FeedStatus.STALE, FeedStatus.DOWN) and feed.series in self._policy.series
        series = feed.series if fresh else None
        if series is told.series:
            return
        told.lose()
        told.series = series
        told.settled_ms = 0 if series is None else self._clock.now_ms() + SETTLED_MS

    def _tick(self, tick: TickAccepted) -> None:
        told = self._told[tick.symbol]
        if told.series is series_of(tick.source):
            told.settled_ms = 0
            told.mark_price = tick.price
            self._add(
                told.mark, ReferencePrice(tick.symbol, _atto(tick.price), tick.source, tick.time_ms, is_mark=True)
            )

    def _trade(self, trade: TradeAccepted) -> None:
        told = self._told[trade.symbol]
        if told.series is not trade.series or trade.time_ms < told.trade_ms:
            return
        if trade.series is not Series.REPLAY and trade.time_ms < self._clock.now_ms() - self._policy.stale_ms:
            return
        told.trade_ms = trade.time_ms
        self._add(told.last, ReferencePrice(trade.symbol, _atto(trade.price), trade.source, trade.time_ms))

    def _add(self, path: _Path, price: ReferencePrice) -> None:
        self._place += 1
        path.add(self._place, price)

    def _settle(self, told: _Told, now_ms: int) -> None:
        """A feed that is back and sent no tick: the newest one still holds."""
        tick = self._view.states[told.symbol].tick
        if 0 < told.settled_ms <= now_ms:
            told.settled_ms = 0
            if tick is not None:
                self._tick(tick)

    def _book_is_due(self, told: _Told, now_ms: int) -> bool:
        if told.series is None or told.symbol not in self._policy.mirrored or now_ms < told.book_due_ms:
            return False
        book = self._view.books[told.symbol]
        return told.book is not None if book.lost is not None else book.sequence != told.book_sequence

    def _book(self, told: _Told, now_ms: int) -> ReferenceBook | None:
        """What changed in the levels that are mirrored; None: nothing, or nobody knows what the base asset is worth."""
        told.book_due_ms = now_ms + BOOK_MS
        book, limit = self._view.books[told.symbol], self._inventory_limit(told.symbol)
        if limit is None:
            return None
        if book.lost is not None:
            told.book, told.book_sequence = None, 0
            return ReferenceBook(told.symbol, (), (), is_snapshot=True, inventory_limit=limit)
        told.book_sequence = book.sequence
        before, told.book = told.book, _top(book)
        told.spoke = True
        if before is None:
            bids, asks = (tuple(levels.items()) for levels in told.book)
            return ReferenceBook(told.symbol, bids, asks, is_snapshot=True, inventory_limit=limit)
        bids, asks = (_changes(*pair) for pair in zip(before, told.book, strict=True))
        return (
            ReferenceBook(told.symbol, bids, asks, is_snapshot=False, inventory_limit=limit) if bids or asks else None
        )

    def _inventory_limit(self, symbol: str) -> int | None:
        """Units of the base asset that the exposure buys at the mark; None where it has no price in dollars."""
        market = self._view.catalogue.market(symbol)
        price = self._usd(market.base)
        if price is None:
            own, quote = self._told[symbol].mark_price, self._usd(market.quote)
            price = None if own is None or quote is None else own * quote
        if price is None:
            return None
        return int((self._policy.exposure_usd / price).scaleb(self._view.catalogue.asset(market.base).decimals))

    def _usd(self, asset: str) -> Decimal | None:
        """What an asset is worth in dollars: its mark in the first of the dollar markets that has one; a dollar is worth one."""
        for quote in DEFAULT_QUOTES:
            told = self._told.get(f"{asset}-{quote}")
            if told is not None and told.mark_price is not None:
                return told.mark_price
        return Decimal(1) if asset in DEFAULT_QUOTES else None


def _price_of(turn: tuple[int, ReferencePrice]) -> int:
    return turn[1].price


def _top(book: Book) -> tuple[dict[int, int], dict[int, int]]:
    return _atto_levels(book.bids), _atto_levels(book.asks)


def _atto_levels(side: BookSide) -> dict[int, int]:
    return {_atto(price): _atto(quantity) for price, quantity in side.top(MOST_LEVELS)}


def _changes(before: dict[int, int], after: dict[int, int]) -> AttoLevels:
    changed = [(price, quantity) for price, quantity in after.items() if before.get(price) != quantity]
    return (*changed, *((price, 0) for price in before if price not in after))


def _atto(number: Decimal) -> int:
    return int(number.scaleb(18))
