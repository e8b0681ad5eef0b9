"""The sequence rule of Binance's diffs: by table, by the recorded futures pair, and by property."""

import csv
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.backoff import Backoff
from events.feed import FeedBookDelta, FeedBookLost, FeedBookSnapshot, FeedMessage
from integrations.feeds.binance import BinanceBook
from integrations.feeds.binance_rest import DepthSnapshot
from integrations.feeds.depth import DepthDiff, DepthFlavour, DepthGap, DepthSync
from tests.integrations.feeds.recorder import fold


def diff(first: int, last: int, previous: int | None = None) -> DepthDiff:
    return DepthDiff(first, last, previous, (), (), 1)


def taken(sync: DepthSync, *diffs: DepthDiff) -> list[int]:
    return [ready.last_id for entry in diffs for ready in sync.offer(entry)]


def test_diffs_wait_for_the_snapshot_and_covered_ones_are_dropped() -> None:
    sync = DepthSync(DepthFlavour.SPOT)
    assert sync.needs_snapshot
    assert taken(sync, diff(90, 95), diff(96, 100), diff(101, 105), diff(106, 107)) == []
    assert [ready.last_id for ready in sync.start(100)] == [105, 107]
    assert not sync.needs_snapshot
    assert taken(sync, diff(108, 108)) == [108]


@pytest.mark.parametrize(
    ("first", "last", "follows"),
    [(101, 101, True), (95, 101, True), (101, 120, True), (90, 100, None), (102, 103, False), (500, 600, False)],
)
def test_first_spot_diff_holds_the_id_after_the_snapshot(first: int, last: int, follows: bool | None) -> None:
    sync = DepthSync(DepthFlavour.SPOT)
    sync.start(100)
    if follows is False:
        with pytest.raises(DepthGap):
            sync.offer(diff(first, last))
        assert sync.needs_snapshot
    else:
        assert taken(sync, diff(first, last)) == ([last] if follows else [])


@pytest.mark.parametrize("first", [102, 104, 90, 101])
def test_later_spot_diffs_start_right_after_the_one_before(first: int) -> None:
    sync = DepthSync(DepthFlavour.SPOT)
    sync.start(100)
    sync.offer(diff(101, 102))
    with pytest.raises(DepthGap):
        sync.offer(diff(first, 110))
    assert sync.needs_snapshot
    assert [ready.last_id for ready in sync.start(105)] == [110]


@pytest.mark.parametrize(
    ("first", "last", "previous", "follows"),
    [(99, 100, 98, True), (100, 110, 99, True), (90, 99, 89, None), (101, 110, 100, False)],
)
def test_first_futures_diff_holds_the_id_of_the_snapshot(
    first: int, last: int, previous: int, follows: bool | None
) -> None:
    sync = DepthSync(DepthFlavour.USD_M_FUTURES)
    sync.start(100)
    if follows is False:
        with pytest.raises(DepthGap):
            sync.offer(diff(first, last, previous))
    else:
        assert taken(sync, diff(first, last, previous)) == ([last] if follows else [])


def test_later_futures_diffs_name_the_one_before() -> None:
    sync = DepthSync(DepthFlavour.USD_M_FUTURES)
    sync.start(100)
    assert taken(sync, diff(98, 104, 97), diff(110, 120, 104)) == [104, 120]
    with pytest.raises(DepthGap):
        sync.offer(diff(121, 130, 119))
    assert sync.needs_snapshot


def test_the_recorded_futures_pair_is_a_gap_and_asks_for_a_new_snapshot(shared_data: Path) -> None:
    def first_row(kind: str) -> dict[str, str]:
        with (shared_data / "market" / f"binance-btcusdt-depth-{kind}-2022-11-01.csv").open() as file:
            return next(csv.DictReader(file))

    snapshot, update = first_row("snapshot"), first_row("updates")
    recorded = diff(int(update["first_update_id"]), int(update["last_update_id"]), int(update["pu"]))
    sync = DepthSync(DepthFlavour.USD_M_FUTURES)
    assert sync.start(int(snapshot["last_update_id"])) == []
    with pytest.raises(DepthGap, match="does not follow"):
        sync.offer(recorded)
    assert sync.needs_snapshot
    assert sync.start(recorded.first_id) == [recorded]


def test_the_oldest_waiting_diffs_go_first() -> None:
    sync = DepthSync(DepthFlavour.SPOT, capacity=2)
    taken(sync, diff(1, 1), diff(2, 2), diff(3, 3))
    with pytest.raises(DepthGap):
        sync.start(0)
    assert [ready.last_id for ready in sync.start(1)] == [2, 3]


@dataclass
class Truth:
    """An engine that remembers its book after every update id, independent of the code under test."""

    states: list[tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]] = field(
        default_factory=lambda: [({Decimal(10): Decimal(1)}, {Decimal(11): Decimal(1)})]
    )

    def change(self, changes: list[tuple[bool, int, int]]) -> DepthDiff:
        first = len(self.states)
        diff: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
        for is_ask, level, size in changes:
            sides = (dict(self.states[-1][0]), dict(self.states[-1][1]))
            sides[is_ask].pop(Decimal(level), None)
            if size:
                sides[is_ask][Decimal(level)] = Decimal(size)
            diff[is_ask][Decimal(level)] = Decimal(size)
            self.states.append(sides)
        last = len(self.states) - 1
        return DepthDiff(first, last, None, tuple(diff[0].items()), tuple(diff[1].items()), last)

    def snapshot(self, update_id: int) -> DepthSnapshot:
        bids, asks = self.states[update_id]
        return DepthSnapshot(update_id, tuple(bids.items()), tuple(asks.items()), update_id)


changes = st.lists(st.tuples(st.booleans(), st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=4)
steps = st.lists(st.tuples(changes, st.booleans(), st.integers(0, 8)), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(steps=steps)
def test_a_book_is_right_after_every_message_and_comes_back_after_a_loss(
    steps: list[tuple[list[tuple[bool, int, int]], bool, int]],
) -> None:
    """Each step: changes, whether their diff is dropped on the way, and how old a snapshot is when it arrives.

    Diffs and snapshots carry as their time the update id they bring the book to, so that every message can be compared.
    """
    truth, book = Truth(), BinanceBook("BTCUSDT", "BTC-USDT", Backoff())
    emitted: list[FeedMessage] = []

    def check(made: list[FeedMessage]) -> None:
        for message in made:
            emitted.append(message)
            folded = fold(emitted, "BTC-USDT")
            if isinstance(message, FeedBookSnapshot | FeedBookDelta):
                assert folded == truth.states[message.time_ms]
            else:
                assert isinstance(message, FeedBookLost)
                assert folded is None

    def try_snapshot(age: int) -> None:
        try:
            check(book.start(truth.snapshot(max(0, len(truth.states) - 1 - age))))
        except DepthGap:
            assert book.sync.needs_snapshot

    for step, is_dropped, age in steps:
        diff = truth.change(step)
        if not is_dropped:
            made, needs_snapshot = book.follow(diff)
            assert needs_snapshot == any(isinstance(message, FeedBookLost) for message in made)
            check(made)
        if book.sync.needs_snapshot:
            try_snapshot(age)
    made, _ = book.follow(truth.change([(False, 5, 2)]))
    check(made)
    if book.sync.needs_snapshot:
        try_snapshot(0)
    check(book.follow(truth.change([(True, 12, 1)]))[0])
    assert fold(emitted, "BTC-USDT") == truth.states[-1]
