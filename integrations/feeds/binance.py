"""Binance spot: trades, best quotes, 24-hour figures and the order book over one combined stream; candles and rules over REST.

Sources: binance-spot-api-docs (web-socket-streams.md, rest-api.md). Provider symbols are written BTCUSDT.
The book follows the documented procedure: diffs are held back from the moment of subscribing, a snapshot is fetched beside the
reading, and `DepthSync` says which diffs follow it. A gap loses that one book and fetches a new snapshot.
Server pings are answered by the socket library; at most 1,024 streams and five messages a second towards Binance.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from functools import partial

from core.backoff import Backoff
from core.clock import Clock
from core.vocabulary import CandleInterval, OrderSide, PriceSource
from events.feed import (
    FeedBookDelta,
    FeedBookLost,
    FeedBookSnapshot,
    FeedMessage,
    FeedQuote,
    FeedRejected,
    FeedStats24h,
    FeedTrade,
)
from integrations.feeds.base import (
    Emit,
    FeedMarket,
    ProviderCandle,
    ProviderRules,
    ProviderUnavailable,
    by_provider_symbol,
)
from integrations.feeds.binance_rest import BinanceRest, DepthSnapshot
from integrations.feeds.depth import DepthDiff, DepthFlavour, DepthGap, DepthSync
from integrations.feeds.fields import (
    Garbage,
    JsonObject,
    child,
    epoch_ms,
    if_given,
    integer,
    levels,
    price,
    price_if_given,
    quantity,
    text,
)
from integrations.feeds.http import HttpPolicy
from integrations.feeds.socket import ConnectionSpoiled, Conversation, Deliver, Made, SocketLoop, SocketPolicy

STREAMS = ("trade", "bookTicker", "ticker", "depth@100ms")
MOST_STREAMS = 1024
STREAMS_PER_MESSAGE = 100
SNAPSHOT_RETRY_SECONDS = (0.5, 15.0)


class BinanceFeed:
    """Binance's spot markets. Also a HistoryFeed and a RulesFeed."""

    source = PriceSource.BINANCE

    def __init__(
        self,
        markets: Sequence[FeedMarket],
        *,
        clock: Clock,
        ws_url: str = "wss://stream.binance.com:9443",
        rest_url: str = "https://api.binance.com",
        api_key: str | None = None,
        socket_policy: SocketPolicy | None = None,
        http_policy: HttpPolicy | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        """Raises ValueError for more markets than one connection may stream."""
        if len(markets) * len(STREAMS) > MOST_STREAMS:
            raise ValueError(f"Binance streams at most {MOST_STREAMS // len(STREAMS)} markets, got {len(markets)}")
        self._symbols = by_provider_symbol(markets)
        self._clock = clock
        self._randomness = randomness or random.Random()
        self._rest = BinanceRest(
            rest_url, markets, clock=clock, api_key=api_key, policy=http_policy, randomness=self._randomness
        )
        self._loop = SocketLoop(
            self.source,
            ws_url.rstrip("/") + "/stream",
            policy=socket_policy or SocketPolicy(),
            clock=clock,
            randomness=self._randomness,
        )

    async def run(self, emit: Emit) -> None:
        """Stream every configured market until cancelled."""
        try:
            await self._loop.run(self._converse, emit)
        finally:
            await self._rest.close()

    async def candles(
        self, symbol: str, interval: CandleInterval, *, from_ms: int, to_ms: int
    ) -> Sequence[ProviderCandle]:
        """Closed candles with from_ms <= open time < to_ms, oldest first. Raises ProviderUnavailable."""
        return await self._rest.candles(symbol, interval, from_ms=from_ms, to_ms=to_ms)

    async def rules(self) -> Sequence[ProviderRules]:
        """Rules of the configured markets. Raises ProviderUnavailable."""
        return await self._rest.rules()

    def _converse(self) -> Conversation:
        return _BinanceConversation(self._symbols, self._rest, self._clock, self._randomness)


class BinanceBook:
    """One market's book on one connection. `shown`: a snapshot was emitted and nothing has been lost since."""

    def __init__(self, provider_symbol: str, symbol: str, backoff: Backoff) -> None:
        """`backoff`: between two attempts to get this book's snapshot."""
        self.provider_symbol = provider_symbol
        self.symbol = symbol
        self.backoff = backoff
        self.sync = DepthSync(DepthFlavour.SPOT)
        self.shown = False

    def follow(self, diff: DepthDiff) -> tuple[list[FeedMessage], bool]:
        """What a diff makes of the book, and whether a new snapshot is needed because of it."""
        try:
            return [self._delta(ready) for ready in self.sync.offer(diff)], False
        except DepthGap as gap:
            self.shown = False
            return [FeedBookLost(PriceSource.BINANCE, self.symbol, str(gap))], True

    def start(self, snapshot: DepthSnapshot) -> list[FeedMessage]:
        """The book from a snapshot on. Raises DepthGap when the snapshot does not meet the diffs."""
        ready = self.sync.start(snapshot.last_update_id)
        self.shown = True
        whole = FeedBookSnapshot(PriceSource.BINANCE, self.symbol, snapshot.bids, snapshot.asks, snapshot.time_ms)
        return [whole, *(self._delta(diff) for diff in ready)]

    def reject(self, reason: str) -> list[FeedMessage]:
        """Why there is no book yet."""
        return [FeedRejected(PriceSource.BINANCE, f"{self.symbol} snapshot: {reason}")]

    def _delta(self, diff: DepthDiff) -> FeedMessage:
        return FeedBookDelta(PriceSource.BINANCE, self.symbol, diff.bids, diff.asks, diff.time_ms)


class _BinanceConversation(Conversation):
    """One connection. Every book starts without a snapshot."""

    def __init__(self, symbols: Mapping[str, str], rest: BinanceRest, clock: Clock, randomness: random.Random) -> None:
        self._books = {
            name: BinanceBook(name, symbol, Backoff(*SNAPSHOT_RETRY_SECONDS, randomness))
            for name, symbol in symbols.items()
        }
        self._rest = rest
        self._clock = clock
        self._wanted: asyncio.Queue[BinanceBook] = asyncio.Queue(len(self._books))
        """Books without a snapshot; a book is in it once, so it never overflows."""
        for book in self._books.values():
            self._wanted.put_nowait(book)
        self._readers = {
            "trade": self._trade,
            "bookTicker": self._quote,
            "ticker": self._stats,
            "depth@100ms": self._depth,
        }

    def open(self) -> Sequence[JsonObject]:
        names = [f"{name.lower()}@{stream}" for name in self._books for stream in STREAMS]
        return [
            {"method": "SUBSCRIBE", "params": names[start : start + STREAMS_PER_MESSAGE], "id": start + 1}
            for start in range(0, len(names), STREAMS_PER_MESSAGE)
        ]

    def receive(self, message: JsonObject) -> Made:
        if "stream" not in message:
            if "error" in message or "code" in message:
                raise ConnectionSpoiled("the provider refused the subscription")
            if "result" not in message:
                raise Garbage("unknown message")
            return ()
        _, _, kind = text(message, "stream").partition("@")
        read = self._readers.get(kind)
        if read is None:
            raise Garbage("stream: unknown")
        data = child(message, "data")
        book = self._books.get(text(data, "s"))
        if book is None:
            raise Garbage("s: unknown symbol")
        return read(book, data)

    async def assist(self, deliver: Deliver) -> None:
        """Fetch a snapshot for every book that needs one, one after the other; one that cannot be had keeps no other waiting."""
        loop = asyncio.get_running_loop()
        while True:
            book = await self._wanted.get()
            try:
                snapshot = await self._rest.depth(book.provider_symbol)
                await deliver(partial(book.start, snapshot))
            except (ProviderUnavailable, DepthGap) as failure:
                loop.call_later(book.backoff.next_delay(), self._wanted.put_nowait, book)
                await deliver(partial(book.reject, str(failure)))
                if isinstance(failure, ProviderUnavailable):
                    await asyncio.sleep(failure.retry_after_seconds)
            else:
                book.backoff.reset()

    def lose(self, reason: str) -> Sequence[FeedMessage]:
        return [FeedBookLost(PriceSource.BINANCE, book.symbol, reason) for book in self._books.values() if book.shown]

    def _trade(self, book: BinanceBook, data: JsonObject) -> Made:
        buyer_is_maker = data.get("m")
        if not isinstance(buyer_is_maker, bool):
            raise Garbage("m: expected true or false")
        return [
            FeedTrade(
                PriceSource.BINANCE,
                book.symbol,
                str(integer(data, "t")),
                price(data, "p"),
                quantity(data, "q"),
                OrderSide.SELL if buyer_is_maker else OrderSide.BUY,
                epoch_ms(data, "T"),
            )
        ]

    def _quote(self, book: BinanceBook, data: JsonObject) -> Made:
        """Spot quotes carry no time: the time of arrival stands for it."""
        time_ms = if_given(epoch_ms, data, "E") or self._clock.now_ms()
        return [FeedQuote(PriceSource.BINANCE, book.symbol, price(data, "b"), price(data, "a"), time_ms)]

    def _stats(self, book: BinanceBook, data: JsonObject) -> Made:
        return [
            FeedStats24h(
                PriceSource.BINANCE,
                book.symbol,
                epoch_ms(data, "E"),
                open=price_if_given(data, "o"),
                high=price_if_given(data, "h"),
                low=price_if_given(data, "l"),
                volume=quantity(data, "v"),
                quote_volume=quantity(data, "q"),
                vwap=price_if_given(data, "w"),
                trades=integer(data, "n"),
            )
        ]

    def _depth(self, book: BinanceBook, data: JsonObject) -> Made:
        diff = DepthDiff(
            first_id=integer(data, "U"),
            last_id=integer(data, "u"),
            previous_id=None,
            bids=levels(data, "b"),
            asks=levels(data, "a"),
            time_ms=epoch_ms(data, "E"),
        )
        if diff.last_id < diff.first_id:
            raise Garbage("u: expected not less than U")
        made, lost = book.follow(diff)
        if lost:
            self._wanted.put_nowait(book)
        return made
