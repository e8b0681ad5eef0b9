"""Writer, projector and Redis, each killed under a load of orders between separate processes: nothing acknowledged is lost or doubled."""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from tests.faults.exchange_cluster import exchange_cluster, killed, says, started
from tests.faults.order_load import Load, funded
from tests.faults.test_exchange_kills import chance
from tests.flows.traders import ledger_is_sound, traders, until_priced

__all__ = ["chance"]
AWAY = ("EXCHANGE_UNAVAILABLE", "OUTCOME_UNKNOWN", "COMMAND_EXPIRED")


@pytest.mark.soak
@pytest.mark.timeout(240)
async def test_writers_take_over_from_each_other(tmp_path: Path, chance: random.Random) -> None:
    """One is killed; the next stands still until its lease is over, wakes up, is fenced, and takes over once more."""
    async with exchange_cluster(tmp_path) as cluster:
        await cluster.start_redis()
        first, _, (market, api) = await asyncio.gather(
            cluster.worker("first", "exchange"), cluster.worker("projection", "projection"), started(cluster)
        )
        async with traders(api, "ann", "ben", mails=market) as people:
            await until_priced(api)
            await funded(people)
            load = Load(people, chance)
            async with load.running():
                await load.more(chance.randint(10, 60))
                await killed(first.process)
                second = await cluster.worker("second", "exchange")
                await load.more(10)
                third = await cluster.worker("third", "exchange")
                await load.more(chance.randint(10, 60))
                second.process.send_signal(signal.SIGSTOP)
                await says(third, "exchange.writer_started")
                await load.more(10)
                second.process.send_signal(signal.SIGCONT)
                await says(second, "exchange.again")
                await load.more(chance.randint(10, 60))
            await load.check()
            async with load.running():
                await killed(third.process)
                await says(second, "exchange.writer_started", 2)
                await load.more(10)
            await load.check()
            assert " 0 problems" in await ledger_is_sound(url=cluster.mongo_url)


@pytest.mark.soak
@pytest.mark.timeout(240)
async def test_projector_and_redis_are_killed(tmp_path: Path, chance: random.Random) -> None:
    async with exchange_cluster(tmp_path) as cluster:
        redis = await cluster.start_redis()
        _, projection, (market, api) = await asyncio.gather(
            cluster.worker("exchange", "exchange"), cluster.worker("projection", "projection"), started(cluster)
        )
        async with traders(api, "ann", "ben", mails=market) as people:
            await until_priced(api)
            await funded(people)
            load = Load(people, chance)
            async with load.running():
                await load.more(chance.randint(10, 60))
                await killed(projection.process)
                await load.more(20)
                again = await cluster.worker("again", "projection")
                await says(again, "lease.taken")
            await load.check()
            async with load.running():
                await load.more(chance.randint(10, 60))
                await killed(redis)
                await load.until_refused(*AWAY)
                await load.until_refused("EXCHANGE_UNAVAILABLE")
                await cluster.start_redis()
                await load.more(20)
            await load.check()
            assert " 0 problems" in await ledger_is_sound(url=cluster.mongo_url)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_anything_is_killed_or_stands_still(tmp_path: Path, chance: random.Random) -> None:
    """Two writers, two projectors, the API and Redis, in any order."""
    async with exchange_cluster(tmp_path) as cluster:
        redis = await cluster.start_redis()
        running = dict(
            zip(
                ("exchange", "exchange-2", "projection", "projection-2"),
                await asyncio.gather(
                    *(cluster.worker(name, name.split("-")[0]) for name in ("exchange", "exchange-2")),
                    *(cluster.worker(name, name.split("-")[0]) for name in ("projection", "projection-2")),
                ),
                strict=True,
            )
        )
        market, api = await started(cluster)
        async with traders(api, "ann", "ben", mails=market) as people:
            await until_priced(api)
            await funded(people)
            load = Load(people, chance)
            async with load.running():
                for turn in range(12):
                    await load.more(10)
                    victim = chance.choice([*running, "api", "redis"])
                    if victim == "redis":
                        await killed(redis)
                        await asyncio.sleep(chance.random() * 3)
                        redis = await cluster.start_redis()
                    elif victim == "api":
                        await killed(api.process)
                        api = await cluster.api()
                    elif chance.random() < 0.5:
                        running[victim].process.send_signal(signal.SIGSTOP)
                        await asyncio.sleep(chance.random() * 14)
                        running[victim].process.send_signal(signal.SIGCONT)
                    else:
                        await killed(running[victim].process)
                        running[victim] = await cluster.worker(f"{victim}-{turn}", victim.split("-")[0])
                await load.more(10)
            await load.check()
            assert " 0 problems" in await ledger_is_sound(url=cluster.mongo_url)
