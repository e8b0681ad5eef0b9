"""What happens to processes and servers while a storm lasts."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.simulation.faults import Faults

if TYPE_CHECKING:
    from tests.simulation.world import World


class Trouble:
    """One thing after another, drawn from the seed."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random("trouble")
        self._every = world.style.choice((2.0, 5.0, 15.0))

    async def run(self) -> None:
        """Until cancelled."""
        kinds = [self._kill, self._stand_still, self._database, self._redis, self._clock, self._usurp]
        weights = [4, 3, 2, 2 if self._world.is_remote else 0, 1, 2]
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._every))
            await self._random.choices(kinds, weights)[0]()

    async def _kill(self) -> None:
        lives = [life for life in self._world.processes if life.alive]
        if lives:
            self._world.counts["killed.anywhere"] += 1
            self._random.choice(lives).kill()

    async def _stand_still(self) -> None:
        """A process is not given the processor for a while: long enough, now and then, for another to take its leases."""
        lives = [life for life in self._world.processes if life.alive and not life.stands_still]
        if lives:
            self._world.counts["stood_still"] += 1
            life = self._random.choice(lives)
            life.stop()
            seconds = self._random.choice((0.1, 1.0, 6.0, 12.0, 20.0))
            asyncio.get_running_loop().call_later(seconds, life.go_on)

    async def _database(self) -> None:
        await self._away(self._world.mongo.faults, "mongo", (0.2, 1.0, 4.0, 9.0))

    async def _redis(self) -> None:
        if self._random.random() < 0.3:
            self._world.counts["redis.forgot"] += 1
            self._world.redis.forget()
        await self._away(self._world.redis.faults, "redis", (0.2, 1.0, 3.0))

    async def _usurp(self) -> None:
        """A second writer begins, though it does not hold the lease."""
        self._world.counts["usurped"] += 1
        process = self._world.add_process("usurper", (), self._random)
        process.is_usurper = True
        self._world.start(process, process.usurp())
        asyncio.get_running_loop().call_later(self._random.uniform(0.5, 8), process.life.kill)

    async def _away(self, faults: Faults, name: str, seconds: Sequence[float]) -> None:
        self._world.counts[f"{name}.went_away"] += 1
        faults.away = True
        try:
            await asyncio.sleep(self._random.choice(seconds))
        finally:
            faults.away = False

    async def _clock(self) -> None:
        """A machine's clock is set right, or wrong."""
        for process in self._world.processes.values():
            if self._random.random() < 0.5:
                process.clock.skew_ms = self._random.randint(-1_000, 1_000)
                self._world.counts["clock_set"] += 1
