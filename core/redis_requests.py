"""Questions to one server from many processes, over Redis streams: at least once, answered to who asked.

Both carry a seal (core/message_seal.py): of a question over its stream, where its answer goes, its key and its body; of an answer over the stream of who asked, the question's
key and the body. What is not sealed so is executed, or believed, by nobody. A sealed question that is put there again is one that may be executed twice, see below; a key is
never used twice in a stream of answers, as long as `process` is another one at every start.

Questions stand in one stream with a consumer group; an answer goes to the asking process' own stream. A question is acknowledged and removed when it is
answered, so that what a server took and did not answer is given to the next one. Whoever asks must make questions that may be executed twice; but never is one executed
again whose answer was sent: a refusal would not be true any more. So an answer is sent only while its question is still with the server that gives it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog
from redis.exceptions import ResponseError

from core.backoff import Backoff
from core.message_seal import MessageSeal
from core.redis_client import REDIS_ERRORS, connect

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 2.0
BLOCK_MS = 1_000
AT_ONCE = 256
MOST_KEPT = 100_000
"""Questions or answers a stream keeps at most, should nobody read it."""
REPLIES_KEPT_MS = 60_000
_GROUP = "server"
_ANSWER = """
local function is_anothers(id)
    if #redis.call("XRANGE", KEYS[1], id, id) == 0 then
        return false
    end
    local mine = redis.pcall("XPENDING", KEYS[1], ARGV[1], id, id, 1, ARGV[2])
    return mine.err or #mine == 0
end
local passed = {}
for place = 2, #KEYS do
    local at = 4 * place - 3
    local id = ARGV[at]
    if is_anothers(id) then
        passed[#passed + 1] = id
    else
        if KEYS[place] ~= KEYS[1] then
            redis.call("XADD", KEYS[place], "MAXLEN", "~", ARGV[3], "*", "key", ARGV[at + 1], "body", ARGV[at + 2], "seal", ARGV[at + 3])
            redis.call("PEXPIRE", KEYS[place], ARGV[4])
        end
        redis.pcall("XACK", KEYS[1], ARGV[1], id)
        redis.call("XDEL", KEYS[1], id)
    end
end
return passed
"""
"""Sends answers and removes their questions, neither without the other; passes over questions that another consumer was given meanwhile. One that
is not there any more will be given to nobody. KEYS: the questions, then where each answer goes, the questions themselves for none. ARGV: group, consumer, how many answers are
kept, for how many milliseconds; then for each the question's id, and the answer's key, body and seal. Gives the ids that were passed over."""

Reply = Callable[[bytes], None]
Handle = Callable[[bytes, bool, Reply], None]
"""Takes a question, whether it may have been taken before, and where its answer goes."""


class NotAsked(Exception):
    """The question did not get to the server, and will not."""


class RedisRequests:
    """The asking side of one process. `run` reads the answers."""

    def __init__(self, url: str, *, process: str, namespace: str = "cryptovault", name: str, seal: MessageSeal) -> None:
        self._client = connect(url, max_connections=16)
        self._questions = f"{namespace}:{name}:questions"
        self._answers = f"{namespace}:{name}:answers:{process}"
        self._seal = seal
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._last = 0
        self._is_up = True
        """Whether Redis took the last question."""

    async def ask(self, body: bytes, *, timeout_seconds: float) -> bytes:
        """The answer.

        Raises:
            NotAsked: Redis did not take the question.
            TimeoutError: it was not answered in time, or nobody can tell whether Redis took it.
        """
        self._last += 1
        key = str(self._last).encode()
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        try:
            await self._send(key, body)
            async with asyncio.timeout(timeout_seconds):
                return await waiting
        finally:
            del self._waiting[key]

    async def _send(self, key: bytes, body: bytes) -> None:
        """A call that failed may have been done; so a server that failed is greeted first, which tells that nothing was sent."""
        try:
            if not self._is_up:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await self._client.ping()
        except REDIS_ERRORS as error:
            raise NotAsked from error
        self._is_up = False
        seal = self._seal.of(*_question(self._questions, self._answers.encode(), key, body))
        fields: dict[Any, Any] = {"to": self._answers, "key": key, "body": body, "seal": seal}
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._client.xadd(self._questions, fields, maxlen=MOST_KEPT, approximate=True)
        except REDIS_ERRORS as error:
            raise TimeoutError("nobody can tell whether Redis took the question") from error
        self._is_up = True

    async def run(self) -> None:
        """Read answers until cancelled."""
        last, backoff = b"0", Backoff(first_seconds=0.05, most_seconds=2.0)
        while True:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS + BLOCK_MS / 1000):
                    found: Any = await self._client.xread({self._answers: last}, count=AT_ONCE, block=BLOCK_MS)
                backoff = Backoff(first_seconds=0.05, most_seconds=2.0)
            except REDIS_ERRORS as error:
                log.warning("requests.answers_unread", error=type(error).__name__)
                await asyncio.sleep(backoff.next_delay())
                continue
            for _, entries in found or ():
                for entry_id, fields in entries:
                    last = entry_id
                    self._take(fields)

    def _take(self, fields: dict[bytes, bytes]) -> None:
        key, body = fields.get(b"key", b""), fields.get(b"body", b"")
        if not self._seal.holds(fields.get(b"seal", b""), *_answer(self._answers.encode(), key, body)):
            return
        waiting = self._waiting.get(key)
        if waiting is not None and not waiting.done():
            waiting.set_result(body)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()


class _Answer(NamedTuple):
    to: bytes
    key: bytes
    body: bytes


_Ended = tuple[bytes, _Answer | None]
"""The id of a question that is done with, and its answer; None: it is not one of ours, nobody is answered."""


class RedisRequestServer:
    """The answering side. Only one may run at a time, by a lease of its user's.

    Whenever it takes over what is left, it does so under another name: what it sent before and Redis has not done yet (a call that was given up, a life before) comes too late then,
    as that of another server.
    """

    def __init__(self, url: str, *, server: str, namespace: str = "cryptovault", name: str, seal: MessageSeal) -> None:
        self._client = connect(url, max_connections=8)
        self._questions = f"{namespace}:{name}:questions"
        self._server = server
        self._name = server
        self._names = 0
        self._seal = seal
        self._outgoing: asyncio.Queue[_Ended] = asyncio.Queue()
        self._held: set[bytes] = set()
        """Questions that were handed over and wait for their answer."""
        self._settled = asyncio.Event()
        """Not while it is asked what is left: which answers may be sent then, nobody can tell."""
        self._settled.set()
        self._script = self._client.register_script(_ANSWER)

    async def run(self, handle: Handle) -> None:
        """Hand over questions until cancelled, first those another server has left."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer())
            await self._read(handle)

    async def _read(self, handle: Handle) -> None:
        backoff, claimed = Backoff(first_seconds=0.05, most_seconds=2.0), False
        while True:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS + BLOCK_MS / 1000):
                    if not claimed:
                        await self._join()
                        for entry_id, fields in await self._left():
                            self._take(entry_id, fields, handle, again=True)
                        claimed = True
                    found: Any = await self._client.xreadgroup(
                        _GROUP, self._name, {self._questions: ">"}, count=AT_ONCE, block=BLOCK_MS
                    )
                backoff = Backoff(first_seconds=0.05, most_seconds=2.0)
            except REDIS_ERRORS as error:
                log.warning("requests.questions_unread", error=type(error).__name__)
                claimed = False
                await asyncio.sleep(backoff.next_delay())
                continue
            for _, entries in found or ():
                for entry_id, fields in entries:
                    self._take(entry_id, fields, handle, again=False)

    async def _join(self) -> None:
        try:
            await self._client.xgroup_create(self._questions, _GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _left(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        self._names += 1
        name = f"{self._server}:{self._names}"
        self._settled.clear()
        try:
            reply: Any = await self._client.xautoclaim(self._questions, _GROUP, name, min_idle_time=0, count=10_000)
            self._name = name
        finally:
            self._settled.set()
        return [(entry_id, fields) for entry_id, fields in reply[1] if fields]

    def _take(self, entry_id: bytes, fields: dict[bytes, bytes], handle: Handle, *, again: bool) -> None:
        if entry_id in self._held:
            return
        self._held.add(entry_id)
        to, key, body = (fields.get(name, b"") for name in (b"to", b"key", b"body"))
        if self._seal.holds(fields.get(b"seal", b""), *_question(self._questions, to, key, body)):
            handle(body, again, lambda answer: self._outgoing.put_nowait((entry_id, _Answer(to, key, answer))))
        else:
            self._outgoing.put_nowait((entry_id, None))

    async def _answer(self) -> None:
        while True:
            waiting = [await self._outgoing.get()]
            await self._settled.wait()
            while not self._outgoing.empty() and len(waiting) < AT_ONCE:
                waiting.append(self._outgoing.get_nowait())
            await self._send(waiting)

    async def _send(self, waiting: list[_Ended]) -> None:
        """An answer that cannot be sent is given up, its asker finds out by itself."""
        name, passed = self._name, set[bytes]()
        keys: list[bytes | str] = [self._questions]
        arguments: list[bytes | str | int] = [_GROUP, name, MOST_KEPT, REPLIES_KEPT_MS]
        for entry_id, answer in waiting:
            keys.append(self._questions if answer is None else answer.to)
            arguments += (entry_id, b"", b"", b"") if answer is None else _sealed(self._seal, entry_id, answer)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                passed.update(await self._script(keys=keys, args=arguments))
        except REDIS_ERRORS as error:
            log.warning("requests.not_answered", error=type(error).__name__, answers=len(waiting))
        finally:
            self._end(waiting, passed, name)

    def _end(self, waiting: list[_Ended], passed: set[bytes], name: str) -> None:
        """What was passed over because it is taken over here under another name is sent under that."""
        if passed and name == self._name and self._settled.is_set():
            log.warning("requests.taken_over", answers=len(passed))
            passed.clear()
        for ended in waiting:
            if ended[0] in passed:
                self._outgoing.put_nowait(ended)
            else:
                self._held.discard(ended[0])

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()


def _sealed(seal: MessageSeal, entry_id: bytes, answer: _Answer) -> tuple[bytes, bytes, bytes, bytes]:
    return entry_id, answer.key, answer.body, seal.of(*_answer(*answer))


def _question(questions: str, to: bytes, key: bytes, body: bytes) -> tuple[bytes, ...]:
    """What a question's seal is over."""
    return b"question", questions.encode(), to, key, body


def _answer(to: bytes, key: bytes, body: bytes) -> tuple[bytes, ...]:
    """What an answer's seal is over."""
    return b"answer", to, key, body
