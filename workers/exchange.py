"""The exchange worker: the one writer, while this process holds its lease."""

from dataclasses import dataclass
from functools import partial

from core.clock import Clock
from core.redis_requests import RedisRequestServer
from services.exchange import ExchangeWriter, Fenced, WriterParts
from services.exchange_gateway import take_remote
from services.leases import Holding
from workers.leased import Loop, keep_working, run_all

NAME = "exchange"


@dataclass(frozen=True, slots=True)
class ExchangeWorker:
    """What the worker needs. `remote` brings the questions of other processes; `beside` are the loops that run while the writer serves."""

    parts: WriterParts
    clock: Clock
    holder: str
    remote: RedisRequestServer | None
    beside: tuple[Loop, ...] = ()

    async def run(self) -> None:
        """Write while this process holds the lease; every life begins with nothing but what the journal says. Until cancelled."""
        await keep_working(NAME, self.holder, self.clock, self._work, ends_a_life=Fenced)

    async def _work(self, holding: Holding) -> None:
        writer = ExchangeWriter(self.parts, holding)
        await writer.open()
        asked = () if self.remote is None else (partial(self.remote.run, partial(take_remote, self.parts.inbox)),)
        await run_all(writer.serve, *self.beside, *asked)
