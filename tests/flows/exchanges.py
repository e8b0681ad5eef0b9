"""Binance, Coinbase and Kraken on this machine, trading BTC-USDT for a server that is pointed at them."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

from websockets.exceptions import ConnectionClosed

from tests.integrations.feeds.venues.binance import BinanceVenue
from tests.integrations.feeds.venues.coinbase import CoinbaseVenue
from tests.integrations.feeds.venues.sockets import Line, SocketVenue
from tests.integrations.feeds.venues.web import Reply

SYMBOL = "BTC-USDT"
NAMES = ("BINANCE", "COINBASE", "KRAKEN")
TRADE_SECONDS = 0.05
STALE_SECONDS = 1.0


class KrakenVenue(SocketVenue):
    """Takes every subscription."""

    async def on_message(self, line: Line, message: dict[str, object]) -> None:
        params = message["params"]
        assert isinstance(params, dict)
        for symbol in params["symbol"]:
            result = {"channel": params["channel"], "symbol": symbol}
            await line.send({"method": message["method"], "result": result, "success": True})


class Exchanges:
    """Each trades at `prices[name]` every TRADE_SECONDS, on its newest connection; one without a price is silent."""

    def __init__(self) -> None:
        self.binance = BinanceVenue()
        self.binance.replies["/api/v3/klines"] = Reply([])
        self.coinbase = CoinbaseVenue({"events": []})
        self.kraken = KrakenVenue()
        self.venues: Mapping[str, SocketVenue] = dict(
            zip(NAMES, (self.binance, self.coinbase, self.kraken), strict=True)
        )
        self.prices: dict[str, Decimal] = {}
        self._ids = itertools.count(1)

    @property
    def settings(self) -> dict[str, str]:
        """What points a server at these."""
        return {
            "PRICE_SOURCES": ",".join(NAMES),
            "PRICE_STALE_SECONDS": str(STALE_SECONDS),
            "BINANCE_WS_URL": self.binance.url,
            "BINANCE_REST_URL": self.binance.web.url,
            "COINBASE_WS_URL": self.coinbase.url,
            "KRAKEN_WS_URL": self.kraken.url,
        }

    async def say(self, name: str, message: object) -> None:
        """Send anything on an exchange's newest connection."""
        await self.venues[name].lines[-1].send(message)

    async def trade(self, name: str, price: Decimal) -> None:
        """One trade, now, in the exchange's own words."""
        number, now = next(self._ids), datetime.now(UTC)
        millis, moment = int(now.timestamp() * 1000), now.isoformat().replace("+00:00", "Z")
        if name == "BINANCE":
            data = {
                "e": "trade",
                "E": millis,
                "s": "BTCUSDT",
                "t": number,
                "p": str(price),
                "q": "0.5",
                "T": millis,
                "m": False,
            }
            await self.say(name, {"stream": "btcusdt@trade", "data": data})
        elif name == "COINBASE":
            entry = {
                "trade_id": str(number),
                "product_id": SYMBOL,
                "price": str(price),
                "size": "0.5",
                "side": "SELL",
                "time": moment,
            }
            await self.coinbase.say(self.coinbase.lines[-1], "market_trades", {"type": "update", "trades": [entry]})
        else:
            sale = {
                "symbol": "BTC/USDT",
                "side": "buy",
                "price": price,
                "qty": Decimal("0.5"),
                "trade_id": number,
                "timestamp": moment,
            }
            await self.say(name, {"channel": "trade", "type": "update", "data": [{**sale, "ord_type": "market"}]})

    async def _run(self) -> None:
        while True:
            for name, price in tuple(self.prices.items()):
                if self.venues[name].lines:
                    try:
                        await self.trade(name, price)
                    except ConnectionClosed:
                        continue
            await asyncio.sleep(TRADE_SECONDS)


@asynccontextmanager
async def open_exchanges(**prices: str) -> AsyncIterator[Exchanges]:
    """All three, listening, trading at these prices for as long as the block runs."""
    exchanges = Exchanges()
    exchanges.prices = {name: Decimal(price) for name, price in prices.items()}
    async with exchanges.binance.both(), exchanges.coinbase.listening(), exchanges.kraken.listening():
        trading = asyncio.create_task(exchanges._run())
        try:
            yield exchanges
        finally:
            trading.cancel()
            await asyncio.gather(trading, return_exceptions=True)
