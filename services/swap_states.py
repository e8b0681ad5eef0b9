"""How far a swap is: what follows from the fate of its first transaction, and from what the aggregator says of the second chain; pure.

A swap on one chain is done with its transaction. One that crosses chains is BRIDGING from there until the aggregator tells how it ended; the first chain's word goes before the
aggregator's, which counts only while the first transaction stands.
"""

from dataclasses import dataclass, replace

from core.wallet_vocabulary import ChainTxStatus, SwapStatus
from integrations.swaps.base import Progress, SwapProgress

S, T = SwapStatus, ChainTxStatus


@dataclass(frozen=True, slots=True)
class SwapState:
    """`crosses`: from one chain to another. `source` and `destination` are hashes."""

    crosses: bool
    status: SwapStatus = S.PREPARED
    source: str | None = None
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class SourceFate:
    """What became of the first transaction. `same_again`: of one that was REPLACED the hash of its successor, where that does the same, with other fees."""

    hash: str
    status: ChainTxStatus
    same_again: str | None = None


SwapEvent = SourceFate | SwapProgress
_ENDS = {Progress.DONE: S.DONE, Progress.REFUNDED: S.REFUNDED, Progress.FAILED: S.FAILED}


def advance(swap: SwapState, event: SwapEvent) -> SwapState:
    """The swap after an event; itself where the event changes nothing, comes too late, or is about another transaction."""
    if isinstance(event, SwapProgress):
        return _told(swap, event)
    if swap.status is S.PREPARED and swap.source is None:
        swap = replace(swap, source=event.hash)
    return swap if event.hash != swap.source else _seen(swap, event)


def _seen(swap: SwapState, event: SourceFate) -> SwapState:
    """After news of the first transaction."""
    if swap.destination is not None or swap.status is S.REFUNDED:
        return swap
    match event.status:
        case T.PENDING | T.DROPPED:
            return replace(swap, status=S.SENT) if swap.status is S.PREPARED else swap
        case T.CONFIRMED | T.FINAL:
            if swap.status in (S.PREPARED, S.SENT):
                return replace(swap, status=S.BRIDGING if swap.crosses else S.DONE)
            return swap
        case T.REVERTED:
            return replace(swap, status=S.SENT)
        case T.REPLACED if event.same_again is not None:
            return replace(swap, status=S.SENT, source=event.same_again)
        case _:
            return replace(swap, status=S.FAILED)


def _told(swap: SwapState, event: SwapProgress) -> SwapState:
    """After the aggregator's word; a refund's transaction is on either chain, and is not shown as what arrived."""
    if swap.status is not S.BRIDGING or event.kind not in _ENDS:
        return swap
    status = _ENDS[event.kind]
    return replace(swap, status=status, destination=event.hash if status is S.DONE else None)
