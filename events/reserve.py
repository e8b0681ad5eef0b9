"""What the house's wallets hold on chains, beside what the ledger says of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from events.wallet import ChainTrouble

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ReserveState:
    """Of one asset on one chain, as of a block. An amount is None where there is no such wallet; with `trouble` none of them is known."""

    chain: str
    asset: str
    hot: Decimal | None = None
    unswept: Decimal | None = None
    cold: Decimal | None = None
    block: int | None = None
    time_ms: int | None = None
    age_seconds: int | None = None
    has_wallets: bool = True
    trouble: ChainTrouble | None = None


@dataclass(frozen=True, slots=True)
class ReserveSums:
    """Of one asset over all chains, None where a chain is not known or no such wallet is there; `beyond`: what there is beyond the ledger."""

    hot: Decimal | None
    cold: Decimal | None
    beyond: Decimal | None


def sums_of(states: Sequence[ReserveState], booked: Iterable[Decimal]) -> ReserveSums:
    """The sums of an asset whose reserves are `booked` like this."""
    if any(each.trouble is not None for each in states):
        return ReserveSums(None, None, None)
    hot = _sum(each.hot for each in states)
    cold = _sum(amount for each in states for amount in (each.unswept, each.cold))
    beyond = (hot or _ZERO) + (cold or _ZERO) - sum(booked, _ZERO) if states else None
    return ReserveSums(hot, cold, beyond)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [each for each in amounts if each is not None]
    return sum(known, _ZERO) if known else None
