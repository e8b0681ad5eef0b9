"""CoinMarketCap: index prices, polled, one request per quote currency.

Source: coinmarketcap.com/api/documentation, /v2/cryptocurrency/quotes/latest, errors and rate limits. Provider symbols are written
ID/CURRENCY with CoinMarketCap's own number, for example 1/USD for Bitcoin (names are not unique there, numbers are).
"""

import asyncio
import random
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from math import ceil

from core.clock import Clock
from core.money import MalformedNumber, provider_decimal
from core.vocabulary import PriceSource
from events.feed import FeedMessage, FeedPrice, FeedRejected
from integrations.feeds.base import Emit, FeedMarket, ProviderUnavailable, Sleep, split_pair
from integrations.feeds.fields import Garbage, JsonObject, as_object, as_price, child, rfc3339_ms
from integrations.feeds.http import HttpPolicy, ProviderHttp
from integrations.feeds.polling import poll_for_ever

CREDITS_A_MONTH = 10_000
"""Of the free plan; one request for up to 100 currencies costs one."""
SECONDS_A_MONTH = 31 * 86_400
FINEST = Decimal("1e-18")


class CoinMarketCapFeed:
    """CoinMarketCap's prices."""

    source = PriceSource.COINMARKETCAP

    def __init__(
        self,
        markets: Sequence[FeedMarket],
        *,
        api_key: str,
        clock: Clock,
        url: str = "https://pro-api.coinmarketcap.com",
        interval_seconds: float | None = None,
        http_policy: HttpPolicy | None = None,
        randomness: random.Random | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`interval_seconds`: None keeps within the free plan. Raises ValueError for a malformed provider symbol."""
        self._by_currency: dict[str, list[tuple[str, str]]] = {}
        for market in markets:
            number, currency = split_pair(market.provider_symbol)
            self._by_currency.setdefault(currency, []).append((market.symbol, number))
        requests = max(1, len(self._by_currency))
        self._interval_seconds = interval_seconds or ceil(requests * SECONDS_A_MONTH / CREDITS_A_MONTH)
        self._http = ProviderHttp(
            url,
            clock=clock,
            headers={"X-CMC_PRO_API_KEY": api_key},
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
        made: list[FeedMessage] = []
        for currency, wanted in self._by_currency.items():
            params = {
                "id": ",".join(sorted({number for _, number in wanted})),
                "convert": currency,
                "skip_invalid": "true",
            }
            answer = await self._http.get("/v2/cryptocurrency/quotes/latest", params)
            try:
                data = child(as_object(answer, "answer"), "data")
            except Garbage as garbage:
                raise ProviderUnavailable(f"unusable answer: {garbage}") from garbage
            made += [self._price(data, symbol, number, currency) for symbol, number in wanted]
        return made

    def _price(self, data: JsonObject, symbol: str, number: str, currency: str) -> FeedMessage:
        try:
            quote = child(child(child(data, number), "quote"), currency)
            return FeedPrice(self.source, symbol, _rounded(quote.get("price")), rfc3339_ms(quote, "last_updated"))
        except Garbage as garbage:
            return FeedRejected(self.source, f"{symbol}: {garbage}")


def _rounded(value: object) -> Decimal:
    """The price, half-even to 18 digits after the point: CoinMarketCap sends computed numbers of any length."""
    try:
        number = provider_decimal(value)
        return as_price(number if abs(number) >= 10**16 else number.quantize(FINEST, ROUND_HALF_EVEN), "price")
    except MalformedNumber as error:
        raise Garbage(f"price: {error}") from error
