"""Public trades in the worker: each taken once, numbered, and stored in batches.

A trade's provider id says whether it was taken before; the newest ids of each source are remembered, over a restart too. Trades wait
in a bounded queue for the next flush; when the database is away for so long that it fills, the oldest waiting ones are given up
(their candles keep them) and counted.
"""

from collections import deque
from collections.abc import Iterable
from datetime import timedelta

import structlog

from core.clock import Clock, to_datetime
from core.vocabulary import PriceSource
from events.feed import FeedTrade
from events.market import TradeAccepted
from models.trade import TradeEntry, insert_trades

log = structlog.get_logger(__name__)

REMEMBERED_IDS = 2_000
"""Trade ids known per source and market: providers send again at most a few hundred after a reconnect."""
BATCH = 1_000
CAPACITY = 50_000
MAX_AHEAD_MS = 60_000
"""A trade that claims to be from farther in the future is refused: it would close every running candle."""


class TradeIds:
    """The newest trade ids of each source of one market."""

    def __init__(self) -> None:
        self._known: dict[PriceSource, dict[str, None]] = {}

    def add(self, source: PriceSource, trade_id: str) -> bool:
        """Remember an id; False when it was known."""
        known = self._known.setdefault(source, {})
        if trade_id in known:
            return False
        known[trade_id] = None
        if len(known) > REMEMBERED_IDS:
            del known[next(iter(known))]
        return True


def usable(trade: FeedTrade, *, now_ms: int) -> bool:
    """Whether a trade's figures make sense; adapters should have thrown others away."""
    return trade.price > 0 and trade.quantity > 0 and 0 < trade.time_ms <= now_ms + MAX_AHEAD_MS


class TradeQueue:
    """Trades that wait to be stored, of all markets; for `retention_days`, or for good."""

    def __init__(self, clock: Clock, *, retention_days: int | None, capacity: int = CAPACITY) -> None:
        self.given_up = 0
        self._clock = clock
        self._retention = None if retention_days is None else timedelta(days=retention_days)
        self._capacity = capacity
        self._waiting: deque[TradeAccepted] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, trade: TradeAccepted) -> None:
        """Add a trade; never waits."""
        if len(self._waiting) >= self._capacity:
            self._waiting.popleft()
            if self.given_up % BATCH == 0:
                log.warning("trades.given_up", reason="the database is away", given_up=self.given_up + 1)
            self.given_up += 1
        self._waiting.append(trade)

    async def flush(self) -> None:
        """Store everything that waits now, 1,000 at a time. What could not be stored waits on when this raises PyMongoError."""
        left = len(self._waiting)
        while left > 0 and self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, left, len(self._waiting)))]
            left -= len(batch)
            try:
                await insert_trades(self._entries(batch))
            except BaseException:
                self._waiting.extendleft(reversed(batch))
                raise

    def _entries(self, trades: Iterable[TradeAccepted]) -> list[TradeEntry]:
        expires_at = None if self._retention is None else to_datetime(self._clock.now_ms()) + self._retention
        return [
            TradeEntry(
                series=trade.series,
                symbol=trade.symbol,
                sequence=trade.sequence,
                source=trade.source,
                trade_id=trade.trade_id,
                price=trade.price,
                quantity=trade.quantity,
                taker_side=trade.taker_side,
                time_ms=trade.time_ms,
                expires_at=expires_at,
            )
            for trade in trades
        ]


def accepted(entry: TradeEntry) -> TradeAccepted:
    """A stored trade as the event it once was."""
    return TradeAccepted(
        symbol=entry.symbol,
        series=entry.series,
        source=entry.source,
        trade_id=entry.trade_id,
        price=entry.price,
        quantity=entry.quantity,
        taker_side=entry.taker_side,
        time_ms=entry.time_ms,
        sequence=entry.sequence,
    )
