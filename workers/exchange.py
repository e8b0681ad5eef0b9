"""The exchange worker: the one writer, while this process holds its lease."""

from dataclasses import dataclass

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
        remote, inbox = self.remote, self.parts.inbox
        asked = () if remote is None else (lambda: remote.run(lambda body, reply: take_remote(inbox, body, reply)),)
        await run_all(writer.serve, *self.beside, *asked)
