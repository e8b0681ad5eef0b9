"""The exchange's one writer: takes commands, lets the core decide, appends what happened to the journal, then answers and publishes.

A batch is everything that waited when the last one had been appended. Nothing is answered or published before its batch is durable, a refusal
not before the batch it was decided in. An append that fails may have happened all the same: the very same batch is then tried again until
it is known to be there, or another writer's is in its place; that fences this one.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from pymongo.errors import PyMongoError

from core.backoff import Backoff
from core.bus import Bus, BusMessage
from core.clock import Clock
from core.order_vocabulary import OrderErrorCode
from events import commands
from events.answers import Answer, PreviewOrder, ReadHouse, RefusalState
from events.commands import Command
from events.journal import Event, MarketConfigured
from events.journal_codec import FORMAT, encode
from events.trading import PROJECTION_TOPIC, ProjectionAdvanced
from exchange.engine import Exchange
from exchange.preview import preview
from exchange.reply import Reply
from models import client_key, journal, projection
from models.journal import Batch, batch_of
from services import exchange_snapshots
from services.exchange_answers import Answers
from services.exchange_inbox import Answered, Asked, Inbox, refused
from services.journal_feed import JournalFeed, Place, after, stored_after
from services.leases import Holding

log = structlog.get_logger(__name__)

MOST_IN_BATCH = 256
"""Commands; a batch ends earlier when it is full."""
FULL_BATCH_EVENTS = 4_000
"""Some 400 KB. The events of one command are never parted, so a batch may be larger by what one command does."""
GATHER_SECONDS = 0.015
"""From one batch to the next at least, while fewer commands wait than `ENOUGH`: the database takes many in one document at the price of few."""
ENOUGH = 32
IDLE_SECONDS = 0.1
"""How late what is due at a time (expiry, cancel timers) may be."""
KEYS_REMEMBERED = 100_000
"""Clients' keys the core remembers before the older half is left to storage."""
MOST_BEHIND = 200_000
"""Events the projection may be behind; beyond that nothing new is placed, so that it can catch up."""
LOOK_SECONDS = 1.0
"""A message of the bus may be lost: how far the documents reach is looked up this often, while they are behind."""
_PLACING = (commands.PlaceOrder, commands.PlaceOco, commands.PlaceBracket)


class Fenced(Exception):
    """Another writer has appended: this one is over and must not answer any more."""


class Sources(Protocol):
    """What of the references has changed and not been told yet; `ready` is set when there is something."""

    ready: asyncio.Event

    def take(self) -> Sequence[Command]: ...


class Books(Protocol):
    """Shows the exchange's own books."""

    def all_touched(self, exchange: Exchange) -> None: ...

    def touched(self, exchange: Exchange, command: Command, reply: Reply) -> None: ...

    def publish(self, exchange: Exchange, now_ms: int) -> None: ...


@dataclass(frozen=True, slots=True)
class WriterParts:
    """What the writer works with. `rules` gives the markets as they should be, in the order of their opening."""

    inbox: Inbox
    feed: JournalFeed
    sources: Sources
    books: Books
    bus: Bus
    clock: Clock
    scales: dict[str, int]
    rules: Callable[[], Sequence[MarketConfigured]]


class ExchangeWriter:
    """One life of the writer: `open`, then `serve` until cancelled or fenced. A new life is a new object."""

    def __init__(self, parts: WriterParts, holding: Holding) -> None:
        self._parts = parts
        self._holding = holding
        self._place = Place()
        self._projected = 0
        self._rules: dict[str, MarketConfigured] = {}
        self.exchange = Exchange()
        self._answers = Answers(self.exchange, parts.scales)

    async def open(self) -> None:
        """Know everything the journal says, and take over from whoever wrote before.

        Raises:
            JournalDamaged, UnknownFormat: the journal cannot be continued.
        """
        state, self._place = await exchange_snapshots.read_state()
        while True:
            async for batch, events in stored_after(self._place):
                for event in events:
                    state.evolve(event)
                self._place = after(batch)
                await asyncio.sleep(0)
            self.exchange = Exchange(state)
            self.exchange.start_writer(state.epoch + 1)
            now_ms = self._now()
            self._rules.clear()
            self._open_markets(now_ms)
            events = self.exchange.take_events()
            if await self._append(events, now_ms, opening=True):
                break
            state, self._place = await exchange_snapshots.read_state()
        self._answers = Answers(self.exchange, self._parts.scales)
        self._parts.books.all_touched(self.exchange)
        self._projected = (await projection.read_watermark()).sequence
        log.info("exchange.writer_started", epoch=state.epoch, sequence=state.sequence, batch=self._place.batch)

    async def serve(self) -> None:
        """Execute what comes in until cancelled. Raises Fenced."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_projection())
            tasks.create_task(self._look_at_projection())
            tasks.create_task(self._watch_sources())
            tasks.create_task(self._serve())

    async def _serve(self) -> None:
        inbox, clock = self._parts.inbox, self._parts.clock
        began = clock.monotonic()
        while True:
            await inbox.wait(IDLE_SECONDS)
            early = began + GATHER_SECONDS - clock.monotonic()
            if early > 0 and len(inbox) < ENOUGH:
                await asyncio.sleep(early)
            began = clock.monotonic()
            await self._batch(inbox.take(MOST_IN_BATCH))

    async def _batch(self, waiting: Sequence[Asked]) -> None:
        exchange = self.exchange
        wanted = [
            key for asked in waiting if isinstance(asked.question, Command) for key in exchange.lookups(asked.question)
        ]
        exchange.recall(await self._stored_keys(wanted))
        now_ms = self._now()
        for command in (commands.Advance(), *self._parts.sources.take()):
            self._execute(command, now_ms)
        answers: list[tuple[Asked, Answered]] = []
        events: list[Event] = []
        for place, asked in enumerate(waiting):
            answers.append((asked, self._answer(asked, now_ms)))
            events += exchange.take_events()
            if len(events) >= FULL_BATCH_EVENTS and place + 1 < len(waiting):
                await self._finish(events, answers, now_ms)
                answers, events, now_ms = [], [], self._now()
        self._open_markets(now_ms)
        self._forget_keys(now_ms)
        await self._finish([*events, *exchange.take_events()], answers, now_ms)

    async def _finish(self, events: Sequence[Event], answers: Sequence[tuple[Asked, Answered]], now_ms: int) -> None:
        """Append, then answer. Without events, what is answered is true only while nobody else may write."""
        if events:
            await self._append(events, now_ms)
        elif answers and not self._holding.is_sure():
            for asked, _ in answers:
                asked.reply(refused(OrderErrorCode.OUTCOME_UNKNOWN))
            return
        sequence = self.exchange.state.sequence
        for asked, answer in answers:
            asked.reply(replace(answer, sequence=sequence) if isinstance(answer, Answer) else answer)
        self._parts.books.publish(self.exchange, now_ms)

    def _answer(self, asked: Asked, now_ms: int) -> Answered:
        question = asked.question
        if now_ms > asked.deadline_ms:
            return asked.not_done(OrderErrorCode.COMMAND_EXPIRED)
        match question:
            case PreviewOrder():
                found = preview(self.exchange, question.account, question.wish, now_ms)
                return self._answers.preview(question, found)
            case ReadHouse():
                return self._answers.house()
        if isinstance(question, _PLACING) and self.exchange.state.sequence - self._projected > MOST_BEHIND:
            return asked.not_done(OrderErrorCode.EXCHANGE_UNAVAILABLE)
        if isinstance(question, commands.OF_AN_ASSET) and question.asset not in self._parts.scales:
            return Answer(refusal=RefusalState(OrderErrorCode.INVALID_INPUT, "asset"))  # nobody could read the journal
        return self._answers.of(question, self._execute(question, now_ms), now_ms)

    def _execute(self, command: Command, now_ms: int) -> Reply:
        reply = self.exchange.execute(command, now_ms)
        self._parts.books.touched(self.exchange, command, reply)
        return reply

    async def _stored_keys(self, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, int]]:
        """Which of these keys were used. Waits for the database: without it nothing could be appended either."""
        backoff = Backoff(first_seconds=0.05, most_seconds=1.0)
        while True:
            try:
                return await client_key.find_keys(wanted)
            except PyMongoError as error:
                log.warning("exchange.keys_unreachable", error=type(error).__name__)
                await asyncio.sleep(backoff.next_delay())

    async def _append(self, events: Sequence[Event], now_ms: int, *, opening: bool = False) -> bool:
        """Make a batch durable. False, of an opening: another writer was faster. Raises Fenced."""
        place = self._place
        batch = batch_of(
            number=place.batch + 1,
            epoch=self.exchange.state.epoch,
            first_seq=place.sequence + 1,
            last_seq=self.exchange.state.sequence,
            time_ms=now_ms,
            written_in=FORMAT,
            prev_hash=place.hash,
            payload=encode(events),
        )
        if not await self._is_appended(batch):
            if opening:
                return False
            raise Fenced(f"batch {batch.number} of the journal is another writer's")
        self._place = after(batch)
        self._parts.feed.put(batch, events)
        return True

    async def _is_appended(self, batch: Batch) -> bool:
        backoff = Backoff(first_seconds=0.05, most_seconds=1.0)
        while True:
            try:
                if await journal.append(batch):
                    return True
                stored = await journal.read(batch.number)
                return stored is not None and stored.hash == batch.hash
            except PyMongoError as error:
                log.warning("exchange.append_unknown", batch=batch.number, error=type(error).__name__)
                await asyncio.sleep(backoff.next_delay())

    def _now(self) -> int:
        """The time, never before that of the last batch."""
        return max(self._parts.clock.now_ms(), self._place.time_ms)

    def _open_markets(self, now_ms: int) -> None:
        """Let markets be as they should be, as far as their open orders allow."""
        for rules in self._parts.rules():
            if self._rules.get(rules.symbol) is rules:
                continue
            self._rules[rules.symbol] = rules
            market = self.exchange.state.markets.get(rules.symbol)
            if market is None or market.rules != rules:
                reply = self.exchange.execute(commands.ConfigureMarket(rules), now_ms)
                if reply.refusal is not None:
                    log.warning("exchange.rules_kept", symbol=rules.symbol, why=reply.refusal.code)

    def _forget_keys(self, now_ms: int) -> None:
        remembered = self.exchange.state.remembered
        if len(remembered) > KEYS_REMEMBERED:
            through = min(remembered[KEYS_REMEMBERED // 2][0], self._projected)
            if through >= remembered[0][0]:
                self.exchange.execute(commands.ForgetKeys(through), now_ms)

    async def _watch_sources(self) -> None:
        while True:
            await self._parts.sources.ready.wait()
            self._parts.inbox.wake()
            await asyncio.sleep(GATHER_SECONDS)

    async def _watch_projection(self) -> None:
        async with self._parts.bus.subscribe(PROJECTION_TOPIC) as news:
            async for item in news:
                if isinstance(item, BusMessage) and isinstance(item.event, ProjectionAdvanced):
                    self._projected = max(self._projected, item.event.sequence)

    async def _look_at_projection(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._projected < self.exchange.state.sequence:
                try:
                    self._projected = max(self._projected, (await projection.read_watermark()).sequence)
                except PyMongoError as error:
                    log.warning("exchange.projection_unread", error=type(error).__name__)
