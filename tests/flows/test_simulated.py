"""Nobody answers: everything is simulated and says so. Then an exchange answers: it is real at once, and nothing simulated stays."""

import asyncio
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from tests.components import free_port
from tests.flows.exchanges import SYMBOL, open_exchanges
from tests.flows.servers import NO_TLS, Server, query, server, until
from tests.flows.watching import Ticks, has_status, until_feed, watch_ticks
from tests.graphql_client import graphql_socket

REAL_PRICE = "250000"
"""Far from anything that is simulated."""
PAGE = """query($symbol: String!) {
  market(symbol: $symbol) {
    feed { status source }
    ticker { last high24h low24h }
    candles(interval: MINUTE_1, last: 100) { nodes { open high low close } }
    trades(first: 100) { nodes { price } }
    sparkline
  }
}"""
TRADES = "subscription($symbol: String!) { trades(symbol: $symbol) { price sequence } }"
CANDLES = "subscription($symbol: String!) { candles(symbol: $symbol, interval: MINUTE_1) { high low close } }"


async def test_what_is_simulated_says_so_and_ends_when_an_exchange_answers(tmp_path: Path) -> None:
    async with open_exchanges() as exchanges:
        simulated = {"SIMULATED_AFTER_SECONDS": "0.5", "SIMULATED_HISTORY_DAYS": "1"}
        settings = {**exchanges.settings, "PRICE_SOURCES": "BINANCE", **simulated}
        async with server(tmp_path, "dev", settings=settings) as running:
            await until_feed(running, SYMBOL, has_status("SIMULATED"))
            assert any("SIMULATED" in line and "not real" in line for line in running.log().splitlines()[:20])
            assert "SIMULATED" in await notice(running)
            await until(lambda: page(running), is_filled)
            async with watch_ticks(running, SYMBOL) as ticks, graphql_socket(running.base_url) as client:
                trades = Kept(await client.subscribe(TRADES, symbol=SYMBOL), "trades")
                candles = Kept(await client.subscribe(CANDLES, symbol=SYMBOL), "candles")
                async with asyncio.TaskGroup() as reading:
                    tasks = [reading.create_task(kept.read()) for kept in (trades, candles)]
                    assert {tick["source"] for tick in await ticks.more(10)} == {"SIMULATED"}
                    await until_nothing_but_real(running, exchanges_prices=exchanges.prices, ticks=ticks)
                    await until(
                        lambda: asyncio.sleep(0, trades.items), lambda items: price_of(items[-1]) == Decimal(REAL_PRICE)
                    )
                    for task in tasks:
                        task.cancel()
                assert_no_way_back([price_of(trade) for trade in trades.items])
                assert_no_way_back([Decimal(candle["close"]) for candle in candles.items])
                real = [candle for candle in candles.items if Decimal(candle["close"]) == Decimal(REAL_PRICE)]
                assert {Decimal(candle[name]) for candle in real for name in ("high", "low")} == {Decimal(REAL_PRICE)}


async def until_nothing_but_real(running: Server, *, exchanges_prices: dict[str, Decimal], ticks: Ticks) -> None:
    """The exchange begins to trade; from its first tick on nothing simulated is shown anywhere."""
    exchanges_prices["BINANCE"] = Decimal(REAL_PRICE)
    first = await ticks.until(lambda tick: tick["source"] == "BINANCE")
    assert Decimal(first["price"]) == Decimal(REAL_PRICE)
    body = await page(running)
    assert numbers(body) <= {Decimal(REAL_PRICE)}
    assert body["data"]["market"]["feed"] == {"status": "LIVE", "source": "BINANCE"}
    following = await ticks.more(20)
    assert {(tick["source"], Decimal(tick["price"])) for tick in following} == {("BINANCE", Decimal(REAL_PRICE))}
    ticks.assert_gap_free()
    filled = await until(lambda: page(running), is_filled)
    assert numbers(filled) == {Decimal(REAL_PRICE)}
    other = (await query(running, '{ market(symbol: "BTC-EUR") { feed { status } } }'))["data"]
    assert other == {"market": {"feed": {"status": "STALE"}}}


async def test_nobody_listens_at_all(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    settings = {
        "BINANCE_WS_URL": f"ws://{nowhere}",
        "BINANCE_REST_URL": f"http://{nowhere}",
        "COINBASE_WS_URL": f"ws://{nowhere}",
        "KRAKEN_WS_URL": f"ws://{nowhere}",
        "SIMULATED_AFTER_SECONDS": "0.2",
    }
    async with server(tmp_path, "dev", settings=settings) as running:
        seen = await until_feed(running, SYMBOL, has_status("SIMULATED"))
        assert seen["source"] == "SIMULATED"
        body: Any = await query(running, "{ markets { nodes { symbol feed { status source } } } }")
        assert {(node["feed"]["status"], node["feed"]["source"]) for node in body["data"]["markets"]["nodes"]} == {
            ("SIMULATED", "SIMULATED")
        }
        silent = {**settings, "SIMULATED_FALLBACK": "false"}
    async with server(tmp_path, "dev", settings=silent) as running:
        seen = await until_feed(running, SYMBOL, lambda feed: feed["status"] in ("DOWN", "STALE"))
        assert seen["source"] is None


class Kept:
    """Everything an operation gave."""

    def __init__(self, operation: Any, field: str) -> None:
        self.items: list[dict[str, Any]] = []
        self._operation = operation
        self._field = field

    async def read(self) -> None:
        async for data in self._operation:
            self.items.append(data[self._field])


def price_of(trade: dict[str, Any]) -> Decimal:
    return Decimal(trade["price"])


def assert_no_way_back(prices: list[Decimal]) -> None:
    """Simulated ones first, then real ones, and never a simulated one again."""
    real = [price == Decimal(REAL_PRICE) for price in prices]
    assert real == sorted(real)
    assert len(set(real)) == 2


async def notice(running: Server) -> str:
    """What the explorer's page says."""
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
        response = await client.get(f"{running.base_url}/graphql", headers={"accept": "text/html"})
    match = re.search(r'"notice":\s*"([^"]+)"', response.text)
    assert match is not None
    return match.group(1)


async def page(running: Server) -> Any:
    return await query(running, PAGE, symbol=SYMBOL)


def is_filled(body: Any) -> bool:
    market = body["data"]["market"]
    return "errors" not in body and all(market[name]["nodes"] for name in ("candles", "trades")) and market["ticker"]


def numbers(body: Any) -> set[Decimal]:
    """Every price on the page."""
    market = body["data"]["market"]
    found = [*(market["ticker"] or {}).values(), *(market["sparkline"] or [])]
    for name in ("candles", "trades"):
        found += [price for node in (market[name] or {"nodes": []})["nodes"] for price in node.values()]
    return {Decimal(price) for price in found if price is not None}
