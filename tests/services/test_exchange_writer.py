"""The exchange's writer on the embedded database: durable before answered, one at a time, the same after a restart."""

import asyncio
from decimal import Decimal

import pytest

from core.database import Database
from core.order_vocabulary import OrderErrorCode, OrderStatus
from core.vocabulary import OrderSide
from events.commands import AmendOrder, ForgetKeys
from exchange.snapshot import digest
from models import client_key, fill, journal, order, trading_account
from services.exchange import Fenced
from tests.exchange.floor import EXACT
from tests.trading_house import TradingHouse

BUY, SELL = OrderSide.BUY, OrderSide.SELL


async def test_an_order_is_answered_when_it_stands_in_the_journal(database: Database) -> None:
    house = TradingHouse()
    async with house.open("ann", "bob"):
        resting = await house.limit("ann", BUY, 2_000, 10)
        crossing = await house.limit("bob", SELL, 1_990, 4)
        await house.projected()
        assert resting.orders[0].status is OrderStatus.OPEN
        assert crossing.orders[0].status is OrderStatus.FILLED
        assert str(crossing.orders[0].filled_quote) == "0.008000"
        stored = await order.by_id(resting.made)
        assert stored is not None
        assert stored["status"] == "PARTIALLY_FILLED"
        assert len(await fill.between("ann", 0, 10)) == 1
        row = await trading_account.by_id("ann")
        assert row is not None
        assert (row["orders"], row["fills"], row["open"]) == (1, 1, [resting.made])
        assert await client_key.find_keys([("ann", "key-9")]) != {}
        tail = await journal.tail()
        assert tail is not None
        assert tail.last_seq == house.writer.exchange.state.sequence


async def test_a_restart_knows_what_was_acknowledged(database: Database) -> None:
    house = TradingHouse()
    async with house.open("ann", "bob"):
        for place in range(20):
            await house.limit("ann", BUY, 2_000 - place, 10)
        await house.limit("bob", SELL, 1_990, 35)
        before = digest(house.writer.exchange.state)
        await house.projected()
        await house.projector.snapshot()
        await house.limit("bob", SELL, 1_990, 5)
        before = digest(house.writer.exchange.state)
    again = house.new_writer()
    await again.open()
    assert again.exchange.state.epoch == 2
    again.exchange.state.epoch, again.exchange.state.sequence = 1, again.exchange.state.sequence - 1
    assert digest(again.exchange.state) == before


async def test_an_older_writer_is_fenced_and_answers_nothing_more(database: Database) -> None:
    house = TradingHouse()
    await house.writer.open()
    serving = asyncio.create_task(house.writer.serve())
    await house.give("ann", "USDT", 10**9)
    other = TradingHouse()
    await other.writer.open()
    asked = asyncio.create_task(house.give("ann", "USDT", 10**9))
    with pytest.raises(ExceptionGroup) as ended:
        await serving
    assert isinstance(ended.value.exceptions[0], Fenced)
    assert not asked.done()
    asked.cancel()
    assert other.writer.exchange.state.accounts["ann"].balance("USDT").available == 10**9


async def test_the_same_key_gives_the_same_order_and_other_content_is_refused(database: Database) -> None:
    house = TradingHouse()
    async with house.open("ann"):
        first = await house.limit("ann", BUY, 2_000, 10, "mine")
        answers = await asyncio.gather(*(house.limit("ann", BUY, 2_000, 10, "mine") for _ in range(50)))
        assert {answer.made for answer in answers} == {first.made}
        assert all(answer.replayed for answer in answers)
        other = await house.limit("ann", BUY, 2_000, 11, "mine")
        assert other.refusal is not None
        assert other.refusal.code is OrderErrorCode.IDEMPOTENCY_MISMATCH
        assert len(house.writer.exchange.state.orders) == 1


async def test_an_amendment_that_cannot_be_paid_says_so_in_the_quote_asset(database: Database) -> None:
    """Also when the order is named by a key that the exchange has left to storage."""
    house = TradingHouse()
    async with house.open("ann"):
        placed = await house.limit("ann", BUY, 2_000, 10, "mine")
        await house.projected()
        house.writer.exchange.execute(ForgetKeys(placed.made), house.clock.now_ms())
        answer = await house.gateway.ask(
            AmendOrder("ann", client_id="mine", quantity=10**9 * EXACT.lot, price=10**6 * EXACT.tick)
        )
        balance = house.writer.exchange.state.accounts["ann"].balance("USDT")
        assert answer.refusal is not None
        assert (answer.refusal.code, answer.refusal.field) == (OrderErrorCode.INSUFFICIENT_FUNDS, "quantity")
        assert answer.refusal.limit == Decimal(balance.available).scaleb(-6)
