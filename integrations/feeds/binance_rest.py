"""Binance's REST side: depth snapshots, candles, rules, and the weight they cost (binance-spot-api-docs, rest-api.md)."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import httpx

from core.clock import Clock
from core.vocabulary import CandleInterval, PriceSource
from events.feed import Level
from integrations.feeds.base import FeedMarket, ProviderCandle, ProviderRules, ProviderUnavailable
from integrations.feeds.fields import (
    Garbage,
    JsonObject,
    as_list,
    as_object,
    as_price,
    as_quantity,
    checked_time,
    children,
    integer,
    levels,
    price_if_given,
    text,
)
from integrations.feeds.http import HttpPolicy, ProviderHttp

WEIGHT_BUDGET = 4800
"""Of the 6,000 a minute and address that Binance allows; the rest is left to others behind the same address."""
PAGE = 1000
INTERVALS = {
    CandleInterval.MINUTE_1: "1m",
    CandleInterval.MINUTE_5: "5m",
    CandleInterval.MINUTE_15: "15m",
    CandleInterval.HOUR_1: "1h",
    CandleInterval.HOUR_4: "4h",
    CandleInterval.DAY_1: "1d",
    CandleInterval.WEEK_1: "1w",
}


@dataclass(frozen=True, slots=True)
class DepthSnapshot:
    """The book at an update id; `time_ms` is the time of arrival, Binance gives none."""

    last_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time_ms: int


class BinanceRest:
    """Requests about the configured markets. Every method raises ProviderUnavailable."""

    def __init__(
        self,
        url: str,
        markets: Sequence[FeedMarket],
        *,
        clock: Clock,
        api_key: str | None,
        policy: HttpPolicy | None,
        randomness: random.Random,
    ) -> None:
        self._provider_symbols = {market.symbol: market.provider_symbol for market in markets}
        self._clock = clock
        self._http = ProviderHttp(
            url,
            clock=clock,
            headers={"X-MBX-APIKEY": api_key} if api_key else {},
            policy=policy,
            randomness=randomness,
            hold_seconds=self._hold_seconds,
        )

    async def close(self) -> None:
        """Free the connections."""
        await self._http.close()

    async def depth(self, provider_symbol: str) -> DepthSnapshot:
        """The best 1,000 levels of each side (weight 50)."""
        answer = await self._http.get("/api/v3/depth", {"symbol": provider_symbol, "limit": 1000})
        try:
            body = as_object(answer, "depth")
            return DepthSnapshot(
                integer(body, "lastUpdateId"), levels(body, "bids"), levels(body, "asks"), self._clock.now_ms()
            )
        except Garbage as garbage:
            raise ProviderUnavailable(f"unusable depth snapshot: {garbage}") from garbage

    async def candles(
        self, symbol: str, interval: CandleInterval, *, from_ms: int, to_ms: int
    ) -> Sequence[ProviderCandle]:
        """Closed candles with from_ms <= open time < to_ms, oldest first, in pages of 1,000 (weight 2 each)."""
        params: dict[str, str | int] = {
            "symbol": self._name(symbol),
            "interval": INTERVALS[interval],
            "limit": PAGE,
            "endTime": to_ms - 1,
        }
        found: list[ProviderCandle] = []
        start = from_ms
        while start < to_ms:
            answer = await self._http.get("/api/v3/klines", {**params, "startTime": start})
            try:
                page = [_candle(row) for row in as_list(answer, "klines")]
                _check_order([candle.open_time_ms for candle in page], start, to_ms)
            except Garbage as garbage:
                raise ProviderUnavailable(f"unusable candles: {garbage}") from garbage
            found += page
            if len(page) < PAGE:
                break
            start = page[-1].open_time_ms + 1
        now_ms = self._clock.now_ms()
        return [candle for candle in found if candle.open_time_ms + interval.length_ms <= now_ms]

    async def rules(self) -> Sequence[ProviderRules]:
        """Tick, lot, minimum and status of every configured market (weight 20)."""
        names = json.dumps(sorted(self._provider_symbols.values()), separators=(",", ":"))
        answer = await self._http.get("/api/v3/exchangeInfo", {"symbols": names})
        try:
            published = {text(entry, "symbol"): entry for entry in children(as_object(answer, "answer"), "symbols")}
            return [
                _rules(symbol, published[name]) for symbol, name in self._provider_symbols.items() if name in published
            ]
        except Garbage as garbage:
            raise ProviderUnavailable(f"unusable rules: {garbage}") from garbage

    def _name(self, symbol: str) -> str:
        if symbol not in self._provider_symbols:
            raise ProviderUnavailable(f"{symbol} is not configured for {PriceSource.BINANCE}")
        return self._provider_symbols[symbol]

    def _hold_seconds(self, headers: httpx.Headers) -> float:
        """Until the next minute, when this one's weight is used up."""
        used = headers.get("x-mbx-used-weight-1m", "0")
        if not (used.isascii() and used.isdigit()) or int(used) < WEIGHT_BUDGET:
            return 0.0
        return 60.0 - self._clock.now_ms() % 60_000 / 1000


def _candle(value: object) -> ProviderCandle:
    row = as_list(value, "kline")
    if len(row) < 9:
        raise Garbage("kline: expected at least nine fields")
    open_time, trades = row[0], row[8]
    if not isinstance(open_time, int) or not isinstance(trades, int) or trades < 0:
        raise Garbage("kline: expected whole numbers")
    return ProviderCandle(
        open_time_ms=checked_time(open_time, "kline"),
        open=as_price(row[1], "open"),
        high=as_price(row[2], "high"),
        low=as_price(row[3], "low"),
        close=as_price(row[4], "close"),
        volume=as_quantity(row[5], "volume"),
        quote_volume=as_quantity(row[7], "quote volume"),
        trades=trades,
    )


def _check_order(times: Sequence[int], start: int, end: int) -> None:
    """Raises Garbage when a page is not what was asked for; paging on it might never end."""
    for time_ms in times:
        if not start <= time_ms < end:
            raise Garbage("open time: out of the range or order asked for")
        start = time_ms + 1


def _rules(symbol: str, published: JsonObject) -> ProviderRules:
    filters: Mapping[str, JsonObject] = {text(entry, "filterType"): entry for entry in children(published, "filters")}
    lot = filters.get("LOT_SIZE", {})
    notional = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", {}))
    return ProviderRules(
        symbol=symbol,
        tick_size=_limit(filters.get("PRICE_FILTER", {}), "tickSize"),
        lot_size=_limit(lot, "stepSize"),
        min_quantity=_limit(lot, "minQty"),
        max_quantity=_limit(lot, "maxQty"),
        min_notional=_limit(notional, "minNotional"),
        trading=text(published, "status") == "TRADING",
    )


def _limit(entry: JsonObject, key: str) -> Decimal | None:
    """A limit of a filter; Binance writes 0 for "none"."""
    return price_if_given(entry, key)
