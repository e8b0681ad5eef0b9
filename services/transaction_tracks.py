"""How far a transaction is that was sent to its chain: what follows from what its nodes say, and what is to be done about it; pure.

PENDING until it is in a block, CONFIRMED from there, FINAL when enough nodes agree that it stays. REVERTED: its block was given up; REPLACED: another one has spent
the same; DROPPED: no node knows it any more, though it was sent again a few times. Until something is final, everything may come back.
"""

from dataclasses import dataclass

from core.wallet_vocabulary import ChainTxStatus as Status
from models.chain_transaction import TrackEntry
from services.sending_families import Sighting, SightKind

MOST_RESENDS = 5
GIVEN_UP_AFTER_MS = 3 * 24 * 3_600_000
"""So long one that no node knows is looked for, and one whose successor is not found."""
_LEAST_PAUSE_MS, _FAST_MOST_MS = 1_000, 15_000
_MOST_PAUSE_MS = 10 * 60_000
_WAITING_PARTS = 20
"""What has waited long is looked at more seldom: after a twentieth of its age."""
_NOWHERE: dict[str, object] = {
    "confirmations": 0,
    "block": None,
    "fee": None,
    "error": None,
    "error_values": {},
    "replaced_by": None,
}


@dataclass(frozen=True, slots=True)
class Pace:
    """What the chain's time is: `block_ms` between blocks; `created_ms`: when the transaction came here."""

    block_ms: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class Advance:
    """What comes of a look: the new track, whether its bytes go to the nodes again, and when to look next (None: never)."""

    track: TrackEntry
    resend: bool
    due_ms: int | None


def advance(track: TrackEntry, seen: Sighting, pace: Pace, now_ms: int) -> Advance:
    """After a sighting."""
    if track.over:
        return Advance(track, resend=False, due_ms=None)
    resend = False
    match seen.kind:
        case SightKind.INCLUDED | SightKind.FAILED:
            new = _included(track, seen)
        case SightKind.WAITING:
            new = _without_block(track).model_copy(update={"unknown_since_ms": None})
        case SightKind.TAKEN:
            update = {**_NOWHERE, "status": Status.REPLACED, "replaced_by": seen.by, "same": seen.same}
            new = track.model_copy(update=update | {"over": seen.final, "unknown_since_ms": _since(track, now_ms)})
        case SightKind.EXPIRED:
            new = track.model_copy(update={**_NOWHERE, "status": Status.DROPPED, "over": seen.final})
        case SightKind.UNKNOWN:
            new, resend = _unknown(track, pace, now_ms)
    if new.unknown_since_ms is not None and now_ms - new.unknown_since_ms >= GIVEN_UP_AFTER_MS:
        new = new.model_copy(update={"over": True})
    return Advance(new, resend, None if new.over else now_ms + _pause_ms(new, pace, now_ms))


def is_seen_change(before: TrackEntry, after: TrackEntry) -> bool:
    """Whether people see a difference."""
    inner = {"unknown_since_ms", "resends", "resent_ms"}
    return before.model_dump(exclude=inner) != after.model_dump(exclude=inner)


def pause_of(block_ms: int) -> int:
    """Between two looks at what moves, in milliseconds: about a block."""
    return min(max(block_ms, _LEAST_PAUSE_MS), _FAST_MOST_MS)


def _included(track: TrackEntry, seen: Sighting) -> TrackEntry:
    status = Status.FAILED
    if seen.kind is SightKind.INCLUDED:
        status = Status.FINAL if seen.final else Status.CONFIRMED
    update = {
        "status": status,
        "confirmations": seen.confirmations,
        "block": seen.block,
        "fee": None if seen.fee is None else format(seen.fee, "f"),
        "error": seen.error,
        "error_values": dict(seen.error_values),
        "replaced_by": None,
        "unknown_since_ms": None,
        "resends": 0,
        "over": seen.final,
    }
    return track.model_copy(update=update)


def _without_block(track: TrackEntry) -> TrackEntry:
    """It is in no block; what was in one is REVERTED until it is in one again."""
    reverted = track.block is not None or track.status is Status.REVERTED
    return track.model_copy(update={**_NOWHERE, "status": Status.REVERTED if reverted else Status.PENDING})


def _unknown(track: TrackEntry, pace: Pace, now_ms: int) -> tuple[TrackEntry, bool]:
    """No node knows it: it is sent again, each time after twice as many blocks, and given up as DROPPED after the last of them."""
    since = _since(track, now_ms)
    new = track if track.status is Status.DROPPED else _without_block(track)
    new = new.model_copy(update={"unknown_since_ms": since})
    pause = pause_of(pace.block_ms) << max(0, track.resends - 1)
    if track.resends and now_ms < track.resent_ms + pause:
        return new, False
    if track.resends >= MOST_RESENDS:
        return new.model_copy(update={**_NOWHERE, "status": Status.DROPPED}), False
    return new.model_copy(update={"resends": track.resends + 1, "resent_ms": now_ms}), True


def _since(track: TrackEntry, now_ms: int) -> int:
    return now_ms if track.unknown_since_ms is None else track.unknown_since_ms


def _pause_ms(track: TrackEntry, pace: Pace, now_ms: int) -> int:
    soon = pause_of(pace.block_ms)
    if track.status in (Status.CONFIRMED, Status.FAILED, Status.REVERTED):
        return soon
    began_ms = pace.created_ms if track.unknown_since_ms is None else track.unknown_since_ms
    return min(max(soon, (now_ms - began_ms) // _WAITING_PARTS), _MOST_PAUSE_MS)
