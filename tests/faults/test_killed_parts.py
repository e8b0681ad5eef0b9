"""Redis, the database and the worker, each killed under subscribed clients and started again: nothing wrong is shown, and all comes back."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from server.embedded import CLIENT_OPTIONS
from tests import components
from tests.faults.crowd import crowd, until_told
from tests.flows.exchanges import SYMBOL, Exchanges, open_exchanges
from tests.flows.servers import Server, query, readiness, server, until
from tests.flows.watching import Ticks, has_status, until_feed, watch_ticks

PRICES = {"BINANCE": "100", "COINBASE": "101", "KRAKEN": "102"}
LATER = {"BINANCE": "103", "COINBASE": "104", "KRAKEN": "105"}
SHOWN = {
    Decimal(price) for price in ("100", "100.5", "101", "101.5", "102", "102.5", "103", "103.5", "104", "104.5", "105")
}
HISTORY = """query($symbol: String!) {
  market(symbol: $symbol) { symbol feed { status } candles(interval: MINUTE_1, last: 5) { nodes { close } } }
  status { database { healthy } bus { healthy detail } }
}"""


@dataclass
class Cluster:
    """An API and its worker as processes of their own, on Redis and the database's protocol."""

    parts: AsyncExitStack
    servers: AsyncExitStack
    folder: Path
    exchanges: Exchanges
    mongo_port: int
    redis_port: int
    apis: int = 0

    @property
    def settings(self) -> dict[str, str]:
        return {
            **self.exchanges.settings,
            "MONGO_URL": f"mongodb://127.0.0.1:{self.mongo_port}/?{CLIENT_OPTIONS}",
            "MONGO_TIMEOUT_MS": "3000",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
        }

    async def start_redis(self) -> Any:
        process, _ = await self.parts.enter_async_context(components.redis(self.folder, self.redis_port))
        return process

    async def start_mongo(self) -> Any:
        process, _ = await self.parts.enter_async_context(components.secantus(self.folder / "mongo", self.mongo_port))
        return process

    async def start_worker(self, name: str) -> Server:
        settings = {**self.settings, "WORKER_PORT": str(components.free_port())}
        return await self.servers.enter_async_context(
            server(self.folder / name, "worker", "market-data", settings=settings)
        )

    async def start_api(self) -> Server:
        self.apis += 1
        folder = self.folder / f"api-{self.apis}"
        return await self.servers.enter_async_context(server(folder, "api", settings=self.settings))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three exchanges that trade, and nothing started yet."""
    async with open_exchanges(**PRICES) as exchanges, AsyncExitStack() as parts, AsyncExitStack() as servers:
        yield Cluster(parts, servers, tmp_path, exchanges, components.free_port(), components.free_port())


def assert_nothing_wrong(ticks: Ticks) -> None:
    """No price that the exchanges never had, no number for two values, and never backwards."""
    assert not ticks.ended
    assert ticks.prices <= SHOWN
    sequences = [tick["sequence"] for tick in ticks.seen]
    assert sequences == sorted(set(sequences))


async def test_redis_dies_and_comes_back(cluster: Cluster) -> None:
    await cluster.start_mongo()
    redis = await cluster.start_redis()
    await cluster.start_worker("worker")
    api = await cluster.start_api()
    await until_feed(api, SYMBOL, has_status("LIVE"))
    async with watch_ticks(api, SYMBOL) as ticks:
        await ticks.more(10)
        redis.kill()
        await redis.wait()
        await until(lambda: readiness(api), lambda failing: failing == ["bus"])
        body: Any = await query(api, HISTORY, symbol=SYMBOL)
        assert body["data"]["status"]["bus"]["healthy"] is False
        assert "errors" not in body
        count = len(ticks.seen)
        cluster.exchanges.prices = {name: Decimal(price) for name, price in LATER.items()}
        await cluster.start_redis()
        await ticks.until(lambda tick: Decimal(tick["price"]) == 104, after=count)
        await until(lambda: readiness(api), lambda failing: failing == [])
        await until_feed(api, SYMBOL, has_status("LIVE"))
        assert_nothing_wrong(ticks)


@pytest.mark.soak
async def test_a_thousand_subscribers_hear_on_when_redis_dies_and_some_of_them_stop_or_are_cut(
    cluster: Cluster,
) -> None:
    await cluster.start_mongo()
    redis = await cluster.start_redis()
    await cluster.start_worker("worker")
    api = await cluster.start_api()
    await until_feed(api, SYMBOL, has_status("LIVE"))
    async with crowd(api.base_url, 1_000, SYMBOL) as members:
        stopped, cut, healthy = members[:50], members[50:100], members[100:]
        for member in stopped:
            member.transport.pause_reading()
        for _ in range(3):
            before = healthy[0].sequences[-1]
            await until_told(healthy, before)
            redis.kill()
            await redis.wait()
            for member in cut[:10]:
                member.transport.abort()
            await until(lambda: readiness(api), lambda failing: failing == ["bus"])
            silent_from = max(member.sequences[-1] for member in healthy)
            redis = await cluster.start_redis()
            await until(lambda: readiness(api), lambda failing: failing == [])
            await until_told(healthy, silent_from)
            cut = cut[10:]
        for member in stopped:
            member.transport.resume_reading()
        await until_told([*healthy, *stopped], max(member.sequences[-1] for member in healthy))
        for member in [*healthy, *stopped]:
            assert not member.closed
            assert member.sequences == sorted(set(member.sequences))
        for member in healthy:
            assert member.sequences[:20] == healthy[0].sequences[healthy[0].sequences.index(member.sequences[0]) :][:20]


@pytest.mark.soak
async def test_a_killed_api_leaves_nobody_in_the_dark(cluster: Cluster) -> None:
    await cluster.start_mongo()
    await cluster.start_redis()
    await cluster.start_worker("worker")
    first, second = await cluster.start_api(), await cluster.start_api()
    await until_feed(first, SYMBOL, has_status("LIVE"))
    await until_feed(second, SYMBOL, has_status("LIVE"))
    async with crowd(first.base_url, 200, SYMBOL) as lost, crowd(second.base_url, 200, SYMBOL) as kept:
        first.process.kill()
        await first.process.wait()
        await until_told(kept, kept[0].sequences[-1] + 5)
        async with crowd(second.base_url, 200, SYMBOL) as again:
            await until_told(again, kept[0].sequences[-1])
        assert all(member.closed for member in lost)
        for member in kept:
            told = member.sequences
            assert told == list(range(told[0], told[-1] + 1))


async def test_of_two_workers_one_works_and_the_other_takes_over(cluster: Cluster) -> None:
    await cluster.start_mongo()
    await cluster.start_redis()
    workers = [await cluster.start_worker(name) for name in ("first", "second")]
    api = await cluster.start_api()
    await until_feed(api, SYMBOL, has_status("LIVE"))
    async with watch_ticks(api, SYMBOL) as ticks:
        await ticks.more(20)
        ticks.assert_gap_free()
        (holder,) = [worker for worker in workers if "lease.taken" in worker.log()]
        (waiting,) = [worker for worker in workers if worker is not holder]
        assert cluster.exchanges.binance.lines[1:] == []
        holder.process.kill()
        await holder.process.wait()
        count = len(ticks.seen)
        cluster.exchanges.prices = {name: Decimal(price) for name, price in LATER.items()}
        await ticks.until(lambda tick: Decimal(tick["price"]) == 104, after=count)
        assert "lease.taken" in waiting.log()
        assert len(cluster.exchanges.binance.lines) == 2
        await until_feed(api, SYMBOL, has_status("LIVE"))
        assert_nothing_wrong(ticks)


async def test_the_database_dies_and_comes_back_under_separate_processes(cluster: Cluster) -> None:
    mongo = await cluster.start_mongo()
    await cluster.start_redis()
    await cluster.start_worker("worker")
    api = await cluster.start_api()
    await until_feed(api, SYMBOL, has_status("LIVE"))
    await until(lambda: history(api), has_candles)
    async with watch_ticks(api, SYMBOL) as ticks:
        await ticks.more(5)
        mongo.kill()
        await mongo.wait()
        await until(lambda: readiness(api), lambda failing: failing == ["database"])
        assert_history_is_away(await history(api))
        await ticks.more(20)
        await cluster.start_mongo()
        await until(lambda: readiness(api), lambda failing: failing == [])
        await until(lambda: history(api), has_candles)
        ticks.assert_gap_free()
        assert_nothing_wrong(ticks)


async def test_the_database_child_dies_and_comes_back_under_dev(tmp_path: Path) -> None:
    async with open_exchanges(**PRICES) as exchanges:
        settings = {**exchanges.settings, "MONGO_TIMEOUT_MS": "3000"}
        async with server(tmp_path, "dev", settings=settings) as running:
            await until_feed(running, SYMBOL, has_status("LIVE"))
            await until(lambda: history(running), has_candles)
            async with watch_ticks(running, SYMBOL) as ticks:
                for _ in range(2):
                    (child,) = psutil.Process(running.process.pid).children()
                    child.kill()
                    await ticks.more(20)
                    await until(lambda: readiness(running), lambda failing: failing == [])
                    await until(lambda: history(running), has_candles)
                ticks.assert_gap_free()
                assert_nothing_wrong(ticks)


async def history(running: Server) -> Any:
    return await query(running, HISTORY, symbol=SYMBOL)


def has_candles(body: Any) -> bool:
    return "errors" not in body and len(body["data"]["market"]["candles"]["nodes"]) > 0


def assert_history_is_away(body: Any) -> None:
    """What needs the database is null and says why; the rest of the page is there."""
    assert body["data"]["market"]["candles"] is None
    assert body["data"]["market"]["symbol"] == SYMBOL
    assert body["data"]["market"]["feed"]["status"] == "LIVE"
    assert body["data"]["status"]["database"]["healthy"] is False
    assert {error["extensions"]["code"] for error in body["errors"]} == {"DATABASE_UNAVAILABLE"}
