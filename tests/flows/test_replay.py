"""Recorded trades through the whole server, compared with an independent computation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import components
from tests.flows import recorded
from tests.flows.servers import Server, query, server
from tests.graphql_client import graphql_socket

SYMBOL = "BTC-USDT"
INTERVALS = {"MINUTE_1": 60_000, "MINUTE_5": 300_000, "HOUR_1": 3_600_000, "DAY_1": 86_400_000}
TICKS = """subscription($symbols: [String!]!) {
  priceTicks(symbols: $symbols) { symbol price source time sequence }
}"""
TRADES = """subscription($symbol: String!) {
  trades(symbol: $symbol) { price quantity takerSide time sequence origin }
}"""
SUMMARY = """query($symbol: String!, $interval: CandleInterval!) {
  market(symbol: $symbol) {
    feed { status source }
    ticker { last open24h high24h low24h volume24h quoteVolume24h trades24h }
    candles(interval: $interval, first: 100) {
      nodes { openTime open high low close volume quoteVolume trades }
    }
    trades(first: 500, orderBy: OLDEST_FIRST) { nodes { price quantity time sequence } pageInfo { endCursor hasNextPage } }
  }
}"""


@asynccontextmanager
async def one_process(folder: Path, settings: dict[str, str]) -> AsyncIterator[Server]:
    async with server(folder, "dev", settings=settings) as running:
        yield running


@asynccontextmanager
async def separate_processes(folder: Path, settings: dict[str, str]) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        _, mongo_url = await stack.enter_async_context(components.secantus(folder / "mongo"))
        (folder / "redis").mkdir()
        _, redis_url = await stack.enter_async_context(components.redis(folder / "redis"))
        shared = {"MONGO_URL": mongo_url, "REDIS_URL": redis_url, **settings}
        worker = {**shared, "WORKER_PORT": str(components.free_port())}
        await stack.enter_async_context(server(folder / "worker", "worker", "market-data", settings=worker))
        yield await stack.enter_async_context(server(folder / "api", "api", settings=shared))


@pytest.mark.parametrize("deployment", [pytest.param(one_process, marks=pytest.mark.soak), separate_processes])
async def test_every_recorded_trade_arrives_and_adds_up(deployment: Any, shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "market" / "binance-btcusdt-trades-2021-01-08.csv"
    expected = recorded.read_trades(file)
    replay = {"PRICE_SOURCES": "replay", "REPLAY_FILE": str(file), "REPLAY_SPEED": "max", "REPLAY_SYMBOL": SYMBOL}
    async with deployment(tmp_path, replay) as running, graphql_socket(running.base_url) as client:
        trades = await client.subscribe(TRADES, symbol=SYMBOL)
        ticks = await client.subscribe(TICKS, symbols=[SYMBOL])
        await compare_ticks(ticks, expected)
        await compare_trades(trades, expected)
        await ticks.stop()
        await until_counted(running, len(expected))
        await compare_summary(running, expected)


async def compare_ticks(ticks: Any, expected: list[recorded.RecordedTrade]) -> None:
    first = None
    for place, trade in enumerate(expected):
        tick = (await ticks.next())["priceTicks"]
        first = tick["sequence"] if first is None else first
        assert tick == {
            "symbol": SYMBOL,
            "price": tick["price"],
            "source": "REPLAY",
            "time": recorded.moment(trade.time_ms),
            "sequence": first + place,
        }
        assert Decimal(tick["price"]) == trade.price


async def compare_trades(trades: Any, expected: list[recorded.RecordedTrade]) -> None:
    first = None
    for place, trade in enumerate(expected):
        seen = (await trades.next())["trades"]
        first = seen["sequence"] if first is None else first
        assert (Decimal(seen["price"]), Decimal(seen["quantity"])) == (trade.price, trade.quantity)
        assert seen["takerSide"] == trade.taker_side
        assert seen["time"] == recorded.moment(trade.time_ms)
        assert seen["sequence"] == first + place
        assert seen["origin"] == "REFERENCE"


async def until_counted(running: Server, trades: int) -> None:
    """Return once the figures hold every trade and a page of them is stored."""
    async with asyncio.timeout(20):
        while True:
            body: Any = await query(running, SUMMARY, symbol=SYMBOL, interval="MINUTE_1")
            ticker, stored = body["data"]["market"]["ticker"], body["data"]["market"]["trades"]
            if ticker is not None and ticker["trades24h"] == trades and len(stored["nodes"]) == min(trades, 500):
                return
            await asyncio.sleep(0.05)


async def compare_summary(running: Server, expected: list[recorded.RecordedTrade]) -> None:
    prices = [trade.price for trade in expected]
    whole = recorded.candles(expected, 86_400_000)[0]
    for interval, length_ms in INTERVALS.items():
        body: Any = await query(running, SUMMARY, symbol=SYMBOL, interval=interval)
        assert "errors" not in body
        market = body["data"]["market"]
        ticker = {key: Decimal(str(value)) for key, value in market["ticker"].items()}
        assert ticker == {
            "last": prices[-1],
            "open24h": prices[0],
            "high24h": max(prices),
            "low24h": min(prices),
            "volume24h": whole["volume"],
            "quoteVolume24h": whole["quoteVolume"],
            "trades24h": len(expected),
        }
        numbers = ("open", "high", "low", "close", "volume", "quoteVolume")
        candles = [
            {**candle, **{name: Decimal(candle[name]) for name in numbers}} for candle in market["candles"]["nodes"]
        ]
        assert candles == recorded.candles(expected, length_ms)
        assert [Decimal(trade["price"]) for trade in market["trades"]["nodes"]] == prices[:500]
