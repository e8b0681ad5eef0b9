"""Which aggregators the settings name. On networks other than the main one nobody is asked whose URL is not set."""

from dataclasses import dataclass

from core.settings_swaps import SwapSettings
from core.wallet_vocabulary import ChainNetwork
from integrations.swaps import lifi, zerox
from integrations.swaps.lifi import Lifi
from integrations.swaps.zerox import ZeroEx


@dataclass(frozen=True, slots=True)
class Aggregators:
    """Those that are asked; None: nobody is."""

    lifi: Lifi | None
    zerox: ZeroEx | None

    async def close(self) -> None:
        for source in (self.lifi, self.zerox):
            if source is not None:
                await source.close()


def build_aggregators(settings: SwapSettings, network: ChainNetwork) -> Aggregators:
    """As the settings say; nothing is asked yet."""
    lifi_url = _url(settings.lifi_url, lifi.PUBLIC_URL, network)
    zerox_url = _url(settings.zerox_url, zerox.PUBLIC_URL, network)
    lifi_key, zerox_key = settings.lifi_api_key, settings.zerox_api_key
    return Aggregators(
        lifi=None if lifi_url is None else Lifi(lifi_url, None if lifi_key is None else lifi_key.get_secret_value()),
        zerox=None if zerox_url is None or zerox_key is None else ZeroEx(zerox_url, zerox_key.get_secret_value()),
    )


def _url(named: str | None, public: str, network: ChainNetwork) -> str | None:
    if named is not None:
        return named
    return public if network is ChainNetwork.MAINNET else None
