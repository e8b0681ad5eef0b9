"""From the reference to a trade of the exchange and back to clients: writer, projector and API of one process, together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from core.clock import SystemClock
from core.order_vocabulary import OrderStatus, OrderType
from core.vocabulary import MarketStatus, OrderSide, Series
from events.answers import Answer
from events.commands import Command, MoveFunds, OrderWish, PlaceOrder, SetMarketStatus
from exchange.accounts import House
from exchange.market import ATTO
from services import catalogue
from services.exchange import ExchangeWriter, WriterParts
from services.exchange_books import ExchangeBooks
from services.exchange_gateway import LocalGateway
from services.exchange_inbox import Inbox
from services.exchange_references import ExchangeReferences, ReferencePolicy
from services.exchange_tape import ExchangeTape
from services.journal_feed import JournalFeed
from services.market_statuses import MarketStatuses
from services.projection import ProjectionPorts, Projector
from services.projection_view import ProjectionView
from tests.markets import BTC, D, Markets, book, feed, levels, rules_of, tick, trade
from tests.trading_house import Silent, Sure

WHOLE = """
query($s: String!) {
  market(symbol: $s) {
    status
    ticker(origin: EXCHANGE) { last bid ask trades24h }
    orderBook(origin: EXCHANGE) { bids { price quantity orders } asks { price quantity orders } }
    trades(origin: EXCHANGE) { nodes { id price quantity takerSide sequence } }
    candles(origin: EXCHANGE, interval: MINUTE_1) { nodes { close volume } }
  }
}
"""


class Process:
    """One process with everything in it."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.markets = Markets()
        bus, known = self.markets.bus, self.markets.catalogue
        scales = {asset.code: asset.decimals for asset in known.assets.values()}
        inbox, journal = Inbox(), JournalFeed(bus)
        policy = ReferencePolicy(frozenset([BTC]), frozenset([Series.LIVE]), D(1_000_000), 15_000)
        self.gateway = LocalGateway(inbox, self.clock)
        self.references = ExchangeReferences(self.markets.view, self.clock, policy)
        self.books = ExchangeBooks(bus)
        rules = [rules_of(known, BTC)]
        parts = WriterParts(inbox, journal, self.references, self.books, bus, self.clock, scales, lambda: rules)
        self.writer = ExchangeWriter(parts, Sure(self.clock))
        self.tape = ExchangeTape(bus, self.clock, known.markets)
        self.statuses = MarketStatuses(bus)
        view = ProjectionView(scales, frozenset(["USDT"]))
        self.projector = Projector(
            view, journal, ProjectionPorts(self.tape, self.statuses, Silent()), bus=bus, clock=self.clock
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        for load in (self.tape.load, self.statuses.load, self.projector.load, self.writer.open):
            await load()
        loops: list[Callable[[], Awaitable[None]]] = [
            self.markets.exchange_view.run,
            self.writer.serve,
            self.references.run,
            self.books.run,
            self.projector.run,
            self.tape.run,
            self.statuses.run,
        ]
        tasks = [asyncio.ensure_future(loop()) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended

    async def ask(self, command: Command) -> Answer:
        answer = await self.gateway.ask(command)
        assert isinstance(answer, Answer)
        assert answer.refusal is None
        return answer

    async def order(self, side: OrderSide, quantity: str, price: str | None = None) -> Answer:
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        limit = None if price is None else int(D(price) * ATTO)
        wish = OrderWish(BTC, side, kind, quantity=int(D(quantity) * ATTO), price=limit)
        return await self.ask(PlaceOrder("ann", f"{side}-{quantity}-{price}", "", wish))

    def reference(self, *events: object) -> None:
        self.markets.apply(*events)

    async def whole(self) -> dict[str, Any]:
        data: dict[str, Any] = (await self.markets.data(WHOLE, s=BTC))["market"]
        return data


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.usefixtures("database")
async def test_a_price_becomes_a_quote_a_quote_a_trade_and_a_trade_history() -> None:
    process = Process()
    own = process.markets.exchange_view
    async with process.running():
        now_ms = process.clock.now_ms()
        process.reference(feed(), tick(1), replace(trade(1), time_ms=now_ms), book(1))
        await until(lambda: len(own.books[BTC].bids) == 2)
        for asset, units in (("BTC", 10**10), ("USDT", 10**12)):
            await process.ask(MoveFunds("ann", House.TEST_FUNDS, asset, units, asset, ""))
        stream = process.markets.stream(
            'subscription { trades(symbol: "BTC-USDT", origin: EXCHANGE) { price sequence } }'
        )
        first = asyncio.ensure_future(anext(stream))
        bought = await process.order(OrderSide.BUY, "1.5")
        assert bought.orders[0].status is OrderStatus.FILLED
        assert (await first)["data"]["trades"] == {"price": "101", "sequence": 1}
        assert (await anext(stream))["data"]["trades"] == {"price": "102", "sequence": 2}
        await stream.aclose()
        await process.order(OrderSide.BUY, "0.25", "99")
        await until(lambda: own.books[BTC].bids.get(D(99)) == D("1.25") and own.states[BTC].ticker is not None)
        await until(lambda: own.states[BTC].ticker.trades24h == 2)  # type: ignore[union-attr]
        seen = await process.whole()
        assert seen["ticker"] == {"last": "102", "bid": "99", "ask": "102", "trades24h": 2}
        assert seen["orderBook"] == {
            "bids": [{"price": "99", "quantity": "1.25", "orders": 1}, {"price": "98", "quantity": "2", "orders": 0}],
            "asks": [{"price": "102", "quantity": "1.5", "orders": 0}],
        }
        assert [one["price"] for one in seen["trades"]["nodes"]] == ["102", "101"]
        process.reference(feed(series=Series.SIMULATED))
        await until(lambda: own.books[BTC].bids.get(D(99)) == D("0.25"))
        await process.ask(SetMarketStatus(BTC, MarketStatus.HALTED, "test"))
        await until(lambda: process.markets.catalogue.market(BTC).status is MarketStatus.HALTED)

    again = Process()
    again.markets.catalogue.set_status(BTC, (await catalogue.load()).market(BTC).status)
    async with again.running():
        await until(lambda: len(again.markets.exchange_view.books[BTC].bids) == 1)
        await until(lambda: again.markets.exchange_view.states[BTC].ticker is not None)
        after = await again.whole()
        assert after["status"] == "HALTED"
        assert after["trades"] == seen["trades"]
        assert sum(D(one["volume"]) for one in after["candles"]["nodes"]) == D("1.5")
        assert after["orderBook"]["bids"] == [{"price": "99", "quantity": "0.25", "orders": 1}]
        assert again.markets.exchange_view.books[BTC].asks.top(1) == list(levels())
        found = await again.markets.data(
            "query($id: ID!) { node(id: $id) { id } }", id=after["trades"]["nodes"][0]["id"]
        )
        assert found["node"]["id"] == after["trades"]["nodes"][0]["id"]
