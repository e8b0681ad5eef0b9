"""Swaps for tests: the real services on fixed prices, with whatever aggregators a test has."""

from collections.abc import Sequence

from core.bus import Bus
from core.clock import Clock
from core.rate_limits import RateLimits
from core.wallet_vocabulary import SwapProvider
from integrations.swaps.base import SwapFollower, SwapSource
from services.catalogue import Catalogue
from services.chains import Chains
from services.swap_services import SwapParts, SwapServices, build_swap_services
from services.transfer_services import TransferServices
from tests.custody import worth


def build_swaps(
    *,
    catalogue: Catalogue,
    chains: Chains,
    clock: Clock,
    limits: RateLimits,
    sending: TransferServices,
    bus: Bus,
    sources: Sequence[SwapSource] = (),
    followers: dict[SwapProvider, SwapFollower] | None = None,
) -> SwapServices:
    """The services; without sources nothing is quoted."""
    return build_swap_services(
        sources, followers or {}, SwapParts(catalogue, chains, worth, limits, sending, bus, clock)
    )
