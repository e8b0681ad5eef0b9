"""The broadcast worker: follows what was sent while it holds its lease, one process at a time, and goes on after its chain was away."""

import asyncio
from contextlib import suppress
from typing import Any

from core.bus import MemoryBus
from core.clock import SystemClock
from core.database import Database
from core.vocabulary import ChainFamily
from integrations.chains.errors import ChainUnavailable
from models import chain_transaction
from models.chain_transaction import ChainTransactionDocument
from services.chain_tracking import ChainTracking
from services.sending_families import SendingFamilies, Sighting, SightKind, Signed
from tests.chains import LOCAL_ETHEREUM
from tests.evm import OWNER
from workers.broadcasts import BroadcastWorker

SIGNED = Signed("0xa", b"raw", OWNER, ("0",))


class Chain:
    """A family that says, look after look, what a test lets it say; the last of it for ever."""

    def __init__(self, *seen: Sighting | Exception) -> None:
        self.seen = list(seen)
        self.looks = 0
        self.sent = 0

    async def send(self, _chain: str, _raw: bytes, _hash: str) -> None:
        self.sent += 1

    async def sight(self, _chain: str, _hash: str, _sent: object = None) -> Sighting:
        self.looks += 1
        seen = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        if isinstance(seen, Exception):
            raise seen
        return seen


def tracking_of(chain: Any) -> ChainTracking:
    entries = {"ethereum": LOCAL_ETHEREUM}
    return ChainTracking(SendingFamilies(entries, {ChainFamily.EVM: chain}), entries, MemoryBus(), SystemClock())


async def is_due(row: ChainTransactionDocument) -> None:
    """So that no test waits for a block's time."""
    await chain_transaction.postpone(row, 1)


async def followed(*trackings: ChainTracking) -> ChainTransactionDocument:
    """The row once it is over, with a worker for each of these."""
    workers = [
        asyncio.ensure_future(BroadcastWorker(SystemClock(), f"process {place}", each).run())
        for place, each in enumerate(trackings)
    ]
    try:
        async with asyncio.timeout(30):
            while True:
                row = await chain_transaction.by_hash("ethereum", "0xa")
                assert row is not None
                if row.track.over:
                    return row
                await is_due(row)
                await asyncio.sleep(0.05)
    finally:
        for worker in workers:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker


async def test_it_follows_until_it_is_over_and_waits_where_the_chain_is_away(database: Database) -> None:
    chain = Chain(
        ChainUnavailable("ethereum", {}),
        Sighting(SightKind.WAITING),
        Sighting(SightKind.INCLUDED, confirmations=1, block=5),
        Sighting(SightKind.INCLUDED, confirmations=3, block=5, final=True),
    )
    tracking = tracking_of(chain)
    await tracking.begin("ethereum", SIGNED)
    await chain_transaction.was_sent("ethereum", "0xa", 1, of_swap=False)
    row = await followed(tracking)
    assert (row.track.status, row.due_ms, chain.looks) == ("FINAL", None, 4)
    assert (chain.sent, row.version) == (0, 4 - 1)


async def test_of_two_processes_one_follows(database: Database) -> None:
    first, second = (Chain(Sighting(SightKind.INCLUDED, confirmations=3, block=5, final=True)) for _ in range(2))
    await tracking_of(first).begin("ethereum", SIGNED)
    row = await followed(tracking_of(first), tracking_of(second))
    assert row.track.status == "FINAL"
    assert sorted((first.looks, second.looks)) == [0, 1]
    assert sorted((first.sent, second.sent)) == [0, 1]
