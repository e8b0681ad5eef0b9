"""Deposits and withdrawals among everything that happens to an account: each state once, wherever a reader begins or breaks off."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest

from core.account_vocabulary import AuditAction
from core.bus import MemoryBus
from core.clock import ManualClock
from core.database import Database
from core.wallet_vocabulary import DepositStatus
from events.transfer import DepositState, transfers_topic
from graph.request import ALL_OPERATIONS, GraphQLRequest
from services.account_cursors import Positions, read_cursor
from services.account_events import AccountEvents, Happened
from services.audit import AuditLog
from services.transfer_log import TransferLog
from tests.accounts import BOX, CLIENT, World, world
from tests.custody import STRANGER
from tests.trading_rows import NoMarks, trading_account

WAIT_SECONDS = 30.0


def state(version: int, account: str = "anna") -> DepositState:
    return DepositState(
        id="ethereum:0x1:coins",
        account=account,
        version=version,
        asset="ETH",
        chain="ethereum",
        address=STRANGER,
        amount=Decimal(1),
        hash="0x1",
        confirmations=version,
        required=9,
        status=DepositStatus.CONFIRMING,
        time_ms=1,
    )


class Source:
    """The log of transfers on a bus, and what a reader has seen."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.clock = ManualClock()
        self.events = AccountEvents(self.bus, NoMarks(), self.clock)
        self.log = TransferLog(self.bus)
        self.audit = AuditLog(BOX, self.bus, self.clock)

    async def write(self, *versions: int, account: str = "anna") -> None:
        async def change(_session: object) -> bool:
            return True

        for version in versions:
            self.clock.advance(1)
            assert await self.log.commit(change, state(version, account), self.clock.now_ms())

    async def other(self) -> None:
        self.clock.advance(1)
        await self.audit.record("anna", AuditAction.LOG_OUT, client=CLIENT)


@pytest.fixture
def source(database: Database) -> Source:
    return Source()


async def versions(stream: AsyncIterator[Happened], count: int) -> list[int]:
    """Of the next deposits."""
    async with asyncio.timeout(WAIT_SECONDS):
        return [_deposit(await anext(stream)).version for _ in range(count)]


def _deposit(happened: Happened) -> DepositState:
    assert isinstance(happened.event, DepositState)
    return happened.event


async def test_every_state_is_streamed_once_wherever_a_reader_breaks_off(source: Source) -> None:
    await source.write(1, 2, 3)
    cursor = Positions().cursor()
    seen: list[int] = []
    for count in (1, 2):
        async with aclosing(source.events.watch("anna", cursor)) as stream:
            for _ in range(count):
                happened = await anext(stream)
                seen.append(_deposit(happened).version)
                cursor = happened.cursor
    async with aclosing(source.events.watch("anna", cursor)) as stream:
        await source.write(9, account="ben")
        await source.write(4)
        seen += await versions(stream, 1)
    assert seen == [1, 2, 3, 4]
    assert source.bus._readers.topics() == []


async def test_pages_have_all_sources_by_time_each_in_its_order(source: Source) -> None:
    await source.write(1)
    await source.other()
    await source.write(2)
    page = await source.events.page("anna", None, None)
    kinds = [type(each.event).__name__ for each in page.items]
    assert kinds == ["DepositState", "AuditEventDocument", "DepositState"]
    assert read_cursor(page.items[-1].cursor) == Positions(1, 0, 2)
    rest = await source.events.page("anna", page.items[0].cursor, 1)
    assert (read_cursor(rest.items[0].cursor), rest.has_next) == (Positions(1, 0, 1), True)


async def test_a_cursor_of_before_has_them_all_and_one_of_now_has_none(source: Source) -> None:
    await source.write(1, 2)
    old = urlsafe_b64encode(b'{"s":0,"x":0}').decode().rstrip("=")
    async with aclosing(source.events.watch("anna", old)) as stream:
        assert await versions(stream, 2) == [1, 2]
    (newest,) = await source.events.newest_transfers(["anna"])
    cursor = await source.events.newest(trading_account("anna"), newest)
    assert (await source.events.page("anna", cursor, None)).items == []
    async with aclosing(source.events.watch("anna", None)) as stream:
        first = asyncio.create_task(versions(stream, 1))
        async with asyncio.timeout(WAIT_SECONDS):
            while transfers_topic("anna") not in source.bus._readers.topics():
                await asyncio.sleep(0)
        await source.write(3)
        assert await first == [3]


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def test_owners_see_them_as_they_were(here: World) -> None:
    anna = await here.signed_up("anna@example.com")
    start = (await here.data("{ viewer { eventCursor } }", anna))["viewer"]["eventCursor"]

    async def change(_session: object) -> bool:
        return True

    for version in (1, 2):
        await here.custody.transfer_log.commit(change, state(version, anna.user_id), here.clock.now_ms())
    request = GraphQLRequest(
        """subscription($after: String) { accountEvents(after: $after) {
          __typename ... on DepositChanged { deposit { confirmations status asset { code } } }
        } }""",
        variables={"after": start},
    )
    seen: list[Any] = []
    async with aclosing(here.pipeline.stream(request, here.caller(anna), allowed=ALL_OPERATIONS)) as answers:
        for _ in range(2):
            seen.append((await anext(answers)).body["data"]["accountEvents"])  # type: ignore[index]
    assert seen == [
        {
            "__typename": "DepositChanged",
            "deposit": {"confirmations": number, "status": "CONFIRMING", "asset": {"code": "ETH"}},
        }
        for number in (1, 2)
    ]
    after = (await here.data("{ viewer { eventCursor } }", anna))["viewer"]["eventCursor"]
    assert read_cursor(after).transfers == 2
