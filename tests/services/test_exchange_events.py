"""What the exchange does to an account, as a source of its events: nothing twice, nothing missing, whatever the bus loses and however far
storage is behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest

from core.account_vocabulary import AuditAction
from core.bus import BusGap, MemoryBus
from core.clock import ManualClock
from core.database import Database
from events.funds import EventsMissed
from events.trading import PROJECTION_TOPIC, AccountLogged, LoggedBalance, ProjectionAdvanced, trading_topic
from models import journal
from models.journal import NO_HASH, batch_of
from models.projection import Watermark
from services import account_events, exchange_log
from services.account_cursors import Positions, read_cursor
from services.account_events import AccountEvents, Happened
from services.audit import AuditLog
from tests.accounts import BOX, CLIENT
from tests.trading_rows import (
    NoMarks,
    account_row,
    balance_logged,
    fill_logged,
    put_accounts,
    put_logged,
    trading_account,
    write_watermark,
)

WAIT_SECONDS = 30.0
ANNA = "anna"


class Source:
    """One account's two sources on one bus."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.marks = NoMarks()
        self.events = AccountEvents(self.bus, self.marks, ManualClock())
        self.audit = AuditLog(BOX, self.bus, ManualClock())

    def tell(self, logged: AccountLogged) -> None:
        """Publish a batch, as the follower of the journal does, before it is stored."""
        self.bus.publish(trading_topic(logged.account), logged)

    async def store(self, *batches: AccountLogged) -> None:
        """Store them, and say so."""
        await put_logged(*batches)
        self.bus.publish(PROJECTION_TOPIC, ProjectionAdvanced(batches[-1].sequence, batches[-1].time_ms))

    def watch(self, exchange: int | None = None) -> AsyncGenerator[Happened, None]:
        """The stream, after this number of the exchange's log."""
        return self.events.watch(ANNA, None if exchange is None else Positions(0, exchange).cursor())

    async def is_followed(self) -> None:
        """Wait until a reader hears of the account."""
        async with asyncio.timeout(WAIT_SECONDS):
            while trading_topic(ANNA) not in self.bus._readers.topics():
                await asyncio.sleep(0)


@pytest.fixture
def source(database: Database) -> Source:
    return Source()


async def read(stream: AsyncGenerator[Happened, None], count: int) -> list[int]:
    """The numbers of the next events, which are the exchange's."""
    async with asyncio.timeout(WAIT_SECONDS):
        return [read_cursor((await anext(stream)).cursor).exchange for _ in range(count)]


async def test_a_stream_begins_now_and_goes_on_as_it_is_told(source: Source) -> None:
    await source.store(balance_logged(ANNA, 1, 3))
    async with aclosing(source.watch()) as stream:
        first = asyncio.create_task(read(stream, 2))
        await source.is_followed()
        source.tell(balance_logged(ANNA, 4, 5))
        assert await first == [4, 5]
    assert source.marks.raised == [(ANNA, 50)], "what is shown raises the mark"


async def test_a_stream_begins_behind_a_cursor(source: Source) -> None:
    await source.store(balance_logged(ANNA, 1, 80), balance_logged(ANNA, 81, 160), fill_logged(ANNA, 161))
    async with aclosing(source.watch(2)) as stream:
        assert await read(stream, 159) == list(range(3, 162))
        source.tell(fill_logged(ANNA, 161))
        source.tell(balance_logged(ANNA, 160, 163))
        assert await read(stream, 2) == [162, 163]


async def test_a_hole_is_filled_from_storage_once_storage_has_it(source: Source) -> None:
    await source.store(balance_logged(ANNA, 1, 1))
    async with aclosing(source.watch(0)) as stream:
        assert await read(stream, 1) == [1]
        source.tell(balance_logged(ANNA, 4, 4))
        reading = asyncio.create_task(read(stream, 4))
        source.tell(balance_logged(ANNA, 5, 5))
        async with asyncio.timeout(WAIT_SECONDS):
            while PROJECTION_TOPIC not in source.bus._readers.topics():
                await asyncio.sleep(0)
        assert not reading.done()
        await source.store(balance_logged(ANNA, 2, 3), balance_logged(ANNA, 4, 4))
        assert await reading == [2, 3, 4, 5]


async def test_what_the_bus_has_lost_is_waited_for_up_to_the_end_of_the_journal(source: Source) -> None:
    await source.store(balance_logged(ANNA, 1, 1))
    async with aclosing(source.watch(0)) as stream:
        assert await read(stream, 1) == [1]
        await append_journal(60)
        source.bus._readers.deliver(BusGap(trading_topic(ANNA), "the server was away"))
        reading = asyncio.create_task(read(stream, 2))
        async with asyncio.timeout(WAIT_SECONDS):
            while PROJECTION_TOPIC not in source.bus._readers.topics():
                await asyncio.sleep(0)
        assert not reading.done()
        await put_logged(balance_logged(ANNA, 2, 3), reaching=60)
        source.bus._readers.deliver(BusGap(PROJECTION_TOPIC, "also lost"))
        assert await reading == [2, 3]


async def append_journal(last: int) -> None:
    """A journal of one batch that ends at this sequence."""
    batch = batch_of(
        number=1, epoch=1, first_seq=1, last_seq=last, time_ms=1, written_in=1, prev_hash=NO_HASH, payload=b"[]"
    )
    assert await journal.append(batch)


async def test_a_reader_that_is_too_far_behind_is_told_what_it_missed(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_log, "MOST_BEHIND", 10)
    await source.store(balance_logged(ANNA, 1, 12))
    async with aclosing(source.watch(1)) as stream:
        lagged = await anext(stream)
        assert isinstance(lagged.event, EventsMissed)
        assert read_cursor(lagged.event.missed_from).exchange == 1
        assert lagged.event.missed_to == lagged.cursor
        assert read_cursor(lagged.cursor).exchange == 12
        source.tell(balance_logged(ANNA, 13, 13))
        assert await read(stream, 1) == [13]
    page = await source.events.page(ANNA, lagged.event.missed_from, None)
    assert [read_cursor(each.cursor).exchange for each in page.items] == list(range(2, 13))


async def test_a_reader_that_takes_nothing_reads_on_from_storage(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_log, "_WAITING", 3)
    await source.store(balance_logged(ANNA, 1, 1))
    async with aclosing(source.watch(0)) as stream:
        assert await read(stream, 1) == [1]
        batches = [balance_logged(ANNA, number, number) for number in range(2, 12)]
        for batch in batches:
            source.tell(batch)
        await source.store(*batches)
        assert await read(stream, 10) == list(range(2, 12))


async def test_both_sources_are_one_stream(source: Source) -> None:
    await source.audit.record(ANNA, AuditAction.LOG_IN, client=CLIENT)
    await source.store(balance_logged(ANNA, 1, 2))
    async with aclosing(source.watch(0)) as stream:
        async with asyncio.timeout(WAIT_SECONDS):
            events = [await anext(stream) for _ in range(3)]
        await source.audit.record(ANNA, AuditAction.LOG_OUT, client=CLIENT)
        events.append(await anext(stream))
    assert sum(isinstance(each.event, LoggedBalance) for each in events) == 2
    assert read_cursor(events[-1].cursor) == Positions(2, 2)
    cursors = [read_cursor(each.cursor) for each in events]
    assert all(one.security <= two.security for one, two in pairwise(cursors))
    async with aclosing(source.events.watch(ANNA, events[0].cursor)) as stream:
        async with asyncio.timeout(WAIT_SECONDS):
            again = [await anext(stream) for _ in range(3)]
    assert {each.event for each in again if isinstance(each.event, LoggedBalance)} <= {
        each.event for each in events if isinstance(each.event, LoggedBalance)
    }


async def test_pages_hold_both_sources_once(source: Source) -> None:
    for _ in range(3):
        await source.audit.record(ANNA, AuditAction.LOG_IN, client=CLIENT)
    await source.store(balance_logged(ANNA, 1, 4))
    seen: list[Happened] = []
    after = None
    while True:
        page = await source.events.page(ANNA, after, 2)
        seen += page.items
        if not page.has_next:
            break
        after = page.items[-1].cursor
    assert len({each.cursor for each in seen}) == len(seen) == 7
    assert read_cursor(seen[-1].cursor) == Positions(3, 4)


async def test_a_page_ends_before_what_is_not_stored_yet(source: Source) -> None:
    await source.store(balance_logged(ANNA, 1, 1), balance_logged(ANNA, 3, 3))
    page = await source.events.page(ANNA, None, None)
    assert [read_cursor(each.cursor).exchange for each in page.items] == [1]


async def test_the_newest_cursor_is_that_of_the_account_that_was_read(source: Source) -> None:
    await source.audit.record(ANNA, AuditAction.LOG_IN, client=CLIENT)
    await source.store(balance_logged(ANNA, 1, 9))
    cursor = await source.events.newest(trading_account(ANNA, logged=7), 0)
    assert read_cursor(cursor) == Positions(1, 7)


async def test_what_was_told_before_a_stream_began_and_is_not_stored_yet_is_given(source: Source) -> None:
    await put_accounts([account_row(ANNA, logged=0)])
    await write_watermark(Watermark(0, 5, 0))
    await append_journal(20)
    async with aclosing(source.watch()) as stream:
        reading = asyncio.create_task(read(stream, 2))
        async with asyncio.timeout(WAIT_SECONDS):
            while PROJECTION_TOPIC not in source.bus._readers.topics():
                await asyncio.sleep(0)
        await source.store(balance_logged(ANNA, 1, 2, sequence=20))
        assert await reading == [1, 2]


async def test_an_old_cursor_has_no_place_in_the_exchanges_log() -> None:
    assert read_cursor("eyJzIjozfQ") == Positions(3, 0)


async def test_interleaving_ends_with_its_first_source_and_closes_the_others() -> None:
    closed: list[str] = []

    async def source_of(name: str, items: list[int], *, ends: bool) -> AsyncGenerator[int, None]:
        try:
            for item in items:
                yield item
            if not ends:
                await asyncio.Event().wait()
        finally:
            closed.append(name)

    sources: list[Any] = [source_of("a", [1, 2], ends=True), source_of("b", [3], ends=False)]
    async with aclosing(account_events.interleaved(sources)) as both:
        assert sorted([item async for item in both]) == [1, 2, 3]
    assert sorted(closed) == ["a", "b"]


async def test_interleaving_passes_on_a_failure() -> None:
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("no")

    async with aclosing(account_events.interleaved([failing()])) as both:
        assert await anext(both) == 1
        with pytest.raises(ValueError, match="no"):
            await anext(both)
