"""A Redis in memory with what `core/redis_requests.py` uses of its streams. It may be away or forget everything."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from core.redis_requests import _ANSWER
from tests.simulation.faults import Faults

Fields = dict[Any, Any]
Entry = tuple[bytes, dict[bytes, bytes]]
Name = str | bytes
"""The same, as on the wire."""


@dataclass(slots=True)
class Stream:
    """Entries by number; the group has given out everything up to `given`, of which `pending` is not acknowledged."""

    entries: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    grouped: bool = False
    given: int = 0
    pending: dict[int, str] = field(default_factory=dict)


class MemoryRedis:
    """One server for all clients."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.streams: dict[bytes, Stream] = {}
        self.news = asyncio.Event()
        self._last = 0

    def forget(self) -> None:
        """Start again with nothing."""
        self.streams.clear()

    def stream(self, name: Name) -> Stream:
        """It exists once it is asked for."""
        return self.streams.setdefault(_bytes(name), Stream())

    def add(self, name: Name, fields: Fields) -> None:
        """Put an entry at the end of a stream."""
        self._last += 1
        self.stream(name).entries[self._last] = {_bytes(key): _bytes(value) for key, value in fields.items()}
        self.news.set()
        self.news = asyncio.Event()

    def client(self) -> "MemoryRedisClient":
        """Another connection."""
        return MemoryRedisClient(self)


class MemoryRedisClient:
    """Calls of one connection, named as redis-py's."""

    def __init__(self, server: MemoryRedis) -> None:
        self._server = server

    async def ping(self) -> bool:
        """Whether it answers."""
        return await self._server.faults.call(lambda part: True)

    async def aclose(self) -> None:
        """Nothing to close."""

    async def xadd(self, name: Name, fields: Fields, **limits: object) -> None:
        """Add to a stream."""
        await self._server.faults.call(lambda part: self._server.add(name, fields))

    async def xread(self, streams: dict[str, bytes], *, count: int, block: int) -> list[Any]:
        """What a stream holds after an entry; waits for something."""
        ((name, last),) = streams.items()

        def found(part: float) -> list[Entry]:
            entries = self._server.stream(name).entries
            after = _number(last)
            return [(_id(number), fields) for number, fields in entries.items() if number > after][:count]

        return await self._blocking(name, found, block)

    async def xgroup_create(self, name: str, group: str, *, id: str, mkstream: bool) -> None:
        """Let a stream have its group."""

        def apply(part: float) -> None:
            stream = self._server.stream(name)
            if stream.grouped:
                raise ResponseError("BUSYGROUP Consumer Group name already exists")
            stream.grouped = True

        await self._server.faults.call(apply)

    async def xreadgroup(
        self, group: str, consumer: str, streams: dict[str, str], *, count: int, block: int
    ) -> list[Any]:
        """Take entries nobody was given."""
        ((name, _),) = streams.items()

        def found(part: float) -> list[Entry]:
            stream = self._server.stream(name)
            if not stream.grouped:
                raise ResponseError("NOGROUP No such key or consumer group")
            new = [(number, fields) for number, fields in stream.entries.items() if number > stream.given][:count]
            for number, _ in new:
                stream.given = number
                stream.pending[number] = consumer
            return [(_id(number), fields) for number, fields in new]

        return await self._blocking(name, found, block)

    async def xautoclaim(self, name: str, group: str, consumer: str, *, min_idle_time: int, count: int) -> list[Any]:
        """Take over what was given out and not acknowledged."""

        def apply(part: float) -> list[Any]:
            stream = self._server.stream(name)
            for number in stream.pending:
                stream.pending[number] = consumer
            left = [(_id(number), stream.entries.get(number, {})) for number in sorted(stream.pending)]
            return [b"0-0", left[:count], []]

        return await self._server.faults.call(apply)

    async def _blocking(self, name: str, found: Callable[[float], list[Entry]], block: int) -> list[Any]:
        loop = asyncio.get_running_loop()
        until = loop.time() + block / 1000
        while True:
            news = self._server.news
            if entries := await self._server.faults.call(found):
                return [[name.encode(), entries]]
            if loop.time() >= until:
                return []
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await news.wait()

    def register_script(self, text: str) -> "MemoryScript":
        """The one script that there is."""
        if text != _ANSWER:
            raise NotImplementedError(text)
        return MemoryScript(self._server)


class MemoryScript:
    """What `_ANSWER` of core/redis_requests.py does."""

    def __init__(self, server: MemoryRedis) -> None:
        self._server = server

    async def __call__(self, keys: Sequence[Name], args: Sequence[Name | int]) -> list[bytes]:
        """Send answers; the questions that were passed over."""
        questions, *streams = keys
        _, consumer, _, _, *rest = args
        entries = [rest[place : place + 4] for place in range(0, len(rest), 4)]

        def apply(part: float) -> list[bytes]:
            asked, passed = self._server.stream(questions), []
            for to, (entry_id, key, body, seal) in zip(streams, entries, strict=True):
                number = _number(_bytes(entry_id))
                if number in asked.entries and asked.pending.get(number) != consumer:
                    passed.append(_bytes(entry_id))
                    continue
                if to != questions:
                    self._server.add(to, {"key": key, "body": body, "seal": seal})
                asked.pending.pop(number, None)
                asked.entries.pop(number, None)
            return passed

        return await self._server.faults.call(apply)


def _id(number: int) -> bytes:
    return f"{number}-0".encode()


def _number(entry: bytes) -> int:
    return int(entry.split(b"-")[0])


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
