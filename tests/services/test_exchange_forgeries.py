"""Whoever can write to Redis and has no key moves no money: the real writer, asked over a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from core.clock import SystemClock
from core.database import Database
from core.message_seal import MessageSeal
from core.order_vocabulary import OrderErrorCode
from core.redis_requests import RedisRequests, RedisRequestServer
from events import codec, questions_codec
from events.answers import Answer
from events.commands import Command, CreditDeposit, HoldWithdrawal, MoveFunds, MoveHouseFunds, SettleWithdrawal
from events.questions_codec import Question
from exchange.snapshot import digest
from services import exchange_gateway
from services.exchange_gateway import DEADLINE_MS, RedisGateway, take_remote
from tests import components
from tests.accounts import BOX
from tests.trading_house import TradingHouse

QUESTIONS, ANSWERS = "cryptovault:exchange:questions", "cryptovault:exchange:answers:api"
HOT, COLD = "house:hot:ethereum", "house:cold:ethereum"
CREDIT = CreditDeposit("ann", "ETH", 10**18, HOT, "§in", "in")
WAIT_SECONDS = 30.0


@dataclass
class Hall:
    """A house that is asked over Redis, and somebody else who reached that Redis."""

    house: TradingHouse
    gateway: RedisGateway
    attacker: Redis
    seal: MessageSeal

    @property
    def books(self) -> str:
        return digest(self.house.writer.exchange.state)

    async def refused(self, forged: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while self.seal.refused < forged:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def hall(url: str) -> AsyncIterator[Hall]:
    house, seal = TradingHouse(), MessageSeal(BOX, "exchange")
    requests = RedisRequests(url, process="api", name="exchange", seal=MessageSeal(BOX, "exchange"))
    server = RedisRequestServer(url, server="writer", name="exchange", seal=seal)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(requests.close)
        stack.push_async_callback(server.close)
        attacker = await stack.enter_async_context(Redis.from_url(url))
        await stack.enter_async_context(house.open("ann"))
        tasks = [
            asyncio.create_task(requests.run()),
            asyncio.create_task(server.run(partial(take_remote, house.inbox))),
        ]
        try:
            yield Hall(house, RedisGateway(requests, SystemClock()), attacker, seal)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with components.redis(tmp_path) as (_, url):
        yield url


def body_of(command: Command) -> bytes:
    return questions_codec.encode(Question(command, SystemClock().now_ms() + DEADLINE_MS))


async def test_a_forged_question_moves_nothing(database: Database, url: str) -> None:
    forged: tuple[Command, ...] = (
        CREDIT,
        MoveFunds("ann", "house:test-funds", "ETH", 10**18, "mine", "digest"),
        MoveHouseFunds(COLD, HOT, "ETH", 10**18, "§sweep", "sweep"),
        SettleWithdrawal("ann", 1, HOT, 0, "§end", "end"),
    )
    async with hall(url) as here:
        before = here.books
        for number, command in enumerate(forged):
            await here.attacker.xadd(QUESTIONS, {"to": ANSWERS, "key": str(number), "body": body_of(command)})
        await here.refused(len(forged))
        assert await here.gateway.house() is not None, "the inbox is not blocked"
        assert here.books == before
        assert await here.attacker.xlen(QUESTIONS) == 0
        assert (await here.gateway.ask(CREDIT)).refusal is None, "its key was not used up"
        assert here.books != before


async def test_a_tampered_question_moves_nothing(database: Database, url: str) -> None:
    async with hall(url) as here:
        seal = MessageSeal(BOX, "exchange")
        right = body_of(MoveFunds("ann", "house:test-funds", "ETH", 1, "mine", "digest"))
        made = seal.of(b"question", QUESTIONS.encode(), ANSWERS.encode(), b"1", right)
        name, deadline_ms, row = orjson.loads(right)
        row[3] = 10**18
        before = here.books
        for body in (orjson.dumps([name, deadline_ms, row]), body_of(CREDIT)):
            await here.attacker.xadd(QUESTIONS, {"to": ANSWERS, "key": "1", "body": body, "seal": made})
        await here.refused(2)
        assert await here.gateway.house() is not None
        assert here.books == before


async def test_a_right_question_that_is_put_there_again_moves_nothing_more(database: Database, url: str) -> None:
    async with hall(url) as here:
        body = body_of(CREDIT)
        made = MessageSeal(BOX, "exchange").of(b"question", QUESTIONS.encode(), b"answers:nobody", b"1", body)
        after = []
        for _ in range(3):
            await here.attacker.xadd(QUESTIONS, {"to": "answers:nobody", "key": "1", "body": body, "seal": made})
            assert await here.gateway.house() is not None
            after.append(here.books)
        assert len(set(after)) == 1
        assert here.seal.refused == 0


async def test_a_forged_answer_holds_no_funds(database: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_gateway, "DEADLINE_MS", 200)
    monkeypatch.setattr(exchange_gateway, "GRACE_SECONDS", 0.3)
    seal = MessageSeal(BOX, "exchange")
    requests = RedisRequests(url, process="api", name="exchange", seal=seal)
    reading = asyncio.create_task(requests.run())
    asked = asyncio.create_task(
        RedisGateway(requests, SystemClock()).ask(HoldWithdrawal("ann", "ETH", 1, "out", "digest"))
    )
    try:
        async with Redis.from_url(url) as attacker, asyncio.timeout(WAIT_SECONDS):
            while not (entries := await attacker.xrange(QUESTIONS)):
                await asyncio.sleep(0.01)
            question: Any = entries[0][1]
            await attacker.xadd(
                question[b"to"], {"key": question[b"key"], "body": codec.encode(Answer(made=7, sequence=7))}
            )
        answer = await asked
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await requests.close()
    assert answer.refusal is not None
    assert answer.refusal.code is OrderErrorCode.OUTCOME_UNKNOWN
    assert seal.refused == 1
