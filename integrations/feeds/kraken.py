"""Kraken, WebSocket API version 2: ticker, trades and the order book with its checksum.

Sources: docs.kraken.com, Spot WebSocket v2 (ticker, trade, book) and the guide "Book checksum (WebSocket v2)". Provider symbols are
written BTC/USD. Kraken sends prices and quantities as JSON numbers of full precision, trailing zeros included, and the checksum
covers those very digits: they are read as Decimals and never rewritten.
Known limit: the checksum covers the ten best levels of each side; a message that is no JSON at all is noticed by the next checksum.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from zlib import crc32

from core.clock import Clock
from core.vocabulary import OrderSide, PriceSource
from events.feed import (
    FeedBookDelta,
    FeedBookLost,
    FeedBookSnapshot,
    FeedMessage,
    FeedQuote,
    FeedRejected,
    FeedStats24h,
    FeedTrade,
    Level,
)
from integrations.feeds.base import Emit, FeedMarket, by_provider_symbol
from integrations.feeds.fields import (
    Garbage,
    JsonObject,
    children,
    if_given,
    integer,
    price,
    price_if_given,
    quantity,
    rfc3339_ms,
    text,
)
from integrations.feeds.socket import ConnectionSpoiled, Conversation, Made, Send, SocketLoop, SocketPolicy
from integrations.feeds.trades import NewTrades

CHECKSUM_LEVELS = 10
MOST_LOST_BOOKS = 10
"""Books lost on one connection before it is given up: the reconnect waits longer and longer, a resubscription would not."""


class KrakenBook:
    """One book cut to the subscribed depth, with the digits of its levels as they were sent."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}

    def reset(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Replace everything."""
        self._bids = {level: size for level, size in bids if size}
        self._asks = {level: size for level, size in asks if size}

    def apply(self, bids: Sequence[Level], asks: Sequence[Level]) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Take up changed levels; returns the changes, among them a removal for every level that fell out of the depth."""
        return (
            self._apply(self._bids, bids, best_is_highest=True),
            self._apply(self._asks, asks, best_is_highest=False),
        )

    def checksum(self) -> int:
        """CRC32 over the digits of the ten best asks, then bids: price and quantity without point and leading zeros."""
        asks = sorted(self._asks.items())[:CHECKSUM_LEVELS]
        bids = sorted(self._bids.items(), reverse=True)[:CHECKSUM_LEVELS]
        return crc32("".join(_digits(level) + _digits(size) for level, size in (*asks, *bids)).encode())

    def _apply(
        self, side: dict[Decimal, Decimal], changes: Sequence[Level], *, best_is_highest: bool
    ) -> tuple[Level, ...]:
        changed = dict(changes)
        for level, size in changes:
            side.pop(level, None)
            if size:
                side[level] = size
        for level in sorted(side, reverse=best_is_highest)[self._depth :]:
            del side[level]
            changed[level] = Decimal(0)
        return tuple(changed.items())


def _digits(number: Decimal) -> str:
    return format(number, "f").replace(".", "").lstrip("0")


class KrakenFeed:
    """Kraken's spot markets."""

    source = PriceSource.KRAKEN

    def __init__(
        self,
        markets: Sequence[FeedMarket],
        *,
        clock: Clock,
        ws_url: str = "wss://ws.kraken.com/v2",
        depth: int = 100,
        socket_policy: SocketPolicy | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        """`depth`: levels of each side, one of the 10, 25, 100, 500 and 1000 that Kraken serves."""
        self._symbols = by_provider_symbol(markets)
        self._clock = clock
        self._depth = depth
        self._new_trades = NewTrades()
        self._loop = SocketLoop(
            self.source,
            ws_url,
            policy=socket_policy or SocketPolicy(),
            clock=clock,
            randomness=randomness or random.Random(),
        )

    async def run(self, emit: Emit) -> None:
        """Stream every configured market until cancelled."""
        await self._loop.run(
            lambda: _KrakenConversation(self._symbols, self._new_trades, depth=self._depth, clock=self._clock), emit
        )


class _KrakenConversation(Conversation):
    def __init__(self, symbols: Mapping[str, str], new_trades: NewTrades, *, depth: int, clock: Clock) -> None:
        self._symbols = symbols
        self._new_trades = new_trades
        self._depth = depth
        self._clock = clock
        self._books: dict[str, KrakenBook] = {}
        """By Kraken's symbol; a book is absent from its loss to its next snapshot."""
        self._lost = 0
        self._stats: dict[str, FeedStats24h] = {}
        self._readers = {"ticker": self._ticker, "trade": self._trades, "book": self._book_message}

    def open(self) -> Sequence[JsonObject]:
        names = list(self._symbols)
        return [
            _request("subscribe", channel="ticker", symbol=names, event_trigger="bbo"),
            _request("subscribe", channel="trade", symbol=names, snapshot=True),
            self._book_request("subscribe", names),
        ]

    def receive(self, message: JsonObject) -> Made:
        if "method" in message:
            if message.get("success") is False:
                raise Garbage(f"{text(message, 'method')}: refused by the provider")
            return ()
        read = self._readers.get(text(message, "channel"))
        if read is None:
            return ()
        return read(message)

    def lose(self, reason: str) -> Sequence[FeedMessage]:
        return [FeedBookLost(PriceSource.KRAKEN, self._symbols[name], reason) for name in self._books]

    def _name(self, entry: JsonObject) -> str:
        name = text(entry, "symbol")
        if name not in self._symbols:
            raise Garbage("symbol: unknown")
        return name

    def _time(self, entry: JsonObject) -> int:
        """Kraken's time; where it gives none, the time of arrival."""
        return if_given(rfc3339_ms, entry, "timestamp") or self._clock.now_ms()

    def _ticker(self, message: JsonObject) -> Made:
        made: list[FeedMessage] = []
        for entry in children(message, "data"):
            symbol = self._symbols[self._name(entry)]
            time_ms = self._time(entry)
            bid, ask = price_if_given(entry, "bid"), price_if_given(entry, "ask")
            if bid is not None and ask is not None:
                made.append(FeedQuote(PriceSource.KRAKEN, symbol, bid, ask, time_ms))
            stats = FeedStats24h(
                PriceSource.KRAKEN,
                symbol,
                0,
                high=price_if_given(entry, "high"),
                low=price_if_given(entry, "low"),
                volume=if_given(quantity, entry, "volume"),
                vwap=price_if_given(entry, "vwap"),
            )
            if self._stats.get(symbol) != stats:
                self._stats[symbol] = stats
                made.append(replace(stats, time_ms=time_ms))
        return made

    def _trades(self, message: JsonObject) -> Made:
        return list(self._new_trades.among([self._trade(entry) for entry in children(message, "data")]))

    def _trade(self, entry: JsonObject) -> FeedTrade:
        """Kraken names the taker's side."""
        side = text(entry, "side")
        if side not in ("buy", "sell"):
            raise Garbage("side: expected buy or sell")
        return FeedTrade(
            PriceSource.KRAKEN,
            self._symbols[self._name(entry)],
            str(integer(entry, "trade_id")),
            price(entry, "price"),
            quantity(entry, "qty"),
            OrderSide(side.upper()),
            rfc3339_ms(entry, "timestamp"),
        )

    def _book_message(self, message: JsonObject) -> Made:
        """One unusable entry loses its own book; the others, already changed, are handed on."""
        is_snapshot = text(message, "type") == "snapshot"
        made: list[FeedMessage | Send] = []
        for entry in children(message, "data"):
            name = entry.get("symbol")
            if not isinstance(name, str) or name not in self._symbols:
                made.append(FeedRejected(PriceSource.KRAKEN, "symbol: unknown"))
                continue
            try:
                made += self._book(name, entry, is_snapshot=is_snapshot)
            except Garbage as garbage:
                made += [FeedRejected(PriceSource.KRAKEN, str(garbage)), *self._lose_book(name, str(garbage))]
        return made

    def _book(self, name: str, entry: JsonObject, *, is_snapshot: bool) -> Made:
        if is_snapshot:
            self._books[name] = KrakenBook(self._depth)
        book = self._books.get(name)
        if book is None:
            return ()
        symbol, time_ms = self._symbols[name], self._time(entry)
        bids, asks = _levels(entry, "bids"), _levels(entry, "asks")
        checksum = integer(entry, "checksum")
        if is_snapshot:
            book.reset(bids, asks)
            shown: FeedMessage = FeedBookSnapshot(PriceSource.KRAKEN, symbol, bids, asks, time_ms)
        else:
            shown = FeedBookDelta(PriceSource.KRAKEN, symbol, *book.apply(bids, asks), time_ms)
        if book.checksum() != checksum:
            raise Garbage("checksum: does not match the book")
        return (shown,)

    def _lose_book(self, name: str, reason: str) -> Made:
        self._books.pop(name, None)
        self._lost += 1
        if self._lost > MOST_LOST_BOOKS:
            raise ConnectionSpoiled(f"{self._lost} books lost on one connection")
        return (
            FeedBookLost(PriceSource.KRAKEN, self._symbols[name], reason),
            Send(self._book_request("unsubscribe", [name])),
            Send(self._book_request("subscribe", [name])),
        )

    def _book_request(self, method: str, names: Sequence[str]) -> JsonObject:
        return _request(method, channel="book", symbol=list(names), depth=self._depth)


def _request(method: str, **params: object) -> JsonObject:
    return {"method": method, "params": params}


def _levels(entry: JsonObject, key: str) -> tuple[Level, ...]:
    return tuple((price(level, "price"), quantity(level, "qty")) for level in children(entry, key))
