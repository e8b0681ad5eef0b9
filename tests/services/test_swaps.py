"""Swaps as they are stored and followed: over one chain, over two, and by whom they are seen."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from core.bus import MemoryBus
from core.clock import ManualClock, to_datetime
from core.wallet_vocabulary import ChainTxStatus, SwapProvider, SwapStatus
from integrations.swaps.base import Progress, SwapProgress, SwapSourceError, SwapUnavailable
from models import swap
from models.swap import SwapDocument
from models.swap_quote import CallEntry, QuoteEntry, SwapQuoteDocument, TokenEntry
from services import catalogue
from services.swap_states import SourceFate
from services.swaps import Swaps

S, T = SwapStatus, ChainTxStatus
HASH, AGAIN, THERE = "0x" + "a" * 64, "0x" + "c" * 64, "0x" + "b" * 64
NOW_MS = 1_790_000_000_000
USDC = TokenEntry(
    chain="ethereum", contract="0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", symbol="USDC", name="USDC", decimals=6
)
USDT = TokenEntry(
    chain="bsc", contract="0x55d398326f99059fF775485246999027B3197955", symbol="USDT", name="USDT", decimals=18
)
pytestmark = pytest.mark.usefixtures("database")


def quote(to: TokenEntry = USDT, provider: SwapProvider = SwapProvider.LIFI) -> SwapQuoteDocument:
    entry = QuoteEntry(
        provider=provider,
        address="0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        from_token=USDC,
        to_token=to,
        amount_in=Decimal(1000),
        amount_out=Decimal(990),
        minimum_out=Decimal(985),
        call=CallEntry(to="0x1231DEB6f5749EF6cE6943a275A1D3E7486F4EaE", data=b"\1", value=Decimal(0)),
        bridge="across",
        expires_ms=NOW_MS + 60_000,
    )
    return SwapQuoteDocument(id="q1", user_id="alice", quote=entry, purge_at=to_datetime(NOW_MS))


@dataclass
class Follower:
    """Tells what a test says."""

    told: SwapProgress | SwapSourceError = field(default_factory=lambda: SwapProgress(Progress.PENDING))
    asked: list[tuple[str, int, int, str | None]] = field(default_factory=list)

    async def progress(self, hash_: str, from_chain: int, to_chain: int, bridge: str | None) -> SwapProgress:
        self.asked.append((hash_, from_chain, to_chain, bridge))
        if isinstance(self.told, SwapSourceError):
            raise self.told
        return self.told


@dataclass
class Home:
    """The service, and what it stands on."""

    follower: Follower = field(default_factory=Follower)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW_MS))

    @property
    def swaps(self) -> Swaps:
        return Swaps(
            {SwapProvider.LIFI: self.follower}, catalogue=catalogue.read_files(), bus=MemoryBus(), clock=self.clock
        )

    async def bridging(self) -> SwapDocument:
        """A swap whose first chain is done."""
        row = await self.swaps.prepare(quote())
        sent = await self.swaps.sent("alice", row.id, SourceFate(HASH, T.PENDING))
        assert sent is not None
        assert sent.due_ms is None
        (done,) = await self.swaps.source_changed(SourceFate(HASH, T.CONFIRMED))
        assert done.status is S.BRIDGING
        return done

    async def stored(self, row: SwapDocument) -> SwapDocument:
        found = await swap.by_id(row.id)
        assert found is not None
        return found


def statuses(row: SwapDocument) -> Sequence[SwapStatus]:
    return [step.status for step in row.timeline]


async def test_a_quote_is_prepared_once_however_often_it_is_asked_for() -> None:
    home = Home()
    rows = await asyncio.gather(*(home.swaps.prepare(quote()) for _ in range(5)))
    assert len({row.id for row in rows}) == 1
    assert (rows[0].status, rows[0].quote) == (S.PREPARED, quote().quote)
    assert await home.swaps.own("alice", rows[0].id) == rows[0]
    assert await home.swaps.own("mallory", rows[0].id) is None
    assert await home.swaps.sent("mallory", rows[0].id, SourceFate(HASH, T.PENDING)) is None
    assert (await home.stored(rows[0])).status is S.PREPARED


async def test_a_swap_on_one_chain_is_done_with_its_transaction() -> None:
    home = Home()
    row = await home.swaps.prepare(quote(USDC))
    await home.swaps.sent("alice", row.id, SourceFate(HASH, T.PENDING))
    (done,) = await home.swaps.source_changed(SourceFate(HASH, T.CONFIRMED))
    assert statuses(done) == [S.PREPARED, S.SENT, S.DONE]
    assert (done.due_ms, done.source, done.destination) == (None, HASH, None)
    assert await home.swaps.source_changed(SourceFate(HASH, T.FINAL)) == []
    assert await home.swaps.follow() == []
    assert home.follower.asked == []


async def test_a_swap_over_chains_is_asked_about_ever_more_seldom_until_it_has_arrived() -> None:
    home = Home()
    row = await home.bridging()
    pauses = []
    for _ in range(7):
        assert await home.swaps.follow() == [], "not due yet"
        row = await home.stored(row)
        assert row.due_ms is not None
        pauses.append((row.due_ms - home.clock.now_ms()) // 1000)
        home.clock.advance((row.due_ms - home.clock.now_ms()) / 1000)
        await home.swaps.follow()
    assert len(home.follower.asked) == 7
    assert set(home.follower.asked) == {(HASH, 1, 56, "across")}
    bounds = [(10, 11), (20, 22), (40, 44), (80, 88), (160, 176), (300, 330), (300, 330)]
    assert all(low <= pause <= high for pause, (low, high) in zip(pauses, bounds, strict=True)), pauses
    home.clock.advance(400)
    home.follower.told = SwapProgress(Progress.DONE, THERE)
    (done,) = await home.swaps.follow()
    assert statuses(done) == [S.PREPARED, S.SENT, S.BRIDGING, S.DONE]
    assert (done.destination, done.due_ms) == (THERE, None)
    assert await home.stored(done) == done


async def test_an_aggregator_that_does_not_tell_changes_nothing_and_is_asked_again() -> None:
    home = Home()
    row = await home.bridging()
    home.follower.told = SwapUnavailable("away")
    home.clock.advance(12)
    assert await home.swaps.follow() == []
    again = await home.stored(row)
    assert (again.status, again.timeline, again.asked) == (S.BRIDGING, row.timeline, 1)
    home.follower.told = SwapProgress(Progress.REFUNDED, THERE)
    home.clock.advance(30)
    (ended,) = await home.swaps.follow()
    assert (ended.status, ended.destination, ended.due_ms) == (S.REFUNDED, None, None)


async def test_a_block_that_was_given_up_ends_the_questions_until_the_transaction_is_back() -> None:
    home = Home()
    await home.bridging()
    (back,) = await home.swaps.source_changed(SourceFate(HASH, T.REVERTED))
    assert (back.status, back.due_ms) == (S.SENT, None)
    home.clock.advance(60)
    assert await home.swaps.follow() == []
    assert home.follower.asked == []
    (row,) = await home.swaps.source_changed(SourceFate(HASH, T.CONFIRMED))
    assert (row.status, row.due_ms is not None) == (S.BRIDGING, True)


async def test_a_replacement_with_other_fees_is_followed_in_its_place() -> None:
    home = Home()
    row = await home.swaps.prepare(quote())
    await home.swaps.sent("alice", row.id, SourceFate(HASH, T.PENDING))
    await home.swaps.source_changed(SourceFate(HASH, T.REPLACED, same_again=AGAIN))
    assert await home.swaps.source_changed(SourceFate(HASH, T.FAILED)) == []
    (bridging,) = await home.swaps.source_changed(SourceFate(AGAIN, T.CONFIRMED))
    assert (bridging.status, bridging.source) == (S.BRIDGING, AGAIN)


async def test_news_from_both_sides_at_once_are_both_taken_in() -> None:
    home = Home()
    row = await home.bridging()
    home.follower.told = SwapProgress(Progress.DONE, THERE)
    home.clock.advance(12)
    await asyncio.gather(
        home.swaps.follow(),
        home.swaps.follow(),
        *(home.swaps.source_changed(SourceFate(HASH, T.FINAL)) for _ in range(5)),
    )
    done = await home.stored(row)
    assert (done.status, done.destination) == (S.DONE, THERE)
    assert statuses(done) == [S.PREPARED, S.SENT, S.BRIDGING, S.DONE]


async def test_without_anybody_who_tells_it_stays_on_its_way() -> None:
    home = Home()
    row = await home.swaps.prepare(quote(USDT, SwapProvider.ZEROX))
    await home.swaps.sent("alice", row.id, SourceFate(HASH, T.CONFIRMED))
    home.clock.advance(60)
    assert await home.swaps.follow() == []
    assert (await home.stored(row)).status is S.BRIDGING
