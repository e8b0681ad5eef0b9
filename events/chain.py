"""What is told of chains, their nodes and fees. It does not travel between processes: each asks for itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class ChainProviderState:
    """What is known of one node; `error` says why it is not used."""

    name: str
    healthy: bool
    head: int | None
    latency_ms: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ChainState:
    """Whether a chain can be used. `lag_seconds`: the age of its newest block; `error` says what is wrong with the chain as a whole."""

    healthy: bool
    head: int | None
    lag_seconds: int | None
    providers: Sequence[ChainProviderState]
    error: str | None


@dataclass(frozen=True, slots=True)
class FeeOffer:
    """What one speed costs. On EVM chains gwei for a unit of gas; `rate` elsewhere: satoshi for a virtual byte, micro-lamports for a compute unit."""

    seconds: int
    most: Decimal | None = None
    priority: Decimal | None = None
    rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FeeOffers:
    """Three speeds as they were at a time, epoch milliseconds; `base_fee` in gwei, None where the chain has none."""

    slow: FeeOffer
    standard: FeeOffer
    fast: FeeOffer
    time_ms: int
    base_fee: Decimal | None = None
