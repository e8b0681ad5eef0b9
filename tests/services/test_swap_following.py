"""What becomes of a swap's transaction reaches the swap: only what cannot come right any more counts as a failure."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.wallet_vocabulary import ChainTxStatus, SwapStatus
from models import chain_transaction
from models.chain_transaction import ChainTransactionDocument, TrackEntry, chain_transaction_id
from services.swap_following import SwapFollowing
from services.swap_states import SourceFate
from tests.services.test_swaps import HASH, USDC, Home, quote

S, T = SwapStatus, ChainTxStatus
pytestmark = pytest.mark.usefixtures("database")


async def tracked(swap_id: str, track: TrackEntry, revision: int) -> ChainTransactionDocument:
    row = ChainTransactionDocument(
        id=chain_transaction_id("ethereum", HASH),
        chain="ethereum",
        hash=HASH,
        raw=b"\1",
        sender="0x1",
        spends=["1"],
        track=track,
        revision=revision,
        created_ms=1,
        swap_id=swap_id,
        untold=True,
        purge_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    await chain_transaction.insert(row)
    await chain_transaction.replace(row)
    return row


async def test_a_failure_counts_when_it_is_final() -> None:
    home = Home()
    row = await home.swaps.prepare(quote(USDC))
    await home.swaps.sent("alice", row.id, SourceFate(HASH, T.PENDING))
    transactions: Any = None
    following = SwapFollowing(home.swaps, transactions)
    for revision, (track, expected) in enumerate(
        [
            (TrackEntry(status=T.FAILED, confirmations=1), S.SENT),
            (TrackEntry(status=T.REVERTED), S.SENT),
            (TrackEntry(status=T.FINAL, confirmations=9, over=True), S.DONE),
        ],
        start=1,
    ):
        await tracked(row.id, track, revision)
        await following.step()
        assert (await home.stored(row)).status is expected
        assert await chain_transaction.untold(5) == []


async def test_a_final_failure_fails_the_swap() -> None:
    home = Home()
    row = await home.swaps.prepare(quote(USDC))
    await home.swaps.sent("alice", row.id, SourceFate(HASH, T.PENDING))
    transactions: Any = None
    await tracked(row.id, TrackEntry(status=T.FAILED, confirmations=9, over=True), 1)
    await SwapFollowing(home.swaps, transactions).step()
    assert (await home.stored(row)).status is S.FAILED
