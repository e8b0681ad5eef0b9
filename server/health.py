"""Whether this process lives, and whether it can do its work: the answers to an orchestrator's probes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from core.clock import Clock
from core.vocabulary import FeedStatus
from server.metrics import FeedReader

log = structlog.get_logger(__name__)

KEPT_SECONDS = 1.0
"""Probes within this time share one answer."""
CHECK_SECONDS = 2.0
"""A part that has not answered by then is unhealthy."""
_WITHOUT_PRICE = frozenset({FeedStatus.DOWN, FeedStatus.STALE})


class PartState(Protocol):
    """What a part says of itself; `detail` is fit to be shown."""

    @property
    def healthy(self) -> bool: ...

    @property
    def detail(self) -> str: ...

    @property
    def latency_ms(self) -> float | None: ...


class Check(Protocol):
    """Asks one part. `Database.check` and `Bus.health` are checks as they stand."""

    def __call__(self) -> Awaitable[PartState]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A PartState of our own."""

    healthy: bool
    detail: str
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """All parts at one moment; `failing` names those that are not healthy."""

    parts: Mapping[str, PartState]

    @property
    def failing(self) -> list[str]:
        return [name for name, part in self.parts.items() if not part.healthy]


class Health:
    """The parts a process depends on, by name."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock) -> None:
        self._checks = checks
        self._clock = clock
        self._latest = Readiness({})
        self._asked_at: float | None = None
        self._asking: asyncio.Task[Readiness] | None = None

    async def ready(self) -> Readiness:
        """Ask every part, each within CHECK_SECONDS. Probes that come together share one question, and its answer for a while."""
        if self._asked_at is not None and self._clock.monotonic() - self._asked_at < KEPT_SECONDS:
            return self._latest
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await asyncio.shield(self._asking)

    async def _ask_all(self) -> Readiness:
        try:
            states = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
            self._latest = Readiness(dict(zip(self._checks, states, strict=True)))
            self._asked_at = self._clock.monotonic()
            return self._latest
        finally:
            self._asking = None

    async def _ask(self, name: str, check: Check) -> PartState:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await check()
        except TimeoutError:
            return Answer(healthy=False, detail=f"no answer within {CHECK_SECONDS:.0f} s")
        except Exception:
            log.exception("health.check_failed", part=name)
            return Answer(healthy=False, detail="the check itself failed; see the log")


def feeds_check(read: FeedReader) -> Callable[[], Awaitable[Answer]]:
    """Healthy while at least one market has a usable price; the detail counts the others."""

    async def check() -> Answer:
        feeds = list(read())
        without = sorted(feed.symbol for feed in feeds if feed.status in _WITHOUT_PRICE)
        if not feeds:
            return Answer(healthy=False, detail="no feed has reported yet")
        detail = f"{len(feeds) - len(without)} of {len(feeds)} markets have a price"
        if without:
            detail += f"; without: {', '.join(without[:5])}{' and more' if len(without) > 5 else ''}"
        return Answer(healthy=len(without) < len(feeds), detail=detail)

    return check
