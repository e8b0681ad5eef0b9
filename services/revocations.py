"""Authority that has ended: every process knows within two seconds, whether it is told or has to look.

A process that ends a session or a key writes it to the database and tells the others over the bus. Each of them reads once a second what
has ended lately. What has ended is remembered for longer than any access token lives, so a token needs no look into the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
from pymongo.errors import PyMongoError

from core.bus import Bus, BusGap
from core.clock import Clock
from events.account import AUTHORITY_TOPIC, SessionsEnded
from models import session
from services.access_tokens import LIFE_SECONDS

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
OVERLAP_MS = 15_000
"""Each look goes back this much further: clocks differ, and a write may arrive late."""
_REMEMBERED_MS = LIFE_SECONDS * 1000 + 60_000
_TRUSTED_SECONDS = 30.0

Reader = Callable[[object], None]
Look = Callable[[int], Awaitable[None]]


class Revocations:
    """What has ended, as this process knows it. `run` keeps it current."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._ended: dict[str, int] = {}
        self._watchers: dict[str, set[asyncio.Future[str]]] = {}
        self._readers: list[Reader] = []
        self._looks: list[Look] = [self._look_at_sessions]
        self._looked_at: float | None = None

    def also(self, read: Reader, look: Look) -> None:
        """Give other keepers of authority what the bus tells, and let them look, from an epoch in milliseconds on, when this one does."""
        self._readers.append(read)
        self._looks.append(look)

    @property
    def trusted(self) -> bool:
        """Whether what is known here is recent enough to move money on: the database was asked within half a minute."""
        return self._looked_at is not None and self._clock.monotonic() - self._looked_at <= _TRUSTED_SECONDS

    def is_ended(self, session_id: str) -> bool:
        """Whether this session has ended within the life of an access token."""
        return session_id in self._ended

    async def end_sessions(self, user_id: str, session_ids: list[str], reason: str) -> int:
        """End these sessions of a person: in the database, here, and everywhere. Returns how many had not ended before."""
        if not session_ids:
            return 0
        now_ms = self._clock.now_ms()
        ended = await session.end(session_ids, reason, now_ms)
        self._mark(session_ids, now_ms)
        self._bus.publish(AUTHORITY_TOPIC, SessionsEnded(user_id, tuple(session_ids), now_ms))
        return ended

    def tell(self, key: str, reason: str) -> None:
        """End whatever runs on this authority: the id of a session or of an API key."""
        for watcher in self._watchers.get(key, ()):
            if not watcher.done():
                watcher.set_result(reason)

    @contextmanager
    def watch(self, key: str) -> Iterator[asyncio.Future[str]]:
        """A future that is done, with the reason, when this session or API key ends."""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._watchers.setdefault(key, set()).add(ended)
        if key in self._ended:
            ended.set_result("the session has ended")
        try:
            yield ended
        finally:
            self._watchers[key].discard(ended)
            if not self._watchers[key]:
                del self._watchers[key]

    async def load(self) -> None:
        """Know everything that matters now. Raises PyMongoError."""
        await self._look(self._clock.now_ms() - _REMEMBERED_MS)

    async def run(self) -> None:
        """Stay current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._reconcile())

    async def _listen(self) -> None:
        async with self._bus.subscribe(AUTHORITY_TOPIC) as subscription:
            async for item in subscription:
                if isinstance(item, BusGap):
                    continue  # what was missed is found by the next look
                if isinstance(item.event, SessionsEnded):
                    self._mark(item.event.session_ids, item.event.time_ms)
                for read in self._readers:
                    read(item.event)

    async def _reconcile(self) -> None:
        looked_ms = self._clock.now_ms() - _REMEMBERED_MS
        while True:
            now_ms = self._clock.now_ms()
            try:
                await self._look(looked_ms - OVERLAP_MS)
                looked_ms = now_ms
            except PyMongoError as error:
                log.warning("revocations.not_read", reason=type(error).__name__)
            self._forget(now_ms - _REMEMBERED_MS)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, since_ms: int) -> None:
        began = self._clock.monotonic()
        for look in self._looks:
            await look(since_ms)
        self._looked_at = began

    async def _look_at_sessions(self, since_ms: int) -> None:
        for row in await session.ended_since(since_ms):
            self._mark([row.id], row.ended_ms or since_ms)

    def _mark(self, session_ids: list[str] | tuple[str, ...], time_ms: int) -> None:
        for session_id in session_ids:
            if session_id not in self._ended:
                self._ended[session_id] = time_ms
                self.tell(session_id, "the session has ended")

    def _forget(self, before_ms: int) -> None:
        self._ended = {key: ended_ms for key, ended_ms in self._ended.items() if ended_ms >= before_ms}
