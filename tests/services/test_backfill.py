from itertools import pairwise

from core.vocabulary import CandleInterval
from services.backfill import FIRST_DAYS_MS, MOST_STRETCHES, REQUEST_CANDLES, SETTLE_MS, Gaps, Stretch
from tests.services.market_rows import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS

MINUTE, HOUR, DAY = CandleInterval.MINUTE_1, CandleInterval.HOUR_1, CandleInterval.DAY_1
JUST_AFTER_NOON_MS = NOON_MS + 30_000


def drained(gaps: Gaps, now_ms: int) -> list[Stretch]:
    found = []
    while (stretch := gaps.due(now_ms)) is not None:
        found.append(stretch)
        gaps.filled(stretch)
    return found


def test_a_stop_is_filled_up_to_the_minute_of_joining_and_that_one_once_it_is_over() -> None:
    gaps = Gaps(NOON_MS - 10 * MINUTE_MS)
    assert gaps.due(NOON_MS) is None
    gaps.joined(JUST_AFTER_NOON_MS)
    assert drained(gaps, JUST_AFTER_NOON_MS) == [Stretch(MINUTE, NOON_MS - 10 * MINUTE_MS, NOON_MS)]
    assert gaps.complete_until_ms(JUST_AFTER_NOON_MS) == NOON_MS
    assert gaps.due(NOON_MS + MINUTE_MS + SETTLE_MS - 1) is None
    assert drained(gaps, NOON_MS + MINUTE_MS + SETTLE_MS) == [Stretch(MINUTE, NOON_MS, NOON_MS + MINUTE_MS)]
    assert gaps.complete_until_ms(NOON_MS + HOUR_MS) == NOON_MS + HOUR_MS


def test_a_stretch_that_was_not_filled_stays_due() -> None:
    gaps = Gaps(NOON_MS - 10 * MINUTE_MS)
    gaps.joined(NOON_MS)
    assert gaps.due(NOON_MS + HOUR_MS) == gaps.due(NOON_MS + HOUR_MS)
    assert gaps.complete_until_ms(NOON_MS + HOUR_MS) == NOON_MS - 10 * MINUTE_MS


def test_a_market_seen_first_misses_days_hours_and_minutes_that_meet() -> None:
    gaps = Gaps(None)
    assert gaps.complete_until_ms(NOON_MS) is None
    gaps.joined(JUST_AFTER_NOON_MS)
    stretches = drained(gaps, NOON_MS + HOUR_MS)
    assert [stretch.interval for stretch in stretches] == [MINUTE, MINUTE, HOUR, DAY]
    stretches.sort(key=lambda stretch: stretch.from_ms)
    assert all(a.to_ms == b.from_ms for a, b in pairwise(stretches))
    assert FIRST_DAYS_MS <= NOON_MS - stretches[0].from_ms < FIRST_DAYS_MS + 7 * DAY_MS
    assert NOON_MS - stretches[2].from_ms == 25 * HOUR_MS
    assert stretches[-1].to_ms == NOON_MS + MINUTE_MS
    assert all((s.to_ms - s.from_ms) // s.interval.length_ms <= REQUEST_CANDLES for s in stretches)


def test_a_first_fill_that_was_cut_short_begins_again() -> None:
    gaps = Gaps(None)
    gaps.joined(JUST_AFTER_NOON_MS)
    stretch = gaps.due(NOON_MS + HOUR_MS)
    assert stretch is not None
    gaps.filled(stretch)
    assert gaps.complete_until_ms(NOON_MS + HOUR_MS) is None
    drained(gaps, NOON_MS + HOUR_MS)
    assert gaps.complete_until_ms(NOON_MS + HOUR_MS) == NOON_MS + HOUR_MS


def test_a_long_absence_is_filled_by_days_and_then_by_minutes() -> None:
    gaps = Gaps(NOON_MS - 30 * DAY_MS)
    gaps.joined(NOON_MS)
    stretches = sorted(drained(gaps, NOON_MS + HOUR_MS), key=lambda stretch: stretch.from_ms)
    assert stretches[0] == Stretch(DAY, NOON_MS - 30 * DAY_MS - 12 * HOUR_MS, NOON_MS - 7 * DAY_MS - 12 * HOUR_MS)
    assert {s.interval for s in stretches[1:]} == {MINUTE}
    assert all(a.to_ms == b.from_ms for a, b in pairwise(stretches))


def test_a_lost_feed_is_doubted_from_its_last_trade_but_not_for_long() -> None:
    for last_trade_ms, since_ms in (
        (NOON_MS - 70_000, NOON_MS - 2 * MINUTE_MS),
        (NOON_MS - 1, NOON_MS - MINUTE_MS),
        (0, NOON_MS - 2 * MINUTE_MS),
        (NOON_MS + 5_000, NOON_MS),
    ):
        gaps = Gaps(NOON_MS - HOUR_MS)
        gaps.joined(NOON_MS - HOUR_MS)
        drained(gaps, NOON_MS)
        gaps.lost(now_ms=NOON_MS, last_trade_ms=last_trade_ms)
        assert gaps.complete_until_ms(NOON_MS + HOUR_MS) == since_ms
        gaps.joined(NOON_MS + HOUR_MS)
        assert gaps.due(NOON_MS + HOUR_MS) == Stretch(MINUTE, since_ms, NOON_MS + HOUR_MS - MINUTE_MS)


def test_a_feed_that_flaps_costs_no_memory() -> None:
    gaps = Gaps(NOON_MS)
    for hour in range(1000):
        now_ms = NOON_MS + hour * HOUR_MS
        gaps.joined(now_ms)
        gaps.lost(now_ms=now_ms + MINUTE_MS, last_trade_ms=now_ms)
    assert len(gaps._missing) <= MOST_STRETCHES
    assert gaps.complete_until_ms(NOON_MS + 1000 * HOUR_MS) == NOON_MS


def test_joining_or_losing_twice_changes_nothing() -> None:
    gaps = Gaps(NOON_MS)
    gaps.joined(NOON_MS + HOUR_MS)
    gaps.joined(NOON_MS + 2 * HOUR_MS)
    assert drained(gaps, NOON_MS + 3 * HOUR_MS) == [Stretch(MINUTE, NOON_MS, NOON_MS + HOUR_MS + MINUTE_MS)]
    gaps.lost(now_ms=NOON_MS + 3 * HOUR_MS, last_trade_ms=NOON_MS + 3 * HOUR_MS)
    gaps.lost(now_ms=NOON_MS + 4 * HOUR_MS, last_trade_ms=NOON_MS + 4 * HOUR_MS)
    assert gaps.complete_until_ms(NOON_MS + 4 * HOUR_MS) == NOON_MS + 3 * HOUR_MS
