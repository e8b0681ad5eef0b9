"""Everything about swaps, put together."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.bus import Bus
from core.clock import Clock
from core.rate_limits import RateLimits
from core.wallet_vocabulary import SwapProvider
from integrations.swaps.base import SwapFollower, SwapSource
from services.catalogue import Catalogue
from services.chains import Chains
from services.swap_following import SwapFollowing
from services.swap_offers import Worth
from services.swap_preparing import SwapPreparing
from services.swap_quotes import SwapQuotes
from services.swap_settlers import Settlers
from services.swaps import Swaps
from services.throttles import Throttles
from services.transfer_services import TransferServices


@dataclass(frozen=True, slots=True)
class SwapServices:
    """The parts that resolvers and workers use."""

    quotes: SwapQuotes
    swaps: Swaps
    settlers: Settlers
    preparing: SwapPreparing
    following: SwapFollowing

    async def close(self) -> None:
        await self.settlers.close()


@dataclass(frozen=True, slots=True)
class SwapParts:
    """What swaps are built on."""

    catalogue: Catalogue
    chains: Chains
    worth: Worth
    limits: RateLimits
    sending: TransferServices
    bus: Bus
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
    swaps = Swaps(followers, catalogue=parts.catalogue, bus=parts.bus, clock=parts.clock)
    preparing = SwapPreparing(
        quotes=quotes,
        swaps=swaps,
        settlers=settlers,
        chains=parts.chains,
        evm=parts.sending.evm,
        prepared=parts.sending.prepared,
        clock=parts.clock,
    )
    return SwapServices(quotes, swaps, settlers, preparing, SwapFollowing(swaps, parts.sending.transactions))
