"""Questions over a real Redis: answered to who asked, taken over when a server dies, and never called unasked when they may have been taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from core import redis_requests
from core.message_seal import MessageSeal
from core.redis_requests import NotAsked, RedisRequests, RedisRequestServer, Reply
from core.secret_box import SecretBox
from tests.faults.test_redis_bus import Server, Wire

WAIT_SECONDS = 30.0
OLD, NEW = bytes(32), bytes(range(32))
QUESTIONS = "cryptovault:test:questions"


def seal_of(*keys: bytes) -> MessageSeal:
    return MessageSeal(SecretBox(keys or (NEW,)), "test")


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
    seal: MessageSeal = field(default_factory=seal_of)
    server: RedisRequestServer = field(init=False)

    def __call__(self, body: bytes, again: bool, reply: Reply) -> None:
        self.taken.append(body)
        if again:
            self.again.append(body)
        if self.answers:
            reply(self.name.encode() + b":" + body)
        else:
            self.waiting.append(reply)

    @property
    def holds(self) -> set[bytes]:
        """Ids of questions that it has not seen the end of."""
        return self.server._held

    @asynccontextmanager
    async def running(self, url: str) -> AsyncIterator[None]:
        server = self.server = RedisRequestServer(url, server=self.name, name="test", seal=self.seal)
        task = asyncio.create_task(server.run(self))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.close()


@asynccontextmanager
async def asking(url: str, process: str = "api", seal: MessageSeal | None = None) -> AsyncIterator[RedisRequests]:
    requests = RedisRequests(url, process=process, name="test", seal=seal or seal_of())
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


@asynccontextmanager
async def holding(redis: Server) -> AsyncIterator[tuple[Answerer, Wire, RedisRequests, asyncio.Task[bytes]]]:
    """A server behind a wire that holds the question `held`, the wire, who asks, and the question's answer."""
    server, wire = Answerer("one", answers=False), Wire(redis.port)
    async with AsyncExitStack() as stack:
        await wire.join()
        stack.push_async_callback(wire.cut)
        requests = await stack.enter_async_context(asking(redis.url))
        await stack.enter_async_context(server.running(wire.url))
        held = asyncio.create_task(requests.ask(b"held", timeout_seconds=WAIT_SECONDS))
        await until(lambda: server.taken == [b"held"])
        yield server, wire, requests, held


@pytest.mark.usefixtures("impatient")
async def test_a_server_does_not_take_again_what_it_holds(redis: Server) -> None:
    async with holding(redis) as (server, wire, requests, held):
        await wire.cut()
        await wire.join()
        later = asyncio.create_task(requests.ask(b"later", timeout_seconds=WAIT_SECONDS))
        await until(lambda: b"later" in server.taken)
        assert server.taken == [b"held", b"later"]
        for place, reply in enumerate(server.waiting):
            reply(f"{place}".encode())
        assert (await held, await later) == (b"0", b"1")


@pytest.mark.usefixtures("impatient")
async def test_what_is_answered_while_a_server_asks_what_is_left_is_not_taken_again(
    redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list that is on its way names a question that is done with when it arrives."""
    listed, arrives = asyncio.Event(), asyncio.Event()
    async with holding(redis) as (server, wire, requests, held):
        asked_before = Redis.xautoclaim

        async def slow(self: Redis, *arguments: Any, **options: Any) -> Any:
            found = await asked_before(self, *arguments, **options)
            listed.set()
            await arrives.wait()
            return found

        monkeypatch.setattr(Redis, "xautoclaim", slow)
        monkeypatch.setattr(redis_requests, "TIMEOUT_SECONDS", WAIT_SECONDS)
        await wire.cut()
        await wire.join()
        await asyncio.wait_for(listed.wait(), WAIT_SECONDS)
        server.waiting[0](b"refused")
        async with reached(redis) as other:
            for _ in range(50):
                await other.ping()
        assert not held.done(), "an answer waits for the list"
        arrives.set()
        assert await held == b"refused"
        later = asyncio.create_task(requests.ask(b"later", timeout_seconds=WAIT_SECONDS))
        await until(lambda: b"later" in server.taken)
        assert server.taken == [b"held", b"later"]
        server.waiting[1](b"done")
        assert await later == b"done"


async def test_an_answer_comes_too_late_once_another_server_has_the_question(redis: Server) -> None:
    first, second = Answerer("one", answers=False), Answerer("two", answers=False)
    with capture_logs() as logs:
        async with asking(redis.url) as requests, first.running(redis.url), reached(redis) as reader:
            asked = asyncio.create_task(requests.ask(b"a", timeout_seconds=WAIT_SECONDS))
            await until(lambda: first.taken == [b"a"])
            async with second.running(redis.url):
                await until(lambda: second.again == [b"a"])
                first.waiting[0](b"refused by the first")
                await until(lambda: [each for each in logs if each["event"] == "requests.taken_over"])
                assert not asked.done()
                assert (await reader.xpending(QUESTIONS, "server"))["pending"] == 1
                second.waiting[0](b"made by the second")
                assert await asked == b"made by the second"
            assert (await reader.xpending(QUESTIONS, "server"))["pending"] == 0
            assert await reader.xlen(QUESTIONS) == 0


@pytest.mark.usefixtures("impatient")
async def test_what_redis_does_late_of_an_answer_that_was_given_up_is_nothing(redis: Server) -> None:
    """The call failed here, the question was taken once more: then the call arrives there all the same."""
    late = list[dict[str, Any]]()
    async with holding(redis) as (server, wire, _, asked):
        script = server.server._script

        async def given_up(**call: Any) -> Any:
            late.append(call)
            raise RedisConnectionError("nobody can tell")

        server.server._script = given_up  # type: ignore[assignment]
        server.waiting[0](b"refused")
        await until(lambda: late and not server.holds)
        server.server._script = script
        await wire.cut()
        await wire.join()
        await until(lambda: server.again == [b"held"])
        assert len(await script(**late[0])) == 1
        assert not asked.done()
        server.waiting[1](b"done")
        assert await asked == b"done"


@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_meets_a_change_of_names_is_sent_again(redis: Server) -> None:
    async with holding(redis) as (server, _, _, asked):
        script, passed = server.server._script, list[bytes]()

        async def overtaken(**call: Any) -> Any:
            server.server._script = script
            await server.server._left()
            found = await script(**call)
            passed.extend(found)
            return found

        server.server._script = overtaken  # type: ignore[assignment]
        server.waiting[0](b"done")
        assert await asked == b"done"
        assert len(passed) == 1
        assert server.taken == [b"held"]


async def test_an_answer_arrives_though_redis_has_forgotten_the_question(redis: Server) -> None:
    server = Answerer("one", answers=False)
    async with asking(redis.url) as requests, server.running(redis.url):
        asked = asyncio.create_task(requests.ask(b"a", timeout_seconds=WAIT_SECONDS))
        await until(lambda: server.taken == [b"a"])
        async with reached(redis) as reader:
            await reader.flushall()
        server.waiting[0](b"done")
        assert await asked == b"done"


Fields = dict[Any, Any]
"""As Redis has them: bytes by bytes."""


def reached(redis: Server) -> Any:
    """Somebody else who can read and write everything there."""
    return Redis.from_url(redis.url)


async def sent(redis: Server, requests: RedisRequests, body: bytes) -> tuple[Fields, asyncio.Task[bytes]]:
    """A question as it lies in the stream while nobody reads it, taken out of there; and who waits for its answer."""
    asked = asyncio.create_task(requests.ask(body, timeout_seconds=WAIT_SECONDS))
    async with reached(redis) as attacker, asyncio.timeout(WAIT_SECONDS):
        while not (entries := await attacker.xrange(QUESTIONS)):
            await asyncio.sleep(0.01)
        ((entry_id, fields),) = entries
        await attacker.xdel(QUESTIONS, entry_id)
    return fields, asked


def forgeries(right: Fields) -> list[Fields]:
    """Everything that an attacker could make of a question: without a seal, with another one, or with one that was made for something else."""
    answers = b"cryptovault:test:answers:"
    unsealed = {name: value for name, value in right.items() if name != b"seal"}
    as_answer = seal_of().of(b"answer", right[b"to"], right[b"key"], right[b"body"])
    elsewhere = seal_of().of(b"question", b"other:test:questions", right[b"to"], right[b"key"], right[b"body"])
    return [
        unsealed,
        {b"anything": b"else"},
        {b"seal": right[b"seal"]},
        {**right, b"seal": b""},
        {**right, b"seal": b"\xff" * 40},
        {**right, b"seal": as_answer},
        {**right, b"seal": elsewhere},
        {
            **right,
            b"seal": seal_of(OLD).of(b"question", QUESTIONS.encode(), right[b"to"], right[b"key"], right[b"body"]),
        },
        {**right, b"body": b"tampered"},
        {**right, b"key": b"2"},
        {**right, b"to": answers + b"attacker"},
        {**right, b"to": b"\xff"},
    ]


async def test_what_no_process_of_ours_asked_is_passed_over_and_does_not_stay(redis: Server) -> None:
    server = Answerer("one")
    async with asking(redis.url) as requests, reached(redis) as attacker:
        right, asked = await sent(redis, requests, b"right")
        forged = forgeries(right)
        for fields in forged:
            await attacker.xadd(QUESTIONS, fields)
        keys = set(await attacker.keys())
        async with server.running(redis.url):
            assert await requests.ask(b"next", timeout_seconds=WAIT_SECONDS) == b"one:next"
            assert server.taken == [b"next"]
            assert server.seal.refused == len(forged)
            await attacker.xadd(QUESTIONS, right)
            assert await asked == b"one:right"
        assert await attacker.xlen(QUESTIONS) == 0
        assert (await attacker.xpending(QUESTIONS, "server"))["pending"] == 0
        assert set(await attacker.keys()) - keys == {b"cryptovault:test:answers:api"}, "nobody was answered"


async def test_a_forgery_that_a_dead_server_took_is_passed_over_by_the_next(redis: Server) -> None:
    server = Answerer("one")
    async with asking(redis.url) as requests, reached(redis) as attacker:
        await attacker.xgroup_create(QUESTIONS, "server", id="0", mkstream=True)
        await attacker.xadd(QUESTIONS, {"to": "a", "key": "1", "body": "forged"})
        await attacker.xreadgroup("server", "dead", {QUESTIONS: ">"})
        async with server.running(redis.url):
            assert await requests.ask(b"right", timeout_seconds=WAIT_SECONDS) == b"one:right"
        assert server.taken == [b"right"]
        assert (await attacker.xpending(QUESTIONS, "server"))["pending"] == 0


async def test_an_answer_that_no_server_of_ours_gave_is_not_believed(redis: Server) -> None:
    server, seal = Answerer("one", answers=False), seal_of()
    async with (
        asking(redis.url, seal=seal) as requests,
        reached(redis) as attacker,
        server.running(redis.url),
    ):
        asked = [asyncio.create_task(requests.ask(body, timeout_seconds=WAIT_SECONDS)) for body in (b"a", b"b")]
        await until(lambda: len(server.taken) == 2)
        answers = "cryptovault:test:answers:api"
        server.waiting[server.taken.index(b"b")](b"right for b")
        assert await asked[1] == b"right for b"
        ((_, right),) = await attacker.xrange(answers)
        forged: list[Fields] = [
            {b"key": b"1", b"body": b"forged"},
            {b"body": b"forged"},
            {**right, b"key": b"1"},
            {**right, b"key": b"1", b"body": b"forged"},
            {**right, b"key": b"1", b"seal": seal_of().of(b"question", answers.encode(), b"1", right[b"body"])},
            {**right, b"key": b"1", b"seal": seal_of().of(b"answer", b"others", b"1", right[b"body"])},
        ]
        for fields in forged:
            await attacker.xadd(answers, fields)
        await until(lambda: seal.refused == len(forged))
        assert not asked[0].done()
        server.waiting[server.taken.index(b"a")](b"right for a")
        assert await asked[0] == b"right for a"


async def test_what_is_right_elsewhere_is_not_right_here(redis: Server) -> None:
    """A question moved to another server's stream, and an answer moved to another process that waits under the same key."""
    server, seal = Answerer("one", answers=False), seal_of()
    other = RedisRequests(redis.url, process="api", name="other", seal=seal_of())
    asked = [asyncio.create_task(other.ask(b"moved", timeout_seconds=WAIT_SECONDS))]
    async with (
        asking(redis.url, "a", seal) as a,
        asking(redis.url, "b") as b,
        reached(redis) as attacker,
        server.running(redis.url),
    ):
        while not (entries := await attacker.xrange("cryptovault:other:questions")):
            await asyncio.sleep(0.01)
        await attacker.xadd(QUESTIONS, entries[0][1])
        asked += [
            asyncio.create_task(each.ask(name, timeout_seconds=WAIT_SECONDS)) for each, name in ((a, b"a"), (b, b"b"))
        ]
        await until(lambda: len(server.taken) == 2)
        assert sorted(server.taken) == [b"a", b"b"]
        assert server.seal.refused == 1
        server.waiting[server.taken.index(b"b")](b"for b")
        assert await asked[2] == b"for b"
        ((_, answer),) = await attacker.xrange("cryptovault:test:answers:b")
        await attacker.xadd("cryptovault:test:answers:a", answer)
        await until(lambda: seal.refused == 1 or asked[1].done())
        assert not asked[1].done()
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await other.close()


async def test_processes_under_the_old_and_the_new_key_understand_each_other(redis: Server) -> None:
    server = Answerer("one", seal=seal_of(NEW, OLD))
    async with (
        asking(redis.url, "old", seal_of(OLD, NEW)) as old,
        asking(redis.url, "new", seal_of(NEW, OLD)) as new,
        server.running(redis.url),
    ):
        assert await old.ask(b"1", timeout_seconds=WAIT_SECONDS) == b"one:1"
        assert await new.ask(b"2", timeout_seconds=WAIT_SECONDS) == b"one:2"
