"""Whether the exchange answers, how fast, and how far the documents that people read are behind its journal."""

import asyncio
from dataclasses import dataclass

from core.bus import Bus, BusMessage
from core.clock import Clock
from events.trading import JOURNAL_TOPIC, PROJECTION_TOPIC, JournalAppended, ProjectionAdvanced
from services.exchange_gateway import ExchangeGateway

ASK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ExchangeState:
    """`lag`: events of the journal that cannot be read in documents yet, as far as this process has heard."""

    healthy: bool
    detail: str
    latency_ms: float | None
    lag: int


class ExchangeHealth:
    """One per process; `run` beside it. `appended` and `projected` are the highest sequences this process has heard of."""

    def __init__(self, gateway: ExchangeGateway, bus: Bus, clock: Clock) -> None:
        self._gateway = gateway
        self._bus = bus
        self._clock = clock
        self.appended = 0
        self.projected = 0

    @property
    def lag(self) -> int:
        """Events that are appended and not projected."""
        return max(0, self.appended - self.projected)

    async def run(self) -> None:
        """Listen until cancelled."""
        async with self._bus.subscribe(JOURNAL_TOPIC, PROJECTION_TOPIC) as news:
            async for item in news:
                if not isinstance(item, BusMessage):
                    continue
                match item.event:
                    case JournalAppended(last_sequence=sequence):
                        self.appended = max(self.appended, sequence)
                    case ProjectionAdvanced(sequence=sequence):
                        self.projected = max(self.projected, sequence)

    async def read(self) -> ExchangeState:
        """Ask now, for at most a second."""
        start = self._clock.monotonic()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answered = await self._gateway.house() is not None
        except TimeoutError:
            answered = False
        if not answered:
            return ExchangeState(
                healthy=False, detail="does not answer: orders are refused", latency_ms=None, lag=self.lag
            )
        latency_ms = round((self._clock.monotonic() - start) * 1000, 3)
        return ExchangeState(healthy=True, detail="answers", latency_ms=latency_ms, lag=self.lag)
