"""The exchange's own books as everybody sees them: people's visible quantity and what the house quotes. It runs where the writer runs.

Invariant: a book that is told is never crossed. The house's quotes are shown while the market trades and as far as the house has room for them.

A book's sequence goes up by one with every change that is published, at most one in PERIOD_MS. It begins at the time in such
periods, so that it goes on above every number of an earlier writer without being stored.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

from core.bus import Bus
from core.vocabulary import MarketStatus, OrderSide
from events import commands
from events.market import EXCHANGE_TOPIC, BookChanged, BookReset, BooksConfirmed
from exchange.accounts import House
from exchange.engine import Exchange
from exchange.market import Market
from exchange.reply import Reply
from services import resyncs

PERIOD_MS = 100
"""A market's changes within this time are published as one."""
CONFIRMED_MS = 2_000
"""After this long without a change everybody is told that the books still hold."""
MOST_LEVELS = 200
"""Levels of each side, at most."""

Levels = dict[int, tuple[int, int]]
"""By price in ticks, best first: lots, and people's orders."""
SIDES = (OrderSide.BUY, OrderSide.SELL)


class _Published:
    """What was told of one market's book, nothing while its `tick` is 0. `bids` and `asks` are in ticks and lots."""

    __slots__ = ("asks", "bids", "lot", "sequence", "symbol", "tick", "time_ms")

    def __init__(self, symbol: str, sequence: int) -> None:
        self.symbol = symbol
        self.sequence = sequence
        self.time_ms = 0
        self.tick = self.lot = 0
        self.bids: Levels = {}
        self.asks: Levels = {}

    def take(self, market: Market, bids: Levels, asks: Levels, now_ms: int) -> BookReset | BookChanged | None:
        """Let the book be this now; what is to be told of it."""
        if (self.tick, self.lot) != (market.tick, market.lot):
            self.sequence = max(self.sequence, now_ms // PERIOD_MS) + 1
            self.tick, self.lot = market.tick, market.lot
            self.bids, self.asks, self.time_ms = bids, asks, now_ms
            return self.snapshot()
        changed = (_changes(self.bids, bids, SIDES[0]), _changes(self.asks, asks, SIDES[1]))
        if not any(changed):
            return None
        self.sequence += 1
        self.bids, self.asks, self.time_ms = bids, asks, now_ms
        told, orders = zip(*map(self._told, changed), strict=True)
        return BookChanged(self.symbol, self.sequence, told[0], told[1], now_ms, orders[0], orders[1])

    def snapshot(self) -> BookReset:
        """The whole book, as it was told last."""
        told, orders = zip(*map(self._told, (self.bids, self.asks)), strict=True)
        return BookReset(self.symbol, self.sequence, told[0], told[1], self.time_ms, orders[0], orders[1])

    def _told(self, levels: Levels) -> tuple[tuple[tuple[Decimal, Decimal], ...], tuple[int, ...]]:
        tick, lot = self.tick, self.lot
        return (
            tuple((_decimal(price * tick), _decimal(lots * lot)) for price, (lots, _) in levels.items()),
            tuple(count for _, count in levels.values()),
        )


class ExchangeBooks:
    """Call `touched` for what each command did and `publish` once its batch is in the journal, and at least every PERIOD_MS; `run` beside it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._published: dict[str, _Published] = {}
        self._dirty: set[str] = set()
        self._inventory: dict[str, int] = {}
        self._sequence = 0
        """Of the journal when books were published last."""
        self._confirmed_ms = 0

    def all_touched(self, exchange: Exchange) -> None:
        """A writer starts: every book is told anew, also to who followed an earlier one."""
        known = self._published
        self._published = {
            symbol: _Published(symbol, known[symbol].sequence if symbol in known else 0)
            for symbol in exchange.state.markets
        }
        self._dirty = set(exchange.state.markets)

    def touched(self, exchange: Exchange, command: commands.Command, reply: Reply) -> None:
        """Note whose book this command may have changed. O(orders it ended). A price that fired nothing changed none."""
        if isinstance(command, commands.ReferencePrice) and exchange.state.sequence == self._sequence:
            return
        if reply.refusal is None:
            self._dirty.update(symbol for symbol in _symbols(command, reply) if symbol in exchange.state.markets)

    def publish(self, exchange: Exchange, now_ms: int) -> None:
        """Tell what changed of the books that were touched, each at most once in PERIOD_MS; the others wait. O(levels shown)."""
        self._sequence = exchange.state.sequence
        self._follow_inventory(exchange)
        for symbol in sorted(self._dirty):
            market = exchange.state.markets[symbol]
            published = self._published.get(symbol)
            if published is None:
                published = self._published[symbol] = _Published(symbol, 0)
            if now_ms < published.time_ms + PERIOD_MS:
                continue
            self._dirty.discard(symbol)
            bids, asks = (_levels(exchange, market, side) for side in SIDES)
            event = published.take(market, bids, asks, now_ms)
            if event is not None:
                self._confirmed_ms = now_ms
                self._bus.publish(EXCHANGE_TOPIC, event)
        if now_ms >= self._confirmed_ms + CONFIRMED_MS:
            self._confirmed_ms = now_ms
            self._bus.publish(EXCHANGE_TOPIC, BooksConfirmed(now_ms))

    def _follow_inventory(self, exchange: Exchange) -> None:
        """What the house trades in one market it has no room for in another one of the same asset."""
        markets, inventory = exchange.state.markets, exchange.state.house[House.INVENTORY]
        bases = {markets[symbol].base for symbol in self._dirty}
        moved = {base for base in bases if inventory.get(base, 0) != self._inventory.get(base, 0)}
        if moved:
            self._inventory |= {base: inventory.get(base, 0) for base in moved}
            self._dirty.update(symbol for symbol, market in markets.items() if market.base in moved)

    async def run(self) -> None:
        """Tell processes that join; until cancelled."""
        await resyncs.answer(self._bus, self._tell)

    def _tell(self) -> None:
        for published in self._published.values():
            if published.tick:
                self._bus.publish(EXCHANGE_TOPIC, published.snapshot())


def _symbols(command: commands.Command, reply: Reply) -> Iterator[str]:
    match command:
        case commands.PlaceOrder():
            yield command.wish.symbol
        case commands.PlaceOco():
            yield command.profit.symbol
        case commands.PlaceBracket():
            yield command.entry.symbol
        case (
            commands.ReferencePrice() | commands.ReferenceBook() | commands.ReferenceLost() | commands.SetMarketStatus()
        ):
            yield command.symbol
        case commands.ConfigureMarket():
            yield command.rules.symbol
        case _ if reply.order is not None:
            yield reply.order.market.symbol
    for order in reply.ended:
        yield order.market.symbol


def _levels(exchange: Exchange, market: Market, side: OrderSide) -> Levels:
    """The best levels of a side: people's, and what the house has room to trade."""
    levels: Levels = {
        level.price: (level.visible, level.count) for level in islice(market.side(side).levels(), MOST_LEVELS)
    }
    quotes = exchange.quotes(market.symbol)
    if quotes is None or market.status is not MarketStatus.TRADING:
        return levels
    buys = side is OrderSide.BUY
    facing = (market.asks if buys else market.bids).best
    room = quotes.room(side, market, exchange.state.house[House.INVENTORY].get(market.base, 0))
    for price, lots in islice(quotes.levels(side), MOST_LEVELS):
        if not room:
            break
        if facing is not None and (price >= facing.price if buys else price <= facing.price):
            continue
        shown = min(lots, room)
        room -= shown
        people, count = levels.get(price, (0, 0))
        levels[price] = (people + shown, count)
    ordered = sorted(levels, reverse=buys)[:MOST_LEVELS]
    return {price: levels[price] for price in ordered}


def _changes(before: Levels, after: Levels, side: OrderSide) -> Levels:
    """Levels that are others now, those that are gone with nothing left, best first."""
    changed = {price: level for price, level in after.items() if before.get(price) != level}
    changed.update((price, (0, 0)) for price in before if price not in after)
    return {price: changed[price] for price in sorted(changed, reverse=side is OrderSide.BUY)}


def _decimal(atto: int) -> Decimal:
    """A number of commands, in 10^-18, as the fewest digits that say it."""
    return Decimal(atto).scaleb(-18).normalize()
