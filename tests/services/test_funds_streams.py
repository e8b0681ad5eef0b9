"""Balances and portfolios as they change."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from typing import TypeVar

import pytest

from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from events.trading import AccountLogged, trading_topic
from services import exchange_log
from services.catalogue import UnknownAsset
from services.funds_streams import FundsStreams
from services.portfolio import Portfolios
from services.trading_accounts import TradingAccounts
from services.valuation import Valuation
from tests.markets import Markets, feed, tick
from tests.trading_rows import NoMarks, account_row, balance_logged, put_accounts, put_logged

ANNA = "anna"
WAIT_SECONDS = 30.0
Item = TypeVar("Item")


class Here:
    """Streams whose periods end when the test says so; 1 BTC is 100 USDT."""

    def __init__(self) -> None:
        self.markets = Markets().apply(feed(), tick(1, "100"))
        self.bus = self.markets.bus
        self.beats: asyncio.Queue[None] = asyncio.Queue()
        marks = NoMarks()
        valuation = Valuation(self.markets.catalogue, self.markets.view)
        self.streams = FundsStreams(
            accounts=TradingAccounts(marks),
            portfolios=Portfolios(self.markets.catalogue, self.markets.view, valuation, ManualClock()),
            catalogue=self.markets.catalogue,
            bus=self.bus,
            marks=marks,
            pause=self._pause,
        )

    async def _pause(self, _seconds: float) -> None:
        await self.beats.get()

    def tell(self, logged: AccountLogged) -> None:
        self.bus.publish(trading_topic(ANNA), logged)

    async def followed(self) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while trading_topic(ANNA) not in self.bus._readers.topics():
                await asyncio.sleep(0)


@pytest.fixture
def here(database: Database) -> Here:
    return Here()


async def soon(stream: AsyncGenerator[Item, None]) -> Item:
    async with asyncio.timeout(WAIT_SECONDS):
        return await anext(stream)


async def test_balances_as_they_are_then_every_change(here: Here) -> None:
    await put_accounts([account_row(ANNA, {"BTC": ("1", "0"), "ETH": ("2", "0"), "SOL": ("0", "0")}, logged=3)])
    async with aclosing(here.streams.balances(ANNA, None)) as stream:
        assert [(await soon(stream)).asset for _ in range(2)] == ["BTC", "ETH"]
        change = asyncio.create_task(soon(stream))
        await here.followed()
        here.tell(balance_logged(ANNA, 4, 5))
        assert (await change).available == 4
        assert (await soon(stream)).available == 5
    assert here.bus._readers.topics() == []


async def test_balances_of_some_assets(here: Here) -> None:
    await put_accounts([account_row(ANNA, {"BTC": ("1", "0")})])
    async with aclosing(here.streams.balances(ANNA, ["ETH"])) as stream:
        first = await soon(stream)
        assert (first.asset, first.available) == ("ETH", Decimal(0))
        change = asyncio.create_task(soon(stream))
        await here.followed()
        here.tell(balance_logged(ANNA, 1, 1))
        here.tell(balance_logged(ANNA, 2, 2, asset="ETH"))
        assert (await change).available == 2


async def test_one_who_is_too_far_behind_is_given_the_balances_anew(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_log, "MOST_BEHIND", 2)
    await put_accounts([account_row(ANNA, {"BTC": ("1", "0")})])
    async with aclosing(here.streams.balances(ANNA, ["BTC"])) as stream:
        assert (await soon(stream)).available == 1
        await put_logged(balance_logged(ANNA, 1, 9))
        await put_accounts([account_row(ANNA, {"BTC": ("9", "0")}, logged=9, sequence=1_000)])
        assert (await soon(stream)).available == 9


@pytest.mark.parametrize("assets", [[], ["BTC"] * 101])
async def test_a_list_of_assets_has_a_size(here: Here, assets: list[str]) -> None:
    with pytest.raises(InvalidInput):
        await anext(here.streams.balances(ANNA, assets))


async def test_what_there_is_not_cannot_be_watched(here: Here) -> None:
    with pytest.raises(UnknownAsset):
        await anext(here.streams.balances(ANNA, ["SHELLS"]))
    with pytest.raises(UnknownAsset):
        await anext(here.streams.portfolio(ANNA, "SHELLS", 1))
    for seconds in (0, 61, -1):
        with pytest.raises(InvalidInput):
            await anext(here.streams.portfolio(ANNA, "USDT", seconds))


async def test_a_portfolio_when_a_figure_changed_and_only_once_in_a_period(here: Here) -> None:
    await put_accounts([account_row(ANNA, {"BTC": ("1", "0")})])
    async with aclosing(here.streams.portfolio(ANNA, "USDT", 1)) as stream:
        assert (await soon(stream)).total == 100
        following = asyncio.create_task(soon(stream))
        await here.followed()
        here.beats.put_nowait(None)  # nothing changed
        async with asyncio.timeout(WAIT_SECONDS):
            while not here.beats.empty():
                await asyncio.sleep(0)
        here.markets.apply(tick(2, "110"), tick(3, "120"))
        assert not following.done()
        here.beats.put_nowait(None)
        assert (await following).total == 120
        await put_accounts([account_row(ANNA, {"BTC": ("2", "0")}, sequence=5)])
        here.tell(balance_logged(ANNA, 1, 2))
        following = asyncio.create_task(soon(stream))
        while not following.done():  # the change is heard of in its own time
            if here.beats.empty():
                here.beats.put_nowait(None)
            await asyncio.sleep(0)
        assert (await following).total == 240
