"""Read your writes: nobody is shown documents that are older than what they were told before.

The exchange answers as soon as its journal holds a change; the documents that people read follow a moment later. An account's mark is the
highest sequence of the journal that anybody was told about it. It is kept in this process and in the shared cache, and travels with the
client; reads wait for the documents to reach it, but not for ever.
"""

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass, field

import structlog
from pymongo.errors import PyMongoError

from core.bus import Bus, BusGap
from core.cache import Cache
from core.cancellation import raise_if_cancelled
from core.clock import Clock
from events.trading import PROJECTION_TOPIC, ProjectionAdvanced
from models import projection

log = structlog.get_logger(__name__)

WAIT_SECONDS = 0.5
LOOK_SECONDS = 0.1
"""How often the stored watermark is looked at while waiting: a message may have been lost."""
SHARED_SECONDS = 60.0
_HELD = 50_000


@dataclass(slots=True)
class Reader:
    """What the client of one operation has been shown: the highest sequence, and since when the answer is behind it, if it is."""

    shown: int = 0
    stale_since_ms: int | None = None
    waited_for: dict[str, int] = field(default_factory=dict)
    """By account, the sequence its documents were waited for."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def see(self, sequence: int) -> None:
        """This sequence is shown."""
        self.shown = max(self.shown, sequence)


class ReadMarks:
    """Knows every account's mark, and how far the documents reach."""

    def __init__(self, bus: Bus, cache: Cache, clock: Clock) -> None:
        self._bus = bus
        self._cache = cache
        self._clock = clock
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._to_share: dict[str, int] = {}
        self._shares = asyncio.Event()
        self._reached = 0
        self._reached_ms = 0
        self._advanced = asyncio.Event()

    def raise_to(self, account: str, sequence: int) -> None:
        """Somebody was told of this sequence of the account."""
        if sequence <= self._marks.get(account, 0):
            return
        self._hold(account, sequence)
        self._to_share[account] = sequence
        self._shares.set()

    async def wait(self, account: str, shown: int = 0) -> int | None:
        """Wait until the documents hold everything up to the account's mark and `shown`. None when they do; otherwise, after half a second,
        the time in epoch milliseconds they stand at."""
        mark = max(shown, await self._mark(account))
        if self._reached >= mark:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                await self._until_reached(mark)
        return None if self._reached >= mark else self._reached_ms or self._clock.now_ms()

    async def ready(self, account: str, reader: Reader) -> None:
        """Wait for one operation's reads of an account: once for whatever its client has been shown."""
        async with reader.lock:
            shown = reader.shown
            if reader.waited_for.get(account, -1) >= shown:
                return
            stale = await self.wait(account, shown)
            if stale is not None:
                reader.stale_since_ms = stale if reader.stale_since_ms is None else min(stale, reader.stale_since_ms)
            reader.waited_for[account] = shown

    def show(self, account: str, sequence: int, reader: Reader) -> None:
        """An operation's client is told of this sequence."""
        reader.see(sequence)
        self.raise_to(account, sequence)

    async def run(self) -> None:
        """Listen to the projection and share marks, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._share())

    async def _listen(self) -> None:
        async with self._bus.subscribe(PROJECTION_TOPIC) as subscription:
            async for item in subscription:
                if isinstance(item, BusGap):
                    await self._look()
                elif isinstance(item.event, ProjectionAdvanced):
                    self._reach(item.event.sequence, item.event.time_ms)

    async def _share(self) -> None:
        while True:
            await self._shares.wait()
            self._shares.clear()
            marks, self._to_share = self._to_share, {}
            for account, sequence in marks.items():
                shared = await self._shared(account)
                if shared < sequence:
                    await self._cache.set(_key(account), str(sequence).encode(), ttl_seconds=SHARED_SECONDS)

    async def _mark(self, account: str) -> int:
        shared = await self._shared(account)
        if shared > self._marks.get(account, 0):
            self._hold(account, shared)
        return max(shared, self._marks.get(account, 0))

    async def _shared(self, account: str) -> int:
        data = await self._cache.get(_key(account))
        return int(data) if data is not None and data.isdigit() else 0

    def _hold(self, account: str, sequence: int) -> None:
        self._marks[account] = sequence
        self._marks.move_to_end(account)
        if len(self._marks) > _HELD:
            self._marks.popitem(last=False)

    async def _look(self) -> None:
        """Take over the stored watermark; one that cannot be read says nothing."""
        try:
            stored = await projection.read_watermark()
        except PyMongoError as error:
            raise_if_cancelled()
            log.info("read_marks.no_watermark", reason=type(error).__name__)
        else:
            self._reach(stored.sequence, stored.time_ms)

    def _reach(self, sequence: int, time_ms: int) -> None:
        if sequence > self._reached:
            self._reached, self._reached_ms = sequence, time_ms
            self._advanced.set()
            self._advanced = asyncio.Event()

    async def _until_reached(self, mark: int) -> None:
        while True:
            await self._look()
            advanced = self._advanced
            if self._reached >= mark:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await advanced.wait()


def _key(account: str) -> str:
    return f"exchange mark:{account}"
