"""Everything that happens to an account as one stream: nothing twice, nothing missing, wherever a reader begins or breaks off."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from core.account_vocabulary import AuditAction
from core.bus import BusGap, MemoryBus
from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from events.account import account_topic
from graph.request import ALL_OPERATIONS, GraphQLRequest
from models import audit_event
from models.audit_event import AuditEventDocument
from services.account_cursors import Positions, read_cursor
from services.account_events import MOST_EVENTS, AccountEvents, Happened
from services.audit import AuditLog
from tests.accounts import BOX, CLIENT, Person, World, world
from tests.attacks.people import as_program, codes_of
from tests.trading_rows import NoMarks, trading_account

WAIT_SECONDS = 30.0
WATCH = """subscription($after: String) {
  accountEvents(after: $after) { cursor time ... on SecurityChanged { event { id action } } }
}"""


class Source:
    """The logs of two processes on one bus, and what a reader has seen."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.events = AccountEvents(self.bus, NoMarks(), ManualClock())
        self.logs = [AuditLog(BOX, self.bus, ManualClock()) for _ in range(2)]

    async def write(self, count: int, *, process: int = 0, account: str = "anna") -> None:
        """So many events."""
        for _ in range(count):
            await self.logs[process].record(account, AuditAction.LOG_OUT, client=CLIENT)

    def watch(self, after: str | None = None, account: str = "anna") -> AsyncGenerator[Happened, None]:
        """The stream."""
        return self.events.watch(account, after)


@pytest.fixture
def source(database: Database) -> Source:
    return Source()


def row_of(happened: Happened) -> AuditEventDocument:
    """The security event that happened."""
    assert isinstance(happened.event, AuditEventDocument)
    return happened.event


async def read(stream: AsyncIterator[Happened], count: int) -> list[int]:
    """The numbers of the next events."""
    async with asyncio.timeout(WAIT_SECONDS):
        return [row_of(await anext(stream)).sequence for _ in range(count)]


async def newest(source: Source) -> str:
    return await source.events.newest(trading_account("anna"), 0)


@pytest.fixture
def caught_up(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a reader has found nothing more: from then on the bus alone moves it."""
    event = asyncio.Event()
    between = audit_event.between

    async def noting(user_id: str, low: int, high: int) -> list[AuditEventDocument]:
        rows = await between(user_id, low, high)
        if not rows:
            event.set()
        return rows

    monkeypatch.setattr(audit_event, "between", noting)
    return event


async def test_a_stream_begins_now(source: Source, caught_up: asyncio.Event) -> None:
    await source.write(3)
    async with aclosing(source.watch()) as stream:
        first = asyncio.create_task(read(stream, 1))
        await caught_up.wait()
        await source.write(3)
        assert await first == [4]
        assert await read(stream, 2) == [5, 6]


async def test_a_stream_begins_behind_a_cursor(source: Source) -> None:
    await source.write(120)
    async with aclosing(source.watch(Positions(0).cursor())) as stream:
        assert await read(stream, 120) == list(range(1, 121))
        await source.write(1)
        assert await read(stream, 1) == [121]
    async with aclosing(source.watch(Positions(119).cursor())) as stream:
        assert await read(stream, 2) == [120, 121]


async def test_every_event_carries_the_cursor_behind_it(source: Source) -> None:
    await source.write(3)
    async with aclosing(source.watch(Positions(0).cursor())) as stream:
        first = await anext(stream)
    async with aclosing(source.watch(first.cursor)) as stream:
        assert await read(stream, 2) == [2, 3]


async def test_writers_in_two_processes_leave_no_gap_and_no_double(source: Source) -> None:
    await source.write(5)
    async with aclosing(source.watch(Positions(2).cursor())) as stream, asyncio.TaskGroup() as writers:
        for process in (0, 1, 0, 1):
            writers.create_task(source.write(25, process=process))
        assert await read(stream, 103) == list(range(3, 106))


async def test_a_reader_that_breaks_off_again_and_again_misses_nothing(source: Source) -> None:
    seen: list[int] = []
    cursor = await newest(source)
    async with asyncio.TaskGroup() as writers:
        for process in (0, 1):
            writers.create_task(source.write(40, process=process))
        for count in (1, 7, 2, 30, 1, 39):
            async with aclosing(source.watch(cursor)) as stream:
                for _ in range(count):
                    async with asyncio.timeout(WAIT_SECONDS):
                        happened = await anext(stream)
                    seen.append(row_of(happened).sequence)
                    cursor = happened.cursor
    assert seen == list(range(1, 81))


async def test_what_the_bus_has_lost_is_read_all_the_same(source: Source, caught_up: asyncio.Event) -> None:
    await source.write(1)
    async with aclosing(source.watch()) as stream:
        reading = asyncio.create_task(read(stream, 2))
        await caught_up.wait()
        silent = AuditLog(BOX, MemoryBus(), ManualClock())  # its bus is not the reader's
        for _ in range(2):
            await silent.record("anna", AuditAction.LOG_IN, client=CLIENT)
        source.bus._readers.deliver(BusGap(account_topic("anna"), "the server was away"))
        assert await reading == [2, 3]


async def test_a_stream_is_of_one_account(source: Source) -> None:
    async with aclosing(source.watch(Positions(0).cursor())) as stream:
        await source.write(2, account="ben")
        await source.write(1)
        happened = await anext(stream)
        assert row_of(happened).user_id == "anna"


async def test_a_row_whose_head_was_lost_is_streamed(source: Source) -> None:
    """The head may lag behind the rows after a crash."""
    await source.write(2)
    third = source.logs[0]._chained((await audit_event.between("anna", 2, 3))[0], 3, "x")
    assert await audit_event.append(third)
    assert await newest(source) == Positions(3).cursor()
    async with aclosing(source.watch(Positions(1).cursor())) as stream:
        assert await read(stream, 2) == [2, 3]


async def test_closing_frees_the_bus(source: Source) -> None:
    await source.write(1)
    stream = source.watch(Positions(0).cursor())
    await anext(stream)
    assert account_topic("anna") in source.bus._readers.topics()
    await stream.aclose()
    assert source.bus._readers.topics() == []


def _cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


NO_CURSORS = [
    *("", "x", "1", "=", "{}", "\0", "é", "A" * 10_000),
    *map(_cursor, ("", "1", "[]", "{}", '{"s":"1"}', '{"s":1.5}', '{"s":true}', '{"s":null}', '{"s":-1}')),
    *map(_cursor, ('{"s":{"$gt":0}}', '{"s":9007199254740992}', '{"S":1}', '{"s":1', "[" * 3_000)),
]


async def test_a_cursor_that_is_none_is_refused(source: Source) -> None:
    for cursor in NO_CURSORS:
        with pytest.raises(InvalidInput) as refused:
            read_cursor(cursor)
        assert refused.value.details == {"field": ["after"]}, cursor
        with pytest.raises(InvalidInput):
            await source.events.page("anna", cursor, None)
        with pytest.raises(InvalidInput):
            await anext(source.watch(cursor))
    assert source.bus._readers.topics() == []


async def test_pages_go_through_the_log_from_the_oldest(source: Source) -> None:
    await source.write(7)
    seen: list[int] = []
    after = None
    while True:
        page = await source.events.page("anna", after, 3)
        seen += [row_of(happened).sequence for happened in page.items]
        assert page.has_previous is (after is not None)
        if not page.has_next:
            break
        after = page.items[-1].cursor
    assert seen == list(range(1, 8))


async def test_the_size_of_a_page_is_bounded(source: Source) -> None:
    await source.write(1)
    page = await source.events.page("anna", None, 0)
    assert (list(page.items), page.has_next) == ([], True)
    for count in (-1, MOST_EVENTS + 1):
        with pytest.raises(InvalidInput) as refused:
            await source.events.page("anna", None, count)
        assert refused.value.details["field"] == ["first"]


# Over the surface


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def watched(here: World, person: Person | None, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
    """The bodies of a subscription's answers."""
    request = GraphQLRequest(WATCH, variables=variables)
    async with aclosing(here.pipeline.stream(request, here.caller(person), allowed=ALL_OPERATIONS)) as answers:
        async for answer in answers:
            yield answer.body


async def test_a_snapshot_and_the_stream_join_without_a_gap(here: World) -> None:
    anna = await here.signed_up("anna@example.com")
    data = await here.data("{ viewer { eventCursor auditLog(first: 1) { nodes { id } } } }", anna)
    newest = data["viewer"]["auditLog"]["nodes"][0]["id"]
    await here.data(
        "mutation { logOut(input: {everywhere: false}) { errors { code } } }", await here.logged_in("anna@example.com")
    )
    async with aclosing(watched(here, anna, after=data["viewer"]["eventCursor"])) as events:
        shown = [(await anext(events))["data"]["accountEvents"]["event"] for _ in range(2)]
    assert [event["action"] for event in shown] == ["LOG_IN", "LOG_OUT"]
    assert newest not in [event["id"] for event in shown]


async def test_the_same_events_are_pages_and_a_stream(here: World) -> None:
    anna = await here.signed_up("anna@example.com")
    text = """query($after: String, $first: Int) { viewer { events(after: $after, first: $first) {
      nodes { cursor ... on SecurityChanged { event { id } } } pageInfo { hasNextPage endCursor }
    } } }"""
    first = (await here.data(text, anna, first=2))["viewer"]["events"]
    rest = (await here.data(text, anna, after=first["pageInfo"]["endCursor"]))["viewer"]["events"]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    pages = [node["event"]["id"] for node in (*first["nodes"], *rest["nodes"])]
    async with aclosing(watched(here, anna, after=Positions(0).cursor())) as events:
        stream = [(await anext(events))["data"]["accountEvents"]["event"]["id"] for _ in pages]
    assert pages == stream


async def test_a_key_that_may_read_watches_and_a_stranger_does_not(here: World) -> None:
    anna = await here.signed_up("anna@example.com")
    program = await as_program(here, anna)
    async with aclosing(watched(here, program, after=Positions(0).cursor())) as events:
        assert (await anext(events))["data"]["accountEvents"]["event"]["action"] == "SIGN_UP"
    async with aclosing(watched(here, None)) as events:
        assert codes_of(await anext(events)) == ["UNAUTHENTICATED"]


async def test_a_foreign_cursor_shows_ones_own_events(here: World) -> None:
    """A cursor says how far, not whose."""
    anna, mallory = await here.signed_up("anna@example.com"), await here.signed_up("mallory@example.com")
    cursor = (await here.data("{ viewer { eventCursor } }", anna))["viewer"]["eventCursor"]
    await here.data("mutation { logOut(input: {everywhere: true}) { errors { code } } }", mallory)
    async with aclosing(watched(here, mallory, after=cursor)) as events:
        body = await anext(events)
    mine = (await here.data("{ viewer { auditLog(first: 1) { nodes { id } } } }", mallory))["viewer"]["auditLog"]
    assert body["data"]["accountEvents"]["event"]["id"] == mine["nodes"][0]["id"]


async def test_a_cursor_that_is_none_ends_the_stream_by_name(here: World) -> None:
    anna = await here.signed_up("anna@example.com")
    async with aclosing(watched(here, anna, after="no cursor")) as events:
        bodies = [body async for body in events]
    assert [codes_of(body) for body in bodies] == [["BAD_USER_INPUT"]]
