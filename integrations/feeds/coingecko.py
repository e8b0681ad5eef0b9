"""CoinGecko: index prices, polled, all markets in one request.

Source: docs.coingecko.com, /simple/price, authentication and rate limits. Provider symbols are written ID/CURRENCY with CoinGecko's
own id and vs_currency, for example bitcoin/usd.
"""

import asyncio
import random
from collections.abc import Sequence

from core.clock import Clock
from core.vocabulary import PriceSource
from events.feed import FeedMessage, FeedPrice, FeedRejected
from integrations.feeds.base import Emit, FeedMarket, ProviderUnavailable, Sleep, split_pair
from integrations.feeds.fields import Garbage, JsonObject, as_object, checked_time, child, integer, price
from integrations.feeds.http import HttpPolicy, ProviderHttp
from integrations.feeds.polling import poll_for_ever

KEYLESS_INTERVAL_SECONDS = 60.0
"""Answers are cached for 60 s, and a caller without a key may ask about five times a minute."""
DEMO_INTERVAL_SECONDS = 270.0
"""A demo key may make 10,000 calls a month of 31 days."""
PRO_INTERVAL_SECONDS = 30.0
PRO_HOST = "pro-api.coingecko.com"


class CoinGeckoFeed:
    """CoinGecko's prices. A key of the pro plans goes with its own address, any other key is a demo key."""

    source = PriceSource.COINGECKO

    def __init__(
        self,
        markets: Sequence[FeedMarket],
        *,
        clock: Clock,
        url: str = "https://api.coingecko.com/api/v3",
        api_key: str | None = None,
        interval_seconds: float | None = None,
        http_policy: HttpPolicy | None = None,
        randomness: random.Random | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`interval_seconds`: None keeps within the plan's limits. Raises ValueError for a malformed provider symbol."""
        self._markets = [(market.symbol, *split_pair(market.provider_symbol)) for market in markets]
        is_pro = PRO_HOST in url
        header = "x-cg-pro-api-key" if is_pro else "x-cg-demo-api-key"
        plan_seconds = PRO_INTERVAL_SECONDS if is_pro else DEMO_INTERVAL_SECONDS
        self._interval_seconds = interval_seconds or (plan_seconds if api_key else KEYLESS_INTERVAL_SECONDS)
        self._http = ProviderHttp(
            url,
            clock=clock,
            headers={header: api_key} if api_key else {},
            policy=http_policy,
            randomness=randomness,
            sleep=sleep,
        )
        self._sleep = sleep

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled."""
        try:
            await poll_for_ever(
                self.source, self._poll, emit, interval_seconds=self._interval_seconds, sleep=self._sleep
            )
        finally:
            await self._http.close()

    async def _poll(self) -> Sequence[FeedMessage]:
        params = {
            "ids": ",".join(sorted({name for _, name, _ in self._markets})),
            "vs_currencies": ",".join(sorted({currency for _, _, currency in self._markets})),
            "include_last_updated_at": "true",
            "precision": "18",
        }
        answer = await self._http.get("/simple/price", params)
        try:
            prices = as_object(answer, "answer")
        except Garbage as garbage:
            raise ProviderUnavailable(f"unusable answer: {garbage}") from garbage
        return [self._price(prices, symbol, name, currency) for symbol, name, currency in self._markets]

    def _price(self, prices: JsonObject, symbol: str, name: str, currency: str) -> FeedMessage:
        try:
            entry = child(prices, name)
            time_ms = checked_time(integer(entry, "last_updated_at") * 1000, "last_updated_at")
            return FeedPrice(self.source, symbol, price(entry, currency), time_ms)
        except Garbage as garbage:
            return FeedRejected(self.source, f"{symbol}: {garbage}")
