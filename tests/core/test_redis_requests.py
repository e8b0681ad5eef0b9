"""Questions over a real Redis: answered to who asked, taken over when a server dies, and never called unasked when they may have been taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core import redis_requests
from core.redis_requests import NotAsked, RedisRequests, RedisRequestServer, Reply
from tests.faults.test_redis_bus import Server, Wire

WAIT_SECONDS = 20.0


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    yield server
    await server.stop()


@dataclass
class Answerer:
    """A server that answers with its name, or only takes. `again` are the questions that may have been taken before."""

    name: str
    answers: bool = True
    taken: list[bytes] = field(default_factory=list)
    again: list[bytes] = field(default_factory=list)
    waiting: list[Reply] = field(default_factory=list)

    def __call__(self, body: bytes, again: bool, reply: Reply) -> None:
        self.taken.append(body)
        if again:
            self.again.append(body)
        if self.answers:
            reply(self.name.encode() + b":" + body)
        else:
            self.waiting.append(reply)

    @asynccontextmanager
    async def running(self, url: str) -> AsyncIterator[None]:
        server = RedisRequestServer(url, server=self.name, name="test")
        task = asyncio.create_task(server.run(self))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.close()


@asynccontextmanager
async def asking(url: str, process: str = "api") -> AsyncIterator[RedisRequests]:
    requests = RedisRequests(url, process=process, name="test")
    task = asyncio.create_task(requests.run())
    try:
        yield requests
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await requests.close()


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def answered(requests: RedisRequests, body: bytes) -> bytes:
    """The answer, as soon as Redis is there again."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                return await requests.ask(body, timeout_seconds=2)
            except (NotAsked, TimeoutError):
                await asyncio.sleep(0.05)


async def test_answers_go_to_the_process_that_asked(redis: Server) -> None:
    server = Answerer("one")
    async with asking(redis.url, "a") as a, asking(redis.url, "b") as b, server.running(redis.url):
        asked = [(process, f"{name}{place}".encode()) for place in range(50) for name, process in (("a", a), ("b", b))]
        answers = await asyncio.gather(*(process.ask(body, timeout_seconds=WAIT_SECONDS) for process, body in asked))
    assert answers == [b"one:" + body for _, body in asked]
    assert sorted(server.taken) == sorted(body for _, body in asked)
    assert server.again == []


async def test_what_a_dead_server_took_is_given_to_the_next_one(redis: Server) -> None:
    first, second = Answerer("one", answers=False), Answerer("two")
    async with asking(redis.url) as requests:
        async with first.running(redis.url):
            questions = [
                asyncio.create_task(requests.ask(f"{place}".encode(), timeout_seconds=WAIT_SECONDS))
                for place in range(10)
            ]
            await until(lambda: len(first.taken) == 10)
        async with second.running(redis.url):
            assert await asyncio.gather(*questions) == [f"two:{place}".encode() for place in range(10)]
            assert await requests.ask(b"new", timeout_seconds=WAIT_SECONDS) == b"two:new"
    assert sorted(second.again) == sorted(first.taken)


async def test_what_was_answered_is_not_given_out_again(redis: Server) -> None:
    first, second = Answerer("one"), Answerer("two")
    async with asking(redis.url) as requests:
        async with first.running(redis.url):
            await requests.ask(b"done", timeout_seconds=WAIT_SECONDS)
        async with second.running(redis.url):
            await requests.ask(b"new", timeout_seconds=WAIT_SECONDS)
    assert second.taken == [b"new"]


async def test_redis_that_starts_again_with_nothing_is_used_again(redis: Server) -> None:
    server = Answerer("one")
    async with asking(redis.url) as requests, server.running(redis.url):
        assert await requests.ask(b"before", timeout_seconds=WAIT_SECONDS) == b"one:before"
        await redis.kill()
        with pytest.raises((NotAsked, TimeoutError)):
            await requests.ask(b"while away", timeout_seconds=WAIT_SECONDS)
        with pytest.raises(NotAsked):
            await requests.ask(b"while it is known to be away", timeout_seconds=WAIT_SECONDS)
        await redis.start()
        assert await answered(requests, b"after") == b"one:after"
    assert b"while it is known to be away" not in server.taken


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_requests, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(redis_requests, "BLOCK_MS", 100)


@pytest.mark.usefixtures("impatient")
async def test_a_question_whose_way_back_was_cut_is_not_called_unasked(redis: Server) -> None:
    server, wire = Answerer("one"), Wire(redis.port)
    async with AsyncExitStack() as stack:
        await wire.join()
        stack.push_async_callback(wire.cut)
        requests = await stack.enter_async_context(asking(wire.url))
        await stack.enter_async_context(server.running(redis.url))
        assert await requests.ask(b"first", timeout_seconds=WAIT_SECONDS) == b"one:first"
        wire.loses_answers = True
        with pytest.raises(TimeoutError):
            await requests.ask(b"second", timeout_seconds=WAIT_SECONDS)
        await until(lambda: b"second" in server.taken)
        with pytest.raises(NotAsked):
            await requests.ask(b"third", timeout_seconds=WAIT_SECONDS)
        wire.loses_answers = False
        assert await answered(requests, b"fourth") == b"one:fourth"
    assert b"third" not in server.taken


@pytest.mark.usefixtures("impatient")
async def test_a_server_does_not_take_again_what_it_holds(redis: Server) -> None:
    server, wire = Answerer("one", answers=False), Wire(redis.port)
    async with AsyncExitStack() as stack:
        await wire.join()
        stack.push_async_callback(wire.cut)
        requests = await stack.enter_async_context(asking(redis.url))
        await stack.enter_async_context(server.running(wire.url))
        held = asyncio.create_task(requests.ask(b"held", timeout_seconds=WAIT_SECONDS))
        await until(lambda: server.taken == [b"held"])
        await wire.cut()
        await wire.join()
        later = asyncio.create_task(requests.ask(b"later", timeout_seconds=WAIT_SECONDS))
        await until(lambda: b"later" in server.taken)
        assert server.taken == [b"held", b"later"]
        for place, reply in enumerate(server.waiting):
            reply(f"{place}".encode())
        assert (await held, await later) == (b"0", b"1")
