"""The projector: follows the journal, publishes what it did to accounts at once, and writes the documents that people query.

A flush adds what is new, then renews what has changed since the last one, in one transaction with the watermark. It may be repeated: after a
crash the follower folds from its snapshot to the watermark, and adds again what it may have added. Publication does not wait for a flush.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

import structlog
from pymongo.errors import PyMongoError

from core.backoff import Backoff
from core.bus import Bus
from core.clock import Clock
from core.rows import Rows
from core.vocabulary import MarketStatus
from events import codec
from events.journal import Event
from events.trading import (
    PROJECTION_TOPIC,
    AccountLogged,
    FillState,
    GroupState,
    Logged,
    LoggedBalance,
    LoggedFill,
    LoggedOrder,
    OrderState,
    ProjectionAdvanced,
    trading_topic,
)
from models import client_key, fill, order, order_group, packs, projection, trading_account
from models.base import transaction
from models.journal import Batch
from models.packs import MOST_IN_PACK, AccountLogDocument, Pack, StatementDocument
from models.projection import ProjectionDocument, Watermark
from services import exchange_snapshots, statement_rows
from services.exchange_tape import ExchangeTrade
from services.journal_feed import JournalFeed, Place, after, stored_after
from services.projection_rows import AccountRows
from services.projection_view import Changes, ProjectionView

log = structlog.get_logger(__name__)
Row = TypeVar("Row")

FLUSH_SECONDS = 0.1
"""Changes are gathered this long before they are written."""
MOST_PENDING = 2_000
"""Orders and keys that may wait to be written; beyond it the follower waits, and with it, in time, whoever places."""
LAST_FLUSH_SECONDS = 5.0
SNAPSHOT_EVENTS = 200_000
"""Events after which a new snapshot is worth its time."""
_ORDERS, _GROUPS, _FILLS = Rows(OrderState), Rows(GroupState), Rows(FillState)


class Overtaken(Exception):
    """Another projector has advanced the watermark: this one is over."""


class Tape(Protocol):
    """Takes the exchange's own trades, and stores them in its own time; `flush` waits until all that were taken are stored."""

    def take(self, trades: Sequence[ExchangeTrade]) -> None: ...

    async def room(self) -> None: ...

    async def flush(self) -> None: ...


class Statuses(Protocol):
    """Takes what markets accept from now on."""

    async def status_changed(self, symbol: str, status: MarketStatus, time_ms: int) -> None: ...


class Review(Protocol):
    """Hears who has traded."""

    def traded(self, accounts: Iterable[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class ProjectionPorts:
    """What takes part of what the journal says, beside the documents."""

    tape: Tape
    statuses: Statuses
    review: Review


class Projector:
    """Follows and writes. Of two, the one that is behind is stopped by its next flush."""

    def __init__(
        self, view: ProjectionView, feed: JournalFeed, ports: ProjectionPorts, *, bus: Bus, clock: Clock
    ) -> None:
        self.view = view
        self._rows = AccountRows(view)
        self._feed = feed
        self._tape = ports.tape
        self._statuses = ports.statuses
        self._review = ports.review
        self._bus = bus
        self._clock = clock
        self._place = Place()
        self._written = Watermark(0, 0, 0)
        self._unsure: Watermark | None = None
        """How far the documents reach if a try to write them succeeded that gave no answer."""
        self._snapshot_at = 0
        self._pending: Changes | None = None
        self._waiting_since_ms: int | None = None
        self._changed = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._may_follow = asyncio.Lock()
        self._flushing = asyncio.Lock()

    @property
    def place(self) -> Place:
        """How far the journal was followed."""
        return self._place

    def unwritten_ms(self) -> int:
        """The age of the oldest change that is not in the documents yet; 0: none waits."""
        return 0 if self._waiting_since_ms is None else self._clock.now_ms() - self._waiting_since_ms

    async def load(self) -> None:
        """Know what was known at the watermark. Raises JournalDamaged, UnknownFormat, PyMongoError."""
        self._written = await projection.read_watermark()
        self._place = await exchange_snapshots.read_view(self.view, at_most=self._written.batch)
        self._snapshot_at = self._place.sequence

    async def run(self) -> None:
        """Follow, publish and write until cancelled; what was followed is written at the end, too."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._write())
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_FLUSH_SECONDS):
                    await self.flush()

    async def catch_up(self) -> None:
        """Write everything that stands in the journal now, and a snapshot; for one who does not `run`."""
        async for batch, events in stored_after(self._place):
            self._take(batch, events)
            if self._is_full():
                await self.flush()
                await self._tape.flush()
        await self.snapshot()

    async def _follow(self) -> None:
        async for batch, events in self._feed.follow(self._place):
            async with self._may_follow:
                self._take(batch, events)
            await self._tape.room()
            if self._is_full():
                self._full.set()
                self._room.clear()
                await self._room.wait()
            else:
                await asyncio.sleep(0)

    def _take(self, batch: Batch, events: Sequence[Event]) -> None:
        """Let a batch have happened; what the documents do not have yet is published and waits to be written."""
        changes = self.view.apply(events, batch.time_ms)
        self._place = after(batch)
        self._tape.take(changes.trades)
        if batch.number <= self._written.batch:
            return
        for account, logged in changes.logged.items():
            self._bus.publish(trading_topic(account), _logged(account, logged, changes))
        if self._pending is None:
            self._pending = changes
            self._waiting_since_ms = self._waiting_since_ms or batch.time_ms
        else:
            self._pending.add(changes)
        self._changed.set()

    def _is_full(self) -> bool:
        return self._pending is not None and len(self._pending.orders) + len(self._pending.keys) > MOST_PENDING

    async def _write(self) -> None:
        while True:
            await self._changed.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._full.wait()
            await self.flush()
            if self._place.sequence - self._snapshot_at >= SNAPSHOT_EVENTS:
                await self.snapshot()

    async def flush(self) -> None:
        """Write what has changed. Tries again until it is written; what could not be stays to be written."""
        async with self._flushing:
            await self._flush()

    async def _flush(self) -> None:
        changes, place = self._pending, self._place
        self._pending = None
        self._changed.clear()
        self._full.clear()
        self._room.set()
        if changes is None:
            return
        mark = Watermark(place.batch, place.sequence, place.time_ms)
        rows = [self._rows.row(account) for account in changes.accounts]
        try:
            await self._persist(changes, rows, mark)
        except BaseException:
            if self._pending is not None:
                changes.add(self._pending)
            self._pending = changes
            raise
        self._written = mark
        self._review.traded({state.account for state, _ in changes.fills})
        self._waiting_since_ms = None if self._pending is None else self._pending.since_ms
        self._bus.publish(PROJECTION_TOPIC, ProjectionAdvanced(mark.sequence, self._clock.now_ms()))

    async def _persist(self, changes: Changes, accounts: Sequence[Mapping[str, Any]], mark: Watermark) -> None:
        backoff = Backoff(first_seconds=0.1, most_seconds=3.0)
        while True:
            try:
                if self._unsure is not None and await projection.read_watermark() == self._unsure:
                    self._written = self._unsure  # the try that seemed to fail, or was given up, did not
                self._unsure = None
                if self._written == mark:
                    return
                self._unsure = mark
                await self._store(changes, accounts, mark)
                self._unsure = None
            except PyMongoError as error:
                delay = backoff.next_delay()
                log.warning("projection.retry", error=type(error).__name__, delay_seconds=round(delay, 2))
                await asyncio.sleep(delay)
            else:
                return

    async def _store(self, changes: Changes, accounts: Sequence[Mapping[str, Any]], mark: Watermark) -> None:
        """What is only ever added comes first, and may be added twice; what is renewed becomes visible together with the watermark."""
        placed = [self._order_row(changes, order_id) for order_id in changes.placed]
        known = await order.insert_orders(placed)
        await fill.insert_fills(
            [{"_id": state.id, "order_fill": place, **_FILLS.write(state)} for state, place in changes.fills]
        )
        await packs.insert_packs(StatementDocument, _statement_packs(changes))
        await packs.insert_packs(AccountLogDocument, _log_packs(changes))
        await client_key.insert_keys(changes.keys)
        for symbol, status in changes.statuses.items():
            await self._statuses.status_changed(symbol, status, changes.time_ms)
        changed = [self._order_row(changes, order_id) for order_id in changes.orders if order_id not in changes.placed]
        groups = [{"_id": state.id, **_GROUPS.write(state)} for state in changes.groups.values()]
        async with transaction(ProjectionDocument) as session:
            await order.renew_orders([*known, *changed], session)
            await order_group.renew_groups(groups, session)
            await trading_account.renew_accounts(accounts, session)
            if not await projection.advance_watermark(self._written, mark, session):
                raise Overtaken("another projector writes the documents")

    def _order_row(self, changes: Changes, order_id: int) -> dict[str, Any]:
        return {"_id": order_id, "number": changes.numbers[order_id], **_ORDERS.write(changes.orders[order_id])}

    async def snapshot(self) -> None:
        """Stand still, write everything, and store what is known."""
        async with self._may_follow:
            await self.flush()
            await self._tape.flush()
            if self._place.batch:
                await exchange_snapshots.write(self.view, self._place)
            self._snapshot_at = self._place.sequence


def _logged(account: str, logged: Sequence[Logged], changes: Changes) -> AccountLogged:
    return AccountLogged(
        account,
        logged[0].number,
        logged[-1].number,
        tuple([event for event in logged if type(event) is LoggedOrder]),
        tuple([event for event in logged if type(event) is LoggedFill]),
        tuple([event for event in logged if type(event) is LoggedBalance]),
        changes.sequence,
        changes.time_ms,
    )


def _log_packs(changes: Changes) -> list[Pack]:
    return [
        Pack(account, piece[0].number, piece[-1].number, codec.encode(_logged(account, piece, changes)))
        for account, logged in changes.logged.items()
        for piece in _pieces(logged)
    ]


def _statement_packs(changes: Changes) -> list[Pack]:
    return [
        Pack(account, piece[0].number, piece[-1].number, statement_rows.encode(piece))
        for account, lines in changes.lines.items()
        for piece in _pieces(lines)
    ]


def _pieces(rows: Iterable[Row]) -> Iterable[list[Row]]:
    waiting = iter(rows)
    while piece := list(islice(waiting, MOST_IN_PACK)):
        yield piece
