"""The whole server on exchanges that speak the providers' protocols: prices, failover, faults, and the order book."""

import asyncio
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.flows.exchanges import NAMES, SYMBOL, open_exchanges
from tests.flows.servers import server
from tests.flows.watching import has_status, source, until_feed, watch_ticks
from tests.graphql_client import graphql_socket

PRICES = {"BINANCE": "100", "COINBASE": "101", "KRAKEN": "102"}
BOOK = """subscription($symbol: String!) {
  orderBook(symbol: $symbol, depth: 50) {
    __typename
    ... on OrderBookSnapshot { sequence checksum bids { price quantity } asks { price quantity } }
    ... on OrderBookDelta { previousSequence sequence checksum bids { price quantity } asks { price quantity } }
  }
}"""


def priced(price: str) -> Any:
    return lambda tick: Decimal(tick["price"]) == Decimal(price)


async def test_prices_fail_over_without_a_gap_and_the_status_says_so(tmp_path: Path) -> None:
    async with open_exchanges(**PRICES) as exchanges, server(tmp_path, "dev", settings=exchanges.settings) as running:
        live = await until_feed(running, SYMBOL, has_status("LIVE"))
        assert live["source"] == "BINANCE"
        assert {each["source"] for each in live["sources"] if each["healthy"]} == set(NAMES)
        async with watch_ticks(running, SYMBOL) as ticks:
            assert (await ticks.until(priced("101")))["source"] == "BINANCE"

            del exchanges.prices["BINANCE"]
            exchanges.binance.lines[-1].abort()
            assert (await ticks.until(priced("101.5")))["source"] == "COINBASE"
            await until_feed(running, SYMBOL, lambda seen: (seen["status"], seen["source"]) == ("DEGRADED", "COINBASE"))

            del exchanges.prices["KRAKEN"]
            await ticks.until(priced("101"), after=len(ticks.seen))
            silent = await until_feed(running, SYMBOL, lambda seen: not source(seen, "KRAKEN")["healthy"])
            assert "no update" in source(silent, "KRAKEN")["error"]

            del exchanges.prices["COINBASE"]
            stale = await until_feed(running, SYMBOL, has_status("STALE"))
            assert not any(each["healthy"] for each in stale["sources"])
            assert stale["source"] is None
            count = len(ticks.seen)

            exchanges.prices = {name: Decimal(price) + 1 for name, price in PRICES.items()}
            await until_feed(running, SYMBOL, has_status("LIVE"))
            assert (await ticks.until(priced("102"), after=count))["source"] == "BINANCE"
            ticks.assert_gap_free()
            assert ticks.prices <= {Decimal(price) for price in ("100", "101", "101.5", "102", "102.5", "103")}


async def test_a_wrong_price_is_never_shown_and_its_source_is_named(tmp_path: Path) -> None:
    async with open_exchanges(**PRICES) as exchanges, server(tmp_path, "dev", settings=exchanges.settings) as running:
        await until_feed(running, SYMBOL, has_status("LIVE"))
        async with watch_ticks(running, SYMBOL) as ticks:
            for name, factor in (("KRAKEN", 1000), ("BINANCE", 1000), ("BINANCE", Decimal("0.001"))):
                right, exchanges.prices[name] = exchanges.prices[name], exchanges.prices[name] * factor
                seen = await until_feed(running, SYMBOL, lambda seen, name=name: not source(seen, name)["healthy"])  # type: ignore[misc]
                assert seen["status"] == "DEGRADED"
                assert "%" in source(seen, name)["error"]
                await ticks.more(10)
                exchanges.prices[name] = right
                await until_feed(running, SYMBOL, has_status("LIVE"))
            ticks.assert_gap_free()
            assert all(Decimal(100) <= price <= Decimal(102) for price in ticks.prices)


async def test_garbage_and_a_stall_of_one_disturb_no_other(tmp_path: Path) -> None:
    async with open_exchanges(**PRICES) as exchanges, server(tmp_path, "dev", settings=exchanges.settings) as running:
        await until_feed(running, SYMBOL, has_status("LIVE"))
        async with watch_ticks(running, SYMBOL) as ticks:
            del exchanges.prices["KRAKEN"]
            for nonsense in (
                '{"stream": ',
                "[]",
                "null",
                "NaN",
                "\x00",
                '{"channel": 7}',
                '{"a":' * 5_000,
                b"\xff\xfe",
            ):
                await exchanges.say("COINBASE", nonsense)
            seen = await until_feed(running, SYMBOL, lambda seen: source(seen, "COINBASE")["error"] is not None)
            assert not {"NaN", "\x00"} & set(source(seen, "COINBASE")["error"])
            before = {name: len(venue.lines) for name, venue in exchanges.venues.items()}
            following = await ticks.more(30)
            assert {tick["source"] for tick in following} == {"BINANCE"}
            assert {name: len(venue.lines) for name, venue in exchanges.venues.items()} == before
            await until_feed(running, SYMBOL, lambda seen: not source(seen, "KRAKEN")["healthy"])
            ticks.assert_gap_free()


async def test_the_order_book_equals_what_a_client_folds_by_itself(tmp_path: Path) -> None:
    async with open_exchanges(BINANCE="100") as exchanges:
        engine = exchanges.binance.engine
        settings = {**exchanges.settings, "PRICE_SOURCES": "BINANCE"}
        async with server(tmp_path, "dev", settings=settings) as running, graphql_socket(running.base_url) as client:
            await until_feed(running, SYMBOL, has_status("LIVE"))
            updates = await client.subscribe(BOOK, symbol=SYMBOL)
            folded = Folded()
            await folded.take_until(updates, engine.bids, engine.asks)
            for round_ in range(40):
                changes = [
                    (side, Decimal(100 + offset if side == "a" else 99 - offset), Decimal((round_ * 7 + offset) % 5))
                    for side in "ab"
                    for offset in range(1 + round_ % 3, 12, 3)
                ]
                await exchanges.binance.trade(exchanges.binance.lines[-1], changes)
                await folded.take_until(updates, engine.bids, engine.asks)
            assert folded.snapshots == 1

            engine.last_id += 5
            await exchanges.binance.trade(exchanges.binance.lines[-1], [("b", Decimal(90), Decimal(3))])
            await folded.take_until(updates, engine.bids, engine.asks)
            assert folded.snapshots == 2
            assert exchanges.binance.snapshots_asked >= 2


class Folded:
    """The book as a client has it, from the messages alone."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.sequence = 0
        self.snapshots = 0

    async def take_until(self, updates: Any, bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal]) -> None:
        """Take messages until the book is this one."""
        async with asyncio.timeout(20):
            while (self.bids, self.asks) != (bids, asks):
                self.take((await updates.next())["orderBook"])

    def take(self, update: dict[str, Any]) -> None:
        if update["__typename"] == "OrderBookSnapshot":
            self.bids, self.asks = {}, {}
            self.snapshots += 1
        else:
            assert update["previousSequence"] == self.sequence
        self.sequence = update["sequence"]
        for side, levels in ((self.bids, update["bids"]), (self.asks, update["asks"])):
            for level in levels:
                side.pop(Decimal(level["price"]), None)
                if Decimal(level["quantity"]):
                    side[Decimal(level["price"])] = Decimal(level["quantity"])
        assert update["checksum"] == self.checksum()

    def checksum(self) -> str:
        best = [*sorted(self.asks.items())[:10], *sorted(self.bids.items(), reverse=True)[:10]]
        return str(zlib.crc32("".join(f"{plain(price)}:{plain(quantity)}|" for price, quantity in best).encode()))


def plain(number: Decimal) -> str:
    """Without exponent and trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
