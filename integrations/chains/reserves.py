"""What a set of addresses owns on a chain as of one block, as one node tells it; the same form for every family of chains."""

from collections.abc import Mapping
from dataclasses import dataclass

Owned = Mapping[str, Mapping[str | None, int | None]]
"""By address and contract (None: the chain's own coin), smallest units; None where a contract does not tell."""


@dataclass(frozen=True, slots=True)
class ChainReserves:
    """As of the block of this number and hash (on Solana a slot, without a hash: nodes agree when they tell the same amounts)."""

    block: int
    hash: str | None
    time_ms: int | None
    owned: Owned
