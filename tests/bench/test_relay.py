"""An API process learns from the relay what it would from the market data worker, on as many markets as the bench has."""

import asyncio
from decimal import Decimal
from pathlib import Path

import orjson
from redis.asyncio import Redis

from bench import measuring, shape
from bench.peers.limits import Told
from bench.relay import Relay
from bench.vault_api import longer
from core.bus import MemoryBus
from events.market import MARKET_TOPIC
from services.market_view import MarketView
from tests import components
from tests.core.test_bus import eventually, redis_bus
from tests.markets import Losses, ticker


async def test_the_limit_behind_redis_hears_every_tick_and_nothing_else(tmp_path: Path) -> None:
    symbols = shape.tick_symbols(3)
    async with components.redis(tmp_path) as (_, url):
        bus = redis_bus(url)
        await bus.start()
        relay, heard = Relay(bus), asyncio.Queue[bytes]()
        port = int(url.rpartition(":")[2].partition("/")[0])
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: Told(heard.put_nowait), "127.0.0.1", port
        )
        told = []
        try:
            async with asyncio.timeout(10), Redis.from_url(url) as operator:

                async def listens() -> bool:
                    return await operator.pubsub_numpat() == 1

                await eventually(listens)
                for number in range(60):
                    bus.publish(MARKET_TOPIC, ticker(symbols[0], last=str(number)))
                    relay.take(measuring.tick_line(symbols[number % 3], "2026-01-02T03:04:05.678Z", 1000 + number))
                    told.append(orjson.loads(await heard.get()))
        finally:
            transport.close()
            await bus.close()
    assert [tick["sequence"] for tick in told] == list(range(1000, 1060))
    assert [tick["symbol"] for tick in told] == symbols * 20
    assert heard.empty()


async def test_a_process_knows_every_market_and_is_told_ticks_at_once() -> None:
    bus, symbols = MemoryBus(), shape.tick_symbols(shape.MARKETS)
    relay = Relay(bus)
    view = MarketView(bus, longer(), process="joining", observer=Losses())
    running = [asyncio.ensure_future(each) for each in (relay.answer(), view.run(), relay.tell_tickers())]
    try:
        async with asyncio.timeout(10):
            await view.synced.wait()
        assert set(view.states) == set(symbols)
        assert all(state.ticker is not None and not state.stale for state in view.states.values())
        told: asyncio.Future[Decimal | None] = asyncio.get_running_loop().create_future()
        view.tickers.followers.append(lambda ticker: None if told.done() else told.set_result(ticker.last))
        ticks: list[int] = []
        view.ticks.followers.append(lambda tick: ticks.append(tick.sequence))
        for number, symbol in enumerate(symbols):
            relay.take(measuring.tick_line(symbol, "2026-01-02T03:04:05.678Z", 1000 + number))
        async with asyncio.timeout(10):
            assert await told == Decimal("60000")
        assert ticks == list(range(1000, 1000 + len(symbols)))
        tick = view.states[symbols[0]].tick
        assert tick is not None
        assert (tick.time_ms, tick.bid) == (1_767_323_045_678, Decimal("59999.49"))
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
