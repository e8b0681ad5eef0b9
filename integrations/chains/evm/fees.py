"""What to offer for gas, in three speeds, from the fees of the newest blocks (EIP-1559), or from what a node proposes where there is no base fee.

Amounts in wei for a unit of gas.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from integrations.chains.evm.messages import FeeHistory

BLOCKS = 20
PERCENTILES = (10, 50, 90)
"""Of the priority fees in each block, for the slow, the standard and the fast speed; over the blocks their median counts, so that no block alone moves it."""
LEAST_PRIORITY = 1_000_000
"""Below it Geth's miners leave a transaction lying (`miner.gasprice`)."""
MOST_PRIORITY = 10_000 * 10**9
"""No answer of a node makes anybody offer more than 10,000 gwei."""
_HEADROOM_PERCENT = (125, 150, 200)
"""Of the next block's base fee: it rises by an eighth a block at most, so the fastest offer outlasts five full blocks."""
_LEGACY_PERCENT = (100, 110, 125)
_BLOCKS_TO_WAIT = (6, 3, 1)


@dataclass(frozen=True, slots=True)
class GasOffer:
    """What one speed offers. `priority` is None where there is no base fee: then `most` is the gas price itself. `blocks`: how long it may take."""

    most: int
    priority: int | None
    blocks: int


@dataclass(frozen=True, slots=True)
class GasOffers:
    """Three speeds; `base_fee` is the next block's, None where there is none."""

    base_fee: int | None
    slow: GasOffer
    standard: GasOffer
    fast: GasOffer


def offers(history: FeeHistory) -> GasOffers:
    """By the history of BLOCKS blocks at PERCENTILES. A faster speed never offers less than a slower one."""
    base_fee = history.base_fees[-1] if history.base_fees else 0
    paid = [block for block in history.rewards if len(block) == len(PERCENTILES) and any(block)]
    found = []
    least = LEAST_PRIORITY
    for place, headroom in enumerate(_HEADROOM_PERCENT):
        least = min(max(_median([block[place] for block in paid]), least), MOST_PRIORITY)
        found.append(GasOffer(base_fee * headroom // 100 + least, least, _BLOCKS_TO_WAIT[place]))
    return GasOffers(base_fee, *found)


def legacy_offers(gas_price: int) -> GasOffers:
    """By the price that a node proposes."""
    prices = [min(-(-gas_price * percent // 100), MOST_PRIORITY) for percent in _LEGACY_PERCENT]
    return GasOffers(None, *(GasOffer(price, None, _BLOCKS_TO_WAIT[place]) for place, price in enumerate(prices)))


def _median(values: Sequence[int]) -> int:
    """The lower one of two in the middle; 0 of none."""
    return sorted(values)[(len(values) - 1) // 2] if values else 0
