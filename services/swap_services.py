"""Everything about swaps, put together."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.clock import Clock
from core.rate_limits import RateLimits
from core.wallet_vocabulary import SwapProvider
from integrations.swaps.base import SwapFollower, SwapSource
from services.catalogue import Catalogue
from services.chains import Chains
from services.swap_offers import Worth
from services.swap_quotes import SwapQuotes
from services.swap_settlers import Settlers
from services.swaps import Swaps
from services.throttles import Throttles


@dataclass(frozen=True, slots=True)
class SwapServices:
    """The parts that resolvers and workers use."""

    quotes: SwapQuotes
    swaps: Swaps
    settlers: Settlers

    async def close(self) -> None:
        await self.settlers.close()


@dataclass(frozen=True, slots=True)
class SwapParts:
    """What swaps are built on."""

    catalogue: Catalogue
    chains: Chains
    worth: Worth
    limits: RateLimits
    clock: Clock


def build_swap_services(
    sources: Sequence[SwapSource], followers: dict[SwapProvider, SwapFollower], parts: SwapParts
) -> SwapServices:
    """Put everything together; nothing is asked yet."""
    settlers = Settlers(parts.chains, parts.clock)
    quotes = SwapQuotes(
        sources,
        catalogue=parts.catalogue,
        settlers=settlers,
        worth=parts.worth,
        throttles=Throttles(parts.limits),
        clock=parts.clock,
    )
    return SwapServices(quotes, Swaps(followers, catalogue=parts.catalogue, clock=parts.clock), settlers)
