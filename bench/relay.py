"""`python -m bench.relay PORT`: the market data worker as an API process sees it, told of ticks by the load client.

Each line on the port is a tick as JSON. It goes out over Redis as the worker sends it: `TickAccepted` at once and `TickerChanged` at most
every CHECK_SECONDS a market, encoded, numbered and sealed by the product's own code. An API process that asks for everything
(`ResyncRequested`) is answered. Settings come from the environment, those of the API process: REDIS_URL, ENCRYPTION_KEY.
"""

import asyncio
import sys
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import orjson
import uvloop

from bench import shape
from bench.peers import control
from core.bus import Bus, BusGap
from core.clock import SystemClock
from core.ids import random_id
from core.message_seal import MessageSeal
from core.redis_bus import RedisBus
from core.settings import Settings, load_settings
from core.vocabulary import FeedStatus, PriceSource, Series
from events import codec
from events.market import (
    CONTROL_TOPIC,
    MARKET_TOPIC,
    FeedChanged,
    MarketEvent,
    ResyncFinished,
    ResyncRequested,
    TickAccepted,
    TickerChanged,
)
from server.encryption_keys import configured_box
from services.market_data import CHECK_SECONDS

SOURCE = PriceSource.BINANCE


class Relay:
    """The newest tick and ticker of every market, and who is told of them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        now_ms = SystemClock().now_ms()
        self._tickers = {
            pair.symbol: _first_ticker(pair.symbol, place, now_ms) for place, pair in enumerate(shape.pairs())
        }
        self._ticks: dict[str, TickAccepted] = {}
        self._changed: dict[str, None] = {}

    def take(self, line: bytes) -> None:
        """A tick of the load client."""
        told = orjson.loads(line)
        tick = TickAccepted(
            symbol=told["symbol"],
            price=Decimal(told["price"]),
            bid=Decimal(told["bid"]),
            ask=Decimal(told["ask"]),
            source=SOURCE,
            time_ms=int(datetime.fromisoformat(told["time"]).timestamp() * 1000),
            sequence=told["sequence"],
        )
        self._ticks[tick.symbol] = tick
        self._changed[tick.symbol] = None
        self._bus.publish(MARKET_TOPIC, tick)

    async def tell_tickers(self) -> None:
        """Tickers that changed, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            changed, self._changed = self._changed, {}
            for symbol in changed:
                tick = self._ticks[symbol]
                ticker = replace(
                    self._tickers[symbol], time_ms=tick.time_ms, last=tick.price, bid=tick.bid, ask=tick.ask
                )
                self._tickers[symbol] = ticker
                self._bus.publish(MARKET_TOPIC, ticker)

    async def answer(self) -> None:
        """Tell everything to whoever asks, until cancelled."""
        async with self._bus.subscribe(CONTROL_TOPIC) as subscription:
            self._tell_everything("")
            async for item in subscription:
                if isinstance(item, BusGap):
                    self._tell_everything("")
                elif isinstance(item.event, ResyncRequested):
                    self._tell_everything(item.event.process)

    def _tell_everything(self, process: str) -> None:
        for symbol, ticker in self._tickers.items():
            told: list[MarketEvent] = [_feed(symbol, ticker.time_ms), ticker]
            if symbol in self._ticks:
                told.append(self._ticks[symbol])
            for event in told:
                self._bus.publish(MARKET_TOPIC, event)
        self._bus.publish(MARKET_TOPIC, ResyncFinished(process))


def _feed(symbol: str, now_ms: int) -> FeedChanged:
    return FeedChanged(
        symbol=symbol,
        status=FeedStatus.LIVE,
        source=SOURCE,
        series=Series.LIVE,
        last_update_ms=now_ms,
        latency_ms=1,
        sources=(),
    )


def _first_ticker(symbol: str, place: int, now_ms: int) -> TickerChanged:
    figures = {name: Decimal(value) for name, value in shape.ticker_values(place).items()}
    return TickerChanged(
        symbol=symbol,
        time_ms=now_ms,
        last=figures["last"],
        bid=figures["bid"],
        ask=figures["ask"],
        open24h=figures["open24h"],
        high24h=figures["high24h"],
        low24h=figures["low24h"],
        volume24h=figures["volume24h"],
        quote_volume24h=None,
        vwap24h=None,
        trades24h=None,
    )


async def run(settings: Settings, port: int) -> None:
    """Until cancelled."""
    if settings.redis_url is None:
        raise SystemExit("REDIS_URL is missing")
    clock = SystemClock()
    bus = RedisBus(
        settings.redis_url.get_secret_value(),
        encode=codec.encode,
        decode=codec.decode,
        publisher=random_id(),
        clock=clock,
        seal=MessageSeal(configured_box(settings), "bus"),
        namespace=settings.redis_namespace,
    )
    await bus.start()
    try:
        relay = Relay(bus)
        async with await control.listen(port, relay.take), asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.tell_tickers())
            tasks.create_task(relay.answer())
    finally:
        await bus.close()


def main(arguments: list[str]) -> int:
    """Run until the process ends."""
    if len(arguments) != 1 or not arguments[0].isdecimal():
        print(__doc__, file=sys.stderr)
        return 2
    uvloop.run(run(load_settings(), int(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
