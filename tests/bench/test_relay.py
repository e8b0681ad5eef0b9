"""An API process learns from the relay what it would from the market data worker, on as many markets as the bench has."""

import asyncio
from decimal import Decimal

from bench import measuring, shape
from bench.relay import Relay
from bench.vault_api import longer
from core.bus import MemoryBus
from services.market_view import MarketView
from tests.markets import Losses


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
