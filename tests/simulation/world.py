"""One run of the simulation: a storm in which everything fails, a calm in which everything must work again, and the end of all processes.

Everything that happens follows from the seed. The storm has one of two shapes: one process that is everything (asked in itself), or several
that are asked over Redis.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Coroutine, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest import mock

from pymongo.errors import AutoReconnect
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

import core.redis_requests
import services.exchange
import services.journal_feed
import services.projection
import workers.exchange
from core.backoff import Backoff
from core.redis_requests import RedisRequests
from core.vocabulary import MarketStatus
from events.commands import SetMarketStatus
from events.journal import MarketConfigured
from exchange.snapshot import digest
from models.journal import JournalDocument
from models.projection import ProjectionDocument
from services.exchange_gateway import ExchangeGateway, RedisGateway
from tests.exchange.floor import EXACT, ROUNDING, SYMBOLS
from tests.simulation.chains import Chains
from tests.simulation.faults import Chances, Faults
from tests.simulation.memory_mongo import MemoryMongo
from tests.simulation.memory_redis import MemoryRedis, MemoryRedisClient
from tests.simulation.network import Network
from tests.simulation.outside import Operators, References
from tests.simulation.people import AGAIN, Attempt, Person, Records
from tests.simulation.processes import EXCHANGE, PROJECTION, Ground, Process, Sabotage, exchange_seal
from tests.simulation.publications import Publications
from tests.simulation.trouble import Trouble
from tests.simulation.virtual_time import Life, VirtualClock, current_life
from tests.simulation.wishes import PRICES, Wishes

CALM_SECONDS = 60.0
"""After the storm everything works again within this time."""
MOST_SECONDS = 3_000.0
"""A storm ends within this time (of the simulation)."""
CROWD_COMMANDS = 600
"""Commands from which on some runs have hundreds of people."""


class World:
    """Everything of one run; `run` it on a virtual loop."""

    def __init__(self, seed: int, *, commands: int, sabotage: Sabotage) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.style = self.random("style")
        self.is_remote = seed % 3 != 0
        loop = asyncio.get_running_loop()
        self.clock = VirtualClock(loop)
        self.mongo = MemoryMongo(Faults("mongo", self.random("mongo"), self.counts, AutoReconnect))
        self.redis = MemoryRedis(Faults("redis", self.random("redis"), self.counts, RedisConnectionError))
        self.publications = Publications(self.stored_sequence)
        self.network = Network(self.random("bus"), self.counts, self.publications.heard)
        self.ground = Ground(self.counts, self.network, sabotage)
        self.prices = dict(PRICES)
        self.records = Records(self.counts, self._answered)
        self.processes: dict[Life, Process] = {}
        self.references = References(self)
        self.failures: list[BaseException] = []
        self.quiet: list[tuple[int, str]] = []
        """Sequence and digest of writers that served at the end of the calm."""
        self.people = self._people(commands)
        self.tasks: list[asyncio.Task[None]] = []
        self._started = 0
        self._storm = True

    def random(self, name: str) -> Random:
        """A source of its own for everything that draws, so that one does not shift another's numbers."""
        return Random(f"{self.seed}:{name}")

    def stored_sequence(self) -> int:
        """How far the journal reaches, as nobody's process sees it."""
        newest = self.mongo.collection(JournalDocument).newest()
        return 0 if newest is None else int(newest["last_seq"])

    def _answered(self, attempt: Attempt) -> None:
        """What is answered is durable at that moment."""
        if attempt.answer is not None:
            assert attempt.answer.sequence <= self.stored_sequence(), f"answered before it was stored: {attempt}"

    def _people(self, commands: int) -> list[Person]:
        some = self.style.randint(3, 20)
        if commands >= CROWD_COMMANDS and some % 4 == 0:
            some *= 15
        return [
            Person(
                Wishes(f"p{place}", self.random(f"wishes {place}"), self.prices),
                self.random(f"person {place}"),
                self.records,
                self.gateway,
                self.clock.now_ms,
            )
            for place in range(some)
        ]

    def gateway(self) -> ExchangeGateway:
        """The way to the exchange now."""
        if self.is_remote:
            return self._door
        alive = [process for process in self.processes.values() if process.life.alive and not process.is_usurper]
        return alive[-1].gateway if alive else self._nobody

    def rules(self) -> tuple[MarketConfigured, ...]:
        """Those a process that starts now has: fees and references differ from one to the next."""
        change = self.style.choice(({}, {}, {"taker_ppm": 2_000}, {"maker_ppm": 0}, {"has_reference": False}))
        return EXACT, ROUNDING._replace(**change)

    async def run(self, commands: int) -> None:
        """The storm, and the calm after it. The processes stand at the end; `end` them."""
        loop = asyncio.get_running_loop()
        self._nobody = Process(self.ground, "nobody", "nobody", (), (), is_remote=False).gateway
        requests = RedisRequests("", process="api", name=EXCHANGE, seal=exchange_seal())
        self._door = RedisGateway(requests, self.clock)
        self._weather()
        trouble = Trouble(self)
        self.tasks += [loop.create_task(requests.run()), loop.create_task(self.references.run())]
        self.tasks += [loop.create_task(self._keep(place, roles)) for place, roles in enumerate(self._slots())]
        chains = Chains(self)
        storm = [loop.create_task(each.run()) for each in (trouble, Operators(self), chains)]
        self.tasks += storm
        each = max(1, commands // len(self.people))
        async with asyncio.timeout(MOST_SECONDS):
            await asyncio.gather(*(person.live(each, 0.6) for person in self.people))
        for task in storm:
            task.cancel()
        self._calm()
        await self._everything_works()
        self.quiet = [
            (writer.exchange.state.sequence, digest(writer.exchange.state))
            for writer in self.ground.writers[-4:]
            if writer.is_quiet()
        ]
        self.counts["writer.quiet"] += len(self.quiet)
        await self.end()
        if self.failures:
            raise self.failures[0]
        for task in storm:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def end(self) -> None:
        """Kill every process."""
        for task in self.tasks:
            task.cancel()
        for life in self.ground.lives:
            life.kill()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.sleep(1)

    def _slots(self) -> list[tuple[str, ...]]:
        if not self.is_remote:
            return [(EXCHANGE, PROJECTION)]
        both: tuple[str, ...] = (EXCHANGE, PROJECTION)
        shapes: list[list[tuple[str, ...]]] = [
            [both, both],
            [(EXCHANGE,), (EXCHANGE,), (PROJECTION,)],
            [both, (PROJECTION,)],
        ]
        return self.style.choice(shapes)

    def _weather(self) -> None:
        draw = self.style.choice
        rough = draw((0.0, 0.002, 0.01, 0.03))
        for faults in (self.mongo.faults, self.redis.faults):
            faults.chances = Chances(rough, rough, rough / 2, draw((0.0, 0.001, 0.003)), draw((0.0, 0.0, 0.003)))
            faults.kill = self._killed
        self.network.loss = draw((0.0, 0.05, 0.3, 0.95))

    def _killed(self, life: Life) -> None:
        self.counts["killed.at_call"] += 1
        life.kill()

    def _calm(self) -> None:
        self._storm = False
        self.mongo.faults.calm()
        self.redis.faults.calm()
        self.network.loss = 0.0
        for life in self.processes:
            life.go_on()

    def add_process(self, kind: str, roles: Sequence[str], draw: Random) -> Process:
        """A process that is to be started."""
        self._started += 1
        name = f"{kind} {self._started}"
        process = Process(
            self.ground, name, name if self.is_remote else "embedded", roles, self.rules(),
            skew_ms=draw.choice((0, 0, draw.randint(-1_000, 1_000))), capacity=draw.choice((10_000, 12)),
            is_remote=self.is_remote,
        )  # fmt: skip
        self.processes = {life: each for life, each in self.processes.items() if life.alive}
        self.processes[process.life] = process
        return process

    def start(self, process: Process, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let a process run; what it fails of while it lives is a failure of the run."""

        def ended(task: asyncio.Task[None]) -> None:
            if process.life.alive and not task.cancelled() and (error := task.exception()) is not None:
                self.failures.append(error)

        task = process.life.start(work)
        task.add_done_callback(ended)
        return task

    async def _keep(self, place: int, roles: Sequence[str]) -> None:
        """Start a process again whenever it has ended."""
        draw = self.random(f"slot {place}")
        while True:
            process = self.add_process("process", roles, draw)
            task = self.start(process, process.run())
            await asyncio.wait({task})
            process.life.kill()
            await asyncio.sleep(draw.random() * 2 if self._storm else 0.1)

    async def _everything_works(self) -> None:
        """Soon after the storm orders are taken again, and the documents follow the journal."""
        wishes = Wishes("witness", self.random("witness"), self.prices)
        self.references.is_silent = True
        async with asyncio.timeout(CALM_SECONDS):
            attempt = await self.records.insist(self.gateway, wishes.modest(), 10_000)
            assert attempt.code not in AGAIN
            self.references.is_silent = False
            for symbol in SYMBOLS:
                await self._must(SetMarketStatus(symbol, MarketStatus.TRADING, "the storm is over"))
            await self._must(wishes.funds("USDT", 10**13))
            order = await self._must(wishes.modest())
            assert order.answer is not None
            while self._written() < max(order.answer.made, self.stored_sequence()) and not self.failures:
                await asyncio.sleep(0.1)

    async def _must(self, command: object) -> Attempt:
        attempt = await self.records.insist(self.gateway, command, 10_000)  # type: ignore[arg-type]
        assert attempt.code is None, f"refused in calm weather: {attempt}"
        return attempt

    def _written(self) -> int:
        newest = self.mongo.collection(ProjectionDocument).newest()
        return 0 if newest is None else int(newest["sequence"])

    def fingerprint(self) -> str:
        """What two runs of one seed have in common."""
        found = hashlib.sha256()
        for row in self.mongo.collection(JournalDocument).rows():
            found.update(row["hash"].encode())
        for attempt in self.records.attempts:
            found.update(repr(attempt).encode())
        return found.hexdigest()

    @contextmanager
    def installed(self) -> Iterator[list[MutableMapping[str, Any]]]:
        """Put everything in its place: the database, Redis, small limits so that each is reached, and delays from the seed."""
        draw, delays = self.style, self.random("delays")

        def delay(backoff: Backoff) -> float:
            return min(backoff.most_seconds, backoff.first_seconds * 4) * delays.uniform(0.5, 1.0)

        with ExitStack() as stack, capture_logs() as logs:
            change = stack.enter_context
            change(self.mongo.installed())
            change(mock.patch.object(core.redis_requests, "connect", self._connect))
            change(mock.patch.object(Backoff, "next_delay", delay))
            change(mock.patch.object(workers.exchange, "ExchangeWriter", self._new_writer))
            change(
                mock.patch.multiple(
                    services.exchange,
                    KEYS_REMEMBERED=draw.choice((4, 20, 100_000)),
                    MOST_BEHIND=draw.choice((30, 100, 200_000)),
                    FULL_BATCH_EVENTS=draw.choice((4, 4_000)),
                    MOST_IN_BATCH=draw.choice((3, 256)),
                )
            )
            change(
                mock.patch.multiple(
                    services.journal_feed, _RECENT=draw.choice((1, 5, 512)), _WIDEST=draw.choice((100, 20_000))
                )
            )
            change(
                mock.patch.multiple(
                    services.projection,
                    SNAPSHOT_EVENTS=draw.choice((50, 150, 200_000)),
                    MOST_PENDING=draw.choice((3, 20_000)),
                    MOST_IN_PACK=draw.choice((5, 100)),
                )
            )
            yield logs

    def _connect(self, url: str, **limits: object) -> MemoryRedisClient:
        return self.redis.client()

    def _new_writer(self, parts: services.exchange.WriterParts, holding: object) -> object:
        life = current_life()
        assert life is not None
        return self.processes[life].new_writer(parts, holding)  # type: ignore[arg-type]
