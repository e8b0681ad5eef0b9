"""The market data worker: every feed in a task of its own, and the loops around services/market_data.py."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from pymongo.errors import PyMongoError

from core.backoff import Backoff
from core.bus import Bus, BusGap
from core.cancellation import raise_if_cancelled
from core.clock import Clock
from core.request_id import request_scope
from core.vocabulary import PriceSource, Series, series_of
from events.feed import FeedDisconnected, FeedMessage, FeedPrice, FeedQuote, FeedTrade
from events.market import CONTROL_TOPIC, PaceConfirmed, ResyncRequested
from integrations.feeds.base import Feed, HistoryFeed, ProviderUnavailable, RulesFeed
from services.leases import Holding, LeaseLost, run_as_only_one
from services.market_data import CHECK_SECONDS, FLUSH_SECONDS, MarketData
from services.pacing import Pacer

log = structlog.get_logger(__name__)

NAME = "market-data"
REPAIR_SECONDS = 1.0
"""Pause between two looks for missing history."""
REPAIR_PAUSE_SECONDS = 0.2
"""Pause after a stretch was fetched, for whoever else needs the database and the provider."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """The feed that is played while no configured source answers, and how long to wait for one."""

    feed: Feed
    after_seconds: float


@dataclass(frozen=True, slots=True)
class MarketDataWorker:
    """What the worker needs. `open_data` and `open_feeds` make fresh ones, for every time the lease is taken."""

    bus: Bus
    clock: Clock
    holder: str
    open_feeds: Callable[[], Sequence[Feed]]
    fallback: Fallback | None
    pacer: Pacer | None
    rules_every_seconds: float | None
    """How often market rules are taken over from the providers; None: never."""
    open_data: Callable[[], Awaitable[MarketData]]

    async def run(self) -> None:
        """Work while this process holds the lease; wait for it otherwise. Until cancelled."""
        backoff = Backoff()
        while True:
            delay = backoff.next_delay()
            try:
                await run_as_only_one(NAME, self.holder, self.clock, self._work)
            except* (LeaseLost, PyMongoError) as problems:
                log.warning("market_data.again", reason=str(problems.exceptions[0]), delay_seconds=round(delay, 2))
            raise_if_cancelled()
            await asyncio.sleep(delay)

    async def _work(self, _: Holding) -> None:
        feeds = self.open_feeds()
        data = await self.open_data()
        answered = asyncio.Event()

        async def take(message: FeedMessage) -> None:
            if isinstance(message, FeedTrade | FeedQuote | FeedPrice) and series_of(message.source) is Series.LIVE:
                answered.set()
            await data.handle(message)

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._answer(data))
                tasks.create_task(_every(CHECK_SECONDS, data.check))
                tasks.create_task(_every(FLUSH_SECONDS, data.flush_due))
                for feed in feeds:
                    tasks.create_task(_supervised(feed, take))
                if self.fallback is not None:
                    tasks.create_task(self._fall_back(self.fallback, take, answered))
                if self.rules_every_seconds is not None:
                    tasks.create_task(_every(self.rules_every_seconds, lambda: self._refresh_rules(data, feeds)))
                tasks.create_task(_every(REPAIR_SECONDS, lambda: self._repair(data, self._histories(feeds))))
        finally:
            await asyncio.shield(_close(data))

    async def _answer(self, data: MarketData) -> None:
        """Answer other processes: what they ask for, and what they confirm."""
        async with self.bus.subscribe(CONTROL_TOPIC) as subscription:
            data.resync("")
            async for item in subscription:
                if isinstance(item, BusGap):
                    data.resync("")
                    continue
                with request_scope(item.request_id):
                    self._take(item.event, data)

    def _take(self, event: object, data: MarketData) -> None:
        match event:
            case ResyncRequested(process):
                data.resync(process)
                if self.pacer is not None:
                    self.pacer.joined(process)
            case PaceConfirmed() as confirmation if self.pacer is not None:
                self.pacer.confirmed(confirmation)

    async def _fall_back(
        self, fallback: Fallback, take: Callable[[FeedMessage], Awaitable[None]], answered: asyncio.Event
    ) -> None:
        """Play the fallback until a configured source answers."""
        try:
            async with asyncio.timeout(fallback.after_seconds):
                await answered.wait()
        except TimeoutError:
            log.warning("market_data.simulated", reason="no configured source answers")
        if answered.is_set():
            return
        playing = asyncio.create_task(_supervised(fallback.feed, take))
        try:
            await answered.wait()
            log.info("market_data.real", reason="a configured source answers")
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        await take(FeedDisconnected(fallback.feed.source, "a real source answers"))

    async def _repair(self, data: MarketData, histories: Mapping[PriceSource, HistoryFeed]) -> None:
        """Fetch what is missing of each market's history, one stretch each, and store it before the next."""
        for symbol, source in data.leaders().items():
            history = histories.get(source)
            if history is None:
                continue
            try:
                if await data.history.repair(series_of(source), symbol, history, self.clock.now_ms()):
                    await data.flush()
                    await asyncio.sleep(REPAIR_PAUSE_SECONDS)
            except (ProviderUnavailable, PyMongoError) as error:
                log.info("market_data.not_repaired", symbol=symbol, reason=str(error) or type(error).__name__)

    async def _refresh_rules(self, data: MarketData, feeds: Sequence[Feed]) -> None:
        """Ask every provider that publishes its rules; one that does not answer is asked the next time."""
        for feed in feeds:
            if isinstance(feed, RulesFeed):
                try:
                    await data.refresh_rules(await feed.rules())
                except (ProviderUnavailable, PyMongoError) as error:
                    log.warning("market_data.rules_kept", source=feed.source, reason=str(error) or type(error).__name__)

    def _histories(self, feeds: Sequence[Feed]) -> Mapping[PriceSource, HistoryFeed]:
        every = (*feeds, *([self.fallback.feed] if self.fallback is not None else []))
        return {feed.source: feed for feed in every if isinstance(feed, HistoryFeed)}


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await asyncio.sleep(seconds)


async def _supervised(feed: Feed, take: Callable[[FeedMessage], Awaitable[None]]) -> None:
    """Run a feed for ever: one that fails is reported, waited for and started again; the others never notice."""
    backoff = Backoff()
    while True:
        try:
            await feed.run(take)
        except Exception:
            log.exception("market_data.feed_failed", source=feed.source)
            await take(FeedDisconnected(feed.source, "the adapter failed and is started again"))
        await asyncio.sleep(backoff.next_delay())


async def _close(data: MarketData) -> None:
    try:
        await data.close()
    except (PyMongoError, TimeoutError) as error:
        log.warning("market_data.not_stored_at_end", reason=type(error).__name__)
