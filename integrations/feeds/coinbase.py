"""Coinbase Advanced Trade: ticker, trades and the order book over one socket; candles over the public REST.

Sources: docs.cdp.coinbase.com, Advanced Trade WebSocket (overview, channels) and "Get public product candles". Provider symbols are
written BTC-USD; -USDC products stream the data of their -USD product, so only -USD ones are to be named.
Every message of a connection carries sequence_num, one more than the one before, whatever its channel: a gap means that any book
may have missed a change, and the connection is given up. Heartbeats keep quiet channels open.
"""

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal

from core.clock import Clock
from core.vocabulary import CandleInterval, OrderSide, PriceSource
from events.feed import (
    FeedBookDelta,
    FeedBookLost,
    FeedBookSnapshot,
    FeedMessage,
    FeedQuote,
    FeedStats24h,
    FeedTrade,
)
from integrations.feeds.base import Emit, FeedMarket, ProviderCandle, ProviderUnavailable, by_provider_symbol
from integrations.feeds.fields import (
    Garbage,
    JsonObject,
    as_object,
    checked_time,
    children,
    if_given,
    integer,
    price,
    price_if_given,
    quantity,
    rfc3339_ms,
    text,
)
from integrations.feeds.http import HttpPolicy, ProviderHttp
from integrations.feeds.socket import ConnectionSpoiled, Conversation, Made, SocketLoop, SocketPolicy
from integrations.feeds.trades import NewTrades

CHANNELS = ("ticker", "market_trades", "level2")
CANDLES_PER_PAGE = 300
"""The provider's most is 350 with both ends counted."""
GRANULARITIES = {
    CandleInterval.MINUTE_1: "ONE_MINUTE",
    CandleInterval.MINUTE_5: "FIVE_MINUTE",
    CandleInterval.MINUTE_15: "FIFTEEN_MINUTE",
    CandleInterval.HOUR_1: "ONE_HOUR",
    CandleInterval.DAY_1: "ONE_DAY",
}


class CoinbaseFeed:
    """Coinbase's spot markets. Also a HistoryFeed, except for candles of four hours and of a week."""

    source = PriceSource.COINBASE

    def __init__(
        self,
        markets: Sequence[FeedMarket],
        *,
        clock: Clock,
        ws_url: str = "wss://advanced-trade-ws.coinbase.com",
        rest_url: str = "https://api.coinbase.com",
        socket_policy: SocketPolicy | None = None,
        http_policy: HttpPolicy | None = None,
        randomness: random.Random | None = None,
    ) -> None:
        self._symbols = by_provider_symbol(markets)
        self._provider_symbols = {market.symbol: market.provider_symbol for market in markets}
        self._new_trades = NewTrades()
        self._clock = clock
        randomness = randomness or random.Random()
        self._http = ProviderHttp(rest_url, clock=clock, policy=http_policy, randomness=randomness)
        self._loop = SocketLoop(
            self.source, ws_url, policy=socket_policy or SocketPolicy(), clock=clock, randomness=randomness
        )

    async def run(self, emit: Emit) -> None:
        """Stream every configured market until cancelled."""
        try:
            await self._loop.run(lambda: _CoinbaseConversation(self._symbols, self._new_trades), emit)
        finally:
            await self._http.close()

    async def candles(
        self, symbol: str, interval: CandleInterval, *, from_ms: int, to_ms: int
    ) -> Sequence[ProviderCandle]:
        """Closed candles with from_ms <= open time < to_ms, oldest first. Raises ProviderUnavailable."""
        if symbol not in self._provider_symbols or interval not in GRANULARITIES:
            raise ProviderUnavailable(f"{self.source} has no {interval} candles of {symbol}")
        path = f"/api/v3/brokerage/market/products/{self._provider_symbols[symbol]}/candles"
        length_ms = interval.length_ms
        closed_ms = min(to_ms, self._clock.now_ms() - length_ms + 1)
        start = -(-from_ms // length_ms) * length_ms
        found: list[ProviderCandle] = []
        while start < closed_ms:
            last = min(start + (CANDLES_PER_PAGE - 1) * length_ms, closed_ms - 1)
            params = {"start": str(start // 1000), "end": str(last // 1000), "granularity": GRANULARITIES[interval]}
            answer = await self._http.get(path, params)
            try:
                page = [_candle(entry) for entry in children(as_object(answer, "answer"), "candles")]
            except Garbage as garbage:
                raise ProviderUnavailable(f"unusable candles: {garbage}") from garbage
            inside = {candle.open_time_ms: candle for candle in page if start <= candle.open_time_ms <= last}
            found += [inside[time_ms] for time_ms in sorted(inside)]
            start += CANDLES_PER_PAGE * length_ms
        return found


class _CoinbaseConversation(Conversation):
    def __init__(self, symbols: Mapping[str, str], new_trades: NewTrades) -> None:
        self._symbols = symbols
        self._new_trades = new_trades
        self._sequence: int | None = None
        self._books: set[str] = set()
        """Symbols whose book was shown."""
        self._readers = {"ticker": self._ticker, "l2_data": self._book}

    def open(self) -> Sequence[JsonObject]:
        products = {"product_ids": list(self._symbols)}
        return [
            {"type": "subscribe", "channel": "heartbeats"},
            *({"type": "subscribe", "channel": channel, **products} for channel in CHANNELS),
        ]

    def receive(self, message: JsonObject) -> Made:
        if message.get("type") == "error":
            raise ConnectionSpoiled("the provider refused the subscription")
        self._check_sequence(integer(message, "sequence_num"))
        channel = text(message, "channel")
        if channel == "market_trades":
            return self._trades(message)
        read = self._readers.get(channel)
        if read is None:
            return ()
        time_ms = rfc3339_ms(message, "timestamp")
        return [made for event in children(message, "events") for made in read(event, time_ms)]

    def lose(self, reason: str) -> Sequence[FeedMessage]:
        return [FeedBookLost(PriceSource.COINBASE, symbol, reason) for symbol in sorted(self._books)]

    def _check_sequence(self, number: int) -> None:
        if self._sequence is not None and number != self._sequence + 1:
            raise ConnectionSpoiled(f"a gap in the sequence: {number} after {self._sequence}")
        self._sequence = number

    def _symbol(self, entry: JsonObject) -> str:
        symbol = self._symbols.get(text(entry, "product_id"))
        if symbol is None:
            raise Garbage("product_id: unknown product")
        return symbol

    def _ticker(self, event: JsonObject, time_ms: int) -> list[FeedMessage]:
        made: list[FeedMessage] = []
        for entry in children(event, "tickers"):
            symbol = self._symbol(entry)
            bid, ask = price_if_given(entry, "best_bid"), price_if_given(entry, "best_ask")
            if bid is not None and ask is not None:
                made.append(FeedQuote(PriceSource.COINBASE, symbol, bid, ask, time_ms))
            made.append(
                FeedStats24h(
                    PriceSource.COINBASE,
                    symbol,
                    time_ms,
                    high=price_if_given(entry, "high_24_h"),
                    low=price_if_given(entry, "low_24_h"),
                    volume=if_given(quantity, entry, "volume_24_h"),
                )
            )
        return made

    def _trades(self, message: JsonObject) -> Made:
        entries = [entry for event in children(message, "events") for entry in children(event, "trades")]
        return list(self._new_trades.among([self._trade(entry) for entry in entries]))

    def _trade(self, entry: JsonObject) -> FeedTrade:
        """Coinbase names the maker's side; ours is the taker's."""
        maker_side = text(entry, "side")
        if maker_side not in ("BUY", "SELL"):
            raise Garbage("side: expected BUY or SELL")
        return FeedTrade(
            PriceSource.COINBASE,
            self._symbol(entry),
            str(integer(entry, "trade_id")),
            price(entry, "price"),
            quantity(entry, "size"),
            OrderSide.SELL if maker_side == "BUY" else OrderSide.BUY,
            rfc3339_ms(entry, "time"),
        )

    def _book(self, event: JsonObject, time_ms: int) -> list[FeedMessage]:
        """An unusable change of a book would leave it wrong for good, so it ends the connection."""
        try:
            symbol = self._symbol(event)
            kind = text(event, "type")
            bids, asks = _sides(children(event, "updates"))
        except Garbage as garbage:
            raise ConnectionSpoiled(f"unusable book message: {garbage}") from garbage
        if kind == "snapshot":
            self._books.add(symbol)
            kept_bids = tuple(level for level in bids if level[1])
            kept_asks = tuple(level for level in asks if level[1])
            return [FeedBookSnapshot(PriceSource.COINBASE, symbol, kept_bids, kept_asks, time_ms)]
        if symbol not in self._books:
            raise ConnectionSpoiled("a book change before its snapshot")
        return [FeedBookDelta(PriceSource.COINBASE, symbol, bids, asks, time_ms)]


def _sides(
    updates: Sequence[JsonObject],
) -> tuple[tuple[tuple[Decimal, Decimal], ...], tuple[tuple[Decimal, Decimal], ...]]:
    """Bids and asks of a level2 message, the last word per price."""
    sides: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "offer": {}}
    for update in updates:
        side = sides.get(text(update, "side"))
        if side is None:
            raise Garbage("side: expected bid or offer")
        side[price(update, "price_level")] = quantity(update, "new_quantity")
    return tuple(sides["bid"].items()), tuple(sides["offer"].items())


def _candle(entry: JsonObject) -> ProviderCandle:
    return ProviderCandle(
        open_time_ms=checked_time(integer(entry, "start") * 1000, "start"),
        open=price(entry, "open"),
        high=price(entry, "high"),
        low=price(entry, "low"),
        close=price(entry, "close"),
        volume=quantity(entry, "volume"),
        quote_volume=None,
        trades=None,
    )
