"""A trading house for tests: writer and projector on one database, as one process runs them, with people who ask."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from core.bus import Bus, MemoryBus
from core.clock import Clock, SystemClock
from core.order_vocabulary import OrderType
from core.vocabulary import MarketStatus, OrderSide
from events.answers import Answer
from events.commands import CancelOrder, Command, MoveFunds, OrderWish, PlaceOrder
from events.journal import MarketConfigured
from exchange.accounts import House
from exchange.engine import Exchange
from exchange.reply import Reply
from services.exchange import ExchangeWriter, WriterParts
from services.exchange_gateway import LocalGateway
from services.exchange_inbox import Inbox
from services.exchange_tape import ExchangeTrade
from services.journal_feed import JournalFeed
from services.leases import Holding
from services.projection import ProjectionPorts, Projector
from services.projection_view import ProjectionView
from tests.exchange.floor import EXACT, ROUNDING

SCALES = {"ETH": 18, "USDT": 6, "BTC": 8, "USD": 2}
CASH = frozenset({"USDT", "USD"})
FUNDS = {"ETH": 10**21, "USDT": 10**13, "BTC": 10**11, "USD": 10**10}


@dataclass
class Sources:
    """References that say what a test lets them say."""

    waiting: list[Command] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> Sequence[Command]:
        """What was not told yet."""
        self.ready.clear()
        told, self.waiting = self.waiting, []
        return told


class Sure(Holding):
    """A lease that nobody else asks for."""

    def is_sure(self) -> bool:
        return True


class Silent:
    """Books, tape and statuses that nobody looks at."""

    def all_touched(self, exchange: Exchange) -> None: ...

    def touched(self, exchange: Exchange, command: Command, reply: Reply) -> None: ...

    def publish(self, exchange: Exchange, now_ms: int) -> None: ...

    async def room(self) -> None: ...

    def traded(self, accounts: Iterable[str]) -> None: ...

    async def flush(self) -> None: ...

    def take(self, trades: Sequence[ExchangeTrade]) -> None: ...

    async def status_changed(self, symbol: str, status: MarketStatus, time_ms: int) -> None: ...


class TradingHouse:
    """Everything of one process. `writer` and `projector` are its present lives."""

    def __init__(
        self,
        clock: Clock | None = None,
        bus: Bus | None = None,
        *,
        rules: Sequence[MarketConfigured] = (EXACT, ROUNDING),
        scales: Mapping[str, int] = SCALES,
    ) -> None:
        self.scales = dict(scales)
        self.clock = clock or SystemClock()
        self.bus = bus or MemoryBus()
        self.inbox = Inbox()
        self.feed = JournalFeed(self.bus)
        self.sources = Sources()
        self.gateway = LocalGateway(self.inbox, self.clock)
        self.parts = WriterParts(
            self.inbox, self.feed, self.sources, Silent(), self.bus, self.clock, self.scales, lambda: rules
        )
        self.writer = ExchangeWriter(self.parts, Sure(self.clock))
        self.projector = self.new_projector()
        self._keys = 0

    def new_writer(self) -> ExchangeWriter:
        """Another life of the writer."""
        return ExchangeWriter(self.parts, Sure(self.clock))

    def new_projector(self) -> Projector:
        """Another life of the projector."""
        return Projector(
            ProjectionView(self.scales, CASH),
            self.feed,
            ProjectionPorts(Silent(), Silent(), Silent()),
            bus=self.bus,
            clock=self.clock,
        )

    def key(self) -> str:
        """A key that was not used yet."""
        self._keys += 1
        return f"key-{self._keys}"

    async def give(self, account: str, asset: str, units: int) -> Answer:
        """Test funds."""
        key = self.key()
        return await self.gateway.ask(MoveFunds(account, House.TEST_FUNDS, asset, units, key, f"digest of {key}"))

    async def place(self, account: str, wish: OrderWish, key: str = "") -> Answer:
        """Place an order, under a new key unless one is given."""
        return await self.gateway.ask(PlaceOrder(account, key or self.key(), f"digest of {wish}", wish))

    async def limit(self, account: str, side: OrderSide, ticks: int, lots: int, key: str = "") -> Answer:
        """A limit order on the exact market."""
        wish = OrderWish(EXACT.symbol, side, OrderType.LIMIT, quantity=lots * EXACT.lot, price=ticks * EXACT.tick)
        return await self.place(account, wish, key)

    async def cancel(self, account: str, order: int) -> Answer:
        """Cancel by id."""
        return await self.gateway.ask(CancelOrder(account, order))

    @asynccontextmanager
    async def open(self, *people: str) -> AsyncIterator[None]:
        """Run writer and projector; people get funds."""
        await self.writer.open()
        await self.projector.load()
        tasks = [asyncio.create_task(self.writer.serve()), asyncio.create_task(self.projector.run())]
        try:
            for person in people:
                for asset, units in FUNDS.items():
                    await self.give(person, asset, units)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def projected(self) -> None:
        """Until the documents hold everything the writer has done."""
        async with asyncio.timeout(20):
            while self.projector.place.sequence < self.writer.exchange.state.sequence:
                await asyncio.sleep(0)
        await self.projector.flush()
