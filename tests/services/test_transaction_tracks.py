"""What follows from what nodes say of a transaction, row by row."""

from decimal import Decimal

import pytest

from core.wallet_vocabulary import ChainTxStatus as Status
from models.chain_transaction import TrackEntry
from services.sending_families import Sighting, SightKind
from services.transaction_tracks import GIVEN_UP_AFTER_MS, MOST_RESENDS, Pace, advance, is_seen_change

START = 1_000_000
PACE = Pace(block_ms=12_000, created_ms=START)
UNKNOWN, WAITING = Sighting(SightKind.UNKNOWN), Sighting(SightKind.WAITING)
IN_BLOCK = Sighting(SightKind.INCLUDED, confirmations=2, block=7, fee=Decimal("0.001"))
FINAL = Sighting(SightKind.INCLUDED, confirmations=64, block=7, fee=Decimal("0.001"), final=True)
FAILED = Sighting(SightKind.FAILED, confirmations=1, block=7, error="why: {said}", error_values={"said": "no"})
TAKEN = Sighting(SightKind.TAKEN, by="0xb", same=True)
EXPIRED = Sighting(SightKind.EXPIRED, final=True)


def after(*seen: Sighting) -> TrackEntry:
    """The track after these, a block apart."""
    track, now_ms = TrackEntry(), START
    for each in seen:
        track = advance(track, each, PACE, now_ms).track
        now_ms += PACE.block_ms
    return track


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        ((WAITING,), Status.PENDING),
        ((UNKNOWN,), Status.PENDING),
        ((UNKNOWN, WAITING), Status.PENDING),
        ((IN_BLOCK,), Status.CONFIRMED),
        ((FINAL,), Status.FINAL),
        ((FAILED,), Status.FAILED),
        ((IN_BLOCK, WAITING), Status.REVERTED),
        ((IN_BLOCK, UNKNOWN), Status.REVERTED),
        ((FAILED, WAITING), Status.REVERTED),
        ((IN_BLOCK, WAITING, WAITING), Status.REVERTED),
        ((IN_BLOCK, WAITING, IN_BLOCK), Status.CONFIRMED),
        ((TAKEN,), Status.REPLACED),
        ((IN_BLOCK, TAKEN), Status.REPLACED),
        ((TAKEN, WAITING), Status.PENDING),
        ((TAKEN, UNKNOWN), Status.PENDING),
        ((TAKEN, IN_BLOCK), Status.CONFIRMED),
        ((EXPIRED,), Status.DROPPED),
    ],
)
def test_the_status_follows_what_is_seen(seen: tuple[Sighting, ...], status: Status) -> None:
    assert after(*seen).status is status


def test_what_is_over_stays_so() -> None:
    for end in (FINAL, EXPIRED, Sighting(SightKind.TAKEN, by="0xb", final=True)):
        track = after(end)
        for each in (UNKNOWN, WAITING, IN_BLOCK):
            later = advance(track, each, PACE, START)
            assert (later.track, later.resend, later.due_ms) == (track, False, None)


def test_what_a_block_told_is_forgotten_with_the_block() -> None:
    known = after(IN_BLOCK)
    assert (known.confirmations, known.block, known.fee) == (2, 7, "0.001")
    lost = after(IN_BLOCK, WAITING)
    assert (lost.confirmations, lost.block, lost.fee, lost.error) == (0, None, None, None)
    assert after(FAILED).error == "why: {said}"
    assert after(FAILED, IN_BLOCK).error is None
    assert (after(TAKEN).replaced_by, after(TAKEN).same) == ("0xb", True)
    assert after(TAKEN, WAITING).replaced_by is None


def test_one_that_nobody_knows_is_sent_again_ever_more_seldom_and_then_dropped() -> None:
    track, now_ms, sent_at = TrackEntry(), START, []
    while track.status is not Status.DROPPED:
        step = advance(track, UNKNOWN, PACE, now_ms)
        track = step.track
        if step.resend:
            sent_at.append((now_ms - START) // PACE.block_ms)
        now_ms += PACE.block_ms
    assert sent_at == [0, 1, 3, 7, 15]
    assert len(sent_at) == MOST_RESENDS
    assert (now_ms - START) // PACE.block_ms == 32
    assert not advance(track, UNKNOWN, PACE, now_ms).resend
    back = advance(track, WAITING, PACE, now_ms).track
    assert (back.status, back.unknown_since_ms) == (Status.PENDING, None)
    assert advance(back, IN_BLOCK, PACE, now_ms).track.resends == 0
    given_up = advance(track, UNKNOWN, PACE, START + GIVEN_UP_AFTER_MS)
    assert (given_up.track.status, given_up.track.over, given_up.due_ms) == (Status.DROPPED, True, None)


def test_what_waits_long_is_looked_at_more_seldom() -> None:
    hour = 3_600_000
    pauses = [
        (advance(TrackEntry(), WAITING, PACE, START + age).due_ms or 0) - START - age for age in (0, hour, 99 * hour)
    ]
    assert pauses == [12_000, 180_000, 600_000]


def test_only_what_people_see_is_a_change() -> None:
    assert not is_seen_change(TrackEntry(), after(UNKNOWN))
    assert is_seen_change(TrackEntry(), after(IN_BLOCK))
    assert is_seen_change(after(FINAL), after(IN_BLOCK))
