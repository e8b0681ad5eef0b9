"""Swaps in a process: the aggregators that the settings name, and the services that ask them."""

from contextlib import AsyncExitStack

from core.settings import Settings
from core.wallet_vocabulary import SwapProvider
from integrations.swaps.base import SwapFollower, SwapSource
from integrations.swaps.registry import build_aggregators
from services.swap_services import SwapParts, SwapServices, build_swap_services


def open_swaps(settings: Settings, parts: SwapParts, stack: AsyncExitStack) -> SwapServices:
    """Nobody is asked yet."""
    named = build_aggregators(settings, settings.blockchain_network)
    stack.push_async_callback(named.close)
    sources: list[SwapSource] = [source for source in (named.lifi, named.zerox) if source is not None]
    followers: dict[SwapProvider, SwapFollower] = {} if named.lifi is None else {SwapProvider.LIFI: named.lifi}
    services = build_swap_services(sources, followers, parts)
    stack.push_async_callback(services.close)
    return services
