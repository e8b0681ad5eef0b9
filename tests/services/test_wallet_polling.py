"""Addresses that are looked at again and again: what is new, what goes on, what was given up, and when it must end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from core.clock import SystemClock
from core.paging import Page
from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus, TransferDirection, WalletErrorCode
from events.token import TokenState
from events.wallet import WalletMovement
from services import wallet_polling
from services.wallet_following import TooManyFollowed, TooMuchMoves
from services.wallet_polling import PolledFollower, PollPace
from tests.chains import LITECOIN

S = ChainTxStatus
COIN = TokenState("bitcoin", None, "BTC", "Bitcoin", 8, "BTC", False)


def moved(place: int, confirmations: int = 1) -> WalletMovement:
    """One in a block of this height; final from three confirmations on."""
    return WalletMovement(
        place=place,
        hash=f"{place:064x}",
        part="coin",
        direction=TransferDirection.IN,
        token=COIN,
        units=place,
        counterparty=None,
        status=S.FINAL if confirmations >= 3 else S.CONFIRMED,
        confirmations=confirmations,
        time_ms=place,
    )


@dataclass
class Chain:
    """A list that a test writes, and a follower that looks at it when it is told to."""

    listed: list[WalletMovement] = field(default_factory=list)
    has_next: bool = False
    away: bool = False
    looks: int = 0
    again: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.follower = PolledFollower(LITECOIN, self.read, PollPace(1, 2), SystemClock(), self.pause)

    async def read(self, _address: str) -> Page[WalletMovement]:
        self.looks += 1
        if self.away:
            raise WalletRefused("no node answers", reason=WalletErrorCode.PROVIDER_UNAVAILABLE)
        return Page(list(self.listed), self.has_next, has_previous=False)

    async def pause(self, _seconds: float) -> None:
        await self.again.wait()
        self.again.clear()

    async def seen(self) -> list[tuple[int, ChainTxStatus, int]]:
        rows = await self.follower.movements("a")
        return [(each.place, each.status, each.confirmations) for each in rows]

    async def look(self) -> list[tuple[int, ChainTxStatus, int]]:
        """What is known after another look."""
        self.turn.clear()
        self.again.set()
        await asyncio.wait_for(self.turn.wait(), 10)
        return await self.seen()


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    made = Chain()
    yield made
    await made.follower.close()


async def test_what_was_final_before_is_not_told_and_what_comes_is(chain: Chain) -> None:
    chain.listed = [moved(9), moved(5, 5)]
    await chain.follower.join("a", chain.turn)
    assert await chain.seen() == [(9, S.CONFIRMED, 1)]
    chain.listed = [moved(10), moved(9, 2), moved(5, 6)]
    assert await chain.look() == [(9, S.CONFIRMED, 2), (10, S.CONFIRMED, 1)]
    chain.listed = [moved(10, 3), moved(9, 4)]
    assert await chain.look() == [(9, S.FINAL, 4), (10, S.FINAL, 3)]


async def test_what_is_listed_no_more_was_given_up_and_may_come_back(chain: Chain) -> None:
    chain.listed = [moved(9), moved(8, 2)]
    await chain.follower.join("a", chain.turn)
    chain.listed, chain.has_next = [moved(8, 2)], True
    assert await chain.look() == [(8, S.CONFIRMED, 2), (9, S.REVERTED, 0)]
    chain.listed = [replace(moved(9), place=10), moved(8, 3)]
    assert await chain.look() == [(8, S.FINAL, 3), (10, S.CONFIRMED, 1)]


def waiting(number: int) -> WalletMovement:
    """One in no block."""
    return replace(moved(10**15 + number), status=S.PENDING, confirmations=0, time_ms=None)


async def test_what_waits_gets_into_a_block_or_is_dropped(chain: Chain) -> None:
    chain.listed, chain.has_next = [waiting(2), waiting(1), moved(8, 5)], True
    await chain.follower.join("a", chain.turn)
    assert await chain.seen() == [(10**15 + 1, S.PENDING, 0), (10**15 + 2, S.PENDING, 0)]
    chain.listed = [replace(moved(9), hash=waiting(1).hash), moved(8, 6)]
    assert await chain.look() == [(9, S.CONFIRMED, 1), (10**15 + 2, S.DROPPED, 0)]
    chain.listed = [waiting(2), replace(moved(9, 2), hash=waiting(1).hash), moved(8, 7)]
    assert await chain.look() == [(9, S.CONFIRMED, 2), (10**15 + 2, S.PENDING, 0)]


async def test_many_that_come_and_go_unconfirmed_do_not_push_out_what_is_in_blocks(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallet_polling, "_KEPT_ROWS", 3)
    chain.listed, chain.has_next = [waiting(2), waiting(1), moved(8)], True
    await chain.follower.join("a", chain.turn)
    chain.listed = [waiting(4), waiting(3), moved(8, 2)]
    assert (8, S.CONFIRMED, 2) in await chain.look()


async def test_a_failure_that_stays_is_not_given_up(chain: Chain) -> None:
    failed = replace(moved(9, 2), status=S.FAILED)
    chain.listed = [failed, replace(moved(8, 3), status=S.FAILED)]
    await chain.follower.join("a", chain.turn)
    assert await chain.seen() == [(9, S.FAILED, 2)]
    chain.listed = [replace(failed, confirmations=3)]
    assert await chain.look() == [(9, S.FAILED, 3)]
    chain.listed = []
    assert await chain.look() == [(9, S.FAILED, 3)]


async def test_what_is_only_further_down_was_not_given_up(chain: Chain) -> None:
    chain.listed = [moved(9)]
    await chain.follower.join("a", chain.turn)
    chain.listed, chain.has_next = [moved(12), moved(11), moved(9)], True
    await chain.look()
    chain.listed = [moved(13), moved(12), moved(11)]
    assert (9, S.CONFIRMED, 1) in await chain.look()


async def test_more_than_one_look_shows_is_said(chain: Chain) -> None:
    chain.listed, chain.has_next = [moved(9)], True
    await chain.follower.join("a", chain.turn)
    chain.listed = [moved(12), moved(11)]
    with pytest.raises(TooMuchMoves):
        await chain.look()


async def test_readers_share_looks_which_end_with_the_last(chain: Chain) -> None:
    other = asyncio.Event()
    await asyncio.gather(chain.follower.join("a", chain.turn), chain.follower.join("a", other))
    assert chain.looks == 1
    await chain.follower.join("b", other)
    with pytest.raises(TooManyFollowed):
        await chain.follower.join("c", other)
    await chain.look()
    assert other.is_set()
    task = chain.follower._addresses["a"].task
    assert task is not None
    chain.follower.leave("a", chain.turn)
    assert "a" in chain.follower._addresses
    chain.follower.leave("a", other)
    assert set(chain.follower._addresses) == {"b"}
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_silence_ends_it_and_a_beginning_that_fails_leaves_nothing(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.away = True
    with pytest.raises(WalletRefused):
        await chain.follower.join("a", chain.turn)
    assert not chain.follower._addresses
    chain.away = False
    await chain.follower.join("a", chain.turn)
    chain.away = True
    assert await chain.look() == []
    monkeypatch.setattr(wallet_polling, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(chain.follower, "_pace", PollPace(0, 2))
    with pytest.raises(WalletRefused):
        await chain.look()
