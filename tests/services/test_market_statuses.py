"""What each market accepts follows the journal: stored, told, and known again after a restart."""

import asyncio

import pytest

from core.vocabulary import MarketStatus
from models.market_status import all_statuses
from services import catalogue
from services.market_statuses import MarketStatuses
from tests.markets import BTC, ETH, NOW_MS, Markets

HALTED, TRADING = MarketStatus.HALTED, MarketStatus.TRADING


@pytest.mark.usefixtures("database")
async def test_a_status_is_told_stored_and_there_after_a_restart() -> None:
    markets = Markets()
    statuses = MarketStatuses(markets.bus)
    await statuses.load()
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(markets.exchange_view.run())
        await asyncio.sleep(0)
        await statuses.status_changed(BTC, HALTED, NOW_MS)
        async with asyncio.timeout(30):
            while markets.catalogue.market(BTC).status is not HALTED:
                await asyncio.sleep(0.001)
        following.cancel()
    found = await markets.data("{ markets(filter: {status: [HALTED]}) { nodes { symbol status } } }")
    assert found["markets"]["nodes"] == [{"symbol": BTC, "status": "HALTED"}]
    assert (await catalogue.load()).market(BTC).status is HALTED


@pytest.mark.usefixtures("database")
async def test_a_journal_that_is_folded_again_ends_with_the_same_status() -> None:
    bus = Markets().bus
    statuses = MarketStatuses(bus)
    await statuses.status_changed(BTC, HALTED, NOW_MS)
    await statuses.status_changed(BTC, TRADING, NOW_MS + 5)
    again = MarketStatuses(bus)
    await again.load()
    await again.status_changed(BTC, HALTED, NOW_MS)
    assert (await all_statuses())[BTC].status is TRADING, "older than what is known"
    await again.status_changed(BTC, TRADING, NOW_MS + 5)
    await again.status_changed(BTC, HALTED, NOW_MS + 6)
    stored = (await all_statuses())[BTC]
    assert (stored.status, stored.since_ms) == (HALTED, NOW_MS + 6)


@pytest.mark.usefixtures("database")
async def test_a_process_that_joins_late_is_told() -> None:
    markets = Markets()
    statuses = MarketStatuses(markets.bus)
    await statuses.status_changed(ETH, HALTED, NOW_MS)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(statuses.run()), tasks.create_task(markets.exchange_view.run())]
        async with asyncio.timeout(30):
            await markets.exchange_view.synced.wait()
        assert markets.catalogue.market(ETH).status is HALTED
        for task in running:
            task.cancel()
