"""Rows of what was sent: begun once, and anew after they were given up; a fault of one holds up no other."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from core.bus import MemoryBus
from core.clock import ManualClock
from core.wallet_vocabulary import ChainTxStatus
from models import chain_transaction
from models.chain_transaction import ChainTransactionDocument, TrackEntry
from services import catalogue
from services.chain_tracking import ChainTracking
from services.sending_families import Signed

T = ChainTxStatus
HASH = "0x" + "a" * 64
SIGNED = Signed(hash=HASH, raw=b"\1", sender="0x1", spends=("1",), counterparties=(), terms={})
pytestmark = pytest.mark.usefixtures("database")


class Broken:
    """Families whose every word is a fault."""

    def of(self, _chain: str) -> Any:
        raise ZeroDivisionError


def tracking(clock: ManualClock) -> ChainTracking:
    families: Any = Broken()
    return ChainTracking(families, catalogue.read_files().chains, MemoryBus(), clock)


async def stored() -> ChainTransactionDocument:
    row = await chain_transaction.by_hash("ethereum", HASH)
    assert row is not None
    return row


async def ended(track: TrackEntry) -> ChainTransactionDocument:
    """The row, sent and at this end."""
    await chain_transaction.was_sent("ethereum", HASH, 5, of_swap=False)
    row = await stored()
    over: ChainTransactionDocument = row.model_copy(
        update={"track": track, "due_ms": None, "revision": row.revision + 1}
    )
    assert await chain_transaction.replace(over)
    return over


@pytest.mark.parametrize("status", [T.DROPPED, T.REPLACED])
async def test_what_was_given_up_is_followed_anew_when_it_is_sent_again(status: ChainTxStatus) -> None:
    clock = ManualClock(1_000_000)
    following = tracking(clock)
    await following.begin("ethereum", SIGNED)
    before = await ended(TrackEntry(status=status, over=True))
    clock.advance(7)
    await following.begin("ethereum", SIGNED)
    after = await stored()
    assert (after.track, after.sent_ms) == (TrackEntry(), None)
    assert after.version > before.version
    assert await following.due(5) == []
    clock.advance(15)
    assert await following.due(5) == [("ethereum", HASH)]


@pytest.mark.parametrize(
    "track",
    [
        TrackEntry(status=T.FINAL, over=True),
        TrackEntry(status=T.FAILED, over=True),
        TrackEntry(status=T.DROPPED),
        TrackEntry(status=T.PENDING),
    ],
)
async def test_what_is_followed_or_final_stays_as_it_is(track: TrackEntry) -> None:
    following = tracking(ManualClock(1_000_000))
    await following.begin("ethereum", SIGNED)
    before = await ended(track)
    await following.begin("ethereum", SIGNED)
    assert await stored() == before


async def test_a_fault_is_said_and_tried_again_later() -> None:
    clock = ManualClock(1_000_000)
    following = tracking(clock)
    await following.begin("ethereum", SIGNED)
    clock.advance(15)
    with capture_logs() as logs:
        await following.step("ethereum", HASH)
    assert [each["event"] for each in logs] == ["chain_transaction.failed"]
    assert await following.due(5) == []
    clock.advance(60)
    assert await following.due(5) == [("ethereum", HASH)]
