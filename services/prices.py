"""One price per market out of several sources: the life of a tick from a feed's message to `TickAccepted`.

Pure and synchronous: messages and times come in, events go out. Per market:

- Sources are believed by themselves first (`price_sources`: late, repeated, refused and held messages), then together: the price is the
  median of the *live* ones (connected, fresh, in agreement). A source the others contradict does not become right by their
  silence: it takes over near the last price, or after a minute of nobody else. The *leader* is the live source of highest priority: its trades, book and
  figures are the ones shown, its quote is the tick's quote, and it is the tick's source.
- A trade of the leader makes a tick, even at the same price, dated as the trade. Anything else makes one only when price, bid or ask
  differ from the last tick's, at most one in 100 ms (`check` sends what waits), dated with the newest time the live sources gave.
- The sequence goes up by one a tick, whatever happens to the sources.
- Series never mix. Recorded data drives out simulated data and live data drives out both, at once and for good: when the live
  sources fall silent the last price stays, STALE; it is never continued by an invented one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from core.vocabulary import FeedStatus, PriceSource, Series, series_of
from events.feed import (
    FeedBookDelta,
    FeedBookSnapshot,
    FeedConnected,
    FeedDisconnected,
    FeedMessage,
    FeedPrice,
    FeedQuote,
    FeedRejected,
    FeedStats24h,
    FeedTrade,
)
from events.market import FeedChanged, SourceHealth, TickAccepted
from services.price_sources import (
    Observation,
    PriceLimits,
    Seen,
    SourceState,
    agreeing,
    beyond,
    deviation,
    median,
    percent,
)

COALESCE_MS = 100
REFRESH_MS = 5_000
"""Figures that change with every message (last prices, times, latency) are published this often, at most."""
DOUBT_MS = 60_000
"""How long a source that others contradicted, and that is still far from the last price, may not take over from them."""
_RANK = {Series.SIMULATED: 0, Series.REPLAY: 1, Series.LIVE: 2}


@dataclass(slots=True)
class Outcome:
    """What a message led to. Publish `events` in order. `trades` are the leader's believed trades, oldest news first: they belong
    into the market's trades and candles (a late one is among them without a tick)."""

    events: list[TickAccepted | FeedChanged] = field(default_factory=list)
    trades: list[FeedTrade] = field(default_factory=list)


class PriceAggregator:
    """The aggregated price of one market.

    `sources`: those configured for this market, highest priority first; SIMULATED may always come in below them. `resume`: the
    last tick of an earlier run; its sequence goes on, and its price judges the first one of the same series. `sequence`: the number of
    the last tick, where that is known and the tick is not.
    """

    def __init__(
        self,
        symbol: str,
        sources: Sequence[PriceSource],
        limits: PriceLimits,
        *,
        sequence: int = 0,
        resume: TickAccepted | None = None,
    ) -> None:
        self.symbol = symbol
        self.sequence = sequence if resume is None else max(sequence, resume.sequence)
        """Number of the last tick; 0 before the first."""
        self.last_tick = resume
        self.leader: PriceSource | None = None
        self.series: Series | None = None if resume is None else series_of(resume.source)
        self._limit = limits.max_deviation
        self._states = {source: SourceState(source, limits) for source in (*sources, PriceSource.SIMULATED)}
        self._configured = frozenset(sources)
        self._rank = -1
        self._fresh: dict[PriceSource, Decimal] = {}
        self._live: dict[PriceSource, Decimal] = {}
        self._doubted_ms: dict[PriceSource, int] = {}
        self._tick_sent_ms: int | None = None
        self._feed_sent: FeedChanged | None = None
        self._feed_sent_ms = 0
        self._signature: object = None

    def apply(self, message: FeedMessage, now_ms: int) -> Outcome:
        """Take one message about this market, or about a source as a whole; a source not configured here has no effect."""
        outcome = Outcome()
        state = self._states.get(message.source)
        if state is None:
            return outcome
        match message:
            case FeedTrade() | FeedQuote() | FeedPrice():
                self._observe(state, message, now_ms, outcome)
            case FeedBookSnapshot() | FeedBookDelta() | FeedStats24h():
                state.touch(now_ms)
            case FeedConnected():
                state.connect()
            case FeedDisconnected():
                state.disconnect(message.reason)
            case FeedRejected():
                state.note(message.reason, now_ms)
        self._settle(now_ms, outcome)
        return outcome

    def check(self, now_ms: int) -> Outcome:
        """Let time pass: drop stale sources, send a waiting tick, refresh the published figures. Call it every 100 ms or so."""
        outcome = Outcome()
        self._settle(now_ms, outcome)
        if now_ms - self._feed_sent_ms >= REFRESH_MS:
            feed = self.feed(now_ms)
            if feed != self._feed_sent:
                self._publish(feed, now_ms, outcome)
        return outcome

    def feed(self, now_ms: int) -> FeedChanged:
        """The state of this market's feed as of the last message or check."""
        leader = None if self.leader is None else self._states[self.leader]
        states = self._visible()
        return FeedChanged(
            symbol=self.symbol,
            status=self._status(),
            source=self.leader,
            series=self.series,
            last_update_ms=max((state.update_ms for state in states if state.update_ms is not None), default=None),
            latency_ms=None if leader is None else leader.latency_ms,
            sources=tuple(self._health(state, now_ms) for state in states),
        )

    def _observe(self, state: SourceState, message: Observation, now_ms: int, outcome: Outcome) -> None:
        seen = state.screen(message, now_ms)
        if seen is Seen.LATE and isinstance(message, FeedTrade):
            if state.source is self.leader and state.is_near(message.price):
                outcome.trades.append(message)
            return
        if seen is not Seen.NEW:
            return
        self._evaluate(now_ms)
        for observation in state.admit(message, now_ms, last=self._last(state.series), others=self._others(state)):
            self._enter(state.series)
            state.take(observation, now_ms)
            self._settle(now_ms, outcome, trade=observation if isinstance(observation, FeedTrade) else None)

    def _last(self, series: Series) -> Decimal | None:
        tick = self.last_tick
        return tick.price if tick is not None and series_of(tick.source) is series else None

    def _others(self, state: SourceState) -> Decimal | None:
        prices = [
            price for source, price in self._live.items() if source is not state.source and state.series is self.series
        ]
        return median(prices) if prices else None

    def _enter(self, series: Series) -> None:
        if _RANK[series] > self._rank:
            self._rank = _RANK[series]
            self.series = series
            self._states = {
                source: state for source, state in self._states.items() if _RANK[state.series] >= self._rank
            }

    def _evaluate(self, now_ms: int) -> None:
        self._fresh = {
            source: state.price
            for source, state in self._states.items()
            if state.price is not None and state.is_fresh(now_ms)
        }
        agreed = agreeing(self._fresh, self._limit)
        for source in self._fresh:
            if source not in agreed:
                self._doubted_ms[source] = now_ms
        self._live = {source: price for source, price in agreed.items() if not self._is_doubted(source, price, now_ms)}
        self.leader = next(iter(self._live), None)

    def _is_doubted(self, source: PriceSource, price: Decimal, now_ms: int) -> bool:
        doubted_ms, last = self._doubted_ms.get(source), self._last(series_of(source))
        if doubted_ms is None or last is None or now_ms - doubted_ms >= DOUBT_MS:
            return False
        return beyond(price, last, self._limit)

    def _settle(self, now_ms: int, outcome: Outcome, trade: FeedTrade | None = None) -> None:
        self._evaluate(now_ms)
        signature = (
            self._status(),
            self.leader,
            self.series,
            [(state.source in self._live, self._error(state, now_ms) is None) for state in self._visible()],
        )
        if signature != self._signature:
            self._signature = signature
            self._publish(self.feed(now_ms), now_ms, outcome)
        if self.leader is None:
            return
        if trade is not None and trade.source is self.leader:
            outcome.trades.append(trade)
            self._tick(self.leader, trade.time_ms, now_ms, outcome)
        elif self._tick_is_due(self.leader, now_ms):
            newest = max(self._states[source].time_ms for source in self._live)
            self._tick(self.leader, newest, now_ms, outcome)

    def _tick_is_due(self, leader: PriceSource, now_ms: int) -> bool:
        last = self.last_tick
        if last is None or series_of(last.source) is not self.series:
            return True
        state = self._states[leader]
        if (last.price, last.bid, last.ask) == (median(self._live.values()), state.bid, state.ask):
            return False
        return self._tick_sent_ms is None or now_ms - self._tick_sent_ms >= COALESCE_MS

    def _tick(self, leader: PriceSource, time_ms: int, now_ms: int, outcome: Outcome) -> None:
        state = self._states[leader]
        self._tick_sent_ms = now_ms
        self.sequence += 1
        self.last_tick = TickAccepted(
            symbol=self.symbol,
            price=median(self._live.values()),
            bid=state.bid,
            ask=state.ask,
            source=leader,
            time_ms=time_ms,
            sequence=self.sequence,
        )
        outcome.events.append(self.last_tick)

    def _publish(self, feed: FeedChanged, now_ms: int, outcome: Outcome) -> None:
        self._feed_sent, self._feed_sent_ms = feed, now_ms
        outcome.events.append(feed)

    def _visible(self) -> list[SourceState]:
        return [
            state for source, state in self._states.items() if source in self._configured or state.update_ms is not None
        ]

    def _status(self) -> FeedStatus:
        if self.leader is None:
            return FeedStatus.DOWN if self.last_tick is None else FeedStatus.STALE
        if self.series is Series.SIMULATED:
            return FeedStatus.SIMULATED
        if self.series is Series.REPLAY:
            return FeedStatus.REPLAY
        configured = [source for source in self._states if source in self._configured]
        return FeedStatus.LIVE if len(self._live) == len(configured) else FeedStatus.DEGRADED

    def _error(self, state: SourceState, now_ms: int) -> str | None:
        if state.source in self._fresh and state.source not in self._live:
            return f"{percent(self._deviation(state))} % from the other sources, allowed are {percent(self._limit)} %"
        return state.error(now_ms)

    def _deviation(self, state: SourceState) -> Decimal:
        price = self._fresh[state.source]
        return deviation(price, median(self._live.values()) if self._live else self._last(state.series) or price)

    def _health(self, state: SourceState, now_ms: int) -> SourceHealth:
        distance = state.held_deviation
        if distance is None and state.source in self._fresh:
            distance = self._deviation(state)
        return SourceHealth(
            source=state.source,
            healthy=state.source in self._live,
            last_price=state.price,
            last_update_ms=state.update_ms,
            deviation=distance,
            error=self._error(state, now_ms),
        )
