"""Processes of the simulation: the real workers, each with its own clock, bus, inbox and references, and their lives."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pymongo.errors import PyMongoError

from core.message_seal import MessageSeal
from core.redis_requests import RedisRequestServer
from core.secret_box import SecretBox
from core.vocabulary import MarketStatus
from events.commands import Command
from events.journal import MarketConfigured
from services.exchange import ExchangeWriter, Fenced, WriterParts
from services.exchange_gateway import LocalGateway
from services.exchange_inbox import Inbox
from services.exchange_tape import ExchangeTrade
from services.journal_feed import JournalFeed
from services.leases import Holding
from services.projection import Overtaken, ProjectionPorts, Projector
from services.projection_view import ProjectionView
from tests.simulation.network import LifeBus, Network
from tests.simulation.virtual_time import Life, VirtualClock
from tests.trading_house import CASH, SCALES, Silent
from workers.exchange import ExchangeWorker
from workers.leased import Loop
from workers.projection import ProjectionWorker
from workers.runner import run

MOST_REFERENCES = 200
EXCHANGE, PROJECTION = "exchange", "projection"


def exchange_seal() -> MessageSeal:
    """Every process has the same key."""
    return MessageSeal(SecretBox([bytes(32)]), EXCHANGE)


class Tape:
    """Notes every trade that a projector takes; the same number is always the same trade."""

    def __init__(self) -> None:
        self.trades: dict[tuple[str, int], ExchangeTrade] = {}

    def take(self, trades: Sequence[ExchangeTrade]) -> None:
        """Called by projectors."""
        for trade in trades:
            known = self.trades.setdefault((trade.symbol, trade.number), trade)
            assert known == trade, f"trade {trade.number} of {trade.symbol} is two things"

    async def room(self) -> None:
        """There is always some."""

    async def flush(self) -> None:
        """Nothing waits."""


class Statuses:
    """Statuses that markets have."""

    async def status_changed(self, symbol: str, status: MarketStatus, time_ms: int) -> None:
        """Called by projectors."""


@dataclass
class References:
    """What one process knows of the references and did not tell its writer yet."""

    waiting: list[Command] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> Sequence[Command]:
        """What was not told yet."""
        self.ready.clear()
        told, self.waiting = self.waiting, []
        return told

    def tell(self, commands: Sequence[Command]) -> None:
        """Let the writer be told, if one takes it."""
        self.waiting = [*self.waiting, *commands][-MOST_REFERENCES:]
        self.ready.set()


@dataclass(frozen=True, slots=True)
class Sabotage:
    """Writers and projectors that are broken on purpose, to see that it is noticed."""

    writer: type["WatchedWriter"] | None = None
    projector: type["WatchedProjector"] | None = None


@dataclass
class Ground:
    """What all processes share. `writers` are those that were made, newest last."""

    counts: Counter[str]
    network: Network
    sabotage: Sabotage
    tape: Tape = field(default_factory=Tape)
    writers: list["WatchedWriter"] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)


class WatchedWriter(ExchangeWriter):
    """A writer that says how it ended."""

    ground: Ground
    life: Life

    async def open(self) -> None:
        await super().open()
        assert self._has_its_rules(), "a writer that opens did not let the markets be as they should"

    async def serve(self) -> None:
        self.ground.counts["writer.served"] += 1
        try:
            await super().serve()
        except* Fenced:
            self.ground.counts["writer.fenced"] += 1
            raise

    def is_quiet(self) -> bool:
        """Whether everything it decided stands in the journal."""
        return self.life.alive and self._place.sequence == self.exchange.state.sequence

    def _has_its_rules(self) -> bool:
        """Whether the markets are as this process wants them."""
        markets = self.exchange.state.markets
        return all(markets[rules.symbol].rules == rules for rules in self._parts.rules())


class WatchedProjector(Projector):
    """A projector that says how it ended."""

    ground: Ground

    async def flush(self) -> None:
        try:
            await super().flush()
        except Overtaken:
            self.ground.counts["projector.overtaken"] += 1
            raise

    async def snapshot(self) -> None:
        await super().snapshot()
        self.ground.counts["projector.snapshot"] += 1


class Process:
    """One life of a process that runs these workers. Without `is_remote` it is asked in the same process, as a development server is."""

    def __init__(
        self,
        ground: Ground,
        name: str,
        holder: str,
        roles: Sequence[str],
        rules: Sequence[MarketConfigured],
        *,
        skew_ms: int = 0,
        capacity: int = 10_000,
        is_remote: bool = True,
    ) -> None:
        self.is_usurper = False
        self.life = Life(name)
        ground.lives.append(self.life)
        self.ground = ground
        self.clock = VirtualClock(asyncio.get_running_loop(), skew_ms)
        self.bus = LifeBus(ground.network, self.life)
        self.inbox = Inbox(capacity)
        self.feed = JournalFeed(self.bus)
        self.references = References()
        self.gateway = LocalGateway(self.inbox, self.clock)
        self.parts = WriterParts(
            self.inbox, self.feed, self.references, Silent(), self.bus, self.clock, SCALES, lambda: rules
        )
        self._holder = holder
        self._roles = roles
        self._remote = RedisRequestServer("", server=name, name=EXCHANGE, seal=exchange_seal()) if is_remote else None

    async def run(self) -> None:
        """Until killed."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            EXCHANGE: ExchangeWorker(self.parts, self.clock, self._holder, self._remote).run,
            PROJECTION: ProjectionWorker(self.clock, self._holder, self._open_projector).run,
        }
        await run({role: loops[role] for role in self._roles})

    async def usurp(self) -> None:
        """Write without the lease, which no process does: whoever holds it is fenced, and then fences this one."""
        holding = Holding(self.clock)
        holding.renewed(-1_000.0)
        writer = self.new_writer(self.parts, holding)
        try:
            await writer.open()
            await writer.serve()
        except* (Fenced, PyMongoError):
            self.ground.counts["usurper.ended"] += 1

    def new_writer(self, parts: WriterParts, holding: Holding) -> WatchedWriter:
        """Another life of the writer, noted."""
        writer = (self.ground.sabotage.writer or WatchedWriter)(parts, holding)
        writer.ground, writer.life = self.ground, self.life
        self.ground.writers.append(writer)
        return writer

    def new_projector(self) -> WatchedProjector:
        """Another life of the projector."""
        projector = (self.ground.sabotage.projector or WatchedProjector)(
            ProjectionView(SCALES, CASH),
            self.feed,
            ProjectionPorts(self.ground.tape, Statuses(), Silent()),
            bus=self.bus,
            clock=self.clock,
        )
        projector.ground = self.ground
        return projector

    async def _open_projector(self) -> tuple[Loop, ...]:
        projector = self.new_projector()
        await projector.load()
        self.ground.counts["projector.loaded"] += 1
        return (projector.run,)
